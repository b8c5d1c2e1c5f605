"""The functions of Athena's whose answers here have been compared with Athena's documentation.

Any other is refused, also one that DuckDB has: a name in common does not make the same answer. Each one here has a case
in tests/unit/workbench/athena_answers.py.
"""

from __future__ import annotations

from sqlglot import errors, exp

_OPERATORS = {exp.And, exp.Or, exp.Case, exp.Exists, exp.Unnest}  # that sqlglot has as functions, too
_OF_ATHENA: set[type[exp.Expr]] = {
    # rows and windows
    exp.AnyValue,
    exp.ApproxDistinct,
    exp.ApproxQuantile,
    exp.ArgMax,
    exp.ArgMin,
    exp.ArrayAgg,
    exp.Avg,
    exp.BitwiseAndAgg,
    exp.BitwiseOrAgg,
    exp.Corr,
    exp.Count,
    exp.CountIf,
    exp.CovarPop,
    exp.CovarSamp,
    exp.CumeDist,
    exp.DenseRank,
    exp.FirstValue,
    exp.GroupConcat,
    exp.Grouping,
    exp.Lag,
    exp.LastValue,
    exp.Lead,
    exp.LogicalAnd,
    exp.LogicalOr,
    exp.Max,
    exp.Min,
    exp.NthValue,
    exp.Ntile,
    exp.PercentRank,
    exp.Rank,
    exp.RegrIntercept,
    exp.RegrSlope,
    exp.RowNumber,
    exp.Stddev,
    exp.StddevPop,
    exp.StddevSamp,
    exp.Sum,
    exp.Variance,
    exp.VariancePop,
    # values of any type
    exp.Cast,
    exp.Coalesce,
    exp.Greatest,
    exp.If,
    exp.Least,
    exp.Nullif,
    exp.Try,
    exp.TryCast,
    exp.Uuid,
    # numbers
    exp.Abs,
    exp.Acos,
    exp.Asin,
    exp.Atan,
    exp.Atan2,
    exp.Cbrt,
    exp.Ceil,
    exp.Cos,
    exp.Cosh,
    exp.Degrees,
    exp.Exp,
    exp.Floor,
    exp.Ln,
    exp.Log,
    exp.Pi,
    exp.Pow,
    exp.Radians,
    exp.Rand,
    exp.Round,
    exp.Sign,
    exp.Sin,
    exp.Sinh,
    exp.Sqrt,
    exp.Tan,
    exp.Tanh,
    exp.Trunc,
    # texts and binary
    exp.Chr,
    exp.Concat,
    exp.ConcatWs,
    exp.Decode,
    exp.Encode,
    exp.EndsWith,
    exp.Format,
    exp.FromBase64,
    exp.Hex,
    exp.Length,
    exp.Levenshtein,
    exp.Lower,
    exp.LowerHex,  # lower(to_hex(x))
    exp.MD5Digest,
    exp.Pad,
    exp.RegexpCount,
    exp.RegexpExtract,
    exp.RegexpExtractAll,
    exp.RegexpLike,
    exp.RegexpReplace,
    exp.RegexpSplit,
    exp.Replace,
    exp.Reverse,
    exp.SHA,
    exp.SHA2Digest,
    exp.Split,
    exp.SplitPart,
    exp.StartsWith,
    exp.StrPosition,
    exp.Substring,
    exp.ToBase64,
    exp.Translate,
    exp.Trim,
    exp.Unhex,
    exp.Upper,
    # times
    exp.CurrentDate,
    exp.CurrentTimestamp,
    exp.Date,
    exp.DateAdd,
    exp.DateDiff,
    exp.DateTrunc,
    exp.Day,
    exp.DayOfMonth,
    exp.DayOfWeekIso,
    exp.DayOfYear,
    exp.Extract,
    exp.FromISO8601Date,
    exp.FromISO8601Timestamp,
    exp.Hour,
    exp.LastDay,
    exp.Localtimestamp,
    exp.Minute,
    exp.Month,
    exp.Quarter,
    exp.Second,
    exp.StrToTime,
    exp.TimeToStr,
    exp.TimeToUnix,
    exp.TimestampTrunc,
    exp.UnixToTime,
    exp.WeekOfYear,
    exp.Year,
    exp.YearOfWeek,
    # arrays, maps, rows
    exp.Array,
    exp.ArrayContains,
    exp.ArrayDistinct,
    exp.ArrayExcept,
    exp.ArrayFilter,
    exp.ArrayIntersect,
    exp.ArrayMax,
    exp.ArrayMin,
    exp.ArrayPosition,
    exp.ArrayRemove,
    exp.ArraySize,
    exp.ArraySlice,
    exp.ArraySort,
    exp.ArrayToString,
    exp.Flatten,
    exp.GenerateSeries,
    exp.Map,
    exp.MapFromEntries,
    exp.MapKeys,
    exp.Struct,
    exp.Transform,
    # JSON
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.JSONFormat,
    exp.ParseJSON,
}
_BY_NAME = {  # those that sqlglot does not know
    "AT_TIMEZONE",
    "GEOMETRIC_MEAN",
    "HISTOGRAM",
    "JSON_ARRAY_LENGTH",
    "MAP_CONCAT",
    "MAP_ENTRIES",
    "MAP_VALUES",
    "MILLISECOND",
    "TO_BASE",
    "URL_DECODE",
}

_INSTEAD = {
    "every": "bool_and",
    "format_datetime": "date_format",
    "json_exists": "json_extract_scalar",
    "parse_datetime": "date_parse",
}
COMPARED = frozenset(_OF_ATHENA) | frozenset(_BY_NAME)


def check_functions(statement: exp.Expr) -> None:
    """Let only functions pass whose answers have been compared.

    Raises:
        UnsupportedError: another is called; the message names it.
    """
    for call in statement.find_all(exp.Func):
        if key_of(call) not in COMPARED and type(call) not in _OPERATORS:
            name = (call.name if isinstance(call, exp.Anonymous) else call.sql_name()).lower()
            instead = f"; use {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise errors.UnsupportedError(f"{name} has not been compared with Athena's{instead}")


def key_of(call: exp.Func) -> type[exp.Expr] | str:
    """What a function is known by: its class, or its name where sqlglot has no class for it."""
    return call.name.upper() if isinstance(call, exp.Anonymous) else type(call)
