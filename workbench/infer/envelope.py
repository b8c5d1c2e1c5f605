"""Whether documents are envelopes: each holds its rows in an array of objects, at one and the same path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LEVELS = 3  # of a path to rows
_KEY = re.compile(r"[^\s.\[\]'\"]+")  # that a path of a contract may have
_USUAL = {"data", "entries", "events", "features", "hits", "objects", "records", "results", "rows", "values"}
_MANY = 20  # elements for each document; what is inside of a row has rarely so many


def envelope_path(documents: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The path of the rows, of documents that each are all of a file; none where a document seems to be a row itself.

    An array of objects is taken for rows if it is the only one, and if its key is a usual one for rows, or nothing is
    beside it, or it is long.
    """
    found = [list(_arrays(document, ())) for document in documents]
    paths = {path for arrays in found for path, _ in arrays}
    if len(paths) != 1 or not all(found):
        return ()
    (path,) = paths
    elements = sum(size for arrays in found for _, size in arrays)
    is_alone = all(len(document) == 1 for document in documents)
    is_likely = path[-1].lower() in _USUAL or is_alone or elements >= _MANY * len(documents)
    return path if elements > len(documents) and is_likely and all(map(_KEY.fullmatch, path)) else ()


def _arrays(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The arrays of objects inside of an object, with their lengths."""
    for key, inner in value.items():
        here = (*path, key)
        if isinstance(inner, dict) and len(here) < _LEVELS:
            yield from _arrays(inner, here)
        elif isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner):
            yield here, len(inner)
