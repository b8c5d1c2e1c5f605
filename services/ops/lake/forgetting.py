"""Forgetting snapshots, so that nobody is told a wrong past.

What a table was at a moment is looked up in its log of snapshots. With a snapshot that goes, all earlier entries of the
log go, says Iceberg's specification: else the log gives the state of before for the time of the one that went, without
the rows that came meanwhile. PyIceberg takes out that one entry alone.
"""

from __future__ import annotations

from typing import Any

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import RemoveSnapshotsUpdate, UpdatesAndRequirements, _apply_table_update
from pyiceberg.table.update.snapshot import ExpireSnapshots


class _Forget(RemoveSnapshotsUpdate):
    """Snapshots go, and the log up to the last of them."""


@_apply_table_update.register(_Forget)
def _(update: _Forget, base: TableMetadata, context: Any) -> TableMetadata:
    removed = _apply_table_update.dispatch(RemoveSnapshotsUpdate)(update, base, context)
    gone = [at for at, entry in enumerate(base.snapshot_log) if entry.snapshot_id in update.snapshot_ids]
    log = base.snapshot_log[gone[-1] + 1 :] if gone else removed.snapshot_log
    return removed.model_copy(update={"snapshot_log": log})


class ForgetSnapshots(ExpireSnapshots):
    """Take snapshots out of a table. What it was as of a time before has no answer then, and no wrong one."""

    def _commit(self) -> UpdatesAndRequirements:
        updates, requirements = super()._commit()
        removed = [one.snapshot_ids for one in updates if isinstance(one, RemoveSnapshotsUpdate)]
        return tuple(_Forget.model_validate({"snapshot-ids": ids}) for ids in removed), requirements
