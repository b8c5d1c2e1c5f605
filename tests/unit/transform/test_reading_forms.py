"""The content decides what a file is: lines, an array or one document."""

from __future__ import annotations

import json

import pytest

from tests.support.reading import rows_of
from tests.unit.transform.test_reading_lines import lines


@pytest.mark.parametrize("unit_bytes", [7, 1 << 30])
@pytest.mark.parametrize("block_bytes", [1, 1000])
def test_one_pretty_printed_document_is_one_row(unit_bytes: int, block_bytes: int) -> None:
    document = json.dumps({"a": 1, "b": [1, 2]}, indent=2).encode()
    assert rows_of("bronze/a/b.json", b"\n" + document + b"\n", unit_bytes, block_bytes) == [(1, document)]


def test_a_broken_first_line_does_not_make_a_file_a_document() -> None:
    data = b'{"a": \n{"b": 2}\n'
    assert rows_of("bronze/a/b.json", data) == lines(data)


@pytest.mark.parametrize("data", [b" ", b"\n" * 5000, b"\xef\xbb\xbf", b"\r\n \t\n"])
def test_a_file_of_blanks_holds_no_rows(data: bytes) -> None:
    assert rows_of("bronze/a/b.jsonl", data) == []
