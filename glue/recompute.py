"""A partition judged again from Bronze under the contracts of its plan, by the reference judge.

Only a report is written. Rows are found by what Silver and quarantine say of them: their object and the byte at which
they start in it. Each object is read once, by its content, and must fit into a worker's memory.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql import types as T  # noqa: N812

from glue.arrow import spark_schema
from glue.files import INPUT, Batches, Inputs, reader
from glue.store import bronze_at, store_at
from services.shared.columns import CREATED, OFFSET, QUARANTINE, RAW, SOURCE, Column, silver_columns
from services.shared.compression import HEAD_BYTES, codec_to_read
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.decompress import Decompressed, UnreadableUnit
from services.shared.identities import ObjectId
from services.shared.judge.judge import RowJudge
from services.shared.lake import ObjectGone
from services.shared.parquet.tables import arrow_type
from services.shared.recompute import OF_NO_CONTRACT, Fate, Judged, RecomputePlan, judge_again, row_at
from services.shared.units import BronzeObject, Unit

LARGEST_BYTES = 1 << 30  # of an object, decompressed: a worker holds one at a time
_WIDEST_DECIMAL = 38  # digits
LISTED = 1000  # differences that the report names one by one; all are counted
_REPORT = "fate string, source string, offset long, now string, number long"


class _TooLarge(Exception):
    """More bytes than a worker holds."""


def recompute(spark: SparkSession, root: str, bronze: str, plan: RecomputePlan) -> dict[str, Any]:
    """Judge, write the report, and return it.

    Args:
        root: the Silver bucket (`s3://bucket`), or a folder.
        bronze: empty where each object is in the bucket that its id names, or a folder in place of all buckets.
    """
    told = _rows(spark, root, plan).mapInArrow(judge_worker(bronze, plan), _REPORT).cache()
    counts = {one.fate: one.rows for one in told.groupBy("fate").agg(F.sum("number").alias("rows")).collect()}
    differences = told.filter(F.col("fate") != Fate.SAME.value)
    objects = sorted(one.source for one in differences.select("source").distinct().collect())
    listed = differences.orderBy("source", "offset").limit(LISTED).collect()
    report = {
        "run": str(plan.run),
        "rows": {fate.value: counts.get(fate.value, 0) for fate in Fate},
        "objects": objects,
        "differences": [
            {"source": one.source, "offset": one.offset, "fate": one.fate, "now": one.now} for one in listed
        ],
    }
    told.unpersist()
    store_at(root).put(plan.report_key, json.dumps(report, indent=1).encode())
    return report


def _rows(spark: SparkSession, root: str, plan: RecomputePlan) -> DataFrame:
    """Silver's rows with their values, and quarantine's with their reasons; those of an object beside each other."""
    columns = tuple(map(_as_once, silver_columns(contracts_of(plan)[plan.run.record_type])))
    silver = _read(spark, root, Inputs(plan.silver, columns))
    refused = _read(spark, root, Inputs(plan.quarantine, QUARANTINE)).select(SOURCE, OFFSET, CREATED, "reason", RAW)
    named = silver.select(SOURCE, OFFSET, CREATED, F.struct(*(column.name for column in columns)).alias("values"))
    both = named.unionByName(refused, allowMissingColumns=True)
    return both.repartition(SOURCE).sortWithinPartitions(SOURCE, OFFSET)


def _as_once(column: Column) -> Column:
    """The column as files of earlier contracts may have it: null where it is required today, and decimals wider."""
    precision = None if column.precision is None else _WIDEST_DECIMAL
    return replace(column, nullable=True, precision=precision, children=tuple(map(_as_once, column.children)))


def _read(spark: SparkSession, root: str, files: Inputs) -> DataFrame:
    schema = spark_schema(files.columns).add(INPUT, T.IntegerType())
    if not files.inputs:
        return spark.createDataFrame([], schema)
    return spark.range(0, len(files.inputs), 1, len(files.inputs)).mapInArrow(reader(root, files), schema)


def contracts_of(plan: RecomputePlan) -> dict[str, Contract]:
    """The plan's contracts."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in plan.contracts.items():
            (Path(folder) / f"{name}.yaml").write_text(text)
        return load_contracts(folder)


