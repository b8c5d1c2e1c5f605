"""Rows inside of envelopes: the elements of an array at the contract's path, exact, streaming, and none lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from services.shared.compression import codec_of
from services.shared.contract.model import Contract
from services.shared.judge.verdicts import Reason
from services.shared.units import Plan
from services.transform.blocks import BrokenFrame, BrokenFrames, Form, Piece, Position, RowBlock
from services.transform.reading.envelope import Envelope
from services.transform.reading.reader import UnitReader
from services.transform.reading.signatures import foreign_kind
from services.transform.rows.parser import RowParser
from tests.support.lake import CREATED, MemoryLake
from tests.support.reading import BROKEN, OVERLONG, Row, rows_in

KEY = "bronze/a/b.json"
PATH = ("Records",)
ROWS = [json.dumps({"id": number, "in": {"Records": [number, {}], "t": "]}{["}}).encode() for number in range(30)]


def envelope(rows: Iterable[bytes], before: bytes = b'"v": 1, ', after: bytes = b', "next": null') -> bytes:
    return b"{" + before + b'"Records": [' + b", ".join(rows) + b"]" + after + b"}"


def envelope_of(path: tuple[str, ...] | Envelope) -> Envelope:
    return path if isinstance(path, Envelope) else Envelope(path)


def pieces(
    data: bytes,
    path: tuple[str, ...] | Envelope = PATH,
    unit_bytes: int = 1 << 30,
    block_bytes: int = 1 << 20,
    max_row: int = 300,
) -> list[Piece]:
    lake = MemoryLake()
    reader = UnitReader(lake, max_row, block_bytes)
    return [
        piece
        for unit in Plan.of(lake.upload(KEY, data), unit_bytes)
        for piece in reader.read(unit, None, envelope=envelope_of(path))
    ]


def rows(data: bytes, *args: Any, **kwargs: Any) -> list[Row]:
    return rows_in(pieces(data, *args, **kwargs))


def only(piece: Piece) -> BrokenFrame:
    assert isinstance(piece.rows, BrokenFrames)
    (frame,) = piece.rows.frames
    return frame


def texts(found: Iterable[Row]) -> list[bytes]:
    return [text for _, text in found]


WHOLE = {
    "one document": (envelope(ROWS), ROWS),
    "pretty-printed": (
        json.dumps({"a": {"Records": 1}, "Records": [json.loads(row) for row in ROWS], "b": [[{}]]}, indent=2).encode(),
        None,
    ),
    "one on each line": (b"\n".join(envelope(ROWS[at : at + 3]) for at in range(0, 30, 3)), ROWS),
    "concatenated": (b"".join(envelope(ROWS[at : at + 3]) for at in range(0, 30, 3)), ROWS),
    "two on each line": (b"\n".join(envelope(ROWS[at : at + 1]) * 2 for at in range(30)), sorted([*ROWS, *ROWS])),
    "record separators": (b"".join(b"\x1e" + envelope(ROWS[at : at + 3]) + b"\n" for at in range(0, 30, 3)), ROWS),
    "in an array": (b"[" + b",\n".join(envelope(ROWS[at : at + 2]) for at in range(0, 30, 2)) + b"]", ROWS),
    "twice in a document": (b'{"Records": [' + ROWS[0] + b'], "Records": [' + ROWS[1] + b"]}", ROWS[:2]),
    "empty": (envelope([]), []),
    "a key with escapes": (b'{"\\u0052ecords": [' + ROWS[0] + b"]}", ROWS[:1]),
    "a byte order mark": (b"\xef\xbb\xbf" + envelope(ROWS), ROWS),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("unit_bytes", [50, 1 << 30])
def test_elements_at_the_path_are_rows(name: str, block_bytes: int, unit_bytes: int) -> None:
    data, expected = WHOLE[name]
    found = rows(data, PATH, unit_bytes, block_bytes)
    assert all(data[at : at + len(text)] == text for at, text in found)
    if expected is None:
        assert [json.loads(text) for text in texts(found)] == [json.loads(row) for row in ROWS]
    else:
        assert sorted(texts(found)) == sorted(expected)


def test_a_path_may_have_several_keys() -> None:
    data = json.dumps({"x": {"b": [0]}, "a": {"c": {}, "b": [{"id": 1}, {"id": 2}], "d": 1}, "b": [3]}).encode()
    assert texts(rows(data, ("a", "b"))) == [b'{"id": 1}', b'{"id": 2}']


WITHOUT = [
    (b'{"a": 1, "data": []}', "$ has the keys 'a', 'data'"),
    (b"{}", "$ has no keys"),
    (b'{"Records": null}', "$.Records is null, not an array"),
    (b'{"Records": {"a": 1}}', "$.Records is an object, not an array"),
    (b'{"Records": "x"}', "$.Records is a string, not an array"),
    (b'{"' + b"k" * 50 + b'": 1}', "$ has the keys '" + "k" * 40 + "...'"),
    (b"{" + b", ".join(b'"k%d": 0' % number for number in range(30)) + b"}", "'k18', 'k19', ..."),
]


@pytest.mark.parametrize(("data", "detail"), WITHOUT)
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_document_without_rows_is_reported_with_the_path_and_the_keys_that_are_there(
    data: bytes, detail: str, block_bytes: int
) -> None:
    for text in (data, data + b"\n", data + envelope(ROWS[:1]), data + b"\n" + envelope(ROWS[:1])):
        first, *others = pieces(text, PATH, 1 << 30, block_bytes, max_row=1000)
        frame = only(first)
        assert frame.reason is Reason.NO_ROWS
        assert frame.detail.startswith("No rows are at $.Records: ") and detail in frame.detail
        assert (frame.offset, frame.raw) == (0, data)
        assert texts(rows_in(others)) == ROWS[: b"in" in text]


def test_the_level_at_which_a_path_ends_is_named() -> None:
    (piece,) = pieces(b'{"a": {"x": 1}}', ("a", "b", "c"))
    assert only(piece).detail == "No rows are at $.a.b.c: $.a has the keys 'x'."
    (piece,) = pieces(b'{"a": [1]}', ("a", "b"))
    assert only(piece).detail == "No rows are at $.a.b: $.a is an array, not an object."


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_values_and_rows_of_any_length_around_the_rows_do_no_harm(block_bytes: int) -> None:
    long = json.dumps({"x": ["]}" * 20] * 500}).encode()
    data = envelope([ROWS[0], long, ROWS[1]], b'"long": ' + long + b", ", b', "other": [' + long + b"]")
    assert texts(rows(data, PATH, 1 << 30, block_bytes)) == [ROWS[0], OVERLONG, ROWS[1]]


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("damaged", [b'{"id": NaN}', b'{"id": 1', b'{"id": "x}', b"oops"])
def test_damage_in_a_row_costs_its_neighbours_at_most(block_bytes: int, between: bytes, damaged: bytes) -> None:
    data = between.join([envelope(ROWS[:9]), envelope([*ROWS[9:14], damaged, *ROWS[14:20]]), envelope(ROWS[20:])])
    found = [text for text in texts(rows(data, PATH, 1 << 30, block_bytes, max_row=5000)) if text in ROWS]
    assert len(found) >= len(ROWS) - 2
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("tail", [b"", b', "x": oops', b', "x"', b', "x": [}', b"]"])
def test_damage_outside_of_the_rows_costs_its_document_alone(block_bytes: int, between: bytes, tail: bytes) -> None:
    broken = envelope(ROWS[10:20], after=tail)[: None if tail else -1]
    data = between.join([envelope(ROWS[:10]), broken, envelope(ROWS[20:])])
    found = texts(rows(data, PATH, 1 << 30, block_bytes))
    assert [text for text in found if text != BROKEN] == ROWS
    assert BROKEN in found


def test_an_envelope_that_is_cut_shows() -> None:
    data = envelope(ROWS)
    for length in range(1, len(data)):
        found = rows(data[:length], block_bytes=4096, max_row=5000)
        assert found and (found[-1][1] == BROKEN or found[-1][1] not in ROWS), length


def test_an_envelope_larger_than_a_row_may_be_streams() -> None:
    data = envelope(ROWS * 2000)
    found = pieces(data, PATH, 1 << 30, 1 << 16)
    assert sum(len(piece.rows.starts) for piece in found if isinstance(piece.rows, RowBlock)) == 60_000
    assert all(len(piece.rows.data) <= 1 << 16 for piece in found if isinstance(piece.rows, RowBlock))
    assert all(piece.after and piece.after.document == 0 for piece in found[:-1])


def test_rows_of_many_small_envelopes_come_in_few_pieces() -> None:
    found = pieces(b"\n".join(envelope(ROWS[at : at + 2]) for at in range(0, 30, 2)) * 20)
    assert len(found) < 5


@pytest.mark.parametrize("between", [b"\n", b"", b","], ids=["lines", "documents", "an array"])
def test_reading_goes_on_in_a_long_stretch_of_envelopes_without_rows(between: bytes) -> None:
    data = between.join([envelope([])] * 300 + [envelope(ROWS[:2])] + [envelope([])] * 300)
    data = b"[" + data + b"]" if between == b"," else data
    lake = MemoryLake()
    reader = UnitReader(lake, 300, 512)
    (unit,) = Plan.of(lake.upload(KEY, data), 1 << 30)
    found = list(reader.read(unit, None, envelope=Envelope(PATH)))
    ways = [piece.after for piece in found if piece.after and isinstance(piece.rows, RowBlock)]
    reached = [0, *(after.offset for after in ways), len(data)]
    assert np.diff(reached).max() < 2048
    for number, after in enumerate(ways, 1):
        assert texts(rows_in(reader.read(unit, after, envelope=Envelope(PATH)))) == texts(rows_in(found[number:]))


def envelopes(found: Iterable[Piece]) -> list[bytes]:
    """What each row gets."""
    return [piece.rows.envelope for piece in found if isinstance(piece.rows, RowBlock) for _ in piece.rows.starts]


KEPT = Envelope(("d", "Records"), (("account", ("id",)), ("region", ("meta", "region")), ("gone", ("x", "y"))))
HEAD = b'{"id": "7", "meta": {"a": [1], "region": {"name": "eu"}}, "x": 3, "d": {"z": 1, "Records": ['
MEMBERS = b'"account":"7","region":{"name": "eu"}'


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
def test_values_of_the_envelope_go_with_each_of_its_rows(block_bytes: int, between: bytes, name: str) -> None:
    one, other = HEAD + b",".join(ROWS[:9]) + b"]}}", b'{"id": 8, "d": {"Records": [' + b",".join(ROWS[9:]) + b"]}}"
    data = one + between + other
    lake = MemoryLake()
    (unit,) = Plan.of(lake.upload("bronze/a/" + name, gzip.compress(data) if name.endswith("gz") else data), 1 << 30)
    reader = UnitReader(lake, 300, block_bytes)

    def read(start: Position | None = None) -> list[tuple[int, bytes, bytes]]:
        found = []
        for piece in reader.read(unit, start, envelope=KEPT):
            assert isinstance(piece.rows, RowBlock)
            found += [(*row, piece.rows.envelope) for row in rows_in([piece])]
        return found

    whole = read()
    assert [(text, members) for _, text, members in whole] == [
        *((row, MEMBERS) for row in ROWS[:9]),
        *((row, b'"account":8') for row in ROWS[9:]),
    ]
    seen = 0
    for piece in reader.read(unit, envelope=KEPT):
        seen += len(rows_in([piece]))
        assert piece.after is not None
        assert read(Position.from_list(piece.after.to_list())) == whole[seen:]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"Records": [' + ROWS[0] + b'], "id": 7}', "it is behind the rows that should have it"),
        (b'{"id": "' + b"x" * 70_000 + b'", "Records": [' + ROWS[0] + b"]}", "that is longer than 65,536 bytes"),
        (b'{"id": "' + b"x" * 4095 + b'", "Records": [' + ROWS[0] + b"]}", "have more than 4,096 bytes of it"),
        (b'{"id": "\xff", "Records": [' + ROWS[0] + b"]}", "that is not UTF-8"),
        (b'{"id": 1, "id": "\xff", "Records": [' + ROWS[0] + b"]}", "that is not UTF-8"),
    ],
)
def test_a_value_that_cannot_go_with_the_rows_is_reported(data: bytes, why: str) -> None:
    found = pieces(data, Envelope(PATH, (("account", ("id",)),)), max_row=100_000)
    (frame,) = [only(piece) for piece in found if isinstance(piece.rows, BrokenFrames)]
    assert "The rows of this document are without account" in frame.detail and why in frame.detail
    assert ROWS[0] in texts(rows_in(found))
    assert envelopes(found) == [b""]


def test_a_value_beside_a_number_of_many_digits_goes_with_the_rows() -> None:
    data = b'{"meta": {"n": ' + b"9" * 5000 + b', "id": 7}, "Records": [' + ROWS[0] + b"]}"
    assert envelopes(pieces(data, Envelope(PATH, (("id", ("meta", "id")),)))) == [b'"id":7']


def test_a_value_inside_of_a_longer_one_goes_with_the_rows() -> None:
    long, limit = b'"' + b"x" * 5000 + b'"', b'"' + b"x" * 4094 + b'"'
    data = b'{"meta": {"a": ' + long + b', "id": ' + limit + b'}, "Records": [' + ROWS[0] + b"]}"
    where = Envelope(PATH, (("a", ("meta", "a")), ("id", ("meta", "id"))))
    found = pieces(data, where)
    assert envelopes(found) == [b'"id":' + limit]
    assert "are without a, at byte 9" in only(found[0]).detail


@pytest.mark.parametrize("kept", [(), (("account", ("meta", "id")),)])
def test_a_key_that_is_not_utf8_does_no_harm_to_rows(kept: tuple[tuple[str, tuple[str, ...]], ...]) -> None:
    data = b'{"\xff": 1, "meta": {"\xff": 1, "id": 7}, "Records": [' + ROWS[0] + b"]}"
    for text in (data, data + b"\n" + envelope(ROWS[1:2]), b"[" + data + b", " + envelope(ROWS[1:2]) + b"]"):
        found = texts(rows(text, Envelope(PATH, kept)))
        assert [row for row in found if row != BROKEN] == ROWS[: 1 + (len(text) > len(data))]
        assert found.count(BROKEN) == len(kept)


@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
def test_rows_with_a_long_envelope_come_in_small_pieces_behind_each_of_which_reading_goes_on(name: str) -> None:
    data = b'{"id": "' + b"x" * 1000 + b'", "Records": [' + b" , ".join(ROWS) + b"]}"
    lake = MemoryLake()
    (unit,) = Plan.of(lake.upload("bronze/a/" + name, gzip.compress(data) if name.endswith("gz") else data), 1 << 30)
    reader = UnitReader(lake, 300, 16_000)
    where = Envelope(PATH, (("account", ("id",)),))
    found = list(reader.read(unit, envelope=where))
    assert texts(rows_in(found)) == ROWS
    for number, piece in enumerate(found):
        assert isinstance(piece.rows, RowBlock)
        assert len(piece.rows.starts) * len(piece.rows.envelope) <= 4000
        assert piece.after is not None
        assert rows_in(reader.read(unit, piece.after, envelope=where)) == rows_in(found[number + 1 :])


@pytest.mark.parametrize("name", ["b.json", "b.json.gz"])
@pytest.mark.parametrize("block_bytes", [8000, 32_000])
def test_reading_goes_on_in_the_middle_of_an_element_of_an_array(name: str, block_bytes: int) -> None:
    """Rows with copies of their envelope may be thousands of times as large as the element that they are from."""
    one = b'{"id": "' + b"x" * 1000 + b'", "Records": [' + b" , ".join(ROWS) + b"]}"
    data = b'[{"id": 1, "Records": []}, ' + one + b', {"no": "rows"},\n' + one + b", " + one
    lake = MemoryLake()
    (unit,) = Plan.of(lake.upload("bronze/a/" + name, gzip.compress(data) if name.endswith("gz") else data), 1 << 30)
    reader = UnitReader(lake, 10_000, block_bytes)
    where = Envelope(PATH, (("account", ("id",)),))
    found = list(reader.read(unit, envelope=where))
    assert [text for text in texts(rows_in(found)) if text != BROKEN] == 3 * ROWS
    for number, piece in enumerate(found):
        if not isinstance(piece.rows, RowBlock):
            continue
        assert len(piece.rows.starts) * len(piece.rows.envelope) <= block_bytes // 4
        assert piece.after is not None
        rest = list(reader.read(unit, Position.from_list(piece.after.to_list()), envelope=where))
        assert rows_in(rest) == rows_in(found[number + 1 :])
        assert envelopes(rest) == envelopes(found[number + 1 :])


@pytest.mark.parametrize("between", [b", ", b"\n", b""])
def test_time_is_looked_at_in_each_of_many_small_envelopes(between: bytes) -> None:
    lake = MemoryLake()
    data = between.join([envelope([b"{}"])] * 5000)
    data = b"[" + data + b"]" if between == b", " else data
    (unit,) = Plan.of(lake.upload(KEY, data), 1 << 30)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 1000:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        list(UnitReader(lake, 300, 1 << 20).read(unit, check=check, envelope=Envelope(PATH)))


def test_damage_at_a_value_that_rows_should_have_is_reported_once_and_costs_its_document_alone() -> None:
    data = b'{"v": x, "Records": [' + ROWS[0] + b"]}" + envelope(ROWS[1:3])
    found = rows(data, Envelope(PATH, (("v", ("v",)),)))
    assert texts(found) == [BROKEN, *ROWS[1:3]]


def test_rows_are_judged_with_the_envelope_and_reported_without_it(contracts: dict[str, Contract]) -> None:
    parser = RowParser(contracts)
    day = b'"event_time":"2026-01-01T00:00:00Z"'
    good = [b'{"shipment_id":"S%d","origin":"HAM","destination":"OSL","weight_kg":1.5}' % n for n in range(200)]
    bad = [b" { } ", b"12", b'{"shipment_id":1}', b'{"carrier":"UPS"}']
    for all_rows in (good, bad, [*good, *bad]):
        data = b"," + b",".join(all_rows)
        ends = np.cumsum([len(row) + 1 for row in all_rows])
        starts = ends - [len(row) for row in all_rows]
        block = RowBlock(data, starts, starts + [len(row) for row in all_rows], 1000, day + b',"carrier":"DHL"')
        parsed = parser.parse(block, "shipments", CREATED)
        assert parsed.rows_read == len(all_rows)
        if good[0] in all_rows:
            table = parsed.silver["shipments"].sort_by("_offset")
            assert table["_offset"].to_pylist() == (starts[:200] + 1000).tolist()
            assert set(table["carrier"].to_pylist()) == {"DHL"}
        refused = {row["_offset"]: row["raw"] for row in parsed.quarantine.to_pylist()}
        expected = zip(starts.tolist(), all_rows, strict=True)
        assert refused == {1000 + at: row.strip().decode() for at, row in expected if row in bad}


part = st.one_of(
    st.sampled_from(
        [
            envelope(ROWS[:2]),
            envelope([b'{"a": 1}', b"{}"]),
            b'{"Records": [{"a": 1}',
            b'"Records": [',
            b'{"x": 1}',
            b'{"a": [{"b": 2}, {"c": 3}]}',
            b"[" + envelope(ROWS[:3], b'"v": "' + b"y" * 50 + b'", ') + b", ",
            envelope(ROWS[3:5], b'"\xff": 1, "v": {"\xff": 2, "w": 3}, ') + b", ",
            b"]}",
            b"}",
            b"]",
            b"[",
            b"{",
            b'"',
            b",",
            b":",
            b"\\",
            b"\n",
            b"\n",
            b"\x1e",
            b" " * 5,
            b"x" * 350,
            b"NaN",
        ]
    ),
    st.binary(max_size=5),
)
files = st.lists(part, max_size=15).map(b"".join)


@settings(max_examples=300, deadline=None)
@example(b'[{"Records": [{"a": 1}, {"b"', 64, 400, ())
@example(b'{"v": x, "Records": [{}]}' + envelope(ROWS[:2]), 64, 400, (("v", ("v",)),))
@example(envelope(ROWS[:2])[:-1] + b', "v": ', 64, 400, (("v", ("v",)),))
@given(
    files,
    st.integers(1, 200),
    st.integers(1, 400),
    st.sampled_from([(), (("v", ("v",)), ("n", ("next",))), (("w", ("v", "w")),)]),
)
def test_rows_are_the_same_however_the_file_is_cut_and_wherever_reading_goes_on(
    data: bytes, block_bytes: int, unit_bytes: int, kept: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    assume(foreign_kind(data) is None and codec_of(data) is None)
    where = Envelope(PATH, kept)
    whole = sorted(rows(data, where))
    assert sorted(rows(data, where, 1 << 30, block_bytes)) == whole
    assert sorted(rows(data, where, unit_bytes, block_bytes)) == whole
    assert len({start for start, _ in whole}) == len(whole)
    at = 0
    for start, text in whole:
        if text not in (BROKEN, OVERLONG):
            assert start >= at
            at = start + len(text)
    lake = MemoryLake()
    reader = UnitReader(lake, 300, block_bytes)
    for unit in Plan.of(lake.upload(KEY, data), unit_bytes):
        found = list(reader.read(unit, envelope=where))
        for number, piece in enumerate(found):
            if piece.after is not None:
                after = Position.from_list(piece.after.to_list())
                rest = list(reader.read(unit, after, envelope=where))
                assert rows_in(rest) == rows_in(found[number + 1 :])
                assert envelopes(rest) == envelopes(found[number + 1 :])


def test_a_position_inside_of_a_document_goes_through_the_ledger() -> None:
    for position in (
        Position(9, Form.AFTER_COMMA, document=3),
        Position(9, Form.DOCUMENTS, in_line=True),
        Position(9, Form.ARRAY, past=12),
    ):
        assert Position.from_list(position.to_list()) == position
    for values in (
        [1, "array", 0, 2],
        [1, "array", 2, 0],
        [1, "array", 0],
        [1, "array", "0", 0],
        [9, "array", 0, -1, 8],
    ):
        with pytest.raises(ValueError, match="position"):
            Position.from_list(values)


@pytest.mark.parametrize(
    "data",
    [
        b'{"id": 1, "id": 2, "Records": [' + ROWS[0] + b"]}",
        b'{"id": 1, "x": {}, "id": 1, "id": 3, "Records": [' + ROWS[0] + b"]}",
        b'{"id": {"of": 1, "id": {"id": 0}, "of": 2}, "Records": [' + ROWS[0] + b"]}",
        b'{"id": {"of": 1}, "id": {"of": 2}, "Records": [' + ROWS[0] + b"]}",
    ],
)
def test_a_value_that_is_there_twice_is_nobodys_and_reported(data: bytes) -> None:
    path = ("id", "of") if b'"of"' in data else ("id",)
    found = pieces(data, Envelope(PATH, (("account", path), ("other", ("other",)))), max_row=100_000)
    (frame,) = [only(piece) for piece in found if isinstance(piece.rows, BrokenFrames)]
    assert "without account, at byte" in frame.detail and "more than once" in frame.detail
    (rows,) = [piece.rows for piece in found if isinstance(piece.rows, RowBlock)]
    assert rows.envelope == b""
