"""Numbers as people read them."""

from __future__ import annotations

import pytest

from services.ops.words import percent


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 1, "100 %"),
        (999, 1000, "99.9 %"),
        (9_999_999, 10_000_000, "99.9 %"),
        (99, 100, "99 %"),
        (1, 3, "33 %"),
        (4, 254, "1.6 %"),
        (1, 10_000, "0.01 %"),
        (1, 10_000_000, "under 0.01 %"),
        (0, 5, "0 %"),
    ],
)
def test_a_share_is_written_without_an_exponent(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text
