"""The row rules: what one row must be for its contract to accept it. This is the reference, exact and unhurried.

`RowJudge.judge` takes the bytes of one row and says which Silver values it has, or the one reason why it is
quarantined. `services.transform.rows` is the fast way to the same answers and asks this module wherever it is not
certain. This module knows nothing of blocks, Arrow or files.

When several things are wrong with a row, the first in this order is reported:

    bad_utf8, too_deep, malformed_json, not_an_object, bad_unicode, duplicate_key    the row as JSON
    wrong_type (of record_type), unknown_record_type                                 its dataset
    missing_required, wrong_type, out_of_range, bad_timestamp, bad_date              field by field, as in the contract
    out_of_window                                                                    its event time

`row_too_long` and `broken_frame` are given by the reader: it never holds an over-long row whole, and only it sees what
holds a file's rows together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from services.shared.contract.model import Contract
from services.shared.judge.row_json import Item, own_record_type, read_row
from services.shared.judge.values import field_value
from services.shared.judge.verdicts import JSON_BLANKS, RECORD_TYPE, Accepted, Reason, Rejected, Rejection, Value


class RowJudge:
    """Judges rows by the contracts of all datasets."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)

    def judge(self, row: bytes, default_dataset: str, object_created: datetime) -> Accepted | Rejected:
        """The row's values, or why it has none.

        `default_dataset` applies where the row has no `record_type` (absent or null). `object_created` is the creation
        time of its object (UTC): event times up to the contract's `max_ahead` after it are accepted.
        """
        record_type = default_dataset
        try:
            items = read_row(row)
            own = own_record_type(items)
            record_type = default_dataset if own is None else own
            contract = self._contracts.get(record_type)
            if contract is None:
                raise Rejection(Reason.UNKNOWN_RECORD_TYPE, f"no contract is named {record_type!r}", RECORD_TYPE)
            values = tuple(field_value(field, items.get(field.name)) for field in contract.fields)
            _check_window(contract, values, object_created)
        except Rejection as why:
            return Rejected(record_type, why.reason, why.field, why.detail)
        return Accepted(record_type, values, _rescued(items, contract))


def read_items(row: bytes) -> dict[str, Item] | None:
    """A row's keys and values in its order, or None where it is no row that could be accepted."""
    try:
        items = read_row(row)
        own_record_type(items)
    except Rejection:
        return None
    return items


def event_window(contract: Contract, object_created: datetime) -> tuple[datetime, datetime]:
    """The first and the last accepted event time, for an object created at `object_created`."""
    return contract.earliest, object_created + contract.max_ahead


def shown(row: bytes) -> str:
    """A row's text for people: bytes that are no UTF-8 appear as escapes."""
    return row.strip(JSON_BLANKS).decode("utf-8", "backslashreplace")


def _rescued(items: dict[str, Item], contract: Contract) -> str | None:
    known = {RECORD_TYPE, *(field.name for field in contract.fields)}
    unknown = [f"{item.key_text}:{item.value_text}" for key, item in items.items() if key not in known]
    return "{" + ",".join(unknown) + "}" if unknown else None


def _check_window(contract: Contract, values: tuple[Value, ...], object_created: datetime) -> None:
    """A day counts as inside when any moment of it is."""
    names = [field.name for field in contract.fields]
    moment = values[names.index(contract.event_time)]
    first, last = event_window(contract, object_created)
    inside = (
        first <= moment <= last
        if isinstance(moment, datetime)
        else isinstance(moment, date) and first.date() <= moment <= last.date()
    )
    if not inside:
        detail = f"{moment} is not from {first.isoformat()} to {last.isoformat()}"
        raise Rejection(Reason.OUT_OF_WINDOW, detail, contract.event_time)
