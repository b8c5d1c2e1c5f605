"""Objects that are made to cost memory, time or rows: none is lost, and what they cost is bounded.

They go through reader, parser and buffer. Each group of cases is read in a process of its own, which measures itself.
pytest's timeout is the only clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from services.transform.reading.lines import MAX_ROWS
from services.transform.reading.reader import BLOCK_BYTES
from tests.support.hostile import BOMB, CASES, LINES, MAX_ROW_BYTES, MIB

# 64 MiB of rows that are kept, 150 MiB for the parser, 32 MiB for the reader, 100 MiB for Python and Arrow, some slack.
MOST_MEMORY_MIB = 400


@cache
def costs(group: str) -> dict[str, Any]:
    """What became of the cases of a group, by case."""
    cases = [case for case in CASES if case.startswith(group)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", *cases], capture_output=True, text=True, check=False
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {[cost['case'] for cost in found]}: {done.stderr[-2000:]}"
    return {cost["case"]: cost for cost in found}


def cost_of(case: str) -> Any:
    return costs(case.partition(":")[0])[case]


@pytest.mark.parametrize("case", CASES)
def test_every_row_is_in_silver_or_quarantine_under_a_position_of_its_own(case: str) -> None:
    cost = cost_of(case)
    assert cost["rows_read"] == cost["silver"] + cost["quarantined"] == cost["positions"]


@pytest.mark.parametrize("case", CASES)
def test_memory_and_blocks_are_bounded(case: str) -> None:
    cost = cost_of(case)
    assert cost["peak_mib"] < MOST_MEMORY_MIB
    assert cost["largest_block"] <= max(BLOCK_BYTES, MAX_ROW_BYTES)
    assert cost["most_rows"] <= MAX_ROWS


@pytest.mark.parametrize("case", CASES)
def test_each_byte_is_read_once_and_each_mebibyte_is_checked(case: str) -> None:
    cost = cost_of(case)
    held = BOMB if "blanks in ." in case or "endless row" in case else cost["object_bytes"]
    assert cost["bytes_read"] <= cost["object_bytes"]
    assert cost["checks"] >= held // MIB


@pytest.mark.parametrize(
    "name", [name for name in LINES if name not in ("a document of numbers", "carriage returns alone")]
)
def test_each_line_that_is_not_blank_is_one_row(name: str) -> None:
    lines = LINES[name]().split(b"\n")
    assert cost_of(f"lines: {name}")["rows_read"] == sum(1 for line in lines if line.strip(b" \t\r"))


@pytest.mark.parametrize(
    ("case", "silver", "broken"),
    [
        ("lines: good rows", 40_000, 0),
        ("lines: carriage returns and newlines", 40_000, 0),
        ("lines: carriage returns alone", 60_000, 0),
        ("lines: a row for each day of six years", 8_000, 0),
        ("lines: one string of a row that is too long", 1, 0),
        ("array: good elements", 40_000, 0),
        ("array: every fifth element is no JSON", 32_000, 0),
        ("array: every fiftieth element lacks a bracket", 39_200, 800),
        ("array: missing opening bracket", 40_000, 1),
        ("array: one element that is too long", 1, 0),
        ("array: an array that is too long", 80_000, 1),
        ("array: brackets that are opened and never closed", 80_000, 1),
        ("array: surplus closing brackets", 40_000, 1),
        ("documents: good rows", 40_000, 0),
        ("documents: pretty-printed", 10_000, 0),
        ("documents: record separators", 40_000, 0),
        ("documents: every fifth is no JSON", 32_000, 0),
        ("documents: every fiftieth lacks a bracket", 39_200, 0),
        ("documents: one that is too long", 1, 0),
        ("documents: one over many lines that is too long", 1, 0),
        ("documents: damage that is too long", 3, 0),
        ("documents: many in one line behind a line", 40_000, 0),
        ("documents: two in each line", 40_000, 0),
        ("documents: strings that look like two", 20_000, 0),
        ("envelopes: good rows", 40_000, 0),
        ("envelopes: one a line", 5_000, 0),
        ("envelopes: one after the other", 5_000, 0),
        ("envelopes: an array of them", 5_000, 0),
        ("envelopes: long values around the rows", 1, 0),
        ("envelopes: a long value for each of many rows", 20_000, 0),
        ("envelopes: a long value for each row of an element", 20_000, 0),
        ("envelopes: a value that is too long for rows", 20_000, 1),
        ("envelopes: keys that are not UTF-8", 5_000, 0),
        ("envelopes: many keys", 1, 0),
        ("envelopes: an array that is not closed", 40_000, 1),
        ("envelopes: every fiftieth row lacks a bracket", 39_200, 800),
        ("envelopes: nested 10,000 deep", 0, 1),
        ("envelopes: a path that is nowhere", 0, 1),
        ("envelopes: a path that is nowhere in any line", 0, 10_000),
        ("packed: empty gzip members", 1, 0),
        ("packed: empty bzip2 streams", 1, 0),
        ("packed: empty zstd frames", 1, 0),
        ("packed: skippable zstd frames", 1, 0),
    ],
)
def test_good_rows_reach_silver_whatever_is_around_them(case: str, silver: int, broken: int) -> None:
    cost = cost_of(case)
    assert (cost["silver"], cost["broken_frames"]) == (silver, broken)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("array:") and "good" not in case])
def test_damage_of_an_array_is_never_silent(case: str) -> None:
    assert cost_of(case)["quarantined"] > 0
