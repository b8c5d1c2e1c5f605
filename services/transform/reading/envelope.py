"""Rows that are the elements of an array inside of documents, such as `$.Records`: envelopes of any size, streaming.

    an element of the array at the path     a row, read as the elements of any array (`elements`)
    the rest of the document                skipped by its structure, whatever it holds
    many documents with an empty array      one block without rows now and then, so that reading can go on there
    a document without an array there       one BrokenFrame that names the path and the keys that are there
    damage outside of the array             one BrokenFrame up to the next document

A path that is there more than once in a document gives the rows of each. Decision 0022 has the reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from services.shared.judge.verdicts import Reason
from services.transform.blocks import BrokenFrame, Form, Piece, Position, RowBlock, no_rows
from services.transform.reading.arrays import SCAN_BYTES, ArrayScanner
from services.transform.reading.cursor import RAW_BYTES
from services.transform.reading.documents import BETWEEN
from services.transform.reading.elements import ArrayReader
from services.transform.reading.joined import most_rows
from services.transform.reading.next_document import find_document, skip_to_document
from services.transform.reading.strict import Outcome, validate
from services.transform.reading.window import BLANK_RUN, BLANKS, STEP_BYTES, Window, blanks_end

_KEY = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*+"', re.DOTALL)
_SMALL = 1024  # bytes of a key or a value, as nearly all are; one that is longer than a row is skipped by its brackets
_SHOWN_KEYS, _SHOWN_CHARACTERS = 20, 40
KEPT_BYTES = 4096  # of a value that each row gets: an element of a few bytes becomes a row of that size
_KINDS = {"{": "an object", "[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}


def first_byte(start: Position, envelope: Envelope | None) -> int:
    """Where reading begins, to go on from a position inside of a document."""
    return start.document if envelope and envelope.kept else start.offset - 1


def _inside(value: bytes, path: Sequence[str]) -> list[bytes]:
    """The value at a path inside of a JSON value, as it is written; twice if a key of the path is."""
    try:
        for key in path:
            found = bytes(msgspec.json.decode(value, type=dict[str, msgspec.Raw])[key])
            if _keys(value).count(key) > 1:
                return [found, found]
            value = found
    except (msgspec.DecodeError, KeyError):
        return []
    return [value]


def _keys(value: bytes) -> list[str]:
    """The keys of an object, each as often as it is there."""
    keys: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys[:] = [name for name, _ in pairs]  # the outermost object is the last that is read

    json.loads(value, object_pairs_hook=note, parse_int=str)  # a number may have more digits than `int` reads
    return keys


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class _Next(Enum):
    """What comes next in an object of the frame."""

    FIRST_KEY = auto()
    KEY = auto()
    AFTER_VALUE = auto()


class Envelope(NamedTuple):
    """Where rows are in a document: `path` are the keys that lead to their array, from the top down.

    `kept` are values before that array which each row gets: the key that it gets, and the path of the value.
    """

    path: tuple[str, ...]
    kept: tuple[tuple[str, tuple[str, ...]], ...] = ()


class EnvelopeReader:
    """Reads the rows of documents out of a window, to the window's end."""

    def __init__(self, window: Window, envelope: Envelope, max_row: int, block_bytes: int) -> None:
        self._window = window
        self._path, self._kept = envelope
        self._values: dict[str, bytes] = {}  # of what is kept, by the key that a row gets
        self._met: set[str] = set()  # those of which a value has been met
        self._told: set[str] = set()  # those of which it was reported that rows are without them
        self._stops_at_rows = False
        self._max_row = max_row
        self._reach = max_row + 1
        self._block = block_bytes
        self._start = -1  # offset of the document
        self._head = b""  # its first bytes
        self._has_rows = False
        self._keys: list[list[str]] = []  # of each object on the path
        self._level = 1  # of the last object on the path
        self._other = ""  # what its key on the path has in place of an array or of a further object

    def read(self, start: Position) -> Iterator[Piece]:
        """The rows from a position on. Inside of a document, the window begins at `first_byte` of the position."""
        if start.document >= 0:
            self._begin(start.document)
            if self._kept:
                self._read_values_again(start)
            self._has_rows = True
            if (yield from self._rows(start.form)):
                yield from self._frame(len(self._path), _Next.AFTER_VALUE)
        elif start.form is Form.LOST_DOCUMENTS:
            skip_to_document(self._window, self._reach)
        told = self._window.base  # how far reading has come, as the last piece said
        while self._peek(BETWEEN):
            for piece in self._document():
                yield piece
                told = self._window.base
            if (base := self._window.base) - told >= self._block:
                yield Piece(no_rows(base), Position(base, Form.DOCUMENTS))
                told = base

    def _read_values_again(self, start: Position) -> None:
        self._window.fill(1)
        self._window.drop(1)
        self._stops_at_rows = True
        for _ in self._frame(1, _Next.FIRST_KEY):
            """Nothing is before the rows."""
        self._stops_at_rows = False
        self._window.skip(start.offset - 1 - self._window.base)

    def _document(self) -> Iterator[Piece]:
        self._begin(self._window.base)
        self._window.fill(RAW_BYTES)
        self._head = bytes(memoryview(self._window.data)[:RAW_BYTES])
        if self._head.startswith(b"{"):
            self._window.drop(1)
            yield from self._frame(1, _Next.FIRST_KEY)
        else:
            yield from self._damage("expected an object")

    def _begin(self, start: int) -> None:
        self._start, self._has_rows = start, False
        self._level, self._other = 1, ""
        self._keys = [[] for _ in self._path]
        self._values, self._met, self._told = {}, set(), set()

    def _frame(self, level: int, next_: _Next) -> Iterator[Piece]:
        """The rest of the document, from a place in an object on the path: the top one has level 1."""
        while level:
            byte = self._peek()
            if not byte:
                yield from self._not_closed()
                return
            if byte == "}" and next_ is not _Next.KEY:
                self._window.drop(1)
                level, next_ = level - 1, _Next.AFTER_VALUE
            elif next_ is _Next.AFTER_VALUE:
                if byte != ",":
                    yield from self._damage("expected ',' or '}'")
                    return
                self._window.drop(1)
                next_ = _Next.KEY
            else:
                key = self._key()
                if key is None:
                    yield from self._damage("expected a key and ':'")
                    return
                byte, is_last = self._peek(), level == len(self._path)
                self._note(level, key, byte)
                is_ours, next_ = key == self._path[level - 1], _Next.AFTER_VALUE
                if is_ours and is_last and byte == "[":
                    if self._stops_at_rows:
                        return
                    self._has_rows = True
                    if not (yield from self._rows(Form.ARRAY)):
                        return
                elif is_ours and not is_last and byte == "{":
                    self._window.drop(1)
                    level, next_ = level + 1, _Next.FIRST_KEY
                    self._level, self._other = level, ""
                elif wanted := self._wanted(level, key):
                    if not (yield from self._keep(wanted)):
                        return
                elif not self._skip_value():
                    yield from self._damage("expected a value")
                    return
        if not self._has_rows:
            yield self._without_rows(self._whats_wrong(), Reason.NO_ROWS, Form.DOCUMENTS)

    def _rows(self, form: Form) -> Generator[Piece, None, bool]:
        """The elements of the array that the window begins with. Returns whether it was closed."""
        members = self._members()
        max_rows = most_rows(members, self._block)
        array = ArrayReader(self._window, self._max_row, self._block, len(self._path), max_rows)
        for piece in array.read(form):
            after = piece.after
            if after and after.form is Form.LINES:  # the object ends there
                after = Position(after.offset, Form.DOCUMENTS)
            elif after:
                after = after._replace(document=self._start)
            rows = piece.rows
            if members and isinstance(rows, RowBlock):
                rows = rows._replace(envelope=members)
            yield Piece(rows, after)
        return array.form is Form.AFTER_ARRAY

    # The frame: each leaves behind what it has read.

    def _peek(self, blanks: re.Pattern[bytes] = BLANK_RUN) -> str:
        """The next byte that is not blank, or nothing at the end."""
        window = self._window
        while True:
            window.drop(blanks_end(window.data, 0, blanks))
            if window.data:
                return chr(window.data[0])
            if window.is_last:
                return ""
            window.fill(STEP_BYTES)

    def _key(self) -> str | None:
        """A key with its colon; None where there is none."""
        window, size = self._window, _SMALL
        window.fill(size)
        while (found := _KEY.match(window.data, 0, size)) is None:
            if not window.data.startswith(b'"') or size > self._max_row or len(window.data) < size:
                return None
            size *= 4
            window.fill(size)
        try:
            key = msgspec.json.decode(found[0], type=str)
        except msgspec.DecodeError:
            return None
        except UnicodeDecodeError:  # no key of a contract, so it is left behind like any other
            key = found[0].decode("utf-8", "backslashreplace")
        length = found.end()
        window.drop(length)
        if self._peek() != ":":
            return None
        window.drop(1)
        return key

    def _skip_value(self) -> bool:
        """Leave a value behind: False where there is none."""
        window = self._window
        window.fill(1)
        if bytes(window.data[:1]) in (b"", b",", b"}", b"]"):
            return False
        for size in (_SMALL, self._reach):
            window.fill(size)
            with memoryview(window.data) as data, data[:size] as text:
                verdict = validate(text)
            if verdict.outcome is Outcome.VALUE_AND_MORE:
                window.drop(verdict.at)
                return True
            if verdict.outcome is not Outcome.CUT:
                break
        if verdict.outcome is Outcome.BROKEN:
            return False
        scanner, size = ArrayScanner(), _SMALL
        while True:
            window.fill(size)
            with memoryview(window.data) as data, data[:size] as chunk:
                found, length = scanner.feed(chunk), len(chunk)
            window.check()
            ends = [end for end in (found.close, *found.commas[:1].tolist()) if end >= 0]
            window.drop(min(ends, default=length))
            if ends or not length:
                return True
            size = min(2 * size, SCAN_BYTES)

    # What is kept.

    def _wanted(self, level: int, key: str) -> list[tuple[str, tuple[str, ...]]]:
        """What is kept of the value of a key in the object on the path: a row's key for it, and the path inside."""
        here = (*self._path[: level - 1], key)
        return [(name, path[level:]) for name, path in self._kept if path[:level] == here]

    def _keep(self, wanted: Sequence[tuple[str, tuple[str, ...]]]) -> Generator[Piece, None, bool]:
        """Leave behind a value of which something is kept, or report why it is not. False where the frame is lost."""
        window, at = self._window, self._window.base
        window.fill(RAW_BYTES)
        with memoryview(window.data) as data, data[:RAW_BYTES] as text:
            verdict = validate(text)
        value = bytes(memoryview(window.data)[: max(verdict.at, 0)]).rstrip(BLANKS)
        missing = {name: why for name, path in wanted if (why := self._take(name, value, path, verdict.outcome))}
        if not self._skip_value():
            yield from self._damage("expected a value")
            return False
        if missing and not self._stops_at_rows:
            why = "; ".join(dict.fromkeys(missing.values()))
            detail = f"The rows of this document are without {', '.join(missing)}, at byte {at}: {why}."
            yield Piece(BrokenFrame(at, detail, value), None)  # reading cannot go on in the middle of the frame
        return True

    def _take(self, name: str, value: bytes, path: Sequence[str], outcome: Outcome) -> str:
        """Keep what is at a path inside of a value, or say why not; nothing if it is not there, or that was said."""
        why = self._why_not(value, outcome)
        found = [b""] if why else _inside(value, path)
        if not found:
            return ""
        if not why and (len(found) > 1 or name in self._met):
            why = "it is there more than once. Let the producer write it once"
        elif not why and len(found[0]) > KEPT_BYTES:
            why = f"each row would have more than {KEPT_BYTES:,} bytes of it"
        if self._has_rows:
            return why
        self._met.add(name)
        if not why:
            self._values[name] = found[0]
            return ""
        self._values.pop(name, None)
        is_new = name not in self._told
        self._told.add(name)
        return why if is_new else ""

    def _why_not(self, value: bytes, outcome: Outcome) -> str:
        """Why nothing of a value is kept."""
        if self._has_rows:
            return "it is behind the rows that should have it. Let the producer write it before them"
        if outcome is not Outcome.VALUE_AND_MORE:
            return f"it is in a value that is longer than {RAW_BYTES:,} bytes, or not JSON"
        return "" if _is_utf8(value) else "it is in a value that is not UTF-8"

    def _members(self) -> bytes:
        return b",".join(msgspec.json.encode(name) + b":" + value for name, value in self._values.items())

    # What is reported.

    def _note(self, level: int, key: str, byte: str) -> None:
        if key == self._path[level - 1]:
            self._other = _KINDS.get(byte, "a number")
        if len(self._keys[level - 1]) <= _SHOWN_KEYS:
            self._keys[level - 1].append(key[: _SHOWN_CHARACTERS + 1])

    def _shown(self, level: int) -> str:
        return ".".join(["$", *self._path[:level]])

    def _whats_wrong(self) -> str:
        rows = self._shown(len(self._path))
        if self._other:
            wanted = "an array" if self._level == len(self._path) else "an object"
            return f"No rows are at {rows}: {self._shown(self._level)} is {self._other}, not {wanted}."
        keys = self._keys[self._level - 1]
        names = [repr(key[:_SHOWN_CHARACTERS] + "..." * (len(key) > _SHOWN_CHARACTERS)) for key in keys]
        there = "the keys " + ", ".join([*names[:_SHOWN_KEYS], *["..."] * (len(names) > _SHOWN_KEYS)])
        return f"No rows are at {rows}: {self._shown(self._level - 1)} has {there if names else 'no keys'}."

    def _without_rows(self, detail: str, reason: Reason, form: Form) -> Piece:
        """All of the document, of which no row has been read, up to the window's start."""
        raw = self._head[: self._window.base - self._start]
        return Piece(BrokenFrame(self._start, detail, raw, reason), Position(self._window.base, form))

    def _not_closed(self) -> Iterator[Piece]:
        detail = "The document is not closed: the object, or the line, ends inside of it. Check whether it is complete."
        if self._has_rows:
            at = self._window.base
            yield Piece(BrokenFrame(at, detail, b""), Position(at, Form.DOCUMENTS))
        else:
            yield self._without_rows(detail, Reason.BROKEN_FRAME, Form.DOCUMENTS)

    def _damage(self, expected: str) -> Iterator[Piece]:
        """Leave behind what is damaged, up to the next document."""
        window, at = self._window, self._window.base
        found = find_document(window, 0, 0, self._reach, only_likely=True)
        size = found if found >= 0 else min(self._reach, len(window.data))
        raw = bytes(memoryview(window.data)[: min(size, RAW_BYTES)])
        window.drop(size)
        form = Form.DOCUMENTS if found >= 0 else Form.LOST_DOCUMENTS
        detail = f"The document is broken at byte {at} ({expected})"
        detail += f"; reading goes on with the document at byte {window.base}." if found >= 0 else "."
        if self._has_rows:
            yield Piece(BrokenFrame(at, detail, raw), Position(window.base, form))
        else:
            yield self._without_rows(detail, Reason.BROKEN_FRAME, form)
        if found < 0:
            skip_to_document(window, self._reach)
