"""Regular expressions of contracts as Java reads them; tests/spark/test_gate.py asks Java."""

from __future__ import annotations

import pytest

from glue.patterns import in_java


@pytest.mark.parametrize(
    ("pattern", "java"),
    [
        (r"^\w+@\w+$", r"^\w+@\w+$"),
        (r"a\Z", r"a\z"),
        (r"a\\Z", r"a\\Z"),
        ("^[A-Z&&-]+$", r"^[A-Z\&\&-]+$"),
        ("^[[A-Z]+$", r"^[\[A-Z]+$"),
        ("[]a] [^]a]", r"[\]a] [^\]a]"),
        (r"[\]\b] [a]", r"[\]\x08] [a]"),
        ("(?x)[ #] a", r"(?x)[\ \#] a"),
        (r"\[a&&b\] & b", r"\[a&&b\] & b"),
        ("(?P<a_b>x)(?P<c>y)(?P=a_b)", r"(?<g0>x)(?<g1>y)\k<g0>"),
        ("x{2} x{2,} x{2,3} x{,3} x{,}", "x{2} x{2,} x{2,3} x{0,3} x{0,}"),
        ("{a} {} x{a}", r"\{a} \{} x\{a}"),
        (r"\U0001F600", r"\x{0001F600}"),
    ],
)
def test_a_pattern_says_the_same_to_java(pattern: str, java: str) -> None:
    assert in_java(pattern) == f"(?Ud){java}"
