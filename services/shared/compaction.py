"""What a compaction reads and what came of it: the plan and the manifest, as values and as JSON.

Whoever holds the table's lease makes the plan (services.ops); the Spark job reads exactly its inputs and writes the
manifest last; whoever holds the lease then checks the one against the other and swaps the files. So this is the
only thing that the two sides share. Pure values: no AWS client, no Arrow, no Spark.

    plan ------> outputs ------> manifest ------> swap
    (ops)        (job)           (job)            (ops)

Before the manifest, nothing refers to the outputs. Before the swap, readers have the old files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from services.shared.columns import CREATED, OFFSET, SOURCE, Column, silver_columns
from services.shared.contract.model import Contract, FieldType
from services.shared.identities import SILVER_ROOT, CompactionRun, LakeKey
from services.shared.manifest_json import FORMAT, Body, ManifestError

TARGET_BYTES = 128 * 1024 * 1024  # of one compacted file


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that is read. `lot` wrote it; empty if it is the output of an earlier run."""

    key: str
    etag: str
    rows: int
    bytes: int
    lot: str = ""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that is written. The etag is what the store answered; a file with another one is not this file."""

    key: str
    rows: int
    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """One partition of one dataset, and the files that are read.

    `base_snapshot` is the table's snapshot that the plan was made from; None without a table. `replaces` are the live
    files that the commit takes out of the table: the inputs, or, where a partition is built again because one of
    its lots has changed, the outputs of earlier runs. Of the rows that agree in all `keys`, the one with the greatest
    `order` is kept; a row with a null in a key is kept always, and so is every row where there are no keys.
    `columns` are Silver's, in their order. `target_bytes` is the wanted size of an output.
    """

    run: CompactionRun
    contract_version: str
    base_snapshot: int | None
    inputs: tuple[InputFile, ...]
    replaces: tuple[str, ...]
    keys: tuple[str, ...]
    order: tuple[str, ...]
    columns: tuple[Column, ...]
    target_bytes: int = TARGET_BYTES

    @classmethod
    def of(
        cls,
        run: CompactionRun,
        contract: Contract,
        inputs: Iterable[InputFile],
        base_snapshot: int | None = None,
        replaces: Iterable[str] | None = None,
        target_bytes: int = TARGET_BYTES,
        columns: Iterable[Column] | None = None,
    ) -> Self:
        """The plan for a partition under a contract.

        `replaces` is given where it is not the inputs, `columns` where there are more than the contract's.

        Raises:
            ManifestError: an input is no file of this partition, stands there twice, or there is none.
        """
        files = tuple(sorted(inputs, key=lambda file: file.key))
        plan = cls(
            run=run,
            contract_version=contract.version,
            base_snapshot=base_snapshot,
            inputs=files,
            replaces=tuple(sorted(file.key for file in files) if replaces is None else sorted(replaces)),
            keys=contract.keys,
            order=tuple(dict.fromkeys((contract.event_time, CREATED, SOURCE, OFFSET))),
            columns=silver_columns(contract) if columns is None else tuple(columns),
            target_bytes=target_bytes,
        )
        _check_plan(plan)
        return plan

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.inputs)

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.inputs)

    @property
    def digest(self) -> str:
        """Stands for everything that the plan says."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        body = {
            "format": FORMAT,
            "run": str(self.run),
            "contract_version": self.contract_version,
            "base_snapshot": self.base_snapshot,
            "inputs": [_file_body(file) | {"lot": file.lot} for file in self.inputs],
            "replaces": list(self.replaces),
            "keys": list(self.keys),
            "order": list(self.order),
            "columns": [_column_body(column) for column in self.columns],
            "target_bytes": self.target_bytes,
        }
        return json.dumps(body, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            ManifestError: it is no plan, of another format, or says something that cannot be.
        """
        body = Body.read(text, "the plan")
        body.only(*_PLAN_NAMES)
        snapshot = body.value("base_snapshot")
        if snapshot is not None and type(snapshot) is not int:
            raise ManifestError("the plan: base_snapshot is neither a whole number nor null")
        plan = cls(
            run=_run(body),
            contract_version=body.text("contract_version"),
            base_snapshot=snapshot,
            inputs=tuple(_input(one) for one in body.bodies("inputs")),
            replaces=body.texts("replaces"),
            keys=body.texts("keys"),
            order=body.texts("order"),
            columns=tuple(_column(one) for one in body.bodies("columns")),
            target_bytes=body.number("target_bytes", least=1),
        )
        _check_plan(plan)
        return plan


@dataclass(frozen=True, slots=True)
class CompactionResult:
    """What a run has written; it exists only when all of it is there.

    `superseded` says for each input how many of its rows were left out because a later row has the same key.
    """

    run: CompactionRun
    plan_digest: str
    outputs: tuple[OutputFile, ...]
    superseded: Mapping[str, int]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.outputs)

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.outputs)

    @property
    def superseded_rows(self) -> int:
        return sum(self.superseded.values())

    def to_json(self) -> str:
        body = {
            "format": FORMAT,
            "run": str(self.run),
            "plan_digest": self.plan_digest,
            "outputs": [_file_body(file) for file in self.outputs],
            "superseded": dict(self.superseded),
            "rows_in": self.rows + self.superseded_rows,
            "rows_out": self.rows,
            "superseded_rows": self.superseded_rows,
        }
        return json.dumps(body, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            ManifestError: it is no manifest, of another format, or its sums do not add up.
        """
        body = Body.read(text, "the manifest")
        body.only("run", "plan_digest", "outputs", "superseded", "rows_in", "rows_out", "superseded_rows")
        superseded = Body(body.value("superseded"), "the manifest's superseded")
        result = cls(
            run=_run(body),
            plan_digest=body.text("plan_digest"),
            outputs=tuple(_output(one) for one in body.bodies("outputs")),
            superseded={key: superseded.number(key) for key in superseded.names()},
        )
        said = [body.number(name) for name in ("rows_in", "rows_out", "superseded_rows")]
        if said != [result.rows + result.superseded_rows, result.rows, result.superseded_rows]:
            raise ManifestError(
                f"the manifest of {result.run}: {said[0]} rows in, {said[1]} out and {said[2]} superseded are not the "
                "sums of its files: leave it, and compact the partition again"
            )
        return result


def check_result(plan: CompactionPlan, result: CompactionResult) -> None:
    """Whether a manifest is the whole outcome of a plan; what the files hold is for their reader to check.

    Raises:
        ManifestError: it belongs to another plan, an output is outside of the run, or rows are missing or too many.
    """
    problems = list(_problems(plan, result))
    if problems:
        raise ManifestError(
            f"the manifest of {plan.run} does not fit its plan: {'; '.join(problems)}. Nothing was changed: "
            "compact the partition again"
        )


def files_needed(total_bytes: int, target_bytes: int = TARGET_BYTES) -> int:
    """How many files of about `target_bytes` hold `total_bytes`."""
    return max(1, -(-total_bytes // target_bytes))


def is_worthwhile(sizes: Iterable[int], target_bytes: int = TARGET_BYTES) -> bool:
    """Whether compacting files of these sizes (bytes) leaves at least a third fewer of them.

    A large compacted partition and one small file more is left alone: else each late row would rewrite the whole day.
    """
    files = list(sizes)
    needed = files_needed(sum(files), target_bytes)
    return len(files) > needed + needed // 2


_PLAN_NAMES = (
    "run",
    "contract_version",
    "base_snapshot",
    "inputs",
    "replaces",
    "keys",
    "order",
    "columns",
    "target_bytes",
)


def _problems(plan: CompactionPlan, result: CompactionResult) -> Iterable[str]:
    if result.run != plan.run:
        yield f"it is of the run {result.run}"
    if result.plan_digest != plan.digest:
        yield "it was made from another plan"
    keys = [file.key for file in result.outputs]
    if len(set(keys)) < len(keys):
        yield "an output is in it twice"
    for key in keys:
        if not (key.startswith(str(plan.run)) and key.endswith(".parquet")):
            yield f"{key} is no Parquet file of the run"
    for file in result.outputs:
        if file.rows < 1 or file.bytes < 1:
            yield f"{file.key} is empty"
    rows = {file.key: file.rows for file in plan.inputs}
    if set(result.superseded) != set(rows):
        yield "it counts superseded rows of other files than the inputs"
    for key in sorted(set(rows) & set(result.superseded)):
        if result.superseded[key] > rows[key]:
            yield f"{key} has {rows[key]} rows, and {result.superseded[key]} of them are superseded"
    if result.superseded_rows and not plan.keys:
        yield "rows are superseded, and the dataset has no keys"
    if result.rows + result.superseded_rows != plan.rows:
        yield f"{plan.rows} rows went in; {result.rows} came out and {result.superseded_rows} were superseded"


def _check_plan(plan: CompactionPlan) -> None:
    keys = [file.key for file in plan.inputs]
    if not keys:
        raise ManifestError(f"the plan of {plan.run} has no inputs: there is nothing to compact")
    for name, listed in (("inputs", keys), ("replaces", plan.replaces)):
        if len(set(listed)) < len(listed):
            raise ManifestError(f"the plan of {plan.run}: a file stands in its {name} twice")
    for key in (*keys, *plan.replaces):
        if not _is_of_partition(key, plan.run):
            raise ManifestError(f"the plan of {plan.run}: {key} is no file of this partition")
    names = [column.name for column in plan.columns]
    if missing := [name for name in (*plan.keys, *plan.order) if name not in names]:
        raise ManifestError(f"the plan of {plan.run}: there is no column {missing[0]!r}")
    if not {CREATED, SOURCE, OFFSET} <= set(plan.order):
        raise ManifestError(f"the plan of {plan.run}: its order leaves ties, it lacks {CREATED}, {SOURCE} or {OFFSET}")


def _is_of_partition(key: str, run: CompactionRun) -> bool:
    try:
        silver = LakeKey.parse(key)
    except ValueError:
        return key.endswith(".parquet") and _is_other_run(key, run)
    return (silver.root, silver.record_type, silver.dt) == (SILVER_ROOT, run.record_type, run.dt)


def _is_other_run(key: str, run: CompactionRun) -> bool:
    try:
        other = CompactionRun.parse(key)
    except ValueError:
        return False
    return other != run and (other.record_type, other.dt) == (run.record_type, run.dt)


def _file_body(file: InputFile | OutputFile) -> dict[str, Any]:
    return {"key": file.key, "etag": file.etag, "rows": file.rows, "bytes": file.bytes}


def _column_body(column: Column) -> dict[str, Any]:
    body: dict[str, Any] = {"name": column.name, "type": str(column.type), "nullable": column.nullable, "id": column.id}
    if column.precision is not None:
        body |= {"precision": column.precision, "scale": column.scale}
    if column.children:
        body["children"] = [_column_body(child) for child in column.children]
    return body


def _run(body: Body) -> CompactionRun:
    text = body.text("run")
    try:
        run = CompactionRun.parse(text)
    except ValueError as error:
        raise ManifestError(f"{body.where}: {error}") from error
    if str(run) != text:
        raise ManifestError(f"{body.where}: {text!r} is not the folder of a run")
    return run


def _input(body: Body) -> InputFile:
    body.only("key", "etag", "rows", "bytes", "lot", is_top=False)
    return InputFile(
        body.text("key"), body.text("etag"), body.number("rows", 1), body.number("bytes", 1), body.text("lot", least=0)
    )


def _output(body: Body) -> OutputFile:
    body.only("key", "etag", "rows", "bytes", is_top=False)
    return OutputFile(body.text("key"), body.number("rows"), body.number("bytes"), body.text("etag"))


def _column(body: Body) -> Column:
    body.only("name", "type", "nullable", "id", is_top=False, optional=("precision", "scale", "children"))
    nullable = body.value("nullable")
    kind = body.text("type")
    if type(nullable) is not bool or kind not in set(FieldType):
        raise ManifestError(f"{body.where}: a column's type is {kind!r}, nullable {nullable!r}")
    is_decimal = kind == FieldType.DECIMAL
    return Column(
        body.text("name"),
        FieldType(kind),
        nullable,
        body.number("id", 1),
        "",
        body.number("precision", 1) if is_decimal else None,
        body.number("scale") if is_decimal else None,
        tuple(_column(one) for one in body.bodies("children")) if "children" in body.names() else (),
    )
