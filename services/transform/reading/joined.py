"""Small pieces made into larger ones: what many small envelopes hold is parsed as fast as what one large one holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from services.transform.blocks import BrokenFrame, BrokenFrames, Piece, Position, RowBlock
from services.transform.reading.lines import MAX_ROWS

_MOST_BETWEEN = 64 * 1024  # bytes between the rows of two pieces that are joined; they become blanks. And of frames
_MOST_FRAMES = 1024
_ENVELOPES = 4  # copies of the envelope take no more than this part of a block


def most_rows(envelope: bytes, block_bytes: int) -> int:
    """How many rows may come in one piece, since each of them gets the envelope's members."""
    return min(MAX_ROWS, max(block_bytes // _ENVELOPES // max(len(envelope), 1), 1))


def joined(pieces: Iterable[Piece], block_bytes: int) -> Iterator[Piece]:
    """The same rows in the same order, each with its offset, in pieces of `block_bytes` where they fit."""
    blocks: list[RowBlock] = []
    frames: list[BrokenFrame] = []
    count = 0  # rows of the blocks, or bytes of the frames
    after: Position | None = None
    for piece in pieces:
        rows = piece.rows
        if blocks and not (isinstance(rows, RowBlock) and _fits(blocks, count, rows, block_bytes)):
            yield Piece(_one(blocks), after)
            blocks, count = [], 0
        if frames and (not isinstance(rows, BrokenFrame) or len(frames) == _MOST_FRAMES or count > _MOST_BETWEEN):
            yield Piece(BrokenFrames(tuple(frames)), after)
            frames, count = [], 0
        after = piece.after
        if isinstance(rows, RowBlock):
            blocks.append(rows)
            count += len(rows.starts)
        elif isinstance(rows, BrokenFrame):
            frames.append(rows)
            count += len(rows.raw)
        else:
            yield piece
    if blocks:
        yield Piece(_one(blocks), after)
    if frames:
        yield Piece(BrokenFrames(tuple(frames)), after)


def _fits(blocks: list[RowBlock], count: int, more: RowBlock, block_bytes: int) -> bool:
    last = blocks[-1]
    return (
        more.envelope == last.envelope
        and more.base - (last.base + len(last.data)) <= _MOST_BETWEEN
        and more.base + len(more.data) - blocks[0].base <= block_bytes
        and count + len(more.starts) <= most_rows(more.envelope, block_bytes)
    )


def _one(blocks: list[RowBlock]) -> RowBlock:
    if len(blocks) == 1:
        return blocks[0]
    base, parts, end = blocks[0].base, [], blocks[0].base
    for block in blocks:
        parts += [b" " * (block.base - end), block.data]
        end = block.base + len(block.data)
    starts = np.concatenate([block.starts + (block.base - base) for block in blocks])
    ends = np.concatenate([block.ends + (block.base - base) for block in blocks])
    return RowBlock(b"".join(parts), starts, ends, base, blocks[0].envelope)
