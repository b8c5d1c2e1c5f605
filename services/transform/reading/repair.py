"""Where the elements of a broken array go on.

    rule: an element is taken for the next one if it is an object behind a comma, and if the array is intact from there
    for `CLEAN_BYTES` or to its end. An array that ends inside of something else was a nested one.

Everything that is decided here depends on the bytes behind a place alone, at most `reach` of them. Decision 0012 has
the reasons.
"""

from __future__ import annotations

import re

from services.shared.judge.verdicts import MAX_DEPTH
from services.transform.reading.strict import Outcome, Verdict, is_deeper, validate, validate_as_deep_as_possible
from services.transform.reading.window import STEP_BYTES, Window

CLEAN_BYTES = 256
_TOO_DEEP_STEP = 64 * 1024  # how far the search goes on where brackets so near are nested too deep to be read

_LOOK_BYTES = 4096  # how far the next key of an object may be from its comma

_OPENING = ord("[")
_CANDIDATE = re.compile(rb",[ \t\r\n]*\{")
_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_NEXT_KEY = re.compile(rb',[ \t\r\n]*"')


def validate_elements(window: Window, start: int, end: int) -> Verdict:
    """Read `data[start:end]` as the elements of an array and what follows it; offsets are the window's.

    Elements may be as deep as strict reading gets. The byte before `start` must be free: the array's bracket is put
    there for the moment.
    """
    data = window.data
    kept, data[start - 1] = data[start - 1], _OPENING
    with memoryview(data) as whole, whole[start - 1 : end] as text:
        verdict = validate_as_deep_as_possible(text)
    data[start - 1] = kept
    return verdict if verdict.at < 0 else verdict._replace(at=verdict.at + start - 1)


def next_is_object(data: bytearray, start: int) -> bool:
    """Whether nothing but blanks, and not many of them, is before an object."""
    return _OBJECT.match(data, start, start + _LOOK_BYTES) is not None


class Resumption:
    """Looks for the element with which a broken array goes on; `levels` is how many objects the array is inside of."""

    def __init__(self, window: Window, reach: int, levels: int = 0) -> None:
        self._window = window
        self._reach = reach
        self._levels = levels

    def find(self, start: int, broken: int) -> int:
        """The offset in the window of the next element, or -1 where there is none within reach of `start`.

        `broken`, at or behind `start`, is the byte that cannot be where it is.
        """
        limit = start + self._reach
        at = self._comma_before(start, broken)
        while True:
            self._window.check()
            self._need(min(at + STEP_BYTES, limit))
            found = _CANDIDATE.search(self._window.data, at, limit)
            if found is None:
                if len(self._window.data) >= limit or self._window.is_last:
                    return -1
                at = self._comma_before(at, len(self._window.data))
                self._need(min(len(self._window.data) + STEP_BYTES, limit))
                continue
            candidate = found.end() - 1
            at = self.search_behind(candidate)
            if at < 0:
                return candidate

    def search_behind(self, candidate: int) -> int:
        """-1 where the array goes on with this element; otherwise where the search for another one goes on."""
        self._need(candidate + self._reach)
        verdict = validate_elements(self._window, candidate, candidate + self._reach)
        end = verdict.at if verdict.at >= 0 else candidate + self._reach
        if self._is_deep(candidate, min(end, candidate + _TOO_DEEP_STEP)):
            return candidate + _TOO_DEEP_STEP
        match verdict.outcome:
            case Outcome.VALUE_AND_MORE if self._is_deep(candidate, end):
                return -1
            case Outcome.BROKEN if verdict.at - candidate < CLEAN_BYTES:
                return self._comma_before(candidate + 1, verdict.at)
            case Outcome.VALUE_AND_MORE if self._is_inside_something(verdict.at):
                return verdict.at
        return -1

    def _is_deep(self, start: int, end: int) -> bool:
        """Whether elements up to `end` are nested too deep to be rows."""
        with memoryview(self._window.data) as data, data[start:end] as text:
            return is_deeper(text, MAX_DEPTH)

    def _is_inside_something(self, at: int) -> bool:
        """Whether what stands behind a closed array shows that it was nested: another end, or an object's next key."""
        self._need(at + 1 + _LOOK_BYTES)
        text = bytes(self._window.data[at : at + 1 + _LOOK_BYTES])
        if self._levels:
            return self._is_deeper(text)
        return text[:1] in (b"]", b"}") or _NEXT_KEY.match(text) is not None

    def _is_deeper(self, text: bytes) -> bool:
        """Whether the text is not what goes on behind an array that is inside of so many objects."""
        verdict = validate(b'{"":' * self._levels + b"0" + text, self._levels + MAX_DEPTH)
        if verdict.outcome is Outcome.VALUE_AND_MORE:
            return text[verdict.at - 4 * self._levels - 1 :][:1] in (b",", b":", b"]", b"}")
        return verdict.outcome is Outcome.BROKEN and verdict.at - 4 * self._levels < CLEAN_BYTES

    def _comma_before(self, start: int, at: int) -> int:
        """The comma that only blanks separate from `at`, if there is one in `data[start:at]`; otherwise `at`."""
        text = self._window.data[start:at].rstrip(b" \t\r\n")
        return start + len(text) - 1 if text.endswith(b",") else at

    def _need(self, size: int) -> None:
        if len(self._window.data) < size:
            self._window.fill(size + STEP_BYTES)
