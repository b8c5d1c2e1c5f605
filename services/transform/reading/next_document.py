"""Where documents go on behind damage.

    rule: the next document is the first object behind a closing bracket, at the start of a line, or at the byte that
    cannot be where it is, which is valid for `CLEAN_BYTES` or to its end, and is not followed by what shows that it was
    inside of something else (a comma, a colon or a closing bracket).

What is decided here depends on the bytes alone, at most `reach` of them. Decision 0022 has the reasons.
"""

from __future__ import annotations

import re

from services.transform.reading.repair import CLEAN_BYTES
from services.transform.reading.strict import Outcome, validate
from services.transform.reading.window import BLANKS, STEP_BYTES, Window

# Blanks are looked at from their first one on, and from no other: a search in a long run of them takes linear time.
_CANDIDATE = re.compile(rb"(?:\}|(?<![ \t\r\n\x1e])[ \t\r]*+[\n\x1e])[ \t\r\n\x1e]*+\{")
_ANY_OBJECT = re.compile(rb"\{")
_INSIDE = b",:]}"


def find_document(window: Window, start: int, broken: int, reach: int, only_likely: bool = False) -> int:
    """The offset in the window of the next document behind `start`, or -1 where there is none within `reach` of it.

    Args:
        start: where the damaged text starts.
        broken: at or behind `start`, the byte that cannot be where it is.
        only_likely: whether an object that starts at `broken` counts, and none in the middle of a line otherwise.
    """
    limit = start + reach
    _need(window, limit)
    data = window.data
    is_begun = only_likely or bytes(data[start : start + 1]) in (b"{", b"[", b'"')
    pattern = _CANDIDATE if is_begun else _ANY_OBJECT
    at = max(start + len(data[start:broken].rstrip(BLANKS)) - 1, start)
    if (broken > start or only_likely) and data[broken : broken + 1] == b"{":
        behind = _search_behind(window, broken, reach)
        if behind < 0:
            return broken
        at = max(at, behind)
    while True:
        window.check()
        found = pattern.search(window.data, at, limit)
        if found is None:
            return -1
        candidate = found.end() - 1
        behind = _search_behind(window, candidate, reach)
        if behind < 0:
            return candidate
        at = behind


def skip_to_document(window: Window, reach: int) -> None:
    """Leave behind everything up to the next document."""
    while True:
        window.fill(reach)
        if not window.data:
            return
        found = find_document(window, 0, 0, reach)
        window.drop(found if found >= 0 else min(reach, len(window.data)))
        if found >= 0:
            return


def _search_behind(window: Window, candidate: int, reach: int) -> int:
    """-1 where documents go on with this one; otherwise where the search for another one goes on."""
    _need(window, candidate + reach)
    data = window.data
    with memoryview(data) as whole, whole[candidate : candidate + reach] as text:
        verdict = validate(text)
    at = candidate + verdict.at
    if verdict.outcome is Outcome.BROKEN and verdict.at < CLEAN_BYTES:
        return max(candidate + len(data[candidate:at].rstrip(BLANKS)) - 1, candidate + 1)
    if verdict.outcome is Outcome.VALUE_AND_MORE and data[at] in _INSIDE:
        return at
    return -1


def _need(window: Window, size: int) -> None:
    if len(window.data) < size:
        window.fill(size + STEP_BYTES)
