"""What a run of the gate judges: the files of a partition that lots have committed, and nothing else.

Which files count is not for a listing to say. So the listing only names lots, and the ledger, or the history, says what
these lots have committed. Lots that the last plan knew are asked too, and those whose files it missed: if all their
files were deleted, no listing names them any more. (A lot that was never planned, and whose files are all gone, shows
in `smelt audit`.)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime

from services.ops.committed import FindLots, lots_of
from services.ops.gate.files import GateFiles
from services.shared.contract.model import Contract
from services.shared.contract.quality import Freshness
from services.shared.gate.plan import GatePlan, PlanError, PlannedFile
from services.shared.identities import SILVER_ROOT, GateRun

_NEWEST_DAYS = 30  # at most: partitions that are looked at for the newest one with a committed file


def new_run(prefix: str, record_type: str, dt: str, now: datetime, token: str = "") -> GateRun:
    """A run with a folder of its own. The same token at the same second is the same run."""
    planned = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return GateRun(prefix.strip("/"), record_type, dt, planned, token or secrets.token_hex(8))


def make_plan(
    files: GateFiles, find_lots: FindLots, run: GateRun, contract: Contract, contract_text: str, now: datetime
) -> GatePlan:
    """Plan a run.

    Args:
        find_lots: those of the lots that exist, in the ledger or in the history.

    Raises:
        ClientError, BotoCoreError, Throttled, HistoryDamaged: bucket, ledger or history cannot be read.
    """
    committed = _Committed(files, find_lots)
    before = _last_plan(files, run)
    known = [*(file.key for file in before.files), *before.missing] if before else []
    planned, missing = committed.of(f"{SILVER_ROOT}/{run.record_type}/dt={run.dt}/", known)
    newest: tuple[PlannedFile, ...] = ()
    if any(isinstance(rule, Freshness) for rule in contract.quality):
        newest = _newest(files, committed, run.record_type)
    return GatePlan(run, files.root, contract_text, now, planned, newest, missing)


class _Committed:
    def __init__(self, files: GateFiles, find_lots: FindLots) -> None:
        self._files, self._find_lots = files, find_lots

    def of(self, folder: str, known: Iterable[str] = ()) -> tuple[tuple[PlannedFile, ...], tuple[str, ...]]:
        """The committed files below a folder, and the keys of those that are not there."""
        listed = set(self._files.keys(folder))
        counted = {
            file.key: file.rows
            for lot in self._find_lots(lots_of((*listed, *known)))
            if lot.state.holds_rows
            for file in lot.files
            if file.key.startswith(folder)
        }
        # A lot may have been committed after the listing: so each file that it does not name is looked for.
        missing = {key for key in counted.keys() - listed if not self._files.has(key)}
        planned = tuple(PlannedFile(key, rows) for key, rows in sorted(counted.items()) if key not in missing)
        return planned, tuple(sorted(missing))


def _newest(files: GateFiles, committed: _Committed, record_type: str) -> tuple[PlannedFile, ...]:
    """The files of the newest partition that has any: its values are as new as those of the dataset."""
    folder = f"{SILVER_ROOT}/{record_type}/"
    days = sorted((name for name in files.folders(folder) if name.startswith("dt=")), reverse=True)
    for day in days[:_NEWEST_DAYS]:
        planned, _ = committed.of(f"{folder}{day}/")
        if planned:
            return planned
    return ()


def _last_plan(files: GateFiles, run: GateRun) -> GatePlan | None:
    """The plan of the run before; None where there is none that can be read."""
    for key in reversed(list(files.keys(run.partition))):
        if key.endswith("/plan.json") and not key.startswith(str(run)):
            text = files.read(key)
            try:
                return GatePlan.from_json(text or b"")
            except PlanError:
                continue
    return None
