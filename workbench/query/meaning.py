"""What Athena means, where DuckDB has a function of the same name that answers something else.

sqlglot translates the names. Where an answer would differ all the same, the expression is replaced here by one that
gives Athena's, or refused; docs/workbench.md lists the differences that are left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import errors, exp

_INTEGERS = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_TIMES = {exp.DType.DATE: "date", exp.DType.TIMESTAMP: "time"}
_TYPED_AS_FIRST = {"arg_max_null", "arg_min_null", "athena_later", "athena_start"}
_WHITESPACE = " \t\n\x0b\f\r"
_PATH = (exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript)
_PARTS = {  # of a time, as EXTRACT names them
    "DAYOFWEEK": "ISODOW",
    "DOW": "ISODOW",
    "DAY_OF_WEEK": "ISODOW",
    "YOW": "ISOYEAR",
    "YEAR_OF_WEEK": "ISOYEAR",
    "DAY_OF_YEAR": "DOY",
    "DAY_OF_MONTH": "DAY",
}
_DECIMAL = re.compile(r"[+-]?([0-9]*)\.?([0-9]*)")
_IN_FORMAT = re.compile(r"%(?:%|[-#+ 0,(]*[0-9]*(?:\.[0-9]+)?[a-zA-Z])")
_IN_REPLACEMENT = re.compile(r"\\(.)|\$(\d)|(\$\{?)|(\\)", re.DOTALL)


def with_athenas_meaning(statement: exp.Expr) -> exp.Expr:
    """The statement with what DuckDB would answer otherwise replaced, the innermost first.

    Raises:
        UnsupportedError: something in it has no equal in DuckDB.
    """
    for node in reversed(list(statement.walk())):
        change = _CHANGES.get(type(node))
        if change is not None:
            changed = change(node)
            if changed is not node:
                node.replace(changed)
    return statement


def _call(name: str, *arguments: exp.Expr | None) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[one.copy() for one in arguments if one is not None])


def _by_type(name: str, value: exp.Expr, *arguments: exp.Expr) -> exp.Expr:
    """A call of a macro that has a body for each type of `value`.

    DuckDB chooses one before it can tell the type of an aggregate. So it is given the value without aggregates, too.
    """
    return _call(name, value.copy().transform(_without_aggregate), value, *arguments)


def _without_aggregate(node: exp.Expr) -> exp.Expr:
    """What has the type of a node, such as `x` of `max(x) OVER (...)`."""
    if isinstance(node, exp.Count | exp.CountIf):
        return exp.Literal.number(1)
    if isinstance(node, exp.Window | exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.AggFunc):
        return _without_aggregate(node.this)
    if isinstance(node, exp.Distinct) or (isinstance(node, exp.Anonymous) and node.name in _TYPED_AS_FIRST):
        return _without_aggregate(node.expressions[0])
    return node


def _date_diff(node: exp.Expr) -> exp.Expr:
    """Whole units that have passed; DuckDB's date_diff counts the bounds of days, months ... between."""
    return _call("date_sub", exp.Literal.string(node.text("unit").lower() or "day"), node.expression, node.this)


def _date_add(node: exp.Expr) -> exp.Expr:
    """A date stays a date; DuckDB makes a timestamp of it, whose text is never equal to a `dt`."""
    step = exp.Interval(this=exp.paren(node.expression), unit=node.args["unit"])
    return _by_type("athena_later", node.this, step)


