"""The windows that zstd frames ask for: the memory that reading them takes is the writer's choice, so it is limited.

A window is stated in each frame's header, and frames follow each other without an index: so this walks over the headers
of frames and blocks (RFC 8878, section 3.1) while the compressed bytes pass by. It decompresses nothing.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_WINDOW_BYTES = (
    8 * 1024 * 1024
)  # what RFC 8878 asks every reader to support; all levels but --ultra and --long keep it

_FRAME = 0xFD2FB528
_LEGACY = (0x1EB52FFD, 0xFD2FB51E, *range(0xFD2FB522, 0xFD2FB528))  # zstd 0.1 (in both byte orders) to 0.7
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_RLE = 1  # a block of one byte, repeated
_DICTIONARY_BYTES = (0, 1, 2, 4)
_SIZE_BYTES = (0, 2, 4, 8)


class RefusedFrame(Exception):
    """A frame that is not decompressed; the message says why and what to do."""


class FrameGuard:
    """Takes the compressed bytes in order. What is no zstd at all is left to the decompressor to refuse."""

    def __init__(self) -> None:
        self._head = bytearray()  # of what is being read: a frame's header, a block's header
        self._needed = 4
        self._skip = 0
        self._has_checksum = False
        self._next: Callable[[], None] | None = self._magic

    def feed(self, data: bytes) -> None:
        """
        Raises:
            RefusedFrame: a frame asks for more than `MAX_WINDOW_BYTES` or for a dictionary, or is of zstd before 0.8.
        """
        at = 0
        while at < len(data) and self._next:
            if self._skip:
                skipped = min(self._skip, len(data) - at)
                self._skip -= skipped
                at += skipped
                continue
            missing = self._needed - len(self._head)
            self._head += data[at : at + missing]
            at += missing
            if len(self._head) == self._needed:
                self._next()

    def _expect(self, needed: int, read: Callable[[], None] | None, *, anew: bool = True) -> None:
        if anew:
            self._head.clear()
        self._needed, self._next = needed, read

    def _magic(self) -> None:
        magic = int.from_bytes(self._head, "little")
        if magic == _FRAME:
            self._expect(1, self._descriptor)
        elif magic in _SKIPPABLE:
            self._expect(4, self._skippable)
        elif magic in _LEGACY:
            raise RefusedFrame(
                "a zstd frame has the format of a zstd version before 0.8; compress the object again with a current "
                "version, and upload it"
            )
        else:
            self._expect(0, None)

    def _skippable(self) -> None:
        self._skip = int.from_bytes(self._head, "little")
        self._expect(4, self._magic)

    def _descriptor(self) -> None:
        flags = self._head[0]
        is_single = bool(flags & 0x20)
        self._has_checksum = bool(flags & 0x04)
        size_bytes = _SIZE_BYTES[flags >> 6] or int(is_single)
        self._expect(1 + (not is_single) + _DICTIONARY_BYTES[flags & 3] + size_bytes, self._header, anew=False)

    def _header(self) -> None:
        flags = self._head[0]
        descriptor_bytes = 1 + (not flags & 0x20)
        if any(self._head[descriptor_bytes : descriptor_bytes + _DICTIONARY_BYTES[flags & 3]]):
            raise RefusedFrame(
                "a zstd frame needs the dictionary that it was made with; compress the object again without one, and "
                "upload it"
            )
        if flags & 0x20:
            size = self._head[1 + _DICTIONARY_BYTES[flags & 3] :]
            window = int.from_bytes(size, "little") + (256 if len(size) == 2 else 0)
        else:
            base = 1 << (10 + (self._head[1] >> 3))
            window = base + base // 8 * (self._head[1] & 7)
        if window > MAX_WINDOW_BYTES:
            raise RefusedFrame(
                f"a zstd frame needs a window of {window:,} bytes, and {MAX_WINDOW_BYTES:,} are allowed; compress the "
                "object again without --long and --ultra, and upload it"
            )
        self._expect(3, self._block)

    def _block(self) -> None:
        header = int.from_bytes(self._head, "little")
        is_last, kind, size = header & 1, header >> 1 & 3, header >> 3
        self._skip = 1 if kind == _RLE else size
        if is_last:
            self._skip += 4 * self._has_checksum
            self._expect(4, self._magic)
        else:
            self._expect(3, self._block)
