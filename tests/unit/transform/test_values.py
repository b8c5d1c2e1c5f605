"""Checks of many values at once must not let one value cover for another."""

from __future__ import annotations

import pyarrow as pa

from services.transform.rows.values import are_json, unescape


def test_values_that_are_json_only_together_are_not() -> None:
    slices = pa.array(["[[1]", "[2]]", "[3],[4]", "[5]"])
    assert are_json(slices).tolist() == [False, False, False, True]


def test_one_broken_value_does_not_spoil_the_others() -> None:
    assert are_json(pa.array(["[1]", "[01]", '{"a":[]}'])).tolist() == [True, False, True]


def test_no_values_are_fine() -> None:
    assert are_json(pa.array([], pa.string())).tolist() == []
    assert unescape([]) == []


def test_one_broken_string_does_not_spoil_the_others() -> None:
    assert unescape([b'"\\u00fc"', b'"\\ud800"', b'"\\n"']) == ["\u00fc", None, "\n"]
