"""The transform as its function runs it, with folders for buckets and the ledger in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from benchmarks.data import CONTRACTS, DAYS, START
from services.transform.protocol.execution import LotReport
from workbench.inprocess.folder import FolderLake, local_object
from workbench.inprocess.pipeline import InProcess


def deliver(
    source: Path,
    dataset: str,
    out: Path,
    rows_path: tuple[str, ...] = (),
    envelope_fields: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> int:
    """One delivery of all units of a file; returns the rows that were committed, quarantined ones included."""
    contracts = {
        **CONTRACTS,
        dataset: replace(CONTRACTS[dataset], rows_path=rows_path, envelope_fields=envelope_fields),
    }
    bronze = local_object(source, dataset, START + timedelta(days=DAYS))
    pipeline = InProcess(contracts, FolderLake({bronze.id: source.resolve()}, out))
    reports: list[LotReport] = []
    if given_up := pipeline.deliver(list(pipeline.plan(bronze).plan), reports.append):
        raise RuntimeError(f"the delivery failed: {given_up}")
    return sum(report.counts.read for report in reports)
