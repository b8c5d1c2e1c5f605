"""Fields with a source, another format, or a described inside: taken together or by the reference, it is the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.shared.contract.model import CREATION, Contract, Field, FieldType, TimeFormat
from services.shared.judge import inside as judge_inside
from services.shared.judge.nested import ScanValue
from services.shared.judge.verdicts import Value
from services.transform.blocks import lines_block
from services.transform.rows import inside as rows_inside
from services.transform.rows import parser, within
from services.transform.rows.parser import RowParser
from services.transform.rows.text import Mask
from tests.unit.transform.test_parser_property import ANYTHING, ODD, by_reference, one_in, outcome

CREATED = datetime(2026, 6, 1, tzinfo=UTC)
CUSTOMER = (
    Field("id", FieldType.INTEGER, required=True),
    Field("since", FieldType.DATE),
    Field("city", FieldType.STRING, source=("home-town",)),
    Field("tier", FieldType.OBJECT, children=(Field("level", FieldType.INTEGER, required=True),)),
)
LINES = (Field("element", FieldType.OBJECT, required=True, children=(Field("sku", FieldType.STRING, required=True),)),)
FIELDS = (
    Field("at", FieldType.TIMESTAMP, required=True, source=("ts",), time=TimeFormat("epoch_milliseconds")),
    Field("seconds", FieldType.TIMESTAMP, time=TimeFormat("epoch_seconds"), takes_strings=True),
    Field("micros", FieldType.TIMESTAMP, time=TimeFormat("epoch_microseconds")),
    Field("local", FieldType.TIMESTAMP, time=TimeFormat("", False, -330)),
    Field("exact", FieldType.TIMESTAMP, time=TimeFormat("", True)),
    Field("logged", FieldType.TIMESTAMP, time=TimeFormat("dd/MMM/yyyy:HH:mm:ss Z")),
    Field("day", FieldType.DATE, time=TimeFormat("d.M.yyyy")),
    Field("name", FieldType.STRING, required=True, source=("customerName",)),
    Field("same_name", FieldType.STRING, source=("customerName",)),
    Field("swapped", FieldType.STRING, source=("count",)),
    Field("count", FieldType.INTEGER, source=("swapped",), takes_strings=True),
    Field("price", FieldType.DECIMAL, precision=6, scale=2, takes_strings=True),
    Field("ratio", FieldType.NUMBER, takes_strings=True),
    Field("flag", FieldType.BOOLEAN, takes_strings=True),
    Field("customer_id", FieldType.INTEGER, source=("customer", "id")),
    Field("level", FieldType.INTEGER, source=("customer", "tier", "level")),
    Field("sku", FieldType.STRING, source=("lines", 0, "sku")),
    Field("first", FieldType.OBJECT, source=("lines", 0)),
    Field("checked", FieldType.OBJECT, source=("person",), children=CUSTOMER),
    Field("kind", FieldType.STRING, source=("record_type",)),
    Field("person", FieldType.OBJECT, is_nested_column=True, children=CUSTOMER),
    Field("lines", FieldType.ARRAY, is_nested_column=True, children=LINES),
)


def contract(dataset: str, fields: tuple[Field, ...], event_time: str = "at") -> Contract:
    return Contract(
        dataset, "1.0.0", fields, event_time, ("name",), datetime(2000, 1, 1, tzinfo=UTC), timedelta(days=1)
    )


LINES_COLUMN = Field(
    "lines",
    FieldType.ARRAY,
    is_nested_column=True,
    children=(Field("element", FieldType.OBJECT, True, is_nested_column=True, children=LINES[0].children),),
)
CONTRACTS = {
    "all": contract("all", (*FIELDS[:-1], LINES_COLUMN)),
    "timeless": contract("timeless", FIELDS[7:14], CREATION),
    "deep": contract(
        "deep", tuple(replace(field, source=("o", *field.path)) for field in (*FIELDS[:-1], LINES_COLUMN))
    ),
}
# fmt: off
OBJECTS = [
    '{"id": 5}', '{"id":5, "since": "2026-01-02", "home-town": "Oslo"}', '{"id": 1, "other": [1]}', '{"id": null}',
    '{"home-town": "x"}', '{"id": 5, "tier": {"level": 2}}', '{"id": 5, "tier": {"level": "2"}}', '{"id": 5, "id": 6}',
    '{"id": 5, "tier": {"level": 1, "level": 2}}', '{"id": "5"}', '{"id": 5.0}', '{"i\\u0064": 7}', '{}', '[]',
    '"x"', "5",
    "null", '{"id": 5, "since": "2026-02-30"}', '{"id": 5, "tier": null}', '{"id": 5, "tier": {}}',
    '{"id":1,"x":1,"x":2}',
]
ARRAYS = [
    "[]", '[{"sku": "a"}]', '[{"sku": "a"}, {"sku": "b", "n": 1}]', '[{"sku": null}]', "[null]", "[[]]", "[1]",
    "null", "{}",
    '[ {"sku" : "\\u00e9"} ]', '[{"sku": "a", "sku": "b"}]', '[{}]', '[{"sku":"a"},{}]', '"[]"',
]
GOOD = {
    "ts": ["1777629600000", "1777629600123", "1777629600123.75", "1.7776296e12", "0", "-1", "978307200000"],
    "seconds": ["1777629600", '"1777629600"', "1777629600.123456", "1777629600.1234567891", "-0.5",
        "-1.0000001", "null",
                "253402300799", "253402300800", "-62135596800", "-62135596801", '"1.5e9"', '"x"', '""',
                "1e400", "1e-400"],
    "micros": ["1777629600000000", "1777629600000000.9", "9" * 18, "9" * 19, "-5", "null"],
    "local": ['"2026-05-01T10:00:00"', '"2026-05-01T10:00:00Z"', '"2026-05-01 10:00:00.5"', "null",
              '"0001-01-01T00:00:00"', '"9999-12-31T23:59:59"', '"2026-05-01T10:00:00+01:00"'],
    "exact": ['"2026-05-01T10:00:00Z"', '"2026-05-01T10:00:00"', '"2026-05-01T10:00:00-09:30"', "null"],
    "logged": ['"10/Oct/2000:13:55:36 -0700"', '"10/oct/2000:13:55:36 +2400"', '"31/Feb/2000:13:55:36 +0000"',
        "null", "1",
               '"10\\/Oct\\/2000:13:55:36 -0700"'],
    "day": ['"1.5.2026"', '"01.05.2026"', '"31.2.2026"', '"1.5.26"', "null"],
    "customerName": ['"a"', '"\\u00fc"', '"b"'],
    "count": ['"c"', "null"],
    "swapped": ["1", '"2"', '"-3"', '"1.0"', '"9223372036854775808"', '" 1"', '"1', "null", '"\\u0031"', '"01"'],
    "price": ["1.5", '"12.50"', '"1.005"', '"1e2"', "null"],
    "ratio": ["1.5", '"1.5"', '"1e999"', '"NaN"', "null"],
    "flag": ["true", '"true"', '"false"', '"True"', "null", '"null"'],
    "customer": OBJECTS,
    "person": OBJECTS,
    "lines": ARRAYS,
    "at": ["1"],
}
# fmt: on


@pytest.fixture(scope="module", autouse=True)
def layouts_are_used_even_for_few_rows() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "_FEWEST_ROWS", 1)
        patch.setattr(within, "_FEWEST_ROWS", 1)
        yield


@pytest.fixture(params=[0, 100], ids=["in any order", "in their order"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "_MOST_LAYOUTS", request.param)


def agree(data: bytes, default: str) -> None:
    if default == "deep":
        data = b"\n".join(b'{"o": ' + row + b"}" for row in data.split(b"\n"))
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), default, CREATED)
    assert outcome(parsed) == by_reference(data, default, CONTRACTS)


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    colon, comma = draw(st.sampled_from([(": ", ", "), (":", ",")]))
    is_shuffled = draw(one_in(3))
    lines = []
    for _ in range(draw(st.integers(1, 10))):
        keys = [key for key in ["record_type", *GOOD] if key in ("ts", "customerName") or not draw(one_in(6))]
        if is_shuffled:
            keys = list(draw(st.permutations(keys)))
        items = []
        for key in keys:
            values = ['"all"', "null"] if key == "record_type" else GOOD[key][: draw(st.sampled_from([1, 2, 99]))]
            if draw(one_in(60)):
                values = [*ANYTHING, *ODD]
            items.append(f'"{key}"{colon}{draw(st.sampled_from(values))}')
        lines.append("{" + comma.join(items) + "}")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@pytest.mark.usefixtures("way")
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(blocks(), st.sampled_from(["all", "all", "timeless", "deep"]))
def test_any_block_gives_what_the_reference_gives(data: bytes, default: str) -> None:
    agree(data, default)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("default", ["all", "deep"])
@pytest.mark.parametrize("key", [*GOOD, "record_type", "of a place"])
def test_any_value_of_any_key_gives_what_the_reference_gives(key: str, default: str) -> None:
    right = {name: values[0] for name, values in GOOD.items()}
    right |= {"record_type": '"all"'} if default == "all" else {}
    values = [*dict.fromkeys(value for values in GOOD.values() for value in values), *ANYTHING, *ODD]
    rows = [right | {key: value} for value in values]
    lines = ["{" + ", ".join(f'"{name}": {text}' for name, text in row.items()) + "}" for row in rows for _ in range(2)]
    agree("\n".join(lines).encode(), default)


@pytest.mark.usefixtures("way")
def test_rows_of_machines_are_not_left_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of these features would cost ten times what it does."""
    rows = []
    for number in range(40):
        row = {key: json.loads(values[0]) for key, values in GOOD.items()}
        rows.append(row | {"ts": row["ts"] + number, "extra": {"n": number}})
    data = "\n".join(map(json.dumps, rows)).encode() + b"\n\n"
    judged: list[int] = []
    monkeypatch.setattr(parser._Parsing, "judge_one_by_one", lambda _self, left, _made: judged.extend(left.tolist()))
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 0), "all", CREATED)
    assert len(judged) <= 2
    assert sum(table.num_rows for table in parsed.silver.values()) >= 38


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("absent", [(), ("day", "customer")])
def test_objects_of_machines_are_read_together(monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]) -> None:
    """One by one, a row would take four times as long."""
    objects = [{key: json.loads(values[0]) for key, values in GOOD.items()} for _ in range(40)]
    for number, inner in enumerate(objects):
        inner["ts"] += number
        for key in absent if number % 3 else ():
            del inner[key]
    data = "\n".join(json.dumps({"n": 1, "o": inner}) for inner in objects).encode()
    by_themselves: list[int] = []
    values_inside = within.values_inside

    def noted(fields: Sequence[Field], texts: Sequence[str]) -> list[tuple[list[Value], Mask]]:
        by_themselves.append(len(texts) * any(isinstance(field.path[0], str) for field in fields))
        return values_inside(fields, texts)

    monkeypatch.setattr(within, "values_inside", noted)
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), "deep", CREATED)
    assert outcome(parsed) == by_reference(data, "deep", CONTRACTS)
    assert parsed.silver["deep"].num_rows == 40
    assert max(by_themselves) <= 1