def judge_worker(bronze: str, plan: RecomputePlan) -> Callable[[Batches], Batches]:
    """A worker that takes rows in the order of their objects and tells what becomes of them."""

    def work(batches: Batches) -> Batches:
        judging = _Judging(bronze, plan)
        for batch in batches:
            told = [judging.tell(row) for row in batch.to_pylist()]
            same = Counter(told)[None]
            found = [one for one in told if one is not None] + ([(Fate.SAME.value, "", 0, "", same)] if same else [])
            kinds = (pa.string(), pa.string(), pa.int64(), pa.string(), pa.int64())
            arrays = [pa.array([one[at] for one in found], kind) for at, kind in enumerate(kinds)]
            yield pa.RecordBatch.from_arrays(arrays, names=["fate", "source", "offset", "now", "number"])

    return work


class _Content(NamedTuple):
    source: str
    data: bytes | None
    why: str
    dataset: str


class _Judging:
    """The judge, and the content of the object that it is at."""

    def __init__(self, bronze: str, plan: RecomputePlan) -> None:
        self._bronze, self._plan = bronze, plan
        self._contracts = contracts_of(plan)
        self._judge = RowJudge(self._contracts)
        self._columns = tuple(map(_as_once, silver_columns(self._contracts[plan.run.record_type])))
        self._at = _Content("", None, "", "")

    def tell(self, row: Mapping[str, Any]) -> tuple[str, str, int, str, int] | None:
        """A difference; None where there is none."""
        judged = self._judged(row)
        if judged.fate is Fate.SAME:
            return None
        return judged.fate.value, row[SOURCE], row[OFFSET], judged.now, 1

    def _judged(self, row: Mapping[str, Any]) -> Judged:
        reason = row.get("reason")
        if reason in {one.value for one in OF_NO_CONTRACT}:
            return Judged(Fate.SAME)
        if self._at.source != row[SOURCE]:
            self._at = self._open(row)
        if self._at.data is None:
            return Judged(Fate.UNREADABLE, self._at.why)
        text = row_at(self._at.data, row[OFFSET])
        if text is None:
            return Judged(Fate.UNREADABLE, "no JSON object starts at this byte any more")
        partition = (self._plan.run.record_type, self._plan.run.dt)
        judged, accepted = judge_again(
            self._judge, self._contracts, text, self._at.dataset, row[CREATED], partition, reason
        )
        if accepted is None:
            return judged
        values = dict(zip((one.name for one in self._columns), (*accepted.values, None, None, None), strict=False))
        values["_rescued"] = accepted.rescued
        lineage = {SOURCE, OFFSET, CREATED}
        other = [
            column.name
            for column in self._columns
            if column.name not in lineage and not _equal(column, values[column.name], row["values"][column.name])
        ]
        return Judged(Fate.CHANGED, f"other values of {', '.join(other)}") if other else judged

    def _open(self, row: Mapping[str, Any]) -> _Content:
        id_ = ObjectId.parse(row[SOURCE])
        source = BronzeObject(id_.bucket, id_.key, 0, id_.etag, None, row[CREATED])
        try:
            bronze = bronze_at(self._bronze, id_.bucket)
            if bronze.size(id_.key) > LARGEST_BYTES:  # it may have more bytes than all workers have memory
                raise _TooLarge
            data = bronze.read(id_.key, id_.etag)
            codec = codec_to_read(data[:HEAD_BYTES], source.bronze_key.codec)
            if codec is not None:
                data = _whole(Decompressed(io.BytesIO(data), codec, Unit(source, 0, len(data)), lambda: None))
        except (ObjectGone, UnreadableUnit) as error:
            why = error.what if isinstance(error, ObjectGone) else str(error)
            return _Content(row[SOURCE], None, why, "")
        except _TooLarge:
            return _Content(row[SOURCE], None, f"the object has more than {LARGEST_BYTES:,} bytes", "")
        return _Content(row[SOURCE], data, "", source.bronze_key.dataset)


def _whole(stream: Decompressed) -> bytes:
    sink = io.BytesIO()
    while piece := stream.read(1 << 20):
        sink.write(piece)
        if sink.tell() > LARGEST_BYTES:
            raise _TooLarge
    return sink.getvalue()


def _equal(column: Column, judged: Any, stored: Any) -> bool:
    """Whether a judged value is the one that is stored, as Arrow has both."""
    found: Iterator[Any] = iter(pa.array([value], arrow_type(column)) for value in (judged, stored))
    return bool(next(found).equals(next(found)))
