"""Holes that are shown and not fixed."""

import pytest

from services.transform.reading import repair
from tests.support.reading import pieces_of, read_on, rows_in


@pytest.mark.xfail(strict=True, reason="a run of elements taken by structure is decided anew where reading goes on")
def test_reading_goes_on_inside_a_run_of_balanced_elements_with_the_same_rows():
    text = (
        b'[{"b":1},{"a":x},{"a":"x},{}},{}},{}},{}},{"a":"x},{"a":x},{"b":1},{"a":x},{}},{"b":1},{"a":x},{}},{"b":1}]'
    )
    reader, unit, pieces = pieces_of("bronze/d/f.json", text, block_bytes=16, max_row=60)
    for number, piece in enumerate(pieces):
        assert read_on(reader, unit, piece.after) == rows_in(pieces[number + 1 :])


@pytest.mark.xfail(strict=True, reason="each broken element is searched behind anew: quadratic")
def test_broken_elements_with_surplus_commas_take_linear_time(monkeypatch):
    candidates = 0
    first_break = repair.Resumption._first_break

    def counting(self, candidate):
        nonlocal candidates
        candidates += 1
        return first_break(self, candidate)

    monkeypatch.setattr(repair.Resumption, "_first_break", counting)
    pieces_of("bronze/d/f.json", b"[" + b'{"a":x},,' * 300 + b"{}]", block_bytes=1 << 20, max_row=1 << 20)
    assert candidates < 300 * 20
