"""What Athena means, where DuckDB has a function of the same name that answers something else.

sqlglot translates the names. Where an answer would differ all the same, the expression is replaced here by one that
gives Athena's, or refused; docs/workbench.md lists the differences that are left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import errors, exp

from workbench.query import times
from workbench.query.calls import by_type, call
from workbench.query.casts import cast, date
from workbench.query.java_format import format_text
from workbench.query.patterns import words

_WHITESPACE = " \t\n\x0b\f\r"
_PATH = (exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript)
_ARRAYS = (
    exp.Array,
    exp.ArrayAgg,
    exp.ArrayDistinct,
    exp.ArrayFilter,
    exp.ArraySort,
    exp.GenerateSeries,
    exp.Split,
    exp.Transform,
)
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


def _max_by(node: exp.Expr) -> exp.Expr:
    """The value beside the greatest, also if it is NULL; DuckDB looks for one that is not."""
    if node.args.get("count") is not None:
        raise errors.UnsupportedError("max_by and min_by take no number of values")
    return call("arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null", node.this, node.expression)


def _regexp_extract(node: exp.Expr) -> exp.Expr:
    """NULL where nothing matches; DuckDB gives an empty text."""
    group = node.args.get("group") or exp.Literal.number(0)
    return _first_of(call("regexp_extract_all", node.this, words(node).expression, group), exp.Literal.number(1))


def _split_part(node: exp.Expr) -> exp.Expr:
    """NULL where there are not so many parts; DuckDB gives an empty text."""
    return _first_of(call("str_split", node.this, node.args["delimiter"]), node.args["part_index"])


def _first_of(found: exp.Expr, at: exp.Expr) -> exp.Expr:
    return call("list_extract", found, at)


def _regexp_replace(node: exp.Expr) -> exp.Expr:
    """Groups are `$1` in Athena, `\\1` in DuckDB."""
    words(node)
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
    node.set("this", call("athena_json", node.this))
    return node


def _json_scalar(node: exp.Expr) -> exp.Expr:
    """NULL where an object or an array is found; DuckDB gives its text."""
    _check_path(node)
    found = exp.JSONExtract(this=call("athena_json", node.this), expression=node.expression.copy())
    return call("athena_scalar", found)


def _check_path(node: exp.Expr) -> None:
    for part in node.expression.find_all(exp.JSONPathPart):
        if not isinstance(part, _PATH) or not isinstance(part.args.get("this", ""), str | int):
            raise errors.UnsupportedError("json_extract takes only keys and places in its path")


def _no_sql_json(_: exp.Expr) -> exp.Expr:
    """DuckDB takes `lax $.a` for a key, and finds nothing."""
    raise errors.UnsupportedError("json_query and json_value are not translated; use json_extract_scalar")


def _slice(node: exp.Expr) -> exp.Expr:
    """The third argument is how many; DuckDB takes it for where to end."""
    return call("athena_slice", node.this, node.args["start"], node.args["end"])


def _position(node: exp.Expr) -> exp.Expr:
    """0 where it is not there; DuckDB gives NULL."""
    return call("athena_position", node.this, node.expression)


def _sha1(node: exp.Expr) -> exp.Expr:
    """Binary, as of md5 and sha256; DuckDB gives hexadecimal digits."""
    return call("unhex", call("sha1", node.this))


def _fetch(node: exp.Expr) -> exp.Expr:
    options = node.args.get("limit_options")
    if options is not None and options.args.get("with_ties"):
        raise errors.UnsupportedError("WITH TIES is not translated; use rank() in a subquery")
    return node


def _unnest(node: exp.Expr) -> exp.Expr:
    """Each field of a row is a column, and several arrays stand beside each other; DuckDB takes one, whole."""
    alias, arrays, place = node.args.get("alias"), node.expressions, node.args.get("offset")
    names = [*(alias.columns if alias is not None else ()), *([place] if isinstance(place, exp.Identifier) else ())]
    if len(arrays) > 1:
        lengths = [exp.Coalesce(this=call("len", one), expressions=[exp.Literal.number(0)]) for one in arrays]
        longest = exp.Greatest(this=lengths[0], expressions=lengths[1:])
        numbers = [call("generate_series", exp.Literal.number(1), longest)] if place else []
        if len(names) != len(arrays) + len(numbers):
            raise errors.UnsupportedError(
                "UNNEST of several arrays takes a name for each column, and no arrays of rows"
            )
        columns = [call("unnest", array) for array in (*arrays, *numbers)]
    elif alias is None or len(alias.columns) <= 1:
        return node
    elif place:
        raise errors.UnsupportedError("UNNEST of rows takes one array, without ORDINALITY")
    else:
        depth = exp.PropertyEQ(this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2))
        columns = [call("unnest", arrays[0], depth)]
    named = exp.TableAlias(
        this=alias.this.copy() if alias is not None else None, columns=[name.copy() for name in names]
    )
    return exp.Lateral(this=exp.select(*columns).subquery(), alias=named)


def _anonymous(node: exp.Expr) -> exp.Expr:
    name, arguments = node.name.upper(), node.expressions
    if name == "AT_TIMEZONE" and len(arguments) == 2:  # `x AT TIME ZONE zone` as sqlglot has written it for Athena
        time, zone = arguments
        return times.in_zone(time, zone)
    if name == "JSON_ARRAY_LENGTH" and len(arguments) == 1:  # NULL where there is none
        return call("athena_array_length", *arguments)
    if name == "MAP_CONCAT":
        return _null_of_null(node)
    if name == "TO_BASE":  # its digits are small letters
        return call("lower", node.copy())
    if name == "URL_DECODE" and len(arguments) == 1:  # a plus sign is a blank
        plus, blank = exp.Literal.string("+"), exp.Literal.string(" ")
        return call("url_decode", call("replace", *arguments, plus, blank))
    if name == "MILLISECOND" and len(arguments) == 1:  # DuckDB counts those of the seconds in, too
        return exp.paren(exp.Mod(this=call("millisecond", *arguments), expression=exp.Literal.number(1000)))
    return node


def _split(node: exp.Expr) -> exp.Expr:
    if node.args.get("limit") is not None:
        raise errors.UnsupportedError("split takes no limit")
    return node


def _percentile(node: exp.Expr) -> exp.Expr:
    """Several at once are an array; where an element of it is taken, sqlglot makes a double of the whole."""
    if node.args.get("weight") is not None:
        raise errors.UnsupportedError("approx_percentile takes two arguments")
    return call("approx_quantile", node.this, node.args["quantile"])


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


def _count_if(node: exp.Expr) -> exp.Expr:
    """0 of no rows; DuckDB gives NULL."""
    return exp.Count(this=exp.Case().when(node.this.copy(), exp.Literal.number(1)))


def _finite(node: exp.Expr) -> exp.Expr:
    """NULL of one row, or where nothing differs; DuckDB gives NaN."""
    whole = node
    while isinstance(whole.parent, exp.Filter | exp.Window) and whole.parent.this is whole:
        whole = whole.parent
    finite = exp.Nullif(this=exp.null(), expression=exp.cast(exp.Literal.string("NaN"), "double"))
    whole.replace(finite)
    finite.set("this", whole)
    return node


def _floor(node: exp.Expr) -> exp.Expr:
    """An integer stays one; DuckDB makes a double of it."""
    return by_type("athena_ceil" if isinstance(node, exp.Ceil) else "athena_floor", node.this)


def _listagg(node: exp.Expr) -> exp.Expr:
    """Without a separator, nothing is between; sqlglot writes a comma."""
    if node.args.get("separator") is None:
        node.set("separator", exp.Literal.string(""))
    return node


def _struct(node: exp.Expr) -> exp.Expr:
    """A row without names is compared and cast by place; sqlglot gives its fields names."""
    named = any(isinstance(one, exp.PropertyEQ) for one in node.expressions)
    return node if named or isinstance(node.parent, exp.Bracket) else call("row", *node.expressions)


def _substring(node: exp.Expr) -> exp.Expr:
    """Empty where it starts before the text or its length is less than 0; DuckDB counts on, or backwards."""
    return call("athena_part", node.this, node.args["start"], node.args.get("length"))


def _bitwise(node: exp.Expr) -> exp.Expr:
    """The signs of DuckDB bind less than `+`, as functions do not: `bitwise_and(5, 3) + 1` is 2."""
    if isinstance(node, exp.BitwiseNot):
        node.set("this", exp.paren(node.this.copy()))
    return exp.paren(node.copy())


def _field(node: exp.Expr) -> exp.Expr:
    """A field of a lambda's name; DuckDB looks for a column of that name first."""
    of, field = node.this, node.expression
    if isinstance(of, exp.Identifier) and isinstance(field, exp.Identifier):
        return call("struct_extract", of, exp.Literal.string(field.name))
    return node


