"""Times of a table in order, whatever the clocks of the machines say that change it.

Functions commit, and so do commands from somebody's own machine, whose clock AWS accepts if it is minutes off.
Iceberg's Java library, by which Athena and Spark read, refuses a table whose log goes back by more than a minute, and
PyIceberg writes such a log. So no change has an earlier time than the one before it.
"""

from __future__ import annotations

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.table import StagedTable, Table
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate
from pyiceberg.typedef import Identifier


class InOrder(MetastoreCatalog):
    """A catalog that dates each change of a table behind the last one."""

    def _update_and_stage_table(
        self,
        current_table: Table | None,
        table_identifier: Identifier,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> StagedTable:
        if current_table is None:
            return super()._update_and_stage_table(current_table, table_identifier, requirements, updates)
        first = current_table.metadata.last_updated_ms + 1
        dated = tuple(_dated(update, first) for update in updates)
        staged = super()._update_and_stage_table(current_table, table_identifier, requirements, dated)
        if staged.metadata.last_updated_ms < first and staged.metadata != current_table.metadata:
            staged.metadata = staged.metadata.model_copy(update={"last_updated_ms": first})
        return staged


def _dated(update: TableUpdate, first: int) -> TableUpdate:
    """The update, with a snapshot that is not older than `first` (epoch milliseconds)."""
    if not isinstance(update, AddSnapshotUpdate) or update.snapshot.timestamp_ms >= first:
        return update
    return update.model_copy(update={"snapshot": update.snapshot.model_copy(update={"timestamp_ms": first})})
