"""Values of an answer as text and as JSON, the same for each form in which it is printed.

null                        nothing in a table and in CSV
true, false                 as JSON has them
structs, lists, maps        JSON, with the forms of this page inside
binary                      its bytes in hexadecimal
NaN, Infinity               text; JSON has no numbers for them
intervals                   text as Athena's: `76 08:08:00.000` for days and hours, `1-2` for years and months
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa


def as_json(value: Any) -> Any:
    """A value of Arrow as one that JSON has a form for. Decimals without a point (sums of integers) are integers."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        )
    if isinstance(value, pa.MonthDayNano):  # a tuple
        return _interval(value)
    if isinstance(value, dict):
        return {as_text(key): as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)  # without an exponent


def _interval(value: pa.MonthDayNano) -> str:
    months, days, nanoseconds = value
    if months:
        return f"{'-' if months < 0 else ''}{abs(months) // 12}-{abs(months) % 12}"
    milliseconds = days * 86_400_000 + nanoseconds // 1_000_000
    seconds, milli = divmod(abs(milliseconds), 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    sign = "-" if milliseconds < 0 else ""
    return f"{sign}{hours // 24} {hours % 24:02}:{minute:02}:{second:02}.{milli:03}"


def as_text(value: Any) -> str:
    """A value as it stands in a table, and in CSV."""
    if value is None:
        return ""
    if isinstance(value, bool | dict | list | tuple) and not isinstance(value, pa.MonthDayNano):
        return json.dumps(as_json(value), ensure_ascii=False)
    if isinstance(value, float):
        return str(value)
    return str(as_json(value))


def csv_line(values: Sequence[Any]) -> str:
    """A line of CSV (RFC 4180) without its end: null is nothing, an empty text is `""`."""
    fields = [None if value is None else as_text(value) for value in values]
    if fields == [None]:  # an empty line would be no row
        return '""'
    return ",".join("" if text is None else _csv_field(text) for text in fields)


def _csv_field(text: str) -> str:
    if text and not any(sign in text for sign in ',"\r\n') and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'
