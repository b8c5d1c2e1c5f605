"""The lake's part of an audit: what `smelt publish check` finds, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from services.ops.audit.audit import Audit, TablesSeen
from services.ops.audit.findings import Code, Finding
from services.ops.lake.check import Checked, check_each


def audit_tables(result: Audit, check: Callable[[str], Checked], datasets: Iterable[str]) -> None:
    """Add what is wrong with the tables of these datasets.

    What looks wrong is looked at again: a publisher that works meanwhile makes no finding.

    Raises:
        ClientError, BotoCoreError: ledger, bucket or catalog cannot be read.
    """
    seen = TablesSeen()
    for checked in check_each(check, datasets):
        found = set(_findings(checked))
        if found:
            (checked,) = check_each(check, [checked.dataset])
            found &= set(_findings(checked))
        for finding in sorted(found):
            result.findings.add(finding)
        seen.files += checked.files
        seen.waiting += checked.waiting
    result.tables = seen


def _findings(checked: Checked) -> Iterator[Finding]:
    table = checked.dataset
    if checked.unreadable:
        yield Finding(Code.TABLE_UNREADABLE, table, f"the lake's table cannot be compared: {checked.unreadable}")
    for key in checked.missing:
        yield Finding(
            Code.TABLE_FILE_MISSING, key, f"committed, and neither in the table {table} nor in a compaction of it"
        )
    for key in checked.stale:
        yield Finding(Code.TABLE_FILE_LEFT, key, f"in the table {table}, and its lot does not have it any more")
    for what in checked.uneven:
        run, _, detail = what.partition(": ")
        yield Finding(Code.TABLE_RUN_UNEVEN, run, f"of the table {table}: {detail}")