def _bracket(node: exp.Expr) -> exp.Expr:
    """An element of what stands together, `a || b`, which sqlglot writes without brackets."""
    of = node.this
    if isinstance(of, exp.Binary | exp.Concat) and not isinstance(of, exp.Dot):
        node.set("this", exp.paren(of.copy()))
    while isinstance(of, exp.Filter | exp.Window):
        of = of.this
    if isinstance(of, exp.Anonymous) and of.name == "approx_quantile":  # not counted from 0, as no array for sqlglot
        node.set("offset", 1)
    return node


def _reverse(node: exp.Expr) -> exp.Expr:
    """Of an array, too; DuckDB has another function for it."""
    of = node.this
    is_array = isinstance(of, _ARRAYS) or (isinstance(of, exp.Cast) and of.to.this is exp.DType.ARRAY)
    return call("list_reverse", of) if is_array else node


def _array_join(node: exp.Expr) -> exp.Expr:
    """Empty where all elements are NULL; DuckDB gives NULL."""
    empty = exp.Coalesce(this=node.copy(), expressions=[exp.Literal.string("")])
    return exp.Case().when(_is_given(node.this), empty)


def _concat_ws(node: exp.Expr) -> exp.Expr:
    """NULL of an array that is NULL; DuckDB gives an empty text, as for texts."""
    return call("athena_join_with", *node.expressions) if len(node.expressions) == 2 else node


