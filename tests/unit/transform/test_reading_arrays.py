"""Any cut of any array gives every element once, whatever its elements are."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.reading import MAX_ROW, rows_of

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.sampled_from(['"', "\\", "],", '\\"'])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(json_values, max_size=12),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 400),
    st.integers(1, 100),
)
def test_any_cut_of_any_array_gives_every_element_once(
    elements: list[Any], indent: int | None, ascii_only: bool, unit_bytes: int, block_bytes: int
) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    texts = [json.dumps(element, indent=indent, ensure_ascii=ascii_only) for element in elements]
    assume(not any(text.startswith("[") and len(text) > MAX_ROW / 4 for text in texts))  # may be read as elements
    found = rows_of("bronze/a/b.json", b"\xef\xbb\xbf \n" + data, unit_bytes, block_bytes)
    assert len(found) == len(elements)
    for (offset, text), element in zip(found, elements, strict=True):
        if text == b"OVERLONG":
            assert len(json.dumps(element, indent=indent, ensure_ascii=ascii_only)) > MAX_ROW / 4
        else:
            assert json.loads(text.decode("utf-8", "surrogatepass")) == element
            assert (b"\xef\xbb\xbf \n" + data)[offset:].startswith(text)
