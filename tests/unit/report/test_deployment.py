"""What a report gathers from a ledger and its history: every row, in memory and on a page of bounded size."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.ops.history.reader import History
from services.ops.history.rows import Tally, object_row, to_parquet
from services.ops.history.schema import OBJECTS
from services.ops.report.deployment import of_deployment
from services.ops.report.model import EXAMPLES, LISTED, Report
from services.ops.report.page import page_of
from services.ops.status.status import Glance
from services.shared.contract.model import Contract
from services.shared.identities import HISTORY_OBJECTS, HistoryKey, milliseconds
from services.shared.lake import ObjectGone
from services.shared.ledger.archive import FinishedObject
from services.shared.ledger.records import Counts, LedgerObject, LotFile, ObjectState
from services.shared.units import BronzeObject, Plan
from tests.faults.rig import Rig, shipment
from tests.support.history import DAY, MemoryHistory, let_expire, load_everything, run_archive
from tests.support.lake import BRONZE, CREATED
from tests.support.memory import peak_memory
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB


@pytest.fixture
def rig(contracts: dict[str, Contract]) -> Rig:
    """A file with bad rows, one of an unknown dataset, a rejected one and an unfinished one."""
    made = Rig(MemoryDynamoDB(), TABLE, contracts, unit_bytes=1 << 20)
    made.upload("shipments", [*(shipment(n) for n in range(20)), b"{", b'{"event_time": 5}', b"[1]", b"[2]"])
    made.upload("nonsense", [shipment(1), b'{"<script>": "\xff"}'])
    load_everything(made)
    refused = BronzeObject(BRONZE, "bronze/shipments/a.csv", 10, "csv", None, CREATED)
    made.ledger.objects.reject(refused, "unsupported_format", "convert it to JSON lines")
    made.upload("shipments", [shipment(3)])
    return made


def gathered(rig: Rig, history: MemoryHistory | None = None, since: datetime | None = None) -> Report:
    def read(file: LotFile) -> bytes:
        return rig.lake.read(file.key, file.etag)

    past = History(history or MemoryHistory())
    status = Glance(rig.ledger).look({}, datetime.fromtimestamp(rig.clock.now, UTC))
    return of_deployment("the ledger", rig.ledger, past, read, status, list(rig.contracts.values()), since)


def test_every_row_is_counted_by_dataset_and_state(rig: Rig) -> None:
    report = gathered(rig)
    silver, quarantined = len(rig.lake.rows("silver")), len(rig.lake.rows("quarantine"))
    assert report.counts == Counts(silver + quarantined, silver, quarantined)
    assert sum(part.silver for part in report.datasets.values()) == silver
    assert report.loaded.total == silver
    assert report.refused.total == quarantined
    assert report.objects_by_state == {"done": 2, "rejected": 1, "in_progress": 1}
    assert report.datasets["shipments"].open == 1
    assert report.datasets["shipments"].newest == "2026-01-01"
    assert report.datasets["shipments"].lag is not None


def test_reasons_have_their_rows_and_examples_with_their_place(rig: Rig) -> None:
    report = gathered(rig)
    rows = Counter(row["reason"] for row in rig.lake.rows("quarantine"))
    assert Counter({one.reason: one.rows for one in report.refusals}) == rows
    texts = {(row["_source"], row["_offset"]): row["raw"] for row in rig.lake.rows("quarantine")}
    for refusal in report.refusals:
        assert 1 <= len(refusal.examples) <= EXAMPLES
        for example in refusal.examples:
            assert texts[example.file, example.offset] == example.raw


def test_a_rejected_object_is_there_with_its_advice(rig: Rig) -> None:
    (rejected,) = gathered(rig).rejected
    assert (rejected.name.rpartition("#")[0], rejected.reason) == (
        f"s3://{BRONZE}/bronze/shipments/a.csv",
        "unsupported_format",
    )
    page = page_of(gathered(rig))
    assert "convert it to JSON lines" in page
    assert "smelt audit --state not_loaded" in page


def test_it_says_the_same_when_the_ledger_has_let_go(rig: Rig) -> None:
    before, history = gathered(rig), MemoryHistory()
    rig.clock.advance(2 * DAY)
    run_archive(rig, history)
    assert let_expire(rig)
    after = gathered(rig, history)
    assert after.counts == before.counts
    assert after.refusals == before.refusals
    assert {one.name for one in after.objects} == {one.name for one in before.objects}
    assert {lot.name for lot in after.lots} == {lot.name for lot in before.lots}


def test_files_that_were_rewritten_meanwhile_are_passed_over(rig: Rig) -> None:
    def gone(file: LotFile) -> bytes:
        raise ObjectGone(f"{file.key} is gone")

    status = Glance(rig.ledger).look({}, datetime.fromtimestamp(rig.clock.now, UTC))
    report = of_deployment("the ledger", rig.ledger, History(MemoryHistory()), gone, status, [], None)
    assert [one.examples for one in report.refusals] == [[]] * len(report.refusals)
    assert report.refusals


def test_an_empty_pipeline_is_a_page(contracts: dict[str, Contract]) -> None:
    report = gathered(Rig(MemoryDynamoDB(), TABLE, contracts))
    assert report.counts == Counts()
    assert "No object yet." in page_of(report)


def test_what_was_finished_before_is_not_counted(rig: Rig) -> None:
    later = datetime.fromtimestamp(rig.clock.now, UTC) + timedelta(days=1)
    report = gathered(rig, since=later)
    assert report.objects_by_state == {"in_progress": 1}
    assert report.counts.read == 0


def test_a_hundred_thousand_objects_take_bounded_memory_and_a_small_page(
    contracts: dict[str, Contract],
) -> None:
    objects, days = 100_000, 20
    history = MemoryHistory()
    for day in range(days):
        first = CREATED - timedelta(days=days - day)
        rows = (_finished(first + timedelta(seconds=nth), nth) for nth in range(objects // days))
        data, _ = to_parquet(rows, OBJECTS)
        last = first + timedelta(seconds=objects // days)
        key = HistoryKey(HISTORY_OBJECTS, milliseconds(first), milliseconds(last), f"{day:08x}")
        history.files[str(key)] = data
    rig = Rig(MemoryDynamoDB(), TABLE, contracts)
    gathered(rig)  # what is imported and cached is not counted
    with peak_memory() as peak:
        report = gathered(rig, history)
        page = page_of(report)
    assert report.counts == Counts(objects * 10, objects * 9, objects)
    assert report.objects_by_state == {"done": objects - objects // 100, "rejected": objects // 100}
    assert len(report.objects) == len(report.rejected) == LISTED
    assert peak() < 150 * 1024 * 1024, f"{peak():,} bytes"
    assert len(page) < 500_000, f"{len(page):,} characters"


def _finished(at: datetime, number: int) -> dict[str, object]:
    source = BronzeObject(BRONZE, f"bronze/d{number % 5000}/{number}-{'x' * 100}.jsonl", 1000, f"{number}", None, at)
    state = ObjectState.REJECTED if number % 100 == 0 else ObjectState.DONE
    known = replace(LedgerObject(Plan(source, 1000), state), reason="x" if number % 100 == 0 else "", advice="y")
    tally = Tally(Counts(10, 9, 1), {f"reason_{number % 17}": 1}, ())
    return object_row(FinishedObject(known, milliseconds(at)), tally)
