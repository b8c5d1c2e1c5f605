"""Items of the ledger that somebody deleted: what the history remembers is put back, and loaded no second time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType, SimpleNamespace

import pytest

from local.stack import Clients
from services.ops.app import reconcile as reconciling
from services.ops.app import replay as workflow
from services.ops.history.reader import History
from services.ops.history.remembered import Remembered
from services.ops.reconcile import Found, reconcile
from services.ops.replay.planning import Verdict
from services.ops.replay.running import BySending, Done, Replay
from services.ops.rewrite.retraction import Retraction
from services.ops.workflow import Next
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, shipment
from tests.faults.test_audit_over_time import audited
from tests.support.history import DAY, MemoryHistory, let_expire, load_everything, run_archive
from tests.support.ingest import Context
from tests.support.lake import BRONZE, SILVER
from tests.support.replaying import EVERYTHING, Desk


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def desk(clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory) -> Desk:
    """Two objects of several units that were loaded months ago: their lots and units have left the ledger."""
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
    for number in range(2):
        rig.upload("shipments", [*(shipment(number * 10 + row) for row in range(6)), b"{broken"])
    load_everything(rig)
    rig.clock.advance(DAY)
    run_archive(rig, history)
    assert let_expire(rig)
    return Desk(rig)


@pytest.fixture
def restored(clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory) -> Desk:
    """A ledger that was restored has lost the lots as well: loading the object again would double its rows."""
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
    rig.upload("shipments", [*(shipment(row) for row in range(6)), b"{broken"])
    load_everything(rig)
    rig.clock.advance(1.2 * DAY)
    run_archive(rig, history)
    for page in rig.dynamodb.get_paginator("scan").paginate(TableName=rig.table):
        for item in [one for one in page["Items"] if one["pk"]["S"].startswith(("object#", "unit#", "lot#"))]:
            rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": item["pk"]})
    return Desk(rig)


def lose(desk: Desk) -> BronzeObject:
    """Delete the item of one object."""
    lost = desk.rig.units[0].object
    desk.rig.dynamodb.delete_item(TableName=desk.rig.table, Key={"pk": {"S": f"object#{lost.id}"}})
    return lost


def check(desk: Desk, history: MemoryHistory) -> None:
    desk.deliver()
    assert desk.rig.lake.positions() == desk.rig.expected
    assert audited(desk.rig, history).findings.kept == []


def test_it_is_put_back_with_the_version_that_was_read(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], history: MemoryHistory
) -> None:
    """Its key may have been overwritten since; a retry reads that version."""
    rig = Rig(clients.dynamodb, ledger_table, contracts)
    source = rig.plan(replace(rig.lake.upload("bronze/shipments/a.jsonl", shipment(1) + b"\n"), version_id="v1"))
    load_everything(rig)
    rig.clock.advance(DAY)
    run_archive(rig, history)
    before = next(rig.ledger.find_objects([source.id]))
    rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": f"object#{source.id}"}})
    assert Remembered(History(history)).put_back(rig.ledger, source.id)
    assert next(rig.ledger.find_objects([source.id])) == before
    assert before.source == source


def test_reconcile_puts_it_back_and_loads_nothing(desk: Desk, history: MemoryHistory) -> None:
    before = next(desk.rig.ledger.find_objects([desk.rig.units[0].object.id]))
    lost = lose(desk)
    past = Remembered(History(history))
    assert not audited(desk.rig, history).all_right
    assert desk.reconcile(past=past, dry_run=True).objects == {Found.PUT_BACK: 1}
    assert list(desk.rig.ledger.find_objects([lost.id])) == []
    assert desk.reconcile(past=past).objects == {Found.PUT_BACK: 1}
    assert next(desk.rig.ledger.find_objects([lost.id])) == before
    check(desk, history)
    assert desk.reconcile(past=past).objects == {}


@pytest.mark.parametrize("event", [{}, {"window_hours": 48}], ids=["all of Bronze", "the schedule's window"])
def test_the_scheduled_reconcile_puts_it_back_too(
    restored: Desk,
    history: MemoryHistory,
    monkeypatch: pytest.MonkeyPatch,
    event: dict[str, int],
) -> None:
    lost, rig = restored.rig.units[0].object, restored.rig
    call_function(monkeypatch, restored, history, timedelta(hours=30))
    told = reconciling.handler(event, Context())  # type: ignore[arg-type]
    assert told["objects"] == {Found.PUT_BACK: 1}
    assert rig.state_of(lost) is ObjectState.DONE
    check(restored, history)


def test_the_workflow_puts_back_an_object_that_was_restored_away_with_its_lots(
    restored: Desk,
    history: MemoryHistory,
    monkeypatch: pytest.MonkeyPatch,
    contracts: dict[str, Contract],
) -> None:
    """It runs by its schedule, too, and would be faster than whoever restored the ledger."""
    lost, rig = restored.rig.units[0].object, restored.rig
    call_function(monkeypatch, restored, history, timedelta(hours=30), workflow)
    monkeypatch.setattr(workflow, "_ingest", lambda: SimpleNamespace(announce=restored.announce))
    contracts_known = SimpleNamespace(bronze_bucket=BRONZE, silver_bucket=SILVER, record_types=frozenset(contracts))
    monkeypatch.setattr(workflow, "_pipeline", lambda: contracts_known)
    now = datetime.fromtimestamp(rig.clock.now, UTC).isoformat()
    asked = {"src_prefix": "bronze/shipments/", "window_hours": 31, "record_type": "shipments"}
    begun = {"input": asked, "execution": "one", "started": now}
    state = workflow.handler(begun, Context())  # type: ignore[arg-type]
    state = workflow.handler(state, Context())  # type: ignore[arg-type]
    assert (state["next"], state["replayed"]["done"]) == (Next.PROBE, {Done.PUT_BACK: 1})
    assert rig.state_of(lost) is ObjectState.DONE
    check(restored, history)


def call_function(
    monkeypatch: pytest.MonkeyPatch,
    desk: Desk,
    history: MemoryHistory,
    age: timedelta,
    function: ModuleType = reconciling,
) -> None:
    """Let the function work on this desk, whose objects are so old."""
    now = datetime.fromtimestamp(desk.rig.clock.now, UTC)
    settings = SimpleNamespace(bronze_bucket=BRONZE, silver_bucket=SILVER, queue_url="")
    aws = SimpleNamespace(
        ledger=lambda: desk.rig.ledger,
        settings=lambda: settings,
        s3=object,
        sqs=object,
        deadline_of=lambda *_: Deadline.endless(),
    )
    monkeypatch.setattr(desk.bronze, "_listed", partial(listed_lately, now - age))
    for name, double in {
        "pipeline": aws,
        "datetime": SimpleNamespace(
            now=lambda _zone: datetime.fromtimestamp(desk.rig.clock.now, UTC), fromisoformat=datetime.fromisoformat
        ),
        "reconcile": partial(reconcile, now=now),
        "S3Bronze": lambda *_: desk.bronze,
        "queue_planner": lambda *_: desk.planner(),
        "messages_waiting": lambda *_: 0,
    }.items():
        monkeypatch.setattr(function, name, double, raising=False)
    monkeypatch.setattr(History, "of", lambda *_: History(history))


def listed_lately(created: datetime, id_: ObjectId, data: bytes) -> BronzeObject:
    return BronzeObject(id_.bucket, id_.key, len(data), id_.etag, None, created)


def test_what_the_history_does_not_know_is_announced(desk: Desk, history: MemoryHistory) -> None:
    desk.upload("shipments", [shipment(70)])
    assert desk.reconcile(past=Remembered(History(history))).objects == {Found.NEVER_ANNOUNCED: 1}
    check(desk, history)


def test_replay_puts_it_back_and_loads_nothing(desk: Desk, history: MemoryHistory) -> None:
    lose(desk)
    way = BySending(desk.planner(), desk.bronze)
    replay = Replay(desk.bronze, desk.rig.ledger, way, jobs=1, past=Remembered(History(history)))
    summary, _ = replay.run(EVERYTHING)
    assert summary.objects == {(Verdict.NEVER_ANNOUNCED, Done.PUT_BACK): 1, (Verdict.COMMITTED, Done.SKIPPED): 1}
    check(desk, history)


def test_a_retracted_object_stays_away(desk: Desk, history: MemoryHistory) -> None:
    wrong, clock = desk.rig.units[0].object, desk.rig.clock
    retraction = Retraction(
        desk.rig.ledger, desk.rig.lake, "Ann", "wrong", History(history), clock, clock.advance, writers=1
    )
    retraction.run(wrong.id, Deadline.endless())
    desk.rig.forget(wrong)
    clock.advance(DAY)
    run_archive(desk.rig, history)
    desk.rig.dynamodb.delete_item(TableName=desk.rig.table, Key={"pk": {"S": f"object#{wrong.id}"}})
    assert desk.reconcile(past=Remembered(History(history)), older_than=timedelta(0)).objects == {Found.PUT_BACK: 1}
    check(desk, history)


def test_an_object_that_was_put_back_can_be_retracted(desk: Desk, history: MemoryHistory) -> None:
    lost, clock = lose(desk), desk.rig.clock
    desk.reconcile(past=Remembered(History(history)))
    retraction = Retraction(
        desk.rig.ledger, desk.rig.lake, "Ann", "wrong", History(history), clock, clock.advance, writers=1
    )
    assert retraction.run(lost.id, Deadline.endless()).rows.read == 7
    desk.rig.forget(lost)
    check(desk, history)
