"""What a compaction reads where there is no table: the files that committed lots have in a partition, and no others.

A listing only names lots; the ledger, or the history, says what they have committed. A lot that is being rewritten is
left out: its files are about to be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from services.ops.committed import FindLots, lots_of
from services.ops.errors import OperatorError
from services.shared.compaction import (
    TARGET_BYTES,
    CompactionPlan,
    CompactionResult,
    InputFile,
    check_result,
    is_worthwhile,
)
from services.shared.contract.model import Contract
from services.shared.identities import SILVER_ROOT, CompactionRun
from services.shared.lake import find_file
from services.shared.ledger.records import LotState
from services.shared.recompute import RecomputePlan

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done: a plan, or the reason why there is none. `done` is the run that has done it already."""

    plan: CompactionPlan | None
    why_not: str = ""
    done: CompactionResult | None = None


class Partition:
    """A partition of Silver in a bucket, and the runs below an output prefix.

    Raises:
        OperatorError: the output prefix belongs to the pipeline, or is none.
    """

    def __init__(self, client: S3Client, bucket: str, record_type: str, dt: str, output: str) -> None:
        self._client, self._bucket = client, bucket
        self.record_type, self.dt, self.output = record_type, dt, output.strip("/")
        try:
            CompactionRun.parse(f"{self.output}/{record_type}/dt={dt}/run=0/")
        except ValueError as error:
            raise OperatorError(f"The output prefix {output!r} cannot be used: {error}.") from error

    def inputs(self, find_lots: FindLots, root: str = SILVER_ROOT) -> list[InputFile]:
        """The committed files of Silver, or of quarantine (`root`)."""
        folder = f"{root}/{self.record_type}/dt={self.dt}/"
        return [
            InputFile(file.key, file.etag, file.rows, file.bytes, str(lot.id))
            for lot in find_lots(lots_of(self._keys(folder)))
            if lot.state is LotState.COMMITTED
            for file in lot.files
            if file.key.startswith(folder)
        ]

    def plan(self, contract: Contract, inputs: list[InputFile], now: datetime, force: bool = False) -> Planned:
        """Plan a run over these files. With `force`, also where it leaves no fewer files.

        Raises:
            ManifestError: a run's plan or manifest is damaged.
        """
        run = CompactionRun.new(self.output, self.record_type, self.dt, now)
        if not inputs:
            return Planned(None, "no lot has committed a file in this partition")
        plan = CompactionPlan.of(run, contract, inputs)
        known = self.last_plan()
        if known is not None and _is_same_work(known, plan):
            manifest = self.read(known.run.manifest_key)
            if manifest is None:
                return Planned(known)  # it was planned and never ended: another try of the same run
            done = CompactionResult.from_json(manifest)
            check_result(known, done)
            return Planned(None, f"{known.run} has done it, and nothing was committed since", done)
        if not force and not is_worthwhile([file.bytes for file in inputs], TARGET_BYTES):
            return Planned(None, f"{len(inputs)} files of {plan.total_bytes:,} bytes are few enough as they are")
        return Planned(plan)

    def plan_recompute(
        self, contracts: Mapping[str, str], silver: list[InputFile], quarantine: list[InputFile], now: datetime
    ) -> RecomputePlan:
        """Plan to judge the partition's rows again by these contract files, and write the plan."""
        run = CompactionRun.new(self.output, self.record_type, self.dt, now)
        plan = RecomputePlan(run, contracts, tuple(silver), tuple(quarantine))
        self._client.put_object(Bucket=self._bucket, Key=plan.plan_key, Body=plan.to_json().encode())
        return plan

    def last_plan(self) -> CompactionPlan | None:
        """The plan of the latest run without a table. Those of the lake's table are for its maintenance to delete."""
        folder = f"{self.output}/{self.record_type}/dt={self.dt}/"
        plans = [key for key in self._keys(folder) if key.endswith("/_plan.json")]
        for key in sorted(plans, reverse=True):
            text = self.read(key)
            plan = CompactionPlan.from_json(text) if text is not None else None
            if plan is not None and plan.base_snapshot is None:
                return plan
        return None

    def write(self, plan: CompactionPlan) -> None:
        self._client.put_object(Bucket=self._bucket, Key=plan.run.plan_key, Body=plan.to_json().encode())

    def result(self, plan: CompactionPlan) -> CompactionResult | None:
        """What came of a plan; None where its run has not ended.

        Raises:
            ManifestError: the manifest does not fit the plan.
        """
        text = self.read(plan.run.manifest_key)
        if text is None:
            return None
        found = CompactionResult.from_json(text)
        check_result(plan, found)
        return found

    def read(self, key: str) -> bytes | None:
        return find_file(self._client, self._bucket, key)

    def _keys(self, prefix: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))


def _is_same_work(one: CompactionPlan, other: CompactionPlan) -> bool:
    """Whether two plans come to the same rows and columns; they are of runs of their own."""
    return (one.inputs, one.keys, one.order, one.contract_version) == (
        other.inputs,
        other.keys,
        other.order,
        other.contract_version,
    )
