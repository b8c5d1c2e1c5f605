"""The scanner of nested values says what `json` says, and builds nothing."""

from __future__ import annotations

import json
from json.decoder import JSONDecoder

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.shared.judge import row_json
from services.shared.judge.nested import end_of_nested
from services.shared.judge.row_json import Row, read_row
from services.shared.judge.verdicts import Rejection

_scan = JSONDecoder().scan_once  # type: ignore[attr-defined]
_TOKENS = [
    *'{}[],:" \t\n\\',
    '"a"',
    '"a":',
    "1",
    "-0.5e3",
    "01",
    "true",
    "null",
    "NaN",
    '"\\u00e9"',
    '"\\x"',
    "\x01",
    "é",
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
    max_leaves=30,
)


def by_json(text: str) -> tuple[str, object]:
    try:
        return "end", _scan(text, 0)[1]
    except StopIteration as error:
        return "no value at", error.value
    except ValueError as error:
        return "error", str(error)


def by_scanner(text: str) -> tuple[str, object]:
    try:
        return "end", end_of_nested(text, 0, _scan)
    except StopIteration as error:
        return "no value at", error.value
    except ValueError as error:
        return "error", str(error)


@settings(max_examples=150, deadline=None)
@given(values, st.sampled_from([None, 1]), st.booleans())
def test_any_value_ends_where_json_says(value: object, indent: int | None, is_ascii: bool) -> None:
    text = json.dumps([value, {"": value}], indent=indent, ensure_ascii=is_ascii)
    assert by_scanner(text + ",]}") == ("end", len(text))


@settings(max_examples=150, deadline=None)
@given(values, st.integers(0, 1000), st.integers(0, 3), st.sampled_from(["", *_TOKENS]))
def test_any_damaged_value_gives_the_error_that_json_gives(value: object, at: int, gone: int, token: str) -> None:
    text = json.dumps([value, [value, {"k": value}]])
    cut = 1 + at % len(text)
    damaged = text[:cut] + token + text[cut + gone :]
    assert by_scanner(damaged) == by_json(damaged)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from(_TOKENS), max_size=12), st.sampled_from("[{"))
@example(['"a":', "[", "1", ",", "]"], "{")
def test_any_tokens_give_what_json_gives(tokens: list[str], opener: str) -> None:
    text = opener + "".join(tokens)
    assert by_scanner(text) == by_json(text)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=3), values, max_size=5), st.integers(0, 500), st.sampled_from(["", *_TOKENS]))
def test_long_rows_are_judged_like_short_ones(row: dict[str, object], at: int, token: str) -> None:
    text = json.dumps(row)
    cut = at % len(text)
    text = text[:cut] + token + text[cut + 1 :]

    def read() -> object:
        try:
            found = read_row(text.encode("utf-8", "surrogatepass"))
        except Rejection as why:
            return why.args
        return [(key, type(item.value), item.start, item.end) for key, item in found.items.items()], found.bounds

    short = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_json, "SHORT", 0)
        assert read() == short


def test_only_the_keys_that_are_asked_for_are_kept() -> None:
    found = read_row(b'{"a": [1], "b": 2}', {"b"})
    assert isinstance(found, Row)
    assert list(found.items) == ["b"]
    assert [found.text[span.key_start : span.end] for span in found.spans()] == ['"a": [1]', '"b": 2']
