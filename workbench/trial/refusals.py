"""Why rows were refused, with examples, read from the quarantine files that a trial has written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import duckdb
import pyarrow as pa

from services.ops.report.model import EXAMPLES, Example, Refusal
from workbench.inprocess.folder import pattern, shown
from workbench.inprocess.pipeline import MIB

RAW_CHARACTERS = 160
_DETAIL_CHARACTERS = 300
_BEFORE_CHARACTERS = 80  # what is shown before the place that is wrong
# The place in a row's text that is wrong, as far as its field or the sentence about it tells.
_WHERE = r"""coalesce(nullif(instr(raw, '"' || field || '"'), 0),
                     try_cast(regexp_extract(detail, 'char(?:acter)? ([0-9]+)', 1) AS INTEGER), 1)"""
_COUNTED_BYTES = 1024 * MIB  # read again to count lines; beyond that an example has no line number
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


class _Place(NamedTuple):
    source: str
    offset: int


def read_refusals(lake: Path, files: Mapping[str, Path]) -> list[Refusal]:
    """Reasons, the most frequent first, each with its first rows.

    Args:
        lake: the folder with `quarantine/`.
        files: the local file of each `_source`.
    """
    if not any(lake.glob("quarantine/*/dt=*/*.parquet")):
        return []
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""SELECT split_part(filename, '/', -3) AS dataset, reason, field, count(*) AS rows,
                       arg_min({{'source': _source, 'offset': _offset, 'detail': left(detail, {_DETAIL_CHARACTERS}),
                                 'begin': begin, 'raw': substr(raw, begin, {RAW_CHARACTERS + 1})}},
                               _offset, {EXAMPLES}) AS examples
                FROM (SELECT *, greatest(1, {_WHERE} - {_BEFORE_CHARACTERS}) AS begin
                      FROM read_parquet(?, filename = true, hive_partitioning = false))
                GROUP BY ALL ORDER BY rows DESC, dataset, reason, field""",  # noqa: S608 (numbers only)
            [pattern(lake, "quarantine", "*", "dt=*", "*.parquet")],
        ).fetchall()
    places = [_Place(one["source"], one["offset"]) for *_, examples in found for one in examples]
    lines = _line_numbers(places, files)
    return [
        Refusal(
            dataset,
            reason,
            field,
            rows,
            [
                Example(
                    shown(files[one["source"]]) if one["source"] in files else one["source"],
                    lines.get(_Place(one["source"], one["offset"])),
                    one["offset"],
                    one["detail"],
                    _shortened(one["raw"], one["begin"]),
                )
                for one in sorted(examples, key=lambda one: (one["source"], one["offset"]))
            ],
        )
        for dataset, reason, field, rows, examples in found
    ]


def count_rescued(lake: Path) -> dict[str, int]:
    """Rows of Silver with fields that their contract does not know, by dataset."""
    found = {}
    for folder in _datasets(lake):
        with duckdb.connect() as connection:
            answer = connection.execute("SELECT count(_rescued) FROM read_parquet(?)", [_files(folder)]).fetchone()
        if answer and answer[0]:
            found[folder.name] = int(answer[0])
    return found


def unknown_fields(lake: Path, dataset: str, rows: int = 10_000, most: int = 20) -> dict[str, int]:
    """The keys that a contract does not know, and in how many of the first `rows` rows that have some."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""SELECT key, count(*) AS rows FROM (
                    SELECT unnest(json_keys(_rescued)) AS key
                    FROM (SELECT _rescued FROM read_parquet(?) WHERE _rescued IS NOT NULL LIMIT {rows:d}))
                GROUP BY key ORDER BY rows DESC, key LIMIT {most:d}""",  # noqa: S608 (numbers only)
            [_files(lake / "silver" / dataset)],
        ).fetchall()
    return dict(found)


def _datasets(lake: Path) -> Iterable[Path]:
    return sorted(path for path in lake.glob("silver/*") if any(path.glob("dt=*/*.parquet")))


def _files(dataset: Path) -> str:
    return pattern(dataset, "dt=*", "*.parquet")


def _shortened(raw: str, begin: int) -> str:
    before, behind = "..." * (begin > 1), "..." * (len(raw) > RAW_CHARACTERS)
    return f"{before}{raw[:RAW_CHARACTERS]}{behind}"


def _line_numbers(places: Iterable[_Place], files: Mapping[str, Path]) -> dict[_Place, int]:
    """The line in which each place is, as far as counting may go."""
    found: dict[_Place, int] = {}
    by_source: dict[str, list[_Place]] = {}
    for place in places:
        by_source.setdefault(place.source, []).append(place)
    left = _COUNTED_BYTES
    for source, wanted in by_source.items():
        if source in files:
            left -= _count_lines(files[source], sorted(wanted), left, found)
    return found


def _count_lines(file: Path, wanted: list[_Place], most: int, found: dict[_Place, int]) -> int:
    """Count lines up to each place that is wanted, in order; gives how many bytes that took."""
    line, at = 1, 0
    try:
        with file.open("rb") as raw, _decompressed(raw) as stream:
            for place in wanted:
                if place.offset > most:
                    break
                while at < place.offset and (data := stream.read(min(MIB, place.offset - at))):
                    line, at = line + data.count(b"\n"), at + len(data)
                if at == place.offset:
                    found[place] = line
    except (OSError, pa.ArrowException):  # damaged, or gone: its byte is known all the same
        return at
    return at


def _decompressed(raw: BinaryIO) -> pa.NativeFile:
    """A file's bytes as its rows' offsets count them; what it is shows in its first bytes."""
    head = raw.read(4)
    raw.seek(0)
    codec = next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)
    return pa.input_stream(raw, compression=codec)
