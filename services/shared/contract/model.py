"""A data contract as small immutable values. Knows nothing of YAML, Arrow, S3 or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

from services.shared.contract.quality import QualityRule
from services.shared.errors import Terminal

FIRST_FIELD_ID = 5  # 1 to 4 are the ids of Silver's lineage columns, see services.shared.columns
LAST_FIELD_ID = 9_999  # what lies above is kept for lineage columns to come
ELEMENT = "element"  # the name of an array's items, as Iceberg has it


CREATION = "_created"  # the lineage column that may be a dataset's event time


class ContractError(Terminal):
    """A contract that cannot be used: names the file, the field and the reason.

    `problems` are the places in the file (a key, or a field's name) and what is wrong there; none where the file could
    not be read. `line` is where it stopped being YAML, from 1.
    """

    def __init__(self, message: str, problems: tuple[tuple[str, str], ...] = (), line: int | None = None) -> None:
        super().__init__(message)
        self.problems, self.line = problems, line


class FieldType(StrEnum):
    """The types that a contract's field may have, and what they are in Silver."""

    STRING = "string"  # Arrow string
    INTEGER = "integer"  # int64
    NUMBER = "number"  # double
    DECIMAL = "decimal"  # decimal128(precision, scale)
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # date32
    TIMESTAMP = "timestamp"  # timestamp[us, UTC]
    ARRAY = "array"  # JSON text in a string column, or a list
    OBJECT = "object"  # JSON text in a string column, or a struct


Steps = tuple[str | int, ...]  # keys of objects and places in arrays, from the row's own object down


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How the times of a TIMESTAMP or DATE field are written.

    `pattern` is empty for RFC 3339 (of dates: YYYY-MM-DD), one of `EPOCHS`, or a pattern of `contract.times`.
    `has_offset` says whether each time must say its offset from UTC (True), must not (False), or may. Times without one
    are `default_offset` minutes ahead of UTC.
    """

    pattern: str = ""
    has_offset: bool | None = None
    default_offset: int = 0


EPOCHS = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1000, "epoch_microseconds": 1}  # microseconds in one


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a dataset's rows.

    `precision` and `scale` (decimal digits) are set for DECIMAL only. `id` is the Iceberg field id of its column, the
    same for ever; 0 says that it has none yet. `children` describe what is inside, and rows are judged by them: the
    properties of an OBJECT, or the one `element` of an ARRAY.

    `source` is where the value is, from the object down that the field belongs to; empty for the key that is the
    field's name. `takes_strings`: numbers and booleans may also be written as strings. `is_nested_column`: an OBJECT or
    ARRAY is stored as a struct or list, not as JSON text. `classification` is the contract's own word for who may see
    the values; empty if it has none.
    """

    name: str
    type: FieldType
    required: bool = False
    precision: int | None = None
    scale: int | None = None
    description: str = ""
    examples: tuple[Any, ...] = ()
    id: int = 0
    children: tuple[Field, ...] = ()
    source: Steps = ()
    time: TimeFormat = TimeFormat()
    takes_strings: bool = False
    is_nested_column: bool = False
    classification: str = ""

    @property
    def is_sensitive(self) -> bool:
        """Whether no report shows a value: it, or anything inside it, is classified as something else than public."""
        return self.classification not in ("", "public") or any(child.is_sensitive for child in self.children)

    @property
    def path(self) -> Steps:
        """Where the value is, from the object down that the field belongs to."""
        return self.source or (self.name,)

    @property
    def key(self) -> str:
        """The key of the row's own object that the value is in, or is."""
        return str(self.path[0])


@dataclass(frozen=True, slots=True)
class Contract:
    """One dataset: its fields in Silver's column order, and the rules that its rows obey.

    `event_time` names a required TIMESTAMP or DATE field; `keys` name the fields that identify a row for
    compaction. A row is accepted when its event time lies in `[earliest, object's creation + max_ahead]`: both
    ends come from the contract and the object, never from the clock, so a row judged twice is judged alike. Rows that
    say no time have the event time `CREATION`: when their object was created. It needs no window.

    `quality` are the rules for whole partitions of Silver. `retired` are the paths and ids of fields that the dataset
    had earlier. `status` is the contract's own, such as active or retired.

    `rows_path` are the keys that lead to the array whose elements are the rows, from the top of each document down;
    none where a document is a row itself. `envelope_fields` are values outside of that array which each row gets: the
    key that it gets, and the keys that lead to the value.

    A contract file says each field's id. Fields without one (of a contract that is made in code, such as in tests) get
    the next free ids here, in their order.
    """

    dataset: str
    version: str
    fields: tuple[Field, ...]
    event_time: str
    keys: tuple[str, ...]
    earliest: datetime
    max_ahead: timedelta
    description: str = ""
    file: str = field(default="", compare=False)
    quality: tuple[QualityRule, ...] = ()
    retired: tuple[tuple[str, int], ...] = ()
    status: str = "active"
    rows_path: tuple[str, ...] = ()
    envelope_fields: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        if all(one.id for _, one in walk(self.fields)):
            return
        last = max(FIRST_FIELD_ID - 1, *field_ids(self).values())
        object.__setattr__(self, "fields", number_fields(self.fields, {}, count(last + 1)))


def walk(fields: Iterable[Field], above: str = "") -> Iterator[tuple[str, Field]]:
    """Fields with their paths: all of one level, then those inside each of them (`customer`, `lines.element.sku`)."""
    level = [(f"{above}{one.name}", one) for one in fields]
    yield from level
    for path, one in level:
        yield from walk(one.children, f"{path}.")


def number_fields(
    fields: tuple[Field, ...], ids: dict[str, int], fresh: Iterator[int], above: str = ""
) -> tuple[Field, ...]:
    """The fields with the ids of their paths; those without one keep theirs, or take the next `fresh` one."""
    level = [
        replace(one, id=ids[path] if (path := f"{above}{one.name}") in ids else one.id or next(fresh)) for one in fields
    ]
    return tuple(replace(one, children=number_fields(one.children, ids, fresh, f"{above}{one.name}.")) for one in level)


def field_ids(contract: Contract) -> dict[str, int]:
    """The ids of all fields that the dataset has or had, by their paths."""
    return dict(contract.retired) | {path: one.id for path, one in walk(contract.fields)}
