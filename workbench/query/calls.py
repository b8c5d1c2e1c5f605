"""Calls of DuckDB's functions and of our macros, to put into a query."""

from __future__ import annotations

from sqlglot import exp

_TYPED_AS_FIRST = {"arg_max_null", "arg_min_null", "athena_later", "athena_start", "athena_floor", "athena_ceil"}
_WHOLE = (exp.ApproxDistinct, exp.Count, exp.CountIf, exp.DenseRank, exp.Ntile, exp.Rank, exp.RowNumber)
_AS_ARGUMENT = (
    exp.AnyValue,
    exp.BitwiseAndAgg,
    exp.BitwiseOrAgg,
    exp.FirstValue,
    exp.Lag,
    exp.LastValue,
    exp.Lead,
    exp.Max,
    exp.Min,
    exp.NthValue,
    exp.Sum,
)


def call(name: str, *arguments: exp.Expr | None) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[one.copy() for one in arguments if one is not None])


def by_type(name: str, value: exp.Expr, *arguments: exp.Expr) -> exp.Expr:
    """A call of a macro that has a body for each type of `value`.

    DuckDB chooses one before it can tell the type of an aggregate. So it is given the value without aggregates, too.
    """
    return call(name, value.copy().transform(_without_aggregate), value, *arguments)


def _without_aggregate(node: exp.Expr) -> exp.Expr:
    """What has the type of a node, such as `x` of `max(x) OVER (...)`."""
    if isinstance(node, _WHOLE):
        return exp.Literal.number(1)
    if isinstance(node, exp.ArrayAgg):
        return exp.Array(expressions=[_without_aggregate(node.this)])
    if isinstance(node, exp.Anonymous) and node.name == "approx_quantile":
        value, share = node.expressions
        return exp.Array(expressions=[value]) if isinstance(share, exp.Array) else _without_aggregate(value)
    is_other = isinstance(node, exp.AggFunc) and not isinstance(node, _AS_ARGUMENT)
    if is_other or (isinstance(node, exp.Anonymous) and node.name.upper() == "GEOMETRIC_MEAN"):
        return exp.cast(exp.Literal.number(1), "double")
    if isinstance(node, exp.Window | exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.Order | exp.AggFunc):
        return _without_aggregate(node.this)
    if isinstance(node, exp.Distinct) or (isinstance(node, exp.Anonymous) and node.name in _TYPED_AS_FIRST):
        return _without_aggregate(node.expressions[0])
    return node
