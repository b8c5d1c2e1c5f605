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

    An array of objects is taken for rows if each document has it, and it is the only one or the only one under a key
    that is usual for rows; and if its key is a usual one, or nothing is beside it, or it is long.
    """
    found = arrays_of_objects(documents)
    usual = [path for path in found if path[-1].lower() in _USUAL]
    paths = usual if len(usual) == 1 else list(found)
    if len(paths) != 1 or any(not _holds(document, paths[0]) for document in documents):
        return ()
    (path,) = paths
    is_alone = all(len(document) == 1 for document in documents)
    is_likely = bool(usual) or is_alone or found[path] >= _MANY * len(documents)
    return path if found[path] > len(documents) and is_likely and all(map(_KEY.fullmatch, path)) else ()


def arrays_of_objects(documents: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], int]:
    """The paths of arrays of objects inside of the documents, in their order, with the number of elements in all."""
    found: dict[tuple[str, ...], int] = {}
    for document in documents:
        for path, size in _arrays(document, ()):
            found[path] = found.get(path, 0) + size
    return found


def _holds(document: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether an array of objects is there, perhaps an empty one, as on the last of several pages."""
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _arrays(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The arrays of objects inside of an object, with their lengths."""
    for key, inner in value.items():
        here = (*path, key)
        if isinstance(inner, dict) and len(here) < _LEVELS:
            yield from _arrays(inner, here)
        elif isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner):
            yield here, len(inner)
