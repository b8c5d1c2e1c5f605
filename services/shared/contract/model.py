"""A data contract as small immutable values. Knows nothing of YAML, Arrow, S3 or Parquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from services.shared.errors import Terminal


class ContractError(Terminal):
    """A contract that cannot be used: names the file, the field and the reason."""


class FieldType(StrEnum):
    """The types that a contract's field may have, and what they are in Silver."""

    STRING = "string"  # Arrow string
    INTEGER = "integer"  # int64
    NUMBER = "number"  # double
    DECIMAL = "decimal"  # decimal128(precision, scale)
    BOOLEAN = "boolean"  # bool
    DATE = "date"  # date32
    TIMESTAMP = "timestamp"  # timestamp[us, UTC]
    ARRAY = "array"  # JSON text in a string column
    OBJECT = "object"  # JSON text in a string column


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a dataset's rows.

    `precision` and `scale` (decimal digits) are set for DECIMAL only.
    """

    name: str
    type: FieldType
    required: bool = False
    precision: int | None = None
    scale: int | None = None
    description: str = ""
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """One dataset: its fields in Silver's column order, and the rules that its rows obey.

    `event_time` names a required TIMESTAMP or DATE field; `keys` name the fields that identify a row for
    compaction. A row is accepted when its event time lies in `[earliest, object's creation + max_ahead]`: both
    ends come from the contract and the object, never from the clock, so a row judged twice is judged alike.
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