@pytest.mark.usefixtures("way")
def test_an_object_that_no_sample_is_like_is_looked_at_by_itself() -> None:
    """Samples are spread over the rows, and these are between them."""
    right = {key: values[0] for key, values in GOOD.items() if key not in ("day", "person")}

    def text(row: dict[str, str], more: str = "") -> str:
        return "{" + ", ".join(f'"{key}": {value}' for key, value in row.items()) + more + "}"

    objects = [text(right)] * 200
    odd = [
        text(right, ', "day": "1.5.2026"'),
        text(right, ', "n": 1'),
        text(right, ', "n": 1, "n": 2'),
        text(right, f', "ts": {right["ts"]}'),
        text(right, " "),
        text(right, ', "record_type": "deep"'),
        text(dict(reversed(right.items()))),
        text({key: value for key, value in right.items() if key != "ts"}),
        text(right).replace('"customer"', '"customer" '),
        text(right).replace("customerName", "customer\\u004eame"),
        "null",
        "[]",
        "{}",
        '"x"',
    ]
    for number, one in enumerate(odd):
        objects[3 + 10 * number] = one
    agree("\n".join(objects).encode(), "deep")


@pytest.mark.parametrize("key", ["customer", "person", "lines"])
def test_long_insides_are_judged_like_short_ones(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {name: values[0] for name, values in GOOD.items()}
    rows = [right | {key: value} for value in [*OBJECTS, *ARRAYS]]
    data = "\n".join("{" + ", ".join(f'"{name}": {text}' for name, text in row.items()) + "}" for row in rows).encode()
    short = by_reference(data, "all", CONTRACTS)
    monkeypatch.setattr("services.shared.judge.inside.SHORT", 0)
    assert by_reference(data, "all", CONTRACTS) == short


def deep_rows(count: int) -> bytes:
    inner = "{" + ", ".join(f'"{key}": {values[0]}' for key, values in GOOD.items()) + "}"
    return b"\n".join([b'{"o": ' + inner.encode() + b"}"] * count)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("unlike", [0, 40], ids=["read together", "looked at one by one"])
def test_the_deadline_is_looked_at_inside_objects(unlike: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of many keys make each key cost time in all rows: many of them, at several levels, outlast a worker."""
    monkeypatch.setattr(within, "_MOST_LAYOUTS", 0 if unlike else 2)
    monkeypatch.setattr(within, "_MOST_VALUES", 4 * len(GOOD))
    monkeypatch.setattr(within, "_CHECKED_ROWS", 4)
    calls: list[None] = []
    data = deep_rows(40)
    parsed = RowParser(CONTRACTS).parse(lines_block(data, 1000), "deep", CREATED, lambda: calls.append(None))
    assert outcome(parsed) == by_reference(deep_rows(40), "deep", CONTRACTS)
    assert len(calls) > 10


@pytest.mark.parametrize("is_judged", [True, False], ids=["by the reference", "beside others"])
def test_a_long_value_is_walked_through_once_however_many_fields_are_in_it(
    is_judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of 8 MiB takes seconds a walk. With a walk a field it would outlast the worker's reserve."""
    if is_judged:
        monkeypatch.setattr(parser, "_FEWEST_ROWS", 2)
    monkeypatch.setattr(judge_inside, "SHORT", 0)
    monkeypatch.setattr(rows_inside, "SHORT", 0)
    walks: list[tuple[str, int]] = []
    members = judge_inside._members

    def noted(text: str, at: int, read_value: ScanValue) -> Iterator[tuple[str, judge_inside.Place]]:
        walks.append((text, at))
        return members(text, at, read_value)

    monkeypatch.setattr(judge_inside, "_members", noted)
    parsed = RowParser(CONTRACTS).parse(lines_block(deep_rows(1), 1000), "deep", CREATED)
    assert parsed.silver["deep"].num_rows == 1
    assert sorted(walks) == sorted(set(walks))
