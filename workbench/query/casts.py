"""Athena's casts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import errors, exp

from workbench.query.calls import call

_INTEGERS = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_TIMES = {exp.DType.DATE: "date", exp.DType.TIMESTAMP: "time"}
_DECIMAL = re.compile(r"[+-]?([0-9]*)\.?([0-9]*)")


def cast(node: exp.Expr) -> exp.Expr:
    """Integers: of texts of digits alone, halves away from zero. Texts: of JSON without quotes, cut to n characters."""
    to, value = node.args["to"], node.this
    for inner in to.find_all(exp.DataType):
        if inner.this is exp.DType.DECIMAL and not inner.expressions:
            inner.replace(_decimal(value))
        if inner.this is exp.DType.CHAR:
            raise errors.UnsupportedError("char fills up with blanks; use varchar")
    to = node.args["to"]
    if to.this is exp.DType.JSON:  # a text becomes a JSON text; DuckDB parses it
        return call("to_json", value)
    if to.find(exp.ColumnDef) and not isinstance(value, exp.Tuple) and value.name != "row":
        return _row(node)
    if to.this is exp.DType.DECIMAL and not value.is_string and not isinstance(value, exp.Null):
        return _by_its_digits(node)
    if to.this in _INTEGERS and not isinstance(value, exp.Literal | exp.Null):
        node.set("this", call("athena_integer", value))
    elif to.this in _INTEGERS and value.is_string:
        node.set("this", call("athena_integer", exp.cast(value.copy(), "varchar")))
    elif to.this in _TIMES and not isinstance(value, exp.Literal | exp.Null):
        node.set("this", _written(value, _TIMES[to.this], tries=isinstance(node, exp.TryCast)))
    elif to.this is exp.DType.TIME and not isinstance(value, exp.Literal | exp.Null):
        node.set("this", call("athena_clock", value))
    elif to.this is exp.DType.VARCHAR:
        if not isinstance(value, exp.Literal | exp.Null):
            node.set("this", call("athena_text", value))
        if to.expressions:
            node.set("to", exp.DataType.build("varchar"))
            return call("left", node, to.expressions[0].this)
    return node


def _by_its_digits(node: exp.Expr) -> exp.Expr:
    """1.005e0 is 1.01, as it is written; DuckDB multiplies it by 100 first, which is less than 100.5.

    A text with blanks or `_` is no number; DuckDB leaves them out.
    """
    value, digits = node.this, node.copy()
    digits.set("this", call("athena_digits", value))
    texts = [exp.Literal.string(name) for name in ("DOUBLE", "FLOAT", "JSON", "VARCHAR")]
    return exp.Case().when(exp.In(this=call("typeof", value), expressions=texts), digits).else_(node.copy())


def _row(node: exp.Expr) -> exp.Expr:
    """JSON as rows: only the fields that are named, in any case. DuckDB wants all, as they are written.

    Of rows, DuckDB takes the fields by name, Athena by place: an error where a name is new, which would give NULL.
    """
    to, value = node.args["to"], node.this
    if isinstance(value, exp.Null):
        return node
    kind, row = call("typeof", value), _from_json(call("to_json", value), to)
    is_json = exp.EQ(this=kind, expression=exp.Literal.string("JSON"))
    names = [f'(?i)[( "]{re.escape(field.name)}[ "]' for field in to.find_all(exp.ColumnDef)]
    is_new = exp.or_(*(exp.not_(call("regexp_matches", kind, exp.Literal.string(name))) for name in names))
    is_row = call("contains", kind, exp.Literal.string("STRUCT"))
    refused = node.copy()
    refused.set("this", exp.DPipe(this=exp.Literal.string("rows are cast by name: "), expression=kind.copy()))
    return (
        exp.Case()
        .when(is_json, exp.Try(this=row) if isinstance(node, exp.TryCast) else row)
        .when(exp.and_(is_row, is_new), exp.Cast(this=refused.this, to=to.copy()))
        .else_(node.copy())
    )


def _from_json(value: exp.Expr, to: exp.Expr) -> exp.Expr:
    if to.this is exp.DType.ARRAY and to.find(exp.ColumnDef):
        element = exp.to_identifier("_element")
        row = exp.Lambda(this=_from_json(exp.column("_element"), to.expressions[0]), expressions=[element])
        return call("list_transform", exp.cast(value.copy(), "json[]", dialect="duckdb"), row)
    if to.this is exp.DType.STRUCT and all(isinstance(one, exp.ColumnDef) for one in to.expressions):
        kind, fields = call("json_type", value), to.expressions
        named = [call("athena_member", value, exp.Literal.string(one.name.lower())) for one in fields]
        placed = [call("json_extract", value, exp.Literal.string(f"$[{place}]")) for place in range(len(fields))]
        return (
            exp.Case()
            .when(exp.EQ(this=kind, expression=exp.Literal.string("OBJECT")), _struct(fields, named))
            .when(exp.EQ(this=kind.copy(), expression=exp.Literal.string("ARRAY")), _struct(fields, placed))
            .else_(exp.Cast(this=value.copy(), to=to.copy()))
        )
    inner = exp.Cast(this=value.copy(), to=to.copy())
    return inner if to.find(exp.ColumnDef) else cast(inner)


def _struct(fields: Sequence[exp.Expr], values: Sequence[exp.Expr]) -> exp.Expr:
    pairs = [
        exp.PropertyEQ(this=field.this.copy(), expression=_from_json(value, field.args["kind"]))
        for field, value in zip(fields, values, strict=True)
    ]
    return exp.Struct(expressions=pairs)


def _decimal(value: exp.Expr) -> exp.Expr:
    """What `decimal` alone is: of `DECIMAL '1.50'` its own digits, else (38, 0). DuckDB's is (18, 3)."""
    digits = _DECIMAL.fullmatch(value.name) if value.is_string else None
    precision, scale = (len(digits[1] + digits[2]), len(digits[2])) if digits else (38, 0)
    return exp.DataType.build(f"decimal({max(precision, 1)}, {scale})")


def date(node: exp.Expr) -> exp.Expr:
    return cast(exp.cast(node.this.copy(), "date")) if node.this is not None and not node.expressions else node


def _written(value: exp.Expr, to: str, *, tries: bool) -> exp.Expr:
    """Not as `2026-01-01T10:00:00Z`, and a date without a time; DuckDB reads both."""
    if tries:
        return exp.Case().when(call(f"athena_is_{to}", value), value.copy())
    return call(f"athena_{to}", value)
