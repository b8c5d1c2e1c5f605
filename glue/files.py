"""Spark's workers at their files: a plan's inputs into batches of rows, and sorted rows into files of measured size.

Both run in Python beside Spark, a batch at a time: a worker holds one input, or one output and a row group, in memory.
"""

from __future__ import annotations

import io
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext

from glue.arrow import conformed, silver_schema
from glue.store import Store, store_at
from services.shared.columns import Column
from services.shared.compaction import CompactionPlan, InputFile, OutputFile
from services.shared.errors import Terminal

INPUT = "_input"  # the number of the input that a row comes from; no column of Silver's is named so
REPORT = "key string, rows long, bytes long, etag string, kept string"  # a file, or at last the rows kept of each input
_ROW_GROUP_BYTES = 48 * 1024 * 1024  # in memory
_BATCH_ROWS = 32 * 1024

Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files that have the same columns."""

    inputs: tuple[InputFile, ...]
    columns: tuple[Column, ...]


class WrongInput(Terminal):
    """An input is not what the plan says."""


def reader(root: str, plan: CompactionPlan | Inputs) -> Callable[[Batches], Batches]:
    """A worker that takes numbers of inputs (`id`) and gives their rows, with `INPUT` as the last column."""

    def read(numbers: Batches) -> Batches:
        store = store_at(root)
        for batch in numbers:
            for number in batch.column(0).to_pylist():
                for rows in _rows_of(store, plan.inputs[number]):
                    table = conformed(rows, plan.columns, strict=False)
                    table = table.append_column(INPUT, pa.array([number] * table.num_rows, pa.int32()))
                    yield from table.replace_schema_metadata(None).combine_chunks().to_batches()

    return read


def _rows_of(store: Store, file: InputFile) -> Iterator[pa.Table]:
    data = store.read(file.key, file.etag)
    opened = pq.ParquetFile(io.BytesIO(data))
    if (opened.metadata.num_rows, len(data)) != (file.rows, file.bytes):
        raise WrongInput(
            f"{file.key} has {opened.metadata.num_rows} rows in {len(data)} bytes, and the plan says {file.rows} rows "
            f"in {file.bytes} bytes: make a new plan"
        )
    for batch in opened.iter_batches(_BATCH_ROWS):
        yield pa.Table.from_batches([batch])


def writer(root: str, plan: CompactionPlan, metadata: Mapping[str, str]) -> Callable[[Batches], Batches]:
    """A worker that takes a partition's rows in order, writes them, and gives what it wrote, as `REPORT` has it.

    Its files have names that no other worker has, and no other attempt of its own: what an attempt that died has
    written is in nobody's report.
    """

    def write(batches: Batches) -> Batches:
        task = TaskContext.get()
        name = f"{task.partitionId() if task else 0:05d}-{secrets.token_hex(4)}"
        output = _Output(store_at(root), plan, name, metadata)
        for batch in batches:
            step = max(1, batch.num_rows * output.group_bytes // max(1, batch.nbytes))  # rows may be long
            for first in range(0, batch.num_rows, step):
                output.take(pa.Table.from_batches([batch.slice(first, step)]))
        yield _report(output.finish(), output.kept, plan)

    return write


class _Output:
    """One worker's files: the next one begins when this one has the wanted size."""

    def __init__(self, store: Store, plan: CompactionPlan, name: str, metadata: Mapping[str, str]) -> None:
        self._store, self._plan, self._name, self._metadata = store, plan, name, dict(metadata)
        self._schema = silver_schema(plan.columns)
        self.group_bytes = min(_ROW_GROUP_BYTES, plan.target_bytes // 2)
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = self._rows = 0
        self._sink: io.BytesIO | None = None
        self._writer: pq.ParquetWriter | None = None
        self._done: list[OutputFile] = []
        self.kept = Counter[int]()

    def take(self, rows: pa.Table) -> None:
        self.kept.update(rows[INPUT].to_pylist())
        named = rows.drop_columns([INPUT])
        fields = [
            field.with_metadata(column.metadata) for field, column in zip(named.schema, self._schema, strict=True)
        ]  # from Spark they come in the plan's order, without field ids
        described = pa.Table.from_arrays(named.columns, schema=pa.schema(fields))
        self._waiting.append(conformed(described, self._plan.columns, strict=True))
        self._waiting_bytes += rows.nbytes
        if self._waiting_bytes >= self.group_bytes:
            self._write_group()

    def finish(self) -> list[OutputFile]:
        if self._waiting:
            self._write_group()
        self._close()
        return self._done

    def _write_group(self) -> None:
        if self._writer is None or self._sink is None:
            self._sink = io.BytesIO()
            self._writer = pq.ParquetWriter(
                self._sink, self._schema, compression="zstd", compression_level=3, store_schema=False
            )
        group = pa.concat_tables(self._waiting)
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._rows += group.num_rows
        self._waiting, self._waiting_bytes = [], 0
        if self._sink.tell() >= self._plan.target_bytes:
            self._close()

    def _close(self) -> None:
        if self._writer is None or self._sink is None:
            return
        self._writer.add_key_value_metadata(self._metadata)
        self._writer.close()
        data = self._sink.getvalue()
        key = f"{self._plan.run}part-{self._name}-{len(self._done):04d}.parquet"
        self._done.append(OutputFile(key, self._rows, len(data), self._store.put(key, data)))
        self._writer = self._sink = None
        self._rows = 0


def _report(files: list[OutputFile], kept: Counter[int], plan: CompactionPlan) -> pa.RecordBatch:
    told = json.dumps({plan.inputs[number].key: rows for number, rows in sorted(kept.items())})
    columns = [
        pa.array([*(file.key for file in files), None], pa.string()),
        pa.array([*(file.rows for file in files), None], pa.int64()),
        pa.array([*(file.bytes for file in files), None], pa.int64()),
        pa.array([*(file.etag for file in files), None], pa.string()),
        pa.array([*(None for _ in files), told], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["key", "rows", "bytes", "etag", "kept"])
