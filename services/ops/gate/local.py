"""A run of the gate on this machine: over a folder, or over the files of a bucket, brought here while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from services.ops.committed import FindLots
from services.ops.compacting.running import run_script
from services.ops.errors import OperatorError
from services.ops.gate.files import JSON, FolderFiles, GateFiles
from services.ops.gate.finishing import Ended, finish
from services.ops.gate.planning import make_plan, new_run
from services.ops.gate.workflow import RESULT_PREFIX, Request
from services.shared.contract.model import Contract
from services.shared.gate.plan import GatePlan, PlannedFile
from services.shared.gate.verdict import nothing_to_judge
from services.shared.identities import SILVER_ROOT

Run = Callable[[str, Sequence[str]], int]


def plan_folder(folder: Path, request: Request, contract: Contract) -> GatePlan:
    """A plan over all files of a folder, as `smelt try` leaves it: there, every file is committed.

    Raises:
        OperatorError: a file is not Parquet.
    """
    files = FolderFiles(folder)
    now = datetime.now(UTC)
    days = [name for name in files.folders(f"{SILVER_ROOT}/{request.record_type}/") if name.startswith("dt=")]
    found = {day: _files_of(files, folder, f"{SILVER_ROOT}/{request.record_type}/{day}/") for day in days[-1:]}
    day = f"dt={request.dt}"
    own = found.get(day) or _files_of(files, folder, f"{SILVER_ROOT}/{request.record_type}/{day}/")
    newest = found[days[-1]] if days else ()
    run = new_run(request.result_prefix, request.record_type, request.dt, now)
    return GatePlan(run, files.root, Path(contract.file).read_text("utf-8"), now, own, newest)


def _files_of(files: FolderFiles, folder: Path, prefix: str) -> tuple[PlannedFile, ...]:
    keys = [key for key in files.keys(prefix) if key.endswith(".parquet")]
    try:
        return tuple(PlannedFile(key, pq.read_metadata(folder / key).num_rows) for key in keys)
    except (pa.ArrowException, OSError) as error:
        raise OperatorError(f"{folder}: a file of {prefix} cannot be read: {error}") from error


def plan_bucket(bucket: GateFiles, find_lots: FindLots, request: Request, contract: Contract, folder: Path) -> GatePlan:
    """A plan over what lots have committed in a bucket, whose files are brought into a folder of this run's own."""
    now = datetime.now(UTC)
    run = new_run(RESULT_PREFIX, request.record_type, request.dt, now)
    plan = make_plan(bucket, find_lots, run, contract, Path(contract.file).read_text("utf-8"), now)
    here = FolderFiles(folder)
    for file in {*plan.files, *plan.newest}:
        data = bucket.read(file.key)
        if data is None:
            raise OperatorError(f"{file.key} was there a moment ago: it is being rewritten. Run this again.")
        here.write(file.key, data, "")
    return replace(plan, root=here.root)


def validate(folder: Path, plan: GatePlan, run: Run = run_script) -> Ended:
    """Judge a plan by the job's own code on plain Spark; result and page are below `folder`, rows where the plan says.

    Raises:
        OperatorError: Java or Spark is missing.
    """
    files = FolderFiles(folder)
    files.write(plan.run.plan, plan.to_json().encode(), JSON)
    error = None
    if plan.files or plan.missing:
        code = run("validate_silver", ["--lake", files.root, "--plan", plan.run.plan])
        error = None if code == 0 else f"the job ended with exit code {code}"
    else:
        files.write(plan.run.result, nothing_to_judge(plan, datetime.now(UTC)).to_json().encode(), JSON)
    return finish(files, plan.run, error, datetime.now(UTC))
