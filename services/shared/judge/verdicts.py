"""What a judgement says: accepted with its values, or rejected with one reason. Plain values, no rules."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

RECORD_TYPE = "record_type"
MAX_DEPTH = 100  # levels of arrays and objects, the row's own object included
JSON_BLANKS = b" \t\r\n"

Value = str | int | float | Decimal | bool | date | datetime | list[Any] | dict[str, Any] | None


class Reason(StrEnum):
    """Why a row is in quarantine.

    `row_too_long`, `broken_frame` and `no_rows` (nothing is at the contract's `rowsPath`) are found by the reader, all
    others by the judge. `broken_frame` is damage to what
    holds the rows of a file together: an array cut short, a missing comma, text after the closing bracket.
    """

    BAD_UTF8 = "bad_utf8"
    TOO_DEEP = "too_deep"
    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    BAD_UNICODE = "bad_unicode"  # half of a surrogate pair, written as an escape
    DUPLICATE_KEY = "duplicate_key"
    ROW_TOO_LONG = "row_too_long"
    BROKEN_FRAME = "broken_frame"
    NO_ROWS = "no_rows"
    UNKNOWN_RECORD_TYPE = "unknown_record_type"
    MISSING_REQUIRED = "missing_required"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"  # a number that its column cannot hold exactly, or at all
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_DATE = "bad_date"
    OUT_OF_WINDOW = "out_of_window"


class Accepted(NamedTuple):
    """A row that its contract accepts. `values` follow the contract's fields; `rescued` is JSON text."""

    dataset: str
    values: tuple[Value, ...]
    rescued: str | None


class Rejected(NamedTuple):
    """A row that goes to quarantine. `record_type` is the row's own, as found, or else its object's dataset."""

    record_type: str
    reason: Reason
    field: str | None
    detail: str


class Rejection(Exception):  # not an error: it ends the judgement
    def __init__(self, reason: Reason, detail: str, field: str | None = None) -> None:
        super().__init__(reason, detail, field)
        self.reason, self.detail, self.field = reason, detail, field
