"""Rows that are made to cost time or memory: both stay in proportion to the row's size.

Anything that grows faster than the row does not finish within the time limit, which is far above what is needed.
"""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Reason, Rejected

MIB = 1024 * 1024
MEMORY_PER_BYTE = 24  # of a row; the text alone takes up to four, the output as much again
CREATED = datetime(2026, 6, 1, tzinfo=UTC)
CONTRACT = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True),
        Field("name", FieldType.STRING),
        Field("count", FieldType.INTEGER),
        Field("ratio", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=38, scale=2),
        Field("tags", FieldType.ARRAY),
    ),
    event_time="at",
    keys=("at",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
JUDGE = RowJudge({"parcels": CONTRACT})
PAIR = r"\ud83d\ude00"
AT = '{"at":"2026-05-01T10:00:00Z",'


def rows(size: int) -> dict[str, tuple[str, Reason | None]]:
    """Rows of about `size` bytes and the reasons for which they are refused."""

    def fill(part: str) -> str:
        return part * (size // len(part))

    def keys(first: int = 0) -> str:
        return ",".join(f'"{number:05x}":0' for number in range(first, first + size // 10))

    quote, escape = '"', "\\"
    return {
        "many keys": (f"{AT}{keys()}}}", None),
        "many keys and a character beyond 16 bits": (f'{AT}{keys()},"😀":1}}', None),
        "many numbers": (f'{AT}"tags":[{fill("0,")}0]}}', None),
        "many empty arrays": (f'{AT}"tags":[{fill("[],")}0]}}', None),
        "many empty objects in an unknown field": (f'{AT}"new":[{fill("{},")}0]}}', None),
        "many nested arrays": (f'{AT}"tags":[{fill("[[[[]]]],")}0]}}', None),
        "deep arrays beside each other": (f'{AT}"tags":[{fill("[" * 90 + "]" * 90 + ",")}0]}}', None),
        "many strings": (f'{AT}"tags":[{fill(quote * 2 + ",")}0]}}', None),
        "brackets in strings": (f'{AT}"tags":[{fill(quote + "[{" + quote + ",")}0]}}', None),
        "many escapes": (f'{AT}"name":"{fill(escape + "n")}"}}', None),
        "many escaped quotes": (f'{AT}"tags":["{fill(escape + quote)}"]}}', None),
        "many escaped characters": (f'{AT}"name":"{fill(escape + "u00e9")}"}}', None),
        "blanks": (f'{AT}{fill(" ")}"new":[{fill(" ")}]}}', None),
        "digits of a double": (f'{AT}"ratio":0.{fill("1")}}}', None),
        "zeros of a decimal": (f'{AT}"price":1.{fill("0")}}}', None),
        "zeros of an exponent": (f'{AT}"price":1e{fill("0")}}}', None),
        "many keys, one of them again": (f'{{{keys()},"00005":1}}', Reason.DUPLICATE_KEY),
        "all keys again": (f"{{{keys()},{keys()}}}", Reason.DUPLICATE_KEY),
        "the same key again and again": (f'{{{fill(quote + "a" + quote + ":0,")}"a":0}}', Reason.DUPLICATE_KEY),
        "an array": (f"[{fill('0,')}0]", Reason.NOT_AN_OBJECT),
        "opening brackets": (fill("["), Reason.TOO_DEEP),
        "closing brackets": (fill("]"), Reason.MALFORMED_JSON),
        "opening brackets behind strings": (fill('"["') + fill("["), Reason.TOO_DEEP),
        "quotes": (fill('"'), Reason.MALFORMED_JSON),
        "backslashes": (f'{{"a":"{fill(escape)}', Reason.MALFORMED_JSON),
        "surrogate pairs and a half": (f'{AT}"name":"{fill(PAIR)}{PAIR[:6]}"}}', Reason.BAD_UNICODE),
        "blanks that do not end": ("{" + fill(" "), Reason.MALFORMED_JSON),
        "digits of an integer": (f'{AT}"count":{fill("1")}}}', Reason.OUT_OF_RANGE),
        "digits of an exponent": (f'{AT}"price":1e{fill("1")}}}', Reason.OUT_OF_RANGE),
        "a long record type": (f'{{"record_type":"{fill("x")}"}}', Reason.UNKNOWN_RECORD_TYPE),
    }


def judged(row: str) -> Reason | None:
    verdict = JUDGE.judge(row.encode(), "parcels", CREATED)
    if isinstance(verdict, Rejected):
        assert len(verdict.detail) < 200
        return verdict.reason
    return None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", rows(0))
def test_time_is_in_proportion_to_the_size_of_a_row(kind: str) -> None:
    row, reason = rows(MIB)[kind]
    assert judged(row) == reason


@pytest.mark.parametrize("kind", rows(0))
def test_memory_is_in_proportion_to_the_size_of_a_row(kind: str) -> None:
    row, reason = rows(MIB // 12)[kind]
    tracemalloc.start()
    try:
        assert judged(row) == reason
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_PER_BYTE * len(row.encode())
