"""A window that slides over an object's bytes: what all readers look through, and never larger than they ask.

It is the only place that reads a stream, so it is also where `check` is called: at least once for each MiB that is
read or decompressed, whatever the bytes are.
"""

from __future__ import annotations

import codecs
import re

from services.shared.lake import ByteStream
from services.transform.blocks import Check, no_check

STEP_BYTES = 1024 * 1024  # the most that is read between two calls of `check`
BLANKS = b" \t\r\n"
BLANK_RUN = re.compile(rb"[ \t\r\n]*")
_BLANKS_OF_LINE = re.compile(rb"[ \t\r]*")


class Window:
    """The bytes from `base` on, in `data`. No view of `data` may be alive when the window moves or grows.

    `is_last` says that the stream ends where `data` ends.
    """

    def __init__(self, source: ByteStream, base: int = 0, check: Check = no_check) -> None:
        self._source = source
        self.check = check
        self.data = bytearray()
        self.base = base
        self.is_last = False

    def fill(self, size: int) -> None:
        """Make the window at least `size` bytes long, shorter only where the stream ends."""
        while len(self.data) < size and not self.is_last:
            self.check()
            read = self._source.read(min(STEP_BYTES, size - len(self.data)))
            self.data += read
            self.is_last = not read

    def drop(self, size: int) -> None:
        """Leave the first bytes behind."""
        del self.data[:size]
        self.base += size

    def prepend(self, size: int = 1) -> None:
        """Put blanks before the window, in place of what was left behind or of what the stream does not have."""
        self.data[:0] = b" " * size
        self.base -= size

    def take(self, size: int) -> bytes:
        """The first bytes, which are left behind."""
        taken = bytes(memoryview(self.data)[:size])
        self.drop(size)
        return taken

    def take_lines(self, size: int) -> bytes:
        """The whole lines in the next `size` bytes, which are left behind; none if there is no newline.

        It is what most bytes go through, so it copies them only once.
        """
        if len(self.data) >= size:
            return self.take(self.data.rfind(b"\n", 0, size) + 1)
        parts, missing = [bytes(self.data)], size - len(self.data)
        while missing > 0 and not self.is_last:
            self.check()
            read = self._source.read(min(STEP_BYTES, missing))
            parts.append(read)
            missing -= len(read)
            self.is_last = not read
        rest = []
        while parts and (end := parts[-1].rfind(b"\n") + 1) == 0:
            rest.append(parts.pop())
        if parts:
            rest.append(parts[-1][end:])
            parts[-1] = parts[-1][:end]
        lines = b"".join(parts)
        self.data = bytearray(b"".join(reversed(rest)))
        self.base += len(lines)
        return lines

    def skip(self, size: int) -> None:
        """Leave behind `size` bytes that need not be in the window yet."""
        while size > 0:
            self.fill(min(size, STEP_BYTES))
            if not self.data:
                return
            skipped = min(size, len(self.data))
            self.drop(skipped)
            size -= skipped

    def skip_byte_order_mark(self) -> None:
        """Leave behind UTF-8's byte order mark, if the window begins with it."""
        self.fill(len(codecs.BOM_UTF8))
        if self.data.startswith(codecs.BOM_UTF8):
            self.drop(len(codecs.BOM_UTF8))

    def skip_blanks(self, limit: int | None = None) -> int:
        """Leave behind JSON's blanks, no more than `limit` bytes. Returns how many are behind the last newline."""
        left, of_line = limit, 0
        while left is None or left > 0:
            self.fill(STEP_BYTES if left is None else min(STEP_BYTES, left))
            blanks = blanks_end(self.data, 0)
            blanks = blanks if left is None else min(blanks, left)
            found = blanks < len(self.data)
            newline = self.data.rfind(b"\n", 0, blanks)
            of_line = blanks + (of_line if newline < 0 else -newline - 1)
            self.drop(blanks)
            if found or not blanks:
                return of_line
            left = None if left is None else left - blanks
        return of_line

    def skip_blanks_of_line(self) -> None:
        """Leave behind blanks up to what is none, or is a newline."""
        while True:
            blanks = blanks_end(self.data, 0, _BLANKS_OF_LINE)
            found = blanks < len(self.data)
            self.drop(blanks)
            if not found:
                self.fill(STEP_BYTES)
            if found or not self.data:
                return

    def skip_line(self, end: int | None = None) -> bool:
        """Leave behind everything up to the next newline before the offset `end`, and it; False where there is none."""
        while end is None or self.base < end:
            self.fill(STEP_BYTES if end is None else min(STEP_BYTES, end - self.base))
            newline = self.data.find(b"\n")
            if newline >= 0:
                self.drop(newline + 1)
                return True
            if not self.data:
                return False
            self.drop(len(self.data))
        return False


def blanks_end(
    text: bytes | bytearray, start: int, blanks: re.Pattern[bytes] = BLANK_RUN, end: int | None = None
) -> int:
    """Where the blanks that begin at `start` end, at `end` at the latest."""
    found = blanks.match(text, start, len(text) if end is None else end)
    return found.end() if found else start
