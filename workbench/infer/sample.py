"""A sample of a file's rows, from all over the file, the same at each run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from services.shared.judge.judge import read_items
from services.shared.judge.row_json import Row, own_record_type
from services.shared.judge.verdicts import RECORD_TYPE
from workbench.infer.envelope import arrays_of_objects, envelope_path
from workbench.infer.tolerance import misfits
from workbench.inprocess.pipeline import MIB
from workbench.inprocess.rows import rows_between

ROWS = 10_000
_PARTS = 50  # of a file of lines, from each of which rows are taken
_READ_BYTES = 256 * MIB  # of a file that can only be read from its start
_SAMPLE_BYTES = 64 * MIB  # the most that is kept
_SMALL_BYTES = 16 * MIB  # a smaller file is read as a whole
_BLOCK_BYTES = 256 * 1024


@dataclass(slots=True)
class Sample:
    """Rows of one dataset, as bytes and as values, and what was passed over."""

    raw: list[bytes] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)  # numbers as `Number`, which keeps their text
    misfits: int = 0  # rows that were set aside: their types are not those of nearly all others
    unusable: int = 0  # rows that no contract accepts: not JSON, not an object, a key more than once ...
    others: dict[str, int] = field(default_factory=dict)  # rows of other datasets, by their record_type
    rows_path: tuple[str, ...] = ()  # where the rows are in each document; none where a document is a row
    arrays: dict[tuple[str, ...], int] = field(default_factory=dict)  # of objects, with their lengths, if all of a file


def take_sample(
    files: Sequence[Path], dataset: str, rows: int = ROWS, rows_path: tuple[str, ...] | None = None
) -> Sample:
    """About `rows` rows of these files, those of other record types left out.

    `rows_path` is where the rows are in each document; none where a document is a row. None finds it out.

    Raises:
        NotTaken: a file's name says that it holds something else.
        OSError: a file cannot be read.
    """
    sample = _sample_at(rows_path or (), files, dataset, rows)
    if rows_path is not None or len(sample.rows) != len(files):
        return sample
    documents = [whole(raw) for raw in sample.raw]
    sample.arrays = arrays_of_objects(documents)
    path = envelope_path(documents)
    return _sample_at(path, files, dataset, rows) if path else sample


def _sample_at(path: tuple[str, ...], files: Sequence[Path], dataset: str, rows: int) -> Sample:
    sample = Sample(rows_path=path)
    kept = 0
    for number, file in enumerate(files):
        share = -(-(rows - len(sample.raw)) // (len(files) - number))
        for row in _rows_of(file, share, path):
            kept += len(row)
            if kept > _SAMPLE_BYTES:
                return sample
            _add(sample, row, dataset)
    return sample


def without_misfits(sample: Sample, percent: float) -> Sample:
    """The sample without the rows that `misfits` names."""
    aside = misfits(sample.rows, percent) if percent else set()
    return replace(
        sample,
        raw=[raw for at, raw in enumerate(sample.raw) if at not in aside],
        rows=[row for at, row in enumerate(sample.rows) if at not in aside],
        misfits=len(aside),
    )


def _rows_of(file: Path, rows: int, path: tuple[str, ...]) -> list[bytes]:
    if not path and file.stat().st_size > _SMALL_BYTES:
        size, share = file.stat().st_size, -(-rows // _PARTS)
        bounds = [size * part // _PARTS for part in range(_PARTS + 1)]
        parts = [_first(rows_between(file, bounds[at], bounds[at + 1], _BLOCK_BYTES), share) for at in range(1, _PARTS)]
        if any(parts):  # only lines can be read from the middle of a file
            return [
                *_first(rows_between(file, 0, bounds[1], _BLOCK_BYTES), share),
                *(row for part in parts for row in part),
            ]
    return _some_of(rows_between(file, 0, file.stat().st_size, rows_path=path), rows)


def _first(rows: Iterable[bytes], most: int) -> list[bytes]:
    return [row for row, _ in zip(rows, range(most), strict=False)]


def _some_of(rows: Iterable[bytes], most: int) -> list[bytes]:
    """`most` of the rows, each with the same chance, in order (reservoir sampling)."""
    chance = random.Random(most)
    kept: list[tuple[int, bytes]] = []
    read = 0
    for number, row in enumerate(rows):
        read += len(row)
        if read > _READ_BYTES:
            break
        if number < most:
            kept.append((number, row))
        elif (place := chance.randrange(number + 1)) < most:
            kept[place] = number, row
    return [row for _, row in sorted(kept)]


def _add(sample: Sample, raw: bytes, dataset: str) -> None:
    row = read_items(raw)
    if row is None:
        sample.unusable += 1
        return
    own = own_record_type(row)
    if own is not None and own != dataset:
        sample.others[own] = sample.others.get(own, 0) + 1
        return
    sample.raw.append(raw)
    sample.rows.append(_values(row))


def whole(raw: bytes) -> dict[str, Any]:
    """A document that was read as a row, with all that is inside of it, however long; empty if nested too deep."""
    try:
        document: dict[str, Any] = json.loads(raw)
    except RecursionError:
        return {}
    return document


def _values(row: Row) -> dict[str, Any]:
    return {name: item.value for name, item in row.items.items() if name != RECORD_TYPE}
