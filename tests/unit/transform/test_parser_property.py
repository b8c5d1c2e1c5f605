"""Whatever a block holds, taking rows by layout gives what the reference gives row by row."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.judge import RowJudge, shown
from services.shared.judge.verdicts import Accepted
from services.shared.parquet.tables import quarantine_table, silver_table
from services.transform.blocks import lines_block
from services.transform.rows import parser
from services.transform.rows.parser import Parsed, RowParser

CREATED = datetime(2026, 6, 1, tzinfo=UTC)


def contract(dataset: str, event_time: FieldType, *more: Field) -> Contract:
    return Contract(
        dataset=dataset,
        version="1.0.0",
        fields=(Field("at", event_time, required=True), *more),
        event_time="at",
        keys=("at",),
        earliest=datetime(2000, 1, 1, tzinfo=UTC),
        max_ahead=timedelta(days=1),
    )


CONTRACTS = {
    "all": contract(
        "all",
        FieldType.TIMESTAMP,
        Field("name", FieldType.STRING, required=True),
        Field("text", FieldType.STRING),
        Field("count", FieldType.INTEGER),
        Field("ratio", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=6, scale=2),
        Field("flag", FieldType.BOOLEAN),
        Field("day", FieldType.DATE),
        Field("tags", FieldType.ARRAY),
        Field("more", FieldType.OBJECT),
    ),
    "daily": contract(
        "daily", FieldType.DATE, Field("record_type", FieldType.STRING), Field("count", FieldType.INTEGER)
    ),
}

# fmt: off
STRINGS = [
    '""', '"a"', '"Zürich"', '"a\\"b"', '"\\\\"', '"\\u00fc\\n"', '"\\ud83d\\ude00"', '"😀"', '"\\u0000"', '"null"',
    '"}"', '", \\"k\\": "',
]
ODD_STRINGS = [
    '"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"\\u12"', '"\t"', '"\x01"', '"', 'a"', '"\\"',
]
NUMBERS = [
    "0", "-0", "7", "-12", "1.5", "-0.25", "0.10", "100.00", "9999.99", "1e3", "1E-2", "2.5e+10",
    "123456789012345678", "9223372036854775807", "0.1234567890123456789", "5e-324", "1.50000",
    "1234.1" + "0" * 39, "0." + "0" * 60, "0." + "0" * 60 + "1e61",
    "1" + "0" * 60 + "e-60", "-0e999999999999", "1e-0002",
]
ODD_NUMBERS = [
    "01", "+1", ".5", "1.", "-", "1e", "1e+", "NaN", "Infinity", "-Infinity", "1e999", "9223372036854775808",
    "10000", "1.005", "0x1", "1_000", "1" * 30, "1e1000000000000000000000", "1e-1000000000000000000000", "9" * 400,
    "0." + "0" * 60 + "1", "1e61", "1E+", "-01", "00",
]
TIMES = [
    '"2026-05-01T10:00:00Z"', '"2026-05-01 10:00:00"', '"2026-05-01t10:00:00.5z"',
    '"2024-02-29T23:59:59.123456789+05:30"', '"2026-05-31T23:00:00.1234567-01:00"', '"2026-05-01T10:00:00.123Z"',
    '"2026-05-01T00:00:00+00:00"',
]
ODD_TIMES = [
    '"2026-05-01"', '"2025-02-29T00:00:00Z"', '"2026-05-01T24:00:00Z"', '"2026-05-01T10:00:60Z"',
    '"2026-13-01T10:00:00Z"', '"2026-00-01T10:00:00Z"', '"2026-05-01T10:00:00.Z"', '"2026-05-01T10:00:00+24:00"',
    '"2026-05-01T10:00:00+0530"', '"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+00:01"',
    '"9999-12-31T23:59:59-00:01"', '"1999-12-31T23:59:59Z"', '"2099-01-01T00:00:00Z"', '"2026-05-01T10:00Z"',
    '"2026-05-0aT10:00:00Z"', '"\\u0032026-05-01T10:00:00Z"', '"\uff12026-05-01T10:00:00Z"',
    '"2026-05-01T10:00:00Zjunk"', "1767225600", '"2026-05-01_10:00:00Z"', '"9999-12-31T23:59:59.999999Z"',
    '"0001-01-01T00:00:00Z"', '"0001-01-01T00:00:00-23:59"', '"9999-12-31T23:59:59.9999999+23:59"',
]
DAYS = ['"2026-05-01"', '"2024-02-29"', '"2000-01-01"', '"2026-06-02"']
ODD_DAYS = [
    '"2025-02-29"', '"2026-5-1"', '"0000-01-01"', '"2026-05-01T00:00:00Z"', '"2026-06-03"', '"1999-12-31"',
    '"20260501"',
]
NESTED = [
    "[]", "{}", "[1, 2]", '{"a": {"b": [1, "}"]}}', '{"at": 1, "name": "x"}', '[{"k": "\\""}, null]',
    '{"a":"\\u00e9"}', "[[[[]]]]", '{"d":1,"d":2}',
]
ODD_NESTED = [
    "[1,]", "{", "]", "[}", '{"a":01}', '["\\ud800"]', '["\x02"]', "[NaN]", "[" * 99 + "]" * 99,
    "[" * 100 + "]" * 100, "[1] [2]", '{"a" 1}', '["]"', '{"a":"{"}}', '[{"at": "x"}', "[[1]", '{"\\ud800":1}',
]
ANYTHING = [*STRINGS, *NUMBERS, *TIMES, *DAYS, *NESTED, "null", "true", "false"]
BEYOND = ["nul", "nulls", "truex", "True", "", "1}x", '"a"}{}', "null}}", "[]},"]
ODD = [*ODD_STRINGS, *ODD_NUMBERS, *ODD_TIMES, *ODD_DAYS, *ODD_NESTED, *BEYOND]

GOOD = {
    "at": TIMES, "name": STRINGS, "text": [*STRINGS, "null"],
    "count": [*NUMBERS[:4], "null"], "ratio": [*NUMBERS, "null"],
    "price": [*NUMBERS[:9], "null"], "flag": ["true", "false", "null"], "day": [*DAYS, "null"],
    "tags": ["[]", "[1, 2]", "[[[[]]]]", "null"], "more": ["{}", '{"at": 1, "name": "x"}', "null"],
}
# fmt: on


def one_in(few: int) -> st.SearchStrategy[bool]:
    return st.integers(1, few).map(lambda drawn: drawn == 1)


@st.composite
def rows(draw: st.DrawFn, keys: list[str], colon: str, comma: str, is_shuffled: bool) -> bytes:
    """A row that is mostly right and mostly laid out like its neighbours, or has an order of its own."""
    chosen = [key for key in keys if key in ("at", "name") or not draw(one_in(8))]
    if is_shuffled or draw(one_in(20)):
        chosen = list(draw(st.permutations(chosen)))
    items = []
    for key in chosen:
        if key == "record_type":
            values = ['"all"'] if not draw(one_in(6)) else ['"daily"', '"nothing"', "null", "1", '"\\u0061ll"', '""']
        else:
            values = GOOD.get(key, ANYTHING)
        if draw(one_in(25)):
            values = ODD if draw(st.booleans()) else ANYTHING
        items.append(f'"{key}"{colon}{draw(st.sampled_from(values))}')
    if draw(one_in(40)) and items:
        items.append(draw(st.sampled_from(items)))
    text = draw(st.sampled_from(["", "", "", "", " "])) + "{" + comma.join(items) + "}"
    text += draw(st.sampled_from(["", "", "", "", "", "", "", "\r", " ", "x", "{}"]))
    row = text.encode("utf-8", "surrogatepass")
    if draw(one_in(30)) and row:
        cut = draw(st.integers(0, len(row) - 1))
        insert = draw(st.sampled_from([b"", b"\xff", b"\xed\xa0\x80", b'"', b"\\", b",", b"}", b"\xc3", b"0", b" "]))
        row = row[:cut] + insert + row[cut + draw(st.integers(0, 1)) :]
    return row


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    extra = draw(st.sampled_from([[], ["new"], ["new", "k\\u00fc"], ["zü"]]))
    keys = (
        list(draw(st.permutations(["record_type", *GOOD, *extra])))
        if draw(one_in(3))
        else ["record_type", *GOOD, *extra]
    )
    layout = draw(st.sampled_from([(": ", ", "), (":", ","), (" :\t", " , ")]))
    lines = draw(st.lists(rows(keys, *layout, draw(one_in(3))), min_size=1, max_size=12))
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    return end.join(lines) + draw(st.sampled_from([b"", end, b"\n\n"]))


def outcome(parsed: Parsed) -> tuple[dict[int, Any], dict[int, Any]]:
    """What became of each row, by its offset."""
    silver: dict[int, Any] = {}
    for dataset, table in parsed.silver.items():
        table.validate(full=True)
        for row in table.to_pylist():
            offset = row.pop("_offset")
            assert offset not in silver
            silver[offset] = (dataset, {key: exactly(value) for key, value in row.items()})
    quarantine = {row["_offset"]: row for row in parsed.quarantine.to_pylist()}
    assert len(quarantine) == parsed.quarantine.num_rows
    assert len(silver) + len(quarantine) == parsed.rows_read
    return silver, quarantine


def exactly(value: Any) -> Any:
    return (value, math.copysign(1, value)) if isinstance(value, float) else value


def by_reference(
    data: bytes, default: str, contracts: Mapping[str, Contract] = CONTRACTS
) -> tuple[dict[int, Any], dict[int, Any]]:
    judge = RowJudge(contracts)
    accepted: dict[str, list[tuple[int, Accepted]]] = {}
    rejected = []
    block = lines_block(data, 1000)
    for start, end in zip(block.starts.tolist(), block.ends.tolist(), strict=True):
        verdict = judge.judge(data[start:end], default, CREATED)
        if isinstance(verdict, Accepted):
            accepted.setdefault(verdict.dataset, []).append((1000 + start, verdict))
        else:
            rejected.append((1000 + start, verdict, shown(data[start:end])))
    tables = {name: silver_table(contracts[name], found) for name, found in accepted.items()}
    return outcome(Parsed(len(block.starts), tables, quarantine_table(rejected)))


@pytest.fixture(scope="module", autouse=True)
def layouts_are_used_even_for_few_rows() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "_FEWEST_ROWS", 1)
        yield


@pytest.fixture(params=[0, 100], ids=["in any order", "in their order"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How keys are taken, whatever the samples show."""
    monkeypatch.setattr(parser, "_MOST_LAYOUTS", request.param)


