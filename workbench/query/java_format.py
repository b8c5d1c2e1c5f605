"""Athena's `format`: Java's signs (`%.2f`), a half away from zero, `null` for NULL. DuckDB's printf has C's."""

from __future__ import annotations

import re

from sqlglot import errors, exp

from workbench.query.calls import call

_SIGN = re.compile(r"%(?:%|(?P<flags>[-#+ 0,]*)(?P<width>[0-9]*)(?:\.(?P<digits>[0-9]+))?(?P<kind>[sdfexXob]))")


def format_text(node: exp.Expr) -> exp.Expr:
    """Each value is made a text by its own sign, and put in its place."""
    pattern = node.this
    if not isinstance(pattern, exp.Literal):
        raise errors.UnsupportedError("format takes only a format in quotes")
    signs = [sign for sign in _SIGN.finditer(pattern.name) if sign[0] != "%%"]
    if "%" in _SIGN.sub("", pattern.name) or len(signs) > len(node.expressions):
        raise errors.UnsupportedError(
            "format takes only %s, %d, %f, %e, %x, %X, %o and %b, and a value for each; write %% for a per cent sign"
        )
    places = _SIGN.sub(lambda sign: "%%" if sign[0] == "%%" else "%s", pattern.name)
    texts = [_text(sign, value) for sign, value in zip(signs, node.expressions, strict=False)]
    return call("printf", exp.Literal.string(places), *texts)


def _text(sign: re.Match[str], value: exp.Expr) -> exp.Expr:
    written, kind, width = sign[0], sign["kind"], int(sign["width"] or 0)
    nothing = "false" if kind == "b" else "null"
    if kind in "sb":
        written, value = f"{written[:-1]}s", exp.cast(value.copy(), "varchar")
    elif kind == "f":
        value = _rounded(value, int(sign["digits"] or 6))
    padded = nothing.ljust(width) if "-" in sign["flags"] else nothing.rjust(width)
    return exp.Coalesce(
        this=call("printf", exp.Literal.string(written), value), expressions=[exp.Literal.string(padded)]
    )


def _rounded(value: exp.Expr, digits: int) -> exp.Expr:
    """By the digits that are seen, as Java does; NaN and what is too large for a decimal stay as they are."""
    seen = exp.cast(value.copy(), "varchar")
    decimal = exp.TryCast(this=seen, to=exp.DataType.build(f"decimal(38, {min(digits, 30)})"))
    return exp.Coalesce(this=exp.cast(decimal, "double"), expressions=[exp.cast(value.copy(), "double")])
