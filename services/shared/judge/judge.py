"""The row rules: what one row must be for its contract to accept it. This is the reference, exact, not fast.

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
from datetime import UTC, date, datetime
from io import StringIO

from services.shared.contract.model import CREATION, Contract, Steps
from services.shared.judge.fields import field_value, places_inside
from services.shared.judge.row_json import Row, own_record_type, read_row, shortened
from services.shared.judge.verdicts import JSON_BLANKS, RECORD_TYPE, Accepted, Reason, Rejected, Rejection, Value


class RowJudge:
    """Judges rows by the contracts of all datasets."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = dict(contracts)
        fields = (field.key for contract in contracts.values() for field in contract.fields)
        self._paths = {name: _paths(contract) for name, contract in contracts.items()}
        self._wanted = frozenset((RECORD_TYPE, *fields))

    def judge(self, row: bytes, default_dataset: str, object_created: datetime) -> Accepted | Rejected:
        """The row's values, or why it has none.

        `default_dataset` applies where the row has no `record_type` (absent or null). `object_created` is the creation
        time of its object (UTC): event times up to the contract's `max_ahead` after it are accepted.
        """
        record_type = default_dataset
        try:
            found = read_row(row, self._wanted)
            own = own_record_type(found)
            record_type = default_dataset if own is None else own
            contract = self._contracts.get(record_type)
            if contract is None:
                detail = f"no contract is named {shortened(record_type)!r}"
                raise Rejection(Reason.UNKNOWN_RECORD_TYPE, detail, RECORD_TYPE)
            places = places_inside(found, self._paths[record_type])
            judged = [field_value(field, found, places) for field in contract.fields]
            values = tuple(value for value, _ in judged)
            _check_window(contract, values, object_created)
        except Rejection as why:
            return Rejected(record_type, why.reason, why.field, why.detail)
        whole = {field.key for field, (_, is_whole) in zip(contract.fields, judged, strict=True) if is_whole}
        return Accepted(record_type, values, _rescued(found, whole))


def read_items(row: bytes) -> Row | None:
    """A row with all its keys and values, or None where it is not a row that could be accepted."""
    try:
        found = read_row(row)
        own_record_type(found)
    except Rejection:
        return None
    return found


def event_window(contract: Contract, object_created: datetime) -> tuple[datetime, datetime]:
    """The first and the last accepted event time, for an object created at `object_created`."""
    try:
        return contract.earliest, object_created.astimezone(UTC) + contract.max_ahead
    except OverflowError:  # beyond the calendar's end, which no event time is
        return contract.earliest, datetime.max.replace(tzinfo=UTC)


def shown(row: bytes) -> str:
    """A row's text for people: bytes that are not UTF-8 appear as escapes."""
    return row.strip(JSON_BLANKS).decode("utf-8", "backslashreplace")


def _paths(contract: Contract) -> dict[str, list[Steps]]:
    """Where fields inside a key's values are, from these down."""
    paths: dict[str, list[Steps]] = {}
    for field in contract.fields:
        if len(field.path) > 1:
            paths.setdefault(field.key, []).append(field.path[1:])
    return paths


def _rescued(row: Row, whole: set[str]) -> str | None:
    """The keys of which no field holds the whole value."""
    names = {RECORD_TYPE, *whole}
    known = {row.items[name].start for name in names if name in row.items}
    if len(known) == len(row.hashes):
        return None
    text, out, separator = row.text, StringIO(), "{"
    for span in row.spans():
        if span.start not in known:
            out.write(f"{separator}{text[span.key_start : span.key_end]}:{text[span.start : span.end]}")
            separator = ","
    out.write("}")
    return out.getvalue()


def _check_window(contract: Contract, values: tuple[Value, ...], object_created: datetime) -> None:
    """A day counts as inside when any moment of it is; the object's creation always is."""
    if contract.event_time == CREATION:
        return
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