def _null_of_null(node: exp.Expr) -> exp.Expr:
    """NULL where an argument is; DuckDB goes on without it."""
    return exp.Case().when(exp.and_(*(_is_given(one) for one in node.expressions)), node.copy())


def _is_given(value: exp.Expr) -> exp.Expr:
    return exp.not_(exp.Is(this=exp.paren(value.copy()), expression=exp.null()))


def _distance(node: exp.Expr) -> exp.Expr:
    """Counted in letters; DuckDB counts bytes."""
    return call("athena_distance", node.this, node.expression)


def _any_accuracy(node: exp.Expr) -> exp.Expr:
    node.set("accuracy", None)
    return node


_CHANGES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Add: times.add,
    exp.Anonymous: _anonymous,
    exp.ApproxDistinct: _any_accuracy,
    exp.ApproxQuantile: _percentile,
    exp.ArgMax: _max_by,
    exp.ArgMin: _max_by,
    exp.ArrayIntersect: _null_of_null,
    exp.ArrayPosition: _position,
    exp.ArraySlice: _slice,
    exp.ArrayToString: _array_join,
    exp.AtTimeZone: times.at_time_zone,
    exp.BitwiseAnd: _bitwise,
    exp.BitwiseNot: _bitwise,
    exp.BitwiseOr: _bitwise,
    exp.Bracket: _bracket,
    exp.Cast: cast,
    exp.Ceil: _floor,
    exp.ConcatWs: _concat_ws,
    exp.Corr: _finite,
    exp.CountIf: _count_if,
    exp.Date: date,
    exp.DateAdd: times.date_add,
    exp.DateDiff: times.date_diff,
    exp.DateTrunc: times.date_trunc,
    exp.Dot: _field,
    exp.Extract: times.extract,
    exp.Fetch: _fetch,
    exp.Floor: _floor,
    exp.Format: format_text,
    exp.FromISO8601Timestamp: times.from_iso,
    exp.GenerateSeries: times.sequence,
    exp.GroupConcat: _listagg,
    exp.JSONExtract: _json_extract,
    exp.JSONExtractScalar: _json_scalar,
    exp.JSONValue: _no_sql_json,
    exp.Levenshtein: _distance,
    exp.RegexpCount: words,
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpExtractAll: words,
    exp.RegexpLike: words,
    exp.RegexpReplace: _regexp_replace,
    exp.RegexpSplit: words,
    exp.RegrIntercept: _finite,
    exp.RegrSlope: _finite,
    exp.Reverse: _reverse,
    exp.SHA: _sha1,
    exp.Select: _select,
    exp.Split: _split,
    exp.SplitPart: _split_part,
    exp.StrToTime: times.date_parse,
    exp.Struct: _struct,
    exp.Sub: times.subtract,
    exp.Substring: _substring,
    exp.TimeToStr: times.date_format,
    exp.TimestampTrunc: times.date_trunc,
    exp.Trim: _trim,
    exp.TryCast: cast,
    exp.UnixToTime: times.from_unixtime,
    exp.Unnest: _unnest,
}
