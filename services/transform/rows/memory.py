"""What tables take of memory."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa


def buffer_bytes(tables: Iterable[pa.Table]) -> int:
    """The bytes of memory that tables of flat columns hold: each of their buffers once, dictionaries included.

    Arrow's own count takes a null column's buffers, which begin at one address, for the shortest of them.
    """
    sizes: dict[int, int] = {}
    for chunk in (chunk for table in tables for column in table.itercolumns() for chunk in column.iterchunks()):
        dictionary = chunk.dictionary.buffers() if isinstance(chunk, pa.DictionaryArray) else []
        for buffer in filter(None, [*chunk.buffers(), *dictionary]):
            sizes[buffer.address] = max(buffer.size, sizes.get(buffer.address, 0))
    return sum(sizes.values())
