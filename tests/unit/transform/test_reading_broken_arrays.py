"""Damage of an array shows in quarantine, and costs no row that is not next to it."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.judge.judge import RowJudge
from services.transform.blocks import BrokenFrame, OverlongRow, Piece, RowBlock
from services.transform.reading import elements
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner, Separators
from services.transform.reading.reader import UnitReader
from services.transform.reading.repair import validate_elements
from services.transform.reading.strict import Verdict
from services.transform.reading.window import STEP_BYTES, Window
from tests.support.reading import BROKEN, MAX_ROW, OVERLONG, pieces_of, read_on, rows_in, rows_of

FLAT = [{"id": number, "a": f"x{number}"} for number in range(5)]
NESTED = [
    {"id": number, "items": [{"id": 10 * number + k, "s": "a]b"} for k in (0, 1)], "t": 'x,{"}[' if number % 2 else "é"}
    for number in range(5)
]


def layout(elements: list[dict[str, object]], name: str) -> bytes:
    match name:
        case "compact":
            text = json.dumps(elements, separators=(",", ":"))
        case "on one line":
            text = json.dumps(elements)
        case "a line each":
            text = "[\n" + ",\n".join(map(json.dumps, elements)) + "\n]\n"
        case "commas first":
            text = "[" + "\n,".join(map(json.dumps, elements)) + "]"
        case _:
            text = json.dumps(elements, indent=2) + "\n"
    return text.encode()


LAYOUTS = ("compact", "on one line", "a line each", "commas first", "pretty")
CHANGED_INTO = b'[]{},:"\\\nx0'


def damaged(text: bytes, at: int) -> list[bytes]:
    """The text with one byte at this place taken away, put in, or changed."""
    put_in = [text[:at] + bytes([byte]) + text[at:] for byte in CHANGED_INTO]
    changed = [text[:at] + bytes([byte]) + text[at + 1 :] for byte in CHANGED_INTO]
    return [other for other in (text[:at] + text[at + 1 :], *put_in, *changed) if other != text]


def is_good(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def is_array(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), list)
    except ValueError:
        return False


@pytest.mark.parametrize("elements", [FLAT, NESTED], ids=["flat", "nested"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_one_damaged_byte_costs_the_element_and_its_neighbours_at_most(
    elements: list[dict[str, object]], name: str
) -> None:
    text = layout(elements, name)
    spans = [(offset, offset + len(row)) for offset, row in rows_of("bronze/a/b.json", text)]
    assert len(spans) == len(elements)
    for at in range(len(text)):
        hit = [index for index, (start, end) in enumerate(spans) if start - 5 <= at <= end + 5]
        far = [span for index, span in enumerate(spans) if hit and min(abs(index - other) for other in hit) > 1]
        for data in damaged(text, at):
            _, _, pieces = pieces_of("bronze/a/b.json", data)
            rows = rows_in(pieces)
            found = Counter(row for _, row in rows)
            assert all(found[text[start:end]] == 1 for start, end in far), (at, data)
            assert len({offset for offset, _ in rows}) == len(rows), (at, data)
            assert is_array(data) or not all(is_good(row) for _, row in rows), (at, data)
            assert is_array(data) <= (BROKEN not in found), (at, data)
            assert not unaccounted(data, pieces), (at, data)


def unaccounted(data: bytes, pieces: list[Piece]) -> bytes:
    """What is neither in a row, nor in damage that was reported, nor the frame itself."""
    left = bytearray(data)
    for found, _ in pieces:
        match found:
            case RowBlock():
                for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True):
                    left[found.base + start : found.base + end] = b" " * (end - start)
            case BrokenFrame():
                assert data[found.offset : found.offset + len(found.raw)] == found.raw
                left[found.offset : found.offset + len(found.raw)] = b" " * len(found.raw)
            case OverlongRow():
                raise AssertionError("no row is over-long")
    return bytes(left).translate(None, b" \t\r\n,[]")


def test_what_the_reader_takes_for_good_is_what_the_judge_may_accept() -> None:
    """The rows that count as good above are objects; the judge refuses everything else."""
    judge = RowJudge({})
    for text in (b"0", b"[1]", b'"x"', b"{"):
        assert judge.judge(text, "a", None).reason in ("not_an_object", "malformed_json")  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"[]", []),
        (b"[ ]\n", []),
        (b"[", [(1, BROKEN)]),
        (b"[{}", [(1, b"{}"), (3, BROKEN)]),
        (b"[{},", [(1, b"{}"), (4, BROKEN)]),
        (b"[{}}", [(1, b"{}"), (3, BROKEN)]),
        (b"[{}]]", [(1, b"{}"), (4, BROKEN)]),
        (b"[{},]", [(1, b"{}"), (4, BROKEN)]),
        (b"[,{},,]", [(1, BROKEN), (2, b"{}")]),
        (b"[{} {},,\n[1] 2\ntru {}]", [(1, b"{}"), (2, BROKEN), (4, b"{}"), (9, b"[1]"), (13, b"2"), (15, b"tru {}")]),
        (b"[\n{}\n{}\n{}\n]", [(2, b"{}"), (3, BROKEN), (5, b"{}"), (8, b"{}")]),
        (b"[1,,2]", [(1, b"1"), (3, BROKEN), (4, b"2")]),
        (b"[{} {}]", [(1, b"{}"), (2, BROKEN), (4, b"{}")]),
        (b'[{}, {"a"', [(1, b"{}"), (5, b'{"a"'), (9, BROKEN)]),
        (b"[{}],{}]", [(1, b"{}"), (4, BROKEN), (5, b"{}")]),
        (b"[{},[{},{}]", [(1, b"{}"), (4, BROKEN), (5, b"{}"), (8, b"{}")]),
        (b"{},{},{}]", [(0, b"{}"), (2, BROKEN), (3, b"{}"), (6, b"{}")]),
        (b"[1]\n[2]\n", [(1, b"1"), (4, b"[2]")]),
        (b"[1]\n{}\nx\n", [(1, b"1"), (4, b"{}"), (7, b"x")]),
        (b"[1] rest\n{}", [(1, b"1"), (4, BROKEN), (9, b"{}")]),
        (b'[{"a": tru}, {"a": 1}]', [(1, b'{"a": tru}'), (13, b'{"a": 1}')]),
        (b'[{"a": NaN}, {"a": NaN}]', [(1, b'{"a": NaN}'), (13, b'{"a": NaN}')]),
        (b'[{"a": "\\ud800"}]', [(1, b'{"a": "\\ud800"}')]),
        (b"[" + b" " * 1000 + b"{}" + b"\n" * 1000 + b"]", [(1001, b"{}")]),
        (b'["' + b"x" * 400 + b'", 2, ' + b"3" * 301 + b"]", [(1, OVERLONG), (405, b"2"), (408, OVERLONG)]),
        (b'[{"a": "' + b"x" * 400 + b'"}, {}', [(1, OVERLONG), (412, b"{}"), (414, BROKEN)]),
        (b"[{}, [" + b"{}, " * 200 + b"{}]", [(1, b"{}"), (5, BROKEN), *((6 + 4 * n, b"{}") for n in range(201))]),
        (b"[" + b"[" * 2000 + b"]" * 2000 + b"]", [(1, BROKEN)]),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("block_bytes", [1, 7, 1000])
def test_what_becomes_of_broken_arrays(data: bytes, rows: list[tuple[int, bytes]], block_bytes: int) -> None:
    assert rows_of("bronze/a/b.json", data, block_bytes=block_bytes) == rows


objects = [b'{"a": 1}', b'{"b": [{"c": 2}, {"c": 3}]}', b"{}", b"1", b"tru", b"x" * 90]
marks = [b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\n", b" ", b"\x00"]
fragments = st.lists(st.sampled_from(objects + marks), max_size=40)
arrays = fragments.map(lambda parts: b"[" + b"".join(parts)) | fragments.map(
    lambda parts: b"[{}, " + b",".join(parts) + b"]"
)


@given(arrays, st.integers(1, 700))
def test_rows_do_not_depend_on_blocks_and_no_position_is_given_twice(data: bytes, block_bytes: int) -> None:
    rows = rows_of("bronze/a/b.json", data, block_bytes=block_bytes)
    assert rows == rows_of("bronze/a/b.json", data, block_bytes=10_000)
    assert len({offset for offset, _ in rows}) == len(rows)


@given(arrays, st.integers(1, 700), st.sampled_from(["b.json", "b.json.gz"]))
def test_reading_goes_on_behind_any_piece_of_any_array(data: bytes, block_bytes: int, name: str) -> None:
    content = gzip.compress(data) if name.endswith(".gz") else data
    reader, unit, pieces = pieces_of(f"bronze/a/{name}", content, block_bytes)
    for number, piece in enumerate(pieces):
        if piece.after is not None:
            assert read_on(reader, unit, piece.after) == rows_in(pieces[number + 1 :])


def test_the_detail_says_what_is_wrong_and_where_reading_goes_on() -> None:
    _, _, pieces = pieces_of("bronze/a/b.json", b'[{"a": [1}, {"a": 2}, {"a": 3}]')
    assert pieces[0].rows == BrokenFrame(
        1,
        "The array is broken at byte 9 (expected ',' or ']'); reading goes on with the element at byte 12.",
        b'{"a": [1}, ',
    )
    assert len(b'{"a": [1}, ') <= MAX_ROW


TOO_DEEP_TO_READ = b"[" * 3000 + b"]" * 3000


def test_rows_between_damage_and_brackets_that_are_nested_too_deep_are_kept() -> None:
    rows = [b'{"id":%d}' % number for number in range(20_000)]
    text = b'[{"a":"x},' + b",".join((*rows, TOO_DEEP_TO_READ, *rows)) + b"]"
    found = rows_of("bronze/d/f.json", text, block_bytes=1 << 20, max_row=1 << 20)
    kept = [row for _, row in found if row.startswith(b'{"id":')]
    assert [row for _, row in found].count(BROKEN) == 1
    assert kept == rows[1:] + rows
    assert len(found) == len(kept) + 2


@pytest.mark.parametrize(
    "inside",
    [b"}", b"]", b'"x', b",,"],
    ids=["another bracket", "nothing", "a string that does not end", "surplus commas"],
)
@pytest.mark.parametrize("between", [b",", b" "], ids=["with commas", "without"])
@pytest.mark.parametrize("first", [b"", b'{"a":[1},'], ids=["", "behind damage"])
def test_what_is_found_does_not_depend_on_the_stack_from_which_it_is_read(
    inside: bytes, between: bytes, first: bytes
) -> None:
    """Strict reading gets as deep as the stack allows: 900 levels here, and 600 from 300 frames further in."""

    def read(text: bytes, frames: int) -> list[tuple[int, bytes]]:
        if frames:
            return read(text, frames - 1)
        return rows_of("bronze/d/f.json", text, block_bytes=1 << 14, max_row=1 << 12)

    rows = [b'{"id":%d}' % number for number in range(300)]
    for levels in (90, 150, 700, 800):
        deep = b"[" * levels + inside + b"]" * levels
        text = b"[" + first + between.join((*rows, deep, *rows)) + b"]"
        assert read(text, 300) == read(text, 0), levels


def test_elements_before_brackets_that_are_nested_too_deep_are_not_read_anew_for_each_deep_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = 0

    def counting(window: Window, start: int, end: int) -> Verdict:
        nonlocal read
        verdict = validate_elements(window, start, end)
        read += (verdict.at if verdict.at >= 0 else min(end, len(window.data))) - start
        return verdict

    monkeypatch.setattr(elements, "validate_elements", counting)
    deep = b"[" * 101 + b"]" * 101
    text = b"[" + b",".join((*[deep] * 2000, TOO_DEEP_TO_READ)) + b"]"
    found = rows_of("bronze/d/f.json", text, block_bytes=1 << 20, max_row=1 << 20)
    assert [row for _, row in found] == [*[deep] * 2000, TOO_DEEP_TO_READ]
    assert read < 100 * len(text)


@pytest.mark.parametrize("brackets", [25, 2500], ids=["some", "too deep to read"])
def test_bytes_behind_brackets_that_are_never_closed_are_not_read_anew_for_each_of_them(
    brackets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    feed = ArrayScanner.feed

    def counting(scanner: ArrayScanner, chunk: bytes) -> Separators:
        nonlocal looked_at
        looked_at += len(chunk)
        return feed(scanner, chunk)

    monkeypatch.setattr(ArrayScanner, "feed", counting)
    rows = [b'{"id":%d}' % number for number in range(25_000)]
    every = len(rows) // brackets
    text = b"[" + b",".join(b"[" * (number % every == 0) + row for number, row in enumerate(rows))
    found = rows_of("bronze/d/f.json", text, block_bytes=1 << 17, max_row=1 << 17)
    assert [row for _, row in found if row != BROKEN] == rows
    assert len(found) == len(rows) + 1
    assert looked_at < 5 * len(text)


def test_an_element_behind_a_missing_bracket_is_looked_at_in_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks: list[int] = []
    feed = ArrayScanner.feed

    def counting(scanner: ArrayScanner, chunk: bytes) -> Separators:
        chunks.append(len(chunk))
        return feed(scanner, chunk)

    monkeypatch.setattr(ArrayScanner, "feed", counting)
    text = b'{"id":1},{"id":2,"items":[' + b"[]," * 500_000 + b"[]]}]"
    found = rows_of("bronze/d/f.json", text, block_bytes=1 << 20, max_row=1 << 21)
    assert [row for _, row in found] == [b'{"id":1}', BROKEN, text[9:-1]]
    assert max(chunks) <= SCAN_BYTES


def test_surplus_closing_brackets_are_reported_once() -> None:
    found = rows_of("bronze/d/f.json", b"[" + b'{"id":1}], ' * 500 + b"{}]\n")
    assert [text for _, text in found] == [b'{"id":1}', BROKEN, *[b'{"id":1}'] * 499, b"{}"]


def test_objects_of_a_nested_array_in_a_broken_element_are_no_rows() -> None:
    broken = b'{"id": 1 "items": [{"x": 1}, {"x": 2}, {"x": 3}]}'
    for more in (b"}", b', "y": 2}', b', "z": [{"x": 4}, {"x": 5}]}'):
        element = broken[:-1] + more
        rows = rows_of("bronze/a/b.json", b"[" + element + b', {"id": 2}]')
        assert rows == [(1, element), (3 + len(element), b'{"id": 2}')]  # balanced, so the judge says what is wrong
        rows = rows_of("bronze/a/b.json", b'[{"lost": [' + element + b', {"id": 2}]')
        assert rows == [(1, BROKEN), (13 + len(element), b'{"id": 2}')]


def test_damage_that_is_dense_is_reported_together() -> None:
    data = b"[" + b"{},{[," * 2000 + b'{"a": 1}, ' * 50 + b"{}]"
    _, _, pieces = pieces_of("bronze/a/b.json", data, block_bytes=1 << 20, max_row=1 << 20)
    rows = rows_in(pieces)
    assert [text for _, text in rows].count(BROKEN) == 1
    assert [text for _, text in rows].count(b'{"a": 1}') == 50


OVERLONG_ELEMENT = b'{"a": "' + b'\\"}],' * MAX_ROW + b'"}'
BEFORE_IT = {
    "brackets are skipped": b'[1,{"a": 2}],',
    "commas are optional": b'[{"a": 1} {"a": 2},',
    "nothing is damaged": b'[{"a": 1}, ',
}


@pytest.mark.parametrize("before", BEFORE_IT.values(), ids=BEFORE_IT)
@pytest.mark.parametrize(
    "behind",
    [
        b',{"a": 3} {"a": 4}]',
        b',{"a": 3},{"a": 4}',
        b',{"a": 3},{"a": 4}],{"a": 5}]',
        b'{"a": 3}{"a": 4}]',
        b'\n{"a": 3},{"a": 4}]',
    ],
)
def test_what_is_read_behind_an_over_long_element_does_not_depend_on_blocks(before: bytes, behind: bytes) -> None:
    """It was: where the window held all of the element, the array was read on in another way than where it did not."""
    data = before + OVERLONG_ELEMENT + behind
    expected = rows_of("bronze/a/b.json", data, block_bytes=100_000)
    assert {OVERLONG, b'{"a": 3}', b'{"a": 4}'} <= {text.strip() for _, text in expected}
    for block_bytes in (16, 64, 1000, 100_000):
        reader, unit, pieces = pieces_of("bronze/a/b.json", data, block_bytes)
        assert rows_in(pieces) == expected
        for number, piece in enumerate(pieces):
            if piece.after is not None:
                small = UnitReader(reader._lake, MAX_ROW, 16)
                assert rows_in(pieces[: number + 1]) + read_on(small, unit, piece.after) == expected


@pytest.mark.parametrize("before", BEFORE_IT.values(), ids=BEFORE_IT)
@pytest.mark.parametrize("between", [b"", b"\n", b","])
def test_no_element_is_skipped_with_an_over_long_one_that_no_window_holds(before: bytes, between: bytes) -> None:
    """It was: without commas, all elements behind it were skipped with it, and nothing told of them."""
    overlong = b'{"a": "' + b"x" * 2 * STEP_BYTES + b'"}'
    rows = [b'{"a": %d}' % number for number in range(10, 20)]
    data = before + overlong + between + between.join(rows) + b"]"
    found = [text.strip() for _, text in rows_of("bronze/a/b.json", data, block_bytes=1000)]
    assert found.count(OVERLONG) == 1
    assert [text for text in found if text in rows] == rows
