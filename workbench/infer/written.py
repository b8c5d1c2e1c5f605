"""Times that are written in another way than RFC 3339: the formats of a contract that fit all strings of a key."""

from __future__ import annotations

from functools import cache

from services.shared.contract.model import FieldType, TimeFormat
from services.shared.contract.times import read_time_format
from services.shared.judge.times import day_of, moment_of
from workbench.infer.evidence import Evidence

_YEARS = range(1970, 2101)  # digits that give another one are no time
_LOOKED_AT = 200  # different strings
_FORMATS = {
    FieldType.TIMESTAMP: (
        "yyyy-MM-dd['T'][' ']HH:mm",
        "yyyy-MM-dd'T'HH:mm:ss[.SSS]xx",
        "yyyy-MM-dd HH:mm:ss,SSS",
        "yyyy/MM/dd HH:mm[:ss]",
        "yyyyMMdd'T'HHmmss[X]",
        "MM/dd/yyyy HH:mm[:ss]",
        "dd/MM/yyyy HH:mm[:ss]",
        "M/d/yyyy h:mm[:ss] a",
        "dd.MM.yyyy HH:mm[:ss]",
        "dd/MMM/yyyy:HH:mm:ss Z",
        "EEE, d MMM yyyy HH:mm:ss Z",
        "EEE, d MMM yyyy HH:mm:ss 'GMT'",
        "EEE MMM dd HH:mm:ss Z yyyy",
    ),
    FieldType.DATE: ("yyyyMMdd", "yyyy/MM/dd", "MM/dd/yyyy", "dd/MM/yyyy", "dd.MM.yyyy", "d MMM yyyy"),
}


def formats_of(evidence: Evidence) -> list[tuple[FieldType, str]]:
    """Types with the format in which all strings of a key may be one; more than one where only the producer knows."""
    texts = list(evidence.distinct)[:_LOOKED_AT] if set(evidence.kinds) == {"string"} else []
    return [
        (type_, pattern)
        for type_, patterns in _FORMATS.items()
        for pattern in patterns
        if texts and all(_is_time(text, type_, pattern) for text in texts)
    ]


def _is_time(text: str, type_: FieldType, pattern: str) -> bool:
    how = _format(type_, pattern)
    found = moment_of(text, how) if type_ is FieldType.TIMESTAMP else day_of(text, how)
    return found is not None and found.year in _YEARS


@cache
def _format(type_: FieldType, pattern: str) -> TimeFormat:
    return read_time_format({"format": pattern}, type_)
