"""A ledger that was restored from a backup, and an archive task that was off for a month: docs/runbook.md on both."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from local.stack import Clients
from services.ops.audit.findings import Code
from services.ops.history.reader import History
from services.ops.history.remembered import Remembered
from services.ops.rewrite.files import ConservationError
from services.ops.rewrite.retraction import preview
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.lake import LakeForbidden
from tests.faults.rig import Rig, shipment
from tests.faults.test_audit_over_time import audited
from tests.faults.test_retry import late
from tests.support.faults import Interrupter
from tests.support.history import DAY, MemoryHistory, check_each_once, let_expire, run_archive
from tests.support.office import Office, wider
from tests.support.replaying import Desk


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Desk:
    return Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))


def load(desk: Desk, number: int) -> None:
    desk.ingest(desk.upload("shipments", [*(shipment(number * 10 + row) for row in range(4)), b"{broken"]))
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)


def items_of(rig: Rig) -> list[dict[str, Any]]:
    return [item for page in rig.dynamodb.get_paginator("scan").paginate(TableName=rig.table) for item in page["Items"]]


def restore(rig: Rig, backup: list[dict[str, Any]]) -> None:
    for item in items_of(rig):
        rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": item["pk"]})
    for item in backup:
        rig.dynamodb.put_item(TableName=rig.table, Item=item)


def test_after_a_ledger_was_restored_the_audit_names_the_files_of_the_first_loading(desk: Desk) -> None:
    history = MemoryHistory()
    load(desk, 1)
    desk.ingest(desk.upload("shipments", [shipment(90)]))  # planned when the backup was made, and loaded since
    backup = items_of(desk.rig)
    desk.deliver()
    load(desk, 2)
    restore(desk.rig, backup)
    desk.hours(2)
    found = audited(desk.rig, history).findings
    assert "Delete nothing yet" in found.next_step(Code.ORPHAN_FILE)
    desk.reconcile(older_than=timedelta(0))
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    found = audited(desk.rig, history).findings
    assert set(found.numbers) == {Code.ORPHAN_FILE}
    assert "Delete nothing" not in found.next_step(Code.ORPHAN_FILE)
    desk.rig.lake.delete([finding.subject for finding in found.kept])
    assert audited(desk.rig, history).all_right
    desk.check()


@pytest.mark.parametrize("is_archived", [False, True], ids=["in the ledger", "archived"])
@pytest.mark.parametrize("command", ["retract", "force", "retry"])
def test_what_operators_did_since_the_backup_is_repeated_before_orphans_are_moved(
    desk: Desk, contracts: dict[str, Contract], command: str, is_archived: bool
) -> None:
    office = Office(desk, wider(contracts), Random(1))
    calm, rig = Interrupter(), desk.rig
    for number in range(2):
        lines = [shipment(number), late(number), b"{broken", b" " * number + b"{}"]
        office.sources.append(desk.upload("shipments", lines))
        desk.ingest(office.sources[-1])
    desk.deliver()
    sweep(rig.ledger, rig.lake)
    rig.clock.advance(2 * DAY)
    run_archive(rig, office.history)
    assert let_expire(rig)
    backup = items_of(rig)
    office.sources = office.sources[:1]
    getattr(office, command)(calm)
    desk.deliver()
    sweep(rig.ledger, rig.lake)
    if is_archived:
        rig.clock.advance(2 * DAY)
        run_archive(rig, office.history)
    restore(rig, backup)
    desk.hours(2)
    desk.reconcile(older_than=timedelta(0), past=Remembered(History(office.history)))
    if command == "retract":
        with suppress(ConservationError):
            office.retract(calm)
    if lost := office.lost_files():
        office.reload_files(lost, calm)
    if Code.HISTORY_MISSING in audited(rig, office.history).findings.numbers:
        office.force(calm)
    desk.deliver()
    sweep(rig.ledger, rig.lake)
    found = audited(rig, office.history).findings
    assert set(found.numbers) <= {Code.ORPHAN_FILE}
    rig.lake.delete([finding.subject for finding in found.kept])
    assert audited(rig, office.history).all_right
    gone = str(office.sources[0].id) if command == "retract" else ""
    assert rig.lake.positions() == Counter({row: 1 for row in rig.expected if row[0] != gone})


def test_an_archive_task_that_was_off_for_a_month_catches_up(desk: Desk) -> None:
    history = MemoryHistory()
    for number in range(5):
        load(desk, number)
        desk.rig.clock.advance(8 * DAY)
    while not run_archive(desk.rig, history).complete:
        pass
    check_each_once(desk.rig, history)
    assert audited(desk.rig, history).all_right
    assert let_expire(desk.rig)
    found = audited(desk.rig, history)
    assert (found.all_right, found.counts.read) == (True, desk.rig.expected.total())
    assert desk.reconcile().objects == {}
    assert preview(desk.rig.ledger, History(history), desk.rig.units[0].object.id).rows.read == 5


def test_a_prefix_that_may_not_be_written_holds_its_rows_back_and_loses_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = type(desk.rig.lake)
    put = lake.put

    def forbidden(self: Any, key: str, data: bytes) -> str:
        if key.startswith("quarantine/"):
            raise LakeForbidden(f"S3 refuses to put {key}: KMS.AccessDenied")
        return put(self, key, data)

    monkeypatch.setattr(lake, "put", forbidden)
    desk.ingest(desk.upload("shipments", [*(shipment(row) for row in range(4)), b"{broken"]))
    for _ in range(7):  # more often than a unit may fail
        desk.rig.deliver(desk.rig.units)
        desk.rig.clock.advance(900)
    assert not desk.rig.dead_letters.sent
    monkeypatch.setattr(lake, "put", put)
    desk.deliver()
    sweep(desk.rig.ledger, desk.rig.lake)
    desk.check()
