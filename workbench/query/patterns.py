"""Regular expressions, in which a letter of Athena's is one of any language."""

from __future__ import annotations

import re

from sqlglot import errors, exp

_SIGNS = re.compile(r"\\.|\[:\^?\w+:\]|\[\^?\]?|\]", re.DOTALL)
_WORD = r"\pL\pM\p{Nd}\p{Pc}"  # what is in \w; DuckDB has ASCII's alone


def words(node: exp.Expr) -> exp.Expr:
    """`\\w` is `ü`, too, in a pattern that stands in quotes.

    Raises:
        UnsupportedError: `\\W` stands in brackets, where DuckDB has no equal for it.
    """
    pattern = node.expression
    if isinstance(pattern, exp.Literal):
        node.set("expression", exp.Literal.string(_with_words(pattern.name)))
    return node


def _with_words(pattern: str) -> str:
    in_brackets = False

    def written(sign: re.Match[str]) -> str:
        nonlocal in_brackets
        if sign[0] == r"\w":
            return _WORD if in_brackets else f"[{_WORD}]"
        if sign[0] == r"\W":
            if in_brackets:
                raise errors.UnsupportedError(r"a pattern takes no \W in brackets; write (?:\W|_) for [\W_]")
            return f"[^{_WORD}]"
        if in_brackets:
            in_brackets = not sign[0].endswith("]") or sign[0].endswith((":]", "\\]"))
        else:
            in_brackets = sign[0] in {"[", "[^", "[]", "[^]"}
        return sign[0]

    return _SIGNS.sub(written, pattern)