@pytest.mark.usefixtures("way")
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(blocks(), st.sampled_from(["all", "all", "all", "daily", "elsewhere"]))
@example(b'{"at":"2026-05-01T10:00:00Z","name":"a"}\n{"name":"b","at":"2026-05-01T10:00:00Z"}', "all")
def test_any_block_gives_what_the_reference_gives(data: bytes, default: str) -> None:
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), default, CREATED)
    assert outcome(parsed) == by_reference(data, default)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("field", [*GOOD, "record_type", "unknown"])
def test_any_value_in_any_field_gives_what_the_reference_gives(field: str) -> None:
    right = {key: values[0] for key, values in GOOD.items()} | {"record_type": '"all"'}
    rows = []
    for value in [*ANYTHING, *ODD]:
        for row in (right, right | {field: value}):
            rows.append("{" + ", ".join(f'"{key}": {text}' for key, text in row.items()) + "}")
    data = "\n".join(rows).encode()
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), "all", CREATED)
    assert outcome(parsed) == by_reference(data, "all")


@pytest.mark.usefixtures("way")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='{}[]":,\\ntruefalse0123456789.-+eE \t\r\n\x01ü', max_size=200), st.booleans())
def test_any_text_between_good_rows_gives_what_the_reference_gives(noise: str, is_nested: bool) -> None:
    good = {"at": "2026-05-01T10:00:00Z", "name": "a", "tags": [1, {"b": "]"}], "count": 1}
    lines = [
        json.dumps(good),
        json.dumps(good)[:-1] + ', "more": ' + noise + "}" if is_nested else noise,
        json.dumps(good),
    ]
    data = "\n".join(lines).encode()
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), "all", CREATED)
    assert outcome(parsed) == by_reference(data, "all")