def _add(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if _is_interval(left) == _is_interval(right):
        return node
    return _by_type("athena_later", left, right) if _is_interval(right) else _by_type("athena_later", right, left)


def _subtract(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if _is_interval(left) or not _is_interval(right):
        return node
    return _by_type("athena_later", left, exp.Neg(this=exp.paren(right)))


def _is_interval(node: exp.Expr) -> bool:
    if isinstance(node, exp.Paren | exp.Neg):
        return _is_interval(node.this)
    if isinstance(node, exp.Mul | exp.Div | exp.Add | exp.Sub):
        return _is_interval(node.this) or (isinstance(node, exp.Mul) and _is_interval(node.expression))
    return isinstance(node, exp.Interval)


def _date_trunc(node: exp.Expr) -> exp.Expr:
    return _by_type("athena_start", node.this, exp.Literal.string(node.text("unit").lower()))


def _sequence(node: exp.Expr) -> exp.Expr:
    step = node.args.get("step")
    if step is None:  # down, if the end is less
        is_down = exp.LT(this=exp.paren(node.args["end"].copy()), expression=exp.paren(node.args["start"].copy()))
        node.set("step", exp.Case().when(is_down, exp.Literal.number(-1)).else_(exp.Literal.number(1)))
    if step is None or not _is_interval(step):
        return node
    return _by_type("athena_series", node.args["start"], node.args["end"], step)


def _max_by(node: exp.Expr) -> exp.Expr:
    """The value beside the greatest, also if it is NULL; DuckDB looks for one that is not."""
    if node.args.get("count") is not None:
        raise errors.UnsupportedError("max_by and min_by take no number of values")
    return _call("arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null", node.this, node.expression)


def _regexp_extract(node: exp.Expr) -> exp.Expr:
    """NULL where nothing matches; DuckDB gives an empty text."""
    group = node.args.get("group") or exp.Literal.number(0)
    return _first_of(_call("regexp_extract_all", node.this, node.expression, group), exp.Literal.number(1))


def _split_part(node: exp.Expr) -> exp.Expr:
    """NULL where there are not so many parts; DuckDB gives an empty text."""
    return _first_of(_call("str_split", node.this, node.args["delimiter"]), node.args["part_index"])


def _first_of(found: exp.Expr, at: exp.Expr) -> exp.Expr:
    return _call("list_extract", found, at)


def _regexp_replace(node: exp.Expr) -> exp.Expr:
    """Groups are `$1` in Athena, `\\1` in DuckDB."""
    given = node.args.get("replacement")
    if given is None:
        return node
    if not isinstance(given, exp.Literal):
        raise errors.UnsupportedError("regexp_replace takes only a replacement in quotes")
    node.set("replacement", exp.Literal.string(_IN_REPLACEMENT.sub(_as_re2, given.name)))
    return node


def _as_re2(found: re.Match[str]) -> str:
    if found[2]:
        return f"\\{found[2]}"
    if found[3] or found[4]:
        raise errors.UnsupportedError("regexp_replace takes only $0 to $9 for groups, and \\$ for a dollar sign")
    return "\\\\" if found[1] == "\\" else found[1]


def _json_extract(node: exp.Expr) -> exp.Expr:
    """NULL where the text is no JSON, as in quarantine; DuckDB ends the query."""
    if node.args.get("json_query"):
        return _no_sql_json(node)
    _check_path(node)
    node.set("this", _call("athena_json", node.this))
    return node


def _json_scalar(node: exp.Expr) -> exp.Expr:
    """NULL where an object or an array is found; DuckDB gives its text."""
    _check_path(node)
    found = exp.JSONExtract(this=_call("athena_json", node.this), expression=node.expression.copy())
    return _call("athena_scalar", found)


def _check_path(node: exp.Expr) -> None:
    for part in node.expression.find_all(exp.JSONPathPart):
        if not isinstance(part, _PATH) or not isinstance(part.args.get("this", ""), str | int):
            raise errors.UnsupportedError("json_extract takes only keys and places in its path")


def _no_sql_json(_: exp.Expr) -> exp.Expr:
    """DuckDB takes `lax $.a` for a key, and finds nothing."""
    raise errors.UnsupportedError("json_query and json_value are not translated; use json_extract_scalar")


def _slice(node: exp.Expr) -> exp.Expr:
    """The third argument is how many; DuckDB takes it for where to end."""
    return _call("athena_slice", node.this, node.args["start"], node.args["end"])


def _position(node: exp.Expr) -> exp.Expr:
    """0 where it is not there; DuckDB gives NULL."""
    return _call("athena_position", node.this, node.expression)


def _extract(node: exp.Expr) -> exp.Expr:
    """Monday is 1 and Sunday 7; DuckDB has 0 for Sunday."""
    part = _PARTS.get(node.name.upper())
    if part is not None:
        node.set("this", exp.var(part))
    return node


def _from_unixtime(node: exp.Expr) -> exp.Expr:
    """Of two arguments, the second is a zone, which sqlglot leaves out."""
    zone = node.args.get("zone")
    if zone is None:
        return node
    node.set("zone", None)
    return _in_zone(node, zone)


def _at_time_zone(node: exp.Expr) -> exp.Expr:
    return _in_zone(node.this, node.args["zone"])


def _in_zone(time: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """The clock's time there. A time without a zone is UTC's; DuckDB takes it for the clock's there."""
    time = time.unnest()
    if isinstance(time, exp.AtTimeZone):  # the same moment, whatever its zone was
        time = time.this
    elif not isinstance(time, exp.Cast) and time.find(exp.AtTimeZone):
        raise errors.UnsupportedError("AT TIME ZONE takes nothing that is calculated from another AT TIME ZONE")
    return exp.AtTimeZone(this=exp.cast(time.copy(), "timestamptz"), zone=zone.copy())


def _cast(node: exp.Expr) -> exp.Expr:
    """Integers: of texts of digits alone, halves away from zero. Texts: of JSON without quotes, cut to n characters."""
    to, value = node.args["to"], node.this
    for inner in to.find_all(exp.DataType):
        if inner.this is exp.DType.DECIMAL and not inner.expressions:
            inner.replace(_decimal(value))
    to = node.args["to"]
    if to.this is exp.DType.JSON:  # a text becomes a JSON text; DuckDB parses it
        return _call("to_json", value)
    if to.this in _INTEGERS and not isinstance(value, exp.Literal | exp.Null):
        node.set("this", _call("athena_integer", value))
    elif to.this in _INTEGERS and value.is_string:
        node.set("this", _call("athena_integer", exp.cast(value.copy(), "varchar")))
    elif to.this in _TIMES and not isinstance(value, exp.Literal | exp.Null):
        node.set("this", _written(value, _TIMES[to.this], tries=isinstance(node, exp.TryCast)))
    elif to.this is exp.DType.VARCHAR:
        if isinstance(value, exp.JSONExtract | exp.ParseJSON) or (
            isinstance(value, exp.Anonymous) and value.name == "to_json"
        ):
            node.set("this", _call("json_extract_string", value, exp.Literal.string("$")))
        if to.expressions:
            node.set("to", exp.DataType.build("varchar"))
            return _call("left", node, to.expressions[0].this)
    return node


def _decimal(value: exp.Expr) -> exp.Expr:
    """What `decimal` alone is: of `DECIMAL '1.50'` its own digits, else (38, 0). DuckDB's is (18, 3)."""
    digits = _DECIMAL.fullmatch(value.name) if value.is_string else None
    precision, scale = (len(digits[1] + digits[2]), len(digits[2])) if digits else (38, 0)
    return exp.DataType.build(f"decimal({max(precision, 1)}, {scale})")


def _date(node: exp.Expr) -> exp.Expr:
    return _cast(exp.cast(node.this.copy(), "date")) if node.this is not None and not node.expressions else node


def _written(value: exp.Expr, to: str, *, tries: bool) -> exp.Expr:
    """Not as `2026-01-01T10:00:00Z`, and a date without a time; DuckDB reads both."""
    if tries:
        return exp.Case().when(_call(f"athena_is_{to}", value), value.copy())
    return _call(f"athena_{to}", value)


def _sha1(node: exp.Expr) -> exp.Expr:
    """Binary, as of md5 and sha256; DuckDB gives hexadecimal digits."""
    return _call("unhex", _call("sha1", node.this))


def _fetch(node: exp.Expr) -> exp.Expr:
    options = node.args.get("limit_options")
    if options is not None and options.args.get("with_ties"):
        raise errors.UnsupportedError("WITH TIES is not translated; use rank() in a subquery")
    return node


def _unnest(node: exp.Expr) -> exp.Expr:
    """Each field of a row is a column; DuckDB makes one of the whole row."""
    alias = node.args.get("alias")
    if alias is None or len(alias.columns) <= len(node.expressions):
        return node
    if len(node.expressions) > 1 or node.args.get("offset"):
        raise errors.UnsupportedError("UNNEST of rows takes one array, without ORDINALITY")
    depth = exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))
    return exp.Lateral(this=exp.select(_call("unnest", *node.expressions, depth)).subquery(), alias=alias.copy())


def _format(node: exp.Expr) -> exp.Expr:
    """Of Java's signs (`%.2f`); DuckDB's format has Python's."""
    pattern = node.this
    if not isinstance(pattern, exp.Literal):
        raise errors.UnsupportedError("format takes only a format in quotes")
    signs = [sign for sign in _IN_FORMAT.findall(pattern.name) if sign != "%%"]
    values = [
        exp.cast(value.copy(), "varchar") if sign[-1] in "sS" else value.copy()
        for sign, value in zip(signs, node.expressions, strict=False)
    ]
    return _call("printf", pattern, *values)


def _anonymous(node: exp.Expr) -> exp.Expr:
    name, arguments = node.name.upper(), node.expressions
    if name == "AT_TIMEZONE" and len(arguments) == 2:  # `x AT TIME ZONE zone` as sqlglot has written it for Athena
        time, zone = arguments
        return _in_zone(time, zone)
    if name == "JSON_ARRAY_LENGTH" and len(arguments) == 1:  # NULL where there is none
        return _call("athena_array_length", *arguments)
    if name == "TO_BASE":  # its digits are small letters
        return _call("lower", node.copy())
    if name == "URL_DECODE" and len(arguments) == 1:  # a plus sign is a blank
        plus, blank = exp.Literal.string("+"), exp.Literal.string(" ")
        return _call("url_decode", _call("replace", *arguments, plus, blank))
    if name == "MILLISECOND" and len(arguments) == 1:  # DuckDB counts those of the seconds in, too
        return exp.paren(exp.Mod(this=_call("millisecond", *arguments), expression=exp.Literal.number(1000)))
    return node


def _split(node: exp.Expr) -> exp.Expr:
    if node.args.get("limit") is not None:
        raise errors.UnsupportedError("split takes no limit")
    return node


def _percentile(node: exp.Expr) -> exp.Expr:
    if node.args.get("weight") is not None:
        raise errors.UnsupportedError("approx_percentile takes two arguments")
    return node


def _trim(node: exp.Expr) -> exp.Expr:
    """Line ends and tabs, too; DuckDB takes away spaces alone."""
    if node.args.get("expression") is None:
        node.set("expression", exp.Literal.string(_WHITESPACE))
    return node


def _select(node: exp.Expr) -> exp.Expr:
    """In ORDER BY, a name is one of the answer's first; DuckDB's only where it stands alone."""
    order = node.args.get("order")
    given = {one.alias.lower(): one.this for one in node.args["expressions"] if isinstance(one, exp.Alias)}
    for one in order.expressions if order is not None else ():
        for column in list(one.this.find_all(exp.Column)):
            is_ours = column.find_ancestor(exp.AggFunc, exp.Lambda, exp.Query) is node
            if column is not one.this and is_ours and not column.table and column.name.lower() in given:
                column.replace(exp.paren(given[column.name.lower()].copy()))
    return node


def _any_accuracy(node: exp.Expr) -> exp.Expr:
    node.set("accuracy", None)
    return node


_CHANGES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Add: _add,
    exp.Anonymous: _anonymous,
    exp.ApproxDistinct: _any_accuracy,
    exp.ApproxQuantile: _percentile,
    exp.ArgMax: _max_by,
    exp.ArgMin: _max_by,
    exp.ArrayPosition: _position,
    exp.ArraySlice: _slice,
    exp.AtTimeZone: _at_time_zone,
    exp.Cast: _cast,
    exp.Date: _date,
    exp.DateAdd: _date_add,
    exp.DateDiff: _date_diff,
    exp.DateTrunc: _date_trunc,
    exp.Extract: _extract,
    exp.Fetch: _fetch,
    exp.Format: _format,
    exp.GenerateSeries: _sequence,
    exp.JSONExtract: _json_extract,
    exp.JSONExtractScalar: _json_scalar,
    exp.JSONValue: _no_sql_json,
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.SHA: _sha1,
    exp.Select: _select,
    exp.Split: _split,
    exp.SplitPart: _split_part,
    exp.Sub: _subtract,
    exp.TimestampTrunc: _date_trunc,
    exp.Trim: _trim,
    exp.TryCast: _cast,
    exp.UnixToTime: _from_unixtime,
    exp.Unnest: _unnest,
}
