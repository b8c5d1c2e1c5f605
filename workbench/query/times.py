"""Dates, times, intervals and zones as Athena has them."""

from __future__ import annotations

import re

from sqlglot import errors, exp

from workbench.query.calls import by_type, call

_PARTS = {  # of a time, as EXTRACT names them
    "DAYOFWEEK": "ISODOW",
    "DOW": "ISODOW",
    "DAY_OF_WEEK": "ISODOW",
    "YOW": "ISOYEAR",
    "YEAR_OF_WEEK": "ISOYEAR",
    "DAY_OF_YEAR": "DOY",
    "DAY_OF_MONTH": "DAY",
}
_OF_ITS_ZONE = (  # what asks a time for its clock
    exp.Cast,
    exp.Date,
    exp.Day,
    exp.DayOfMonth,
    exp.DayOfWeekIso,
    exp.DayOfYear,
    exp.Extract,
    exp.Hour,
    exp.LastDay,
    exp.Minute,
    exp.Month,
    exp.Quarter,
    exp.TimeToStr,
    exp.WeekOfYear,
    exp.Year,
    exp.YearOfWeek,
)
_IN_TIME = re.compile("%-?.", re.DOTALL)
_OF_CLOCK = {"%H", "%-H", "%I", "%-I", "%M", "%-M", "%S", "%-S", "%f", "%p", "%T", "%%"}


def date_diff(node: exp.Expr) -> exp.Expr:
    """Whole units that have passed; DuckDB's date_diff counts the bounds of days, months ... between."""
    return call("date_sub", exp.Literal.string(node.text("unit").lower() or "day"), node.expression, node.this)


def date_add(node: exp.Expr) -> exp.Expr:
    """A date stays a date; DuckDB makes a timestamp of it, whose text is never equal to a `dt`."""
    step = exp.Interval(this=exp.paren(node.expression), unit=node.args["unit"])
    return by_type("athena_later", node.this, step)


def add(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if _is_interval(left) == _is_interval(right):
        return node
    return by_type("athena_later", left, right) if _is_interval(right) else by_type("athena_later", right, left)


def subtract(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if _is_interval(left) or not _is_interval(right):
        return node
    return by_type("athena_later", left, exp.Neg(this=exp.paren(right)))


def _is_interval(node: exp.Expr) -> bool:
    if isinstance(node, exp.Paren | exp.Neg):
        return _is_interval(node.this)
    if isinstance(node, exp.Mul | exp.Div | exp.Add | exp.Sub):
        return _is_interval(node.this) or (isinstance(node, exp.Mul) and _is_interval(node.expression))
    return isinstance(node, exp.Interval)


def date_trunc(node: exp.Expr) -> exp.Expr:
    unit, of = exp.Literal.string(node.text("unit").lower()), node.this
    while isinstance(of, exp.Paren | exp.Try):
        of = of.this
    if not isinstance(of, exp.FromISO8601Timestamp):
        return by_type("athena_start", node.this, unit)
    start = call("athena_iso_start", of.this, unit)  # a moment
    return exp.Try(this=start) if node.this.find(exp.Try) else start


def sequence(node: exp.Expr) -> exp.Expr:
    """Each month counts from the first date, so that ends of months stay; DuckDB goes on from the 28th."""
    start, end, step = node.args["start"], node.args["end"], node.args.get("step")
    if step is None:  # down, if the end is less
        is_down = exp.LT(this=exp.paren(end.copy()), expression=exp.paren(start.copy()))
        step = exp.Case().when(is_down, exp.Literal.number(-1)).else_(exp.Literal.number(1))
        if _is_date(start) or _is_date(end):
            step = exp.Interval(this=exp.paren(step), unit=exp.var("DAY"))
        node.set("step", step)
    if not _is_interval(step):
        return node
    if not any(one.text("unit").upper() in {"MONTH", "YEAR"} for one in step.find_all(exp.Interval)):
        return by_type("athena_series", start, end, step)
    if not start.find(exp.Query) and not end.find(exp.Query):
        return by_type("athena_months", start, end, step)
    given = exp.select(exp.alias_(start.copy(), "_start"), exp.alias_(end.copy(), "_end")).subquery("_given")
    months = by_type("athena_months", exp.column("_start"), exp.column("_end"), step)  # calculates each month from both
    return exp.select(months).from_(given).subquery()


def _is_date(node: exp.Expr) -> bool:
    if isinstance(node, exp.Min | exp.Max):
        return _is_date(node.this)
    return isinstance(node, exp.CurrentDate) or (isinstance(node, exp.Cast) and node.to.this is exp.DType.DATE)


def extract(node: exp.Expr) -> exp.Expr:
    """Monday is 1 and Sunday 7; DuckDB has 0 for Sunday."""
    part = _PARTS.get(node.name.upper())
    if part is not None:
        node.set("this", exp.var(part))
    return node


def from_unixtime(node: exp.Expr) -> exp.Expr:
    """Of two arguments, the second is a zone, which sqlglot leaves out."""
    if node.args.get("hours") is not None:
        raise errors.UnsupportedError("from_unixtime takes a zone by its name, such as 'Asia/Tokyo'")
    zone = node.args.get("zone")
    if zone is None:
        return node
    node.set("zone", None)
    return in_zone(node, zone)


def at_time_zone(node: exp.Expr) -> exp.Expr:
    return in_zone(node.this, node.args["zone"])


def in_zone(time: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """The clock's time there. A time without a zone is UTC's; DuckDB takes it for the clock's there."""
    time = time.unnest()
    if isinstance(time, exp.AtTimeZone):  # the same moment, whatever its zone was
        time = time.this
    elif not isinstance(time, exp.Cast) and time.find(exp.AtTimeZone):
        raise errors.UnsupportedError("AT TIME ZONE takes nothing that is calculated from another AT TIME ZONE")
    return exp.AtTimeZone(this=exp.cast(time.copy(), "timestamptz"), zone=zone.copy())


def from_iso(node: exp.Expr) -> exp.Expr:
    """A text's own zone is kept: its day is the day there. DuckDB has UTC for all."""
    asks = node.parent
    while isinstance(asks, exp.Paren | exp.Try | exp.DateTrunc | exp.TimestampTrunc):
        asks = asks.parent
    is_moment = isinstance(asks, exp.Cast) and asks.to.this is exp.DType.TIMESTAMPTZ
    return call("athena_iso_clock", node.this) if isinstance(asks, _OF_ITS_ZONE) and not is_moment else node


def date_format(node: exp.Expr) -> exp.Expr:
    """sqlglot translates what is in quotes alone; DuckDB takes `%M` for minutes, and `%V` is its week."""
    given = node.args["format"]
    if not isinstance(given, exp.Literal):
        raise errors.UnsupportedError("date_format and date_parse take only a format in quotes")
    node.set("format", exp.Literal.string(_IN_TIME.sub(lambda sign: sign[0].replace("v", "V"), given.name)))
    return node


def date_parse(node: exp.Expr) -> exp.Expr:
    """Without a year it is 2000, and 1970 where a day is not given either; DuckDB has 1900."""
    signs = set(_IN_TIME.findall(date_format(node).args["format"].name))
    if not signs & {"%Y", "%y", "%G"}:
        year = "1970 " if signs <= _OF_CLOCK else "2000 "
        node.set("this", exp.DPipe(this=exp.Literal.string(year), expression=exp.paren(node.this.copy())))
        node.set("format", exp.Literal.string(f"%Y {node.args['format'].name}"))
    return node
