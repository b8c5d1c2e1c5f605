"""The scheduled reconcile of a bucket that is so large that one walk takes longer than the schedule's window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from local.stack import Clients
from services.ops.app import reconcile as function
from services.ops.reconcile import Found
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.identities import ObjectId
from services.shared.ledger.records import ObjectState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, shipment
from tests.faults.test_forced_replay import retraction_of
from tests.faults.test_lost_records import call_function
from tests.support.history import MemoryHistory
from tests.support.ingest import Context
from tests.support.replaying import Desk

WINDOW = 48  # hours


def test_what_came_right_behind_a_walk_is_found_by_the_next_one_however_late_it_comes_there(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))
    rig = desk.rig

    def run(seconds: float) -> bool:
        """One run that has so much time; whether its walk has come to its end."""
        call_function(monkeypatch, desk, MemoryHistory(), timedelta(0))
        monkeypatch.setattr(desk.bronze, "_listed", listed)
        monkeypatch.setattr(function.pipeline, "deadline_of", lambda _: Deadline(lambda: seconds, 1.0))
        return bool(function.handler({"window_hours": WINDOW}, Context())["finished"])  # type: ignore[arg-type]

    def listed(id_: ObjectId, data: bytes) -> BronzeObject:
        return BronzeObject(id_.bucket, id_.key, len(data), id_.etag, None, created)

    assert run(60)
    desk.hours(1)
    lost = desk.upload("shipments", [shipment(1)])
    created = datetime.fromtimestamp(rig.clock.now, UTC)
    desk.hours(WINDOW / 2)
    for _ in range(3):  # the walk is far from its key, run after run
        assert not run(0)
        desk.hours(WINDOW / 2)
    assert run(60)
    assert rig.state_of(lost) is ObjectState.PLANNED


def test_runs_that_end_before_they_have_looked_at_anything_do_not_move_the_window(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))

    def run() -> None:
        call_function(monkeypatch, desk, MemoryHistory(), timedelta(0))
        monkeypatch.setattr(desk.bronze, "_listed", listed)
        if is_down:
            monkeypatch.setattr(function, "messages_waiting", no_answer)
        function.handler({"window_hours": WINDOW}, Context())  # type: ignore[arg-type]

    def listed(id_: ObjectId, data: bytes) -> BronzeObject:
        return BronzeObject(id_.bucket, id_.key, len(data), id_.etag, None, created)

    def no_answer(*_: object) -> int:
        raise EndpointConnectionError(endpoint_url="https://example.com")

    is_down = False
    run()
    desk.hours(1)
    lost = desk.upload("shipments", [shipment(1)])
    created = datetime.fromtimestamp(desk.rig.clock.now, UTC)
    is_down = True
    for _ in range(4):
        desk.hours(WINDOW / 2)
        with pytest.raises(EndpointConnectionError):
            run()
    is_down = False
    desk.hours(1)
    run()
    assert desk.rig.state_of(lost) is ObjectState.PLANNED


@pytest.mark.parametrize(
    ("taken_out", "found"), [(False, Found.UNITS_LOST), (True, Found.TAKEN_OUT)], ids=["lost", "forced"]
)
def test_open_work_is_finished_however_old_its_object_is(
    clients: Clients,
    ledger_table: str,
    contracts: dict[str, Contract],
    monkeypatch: pytest.MonkeyPatch,
    taken_out: bool,
    found: Found,
) -> None:
    """Somebody has replayed a file of months ago. Then its messages were lost, or `--force` was stopped in between."""
    desk = Desk(Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300))
    desk.hours(24 * 60)
    old = desk.upload("shipments", [shipment(1)])
    desk.ingest(old)
    if taken_out:
        desk.deliver()
        retraction_of(desk).run(old.id, Deadline.endless(), reload=True)
    desk.queue = []
    desk.hours(2)
    call_function(monkeypatch, desk, MemoryHistory(), timedelta(days=60))
    told = function.handler({"window_hours": WINDOW}, Context())  # type: ignore[arg-type]
    assert told["objects"] == {found: 1}
    desk.deliver()
    desk.check()
