"""The ledger's transitions against a real DynamoDB API: who may, who may not, and answers that got lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.stack import Clients
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import (
    MAX_UNITS_PER_LOT,
    Counts,
    LeaseHeld,
    LeaseLost,
    LedgerObject,
    LostRace,
    Lot,
    LotFile,
    LotState,
    LotTooWide,
    ObjectState,
)
from services.shared.units import BronzeObject, Unit, plan
from tests.support.lake import CREATED, Clock

SOURCE = BronzeObject("bronze-bucket", "bronze/shipments/é#1.jsonl", 5000, "etag", None, CREATED)
UNITS = list(plan(SOURCE, 1000))
VERSIONS = {"shipments": "1.0.0"}


class LostAnswers:
    """A client whose writes land but whose answers get lost, so that each is sent twice, as botocore's retry does."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in ("put_item", "update_item"):
            return method

        def twice(**request: Any) -> Any:
            method(**request)
            return method(**request)

        return twice


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table, clock=clock)


@pytest.fixture
def forgetful(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    """A ledger on the same table whose answers get lost."""
    return Ledger(LostAnswers(clients.dynamodb), ledger_table, clock=clock)  # type: ignore[arg-type]


def new_lot(ledger: Ledger, units: list[Unit] = UNITS[:2], lease: float = 60) -> Lot:
    return ledger.claim_lot(LotId.new(datetime.now(UTC)), units, ["silver/a"], VERSIONS, lease)


class TestLots:
    def test_a_claim_binds_its_units_and_keeps_what_it_needs_to_be_executed_again(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        found = ledger.look_up(unit.id for unit in UNITS)
        assert found.lots == {lot.id: lot}
        assert found.lots[lot.id].units == tuple(UNITS[:2])
        assert set(found.lot_of) == {unit.id for unit in UNITS[:2]}

    def test_a_claim_is_all_or_nothing(self, ledger: Ledger) -> None:
        lot = new_lot(ledger, UNITS[1:3])
        with pytest.raises(LostRace):
            new_lot(ledger, UNITS[:2])
        assert set(ledger.look_up(unit.id for unit in UNITS).lot_of) == {unit.id for unit in UNITS[1:3]}
        assert set(ledger.look_up(unit.id for unit in UNITS).lots) == {lot.id}

    def test_a_lot_takes_as_many_units_as_a_transaction_holds(self, ledger: Ledger) -> None:
        units = list(plan(SOURCE, 5000 // MAX_UNITS_PER_LOT))[:MAX_UNITS_PER_LOT]
        lot = new_lot(ledger, units)
        assert len(ledger.look_up(unit.id for unit in units).lot_of) == MAX_UNITS_PER_LOT
        ledger.dissolve_lot(lot)
        assert not ledger.look_up(unit.id for unit in units).lot_of

    def test_a_committed_lot_tells_its_counts_and_files(self, ledger: Ledger) -> None:
        lot = new_lot(ledger)
        files = [LotFile("silver/b", 3, 100), LotFile("quarantine/c", 1, 50)]
        ledger.commit_lot(lot, files, [Counts(3, 3, 0), Counts(1, 0, 1)])
        found = ledger.look_up([UNITS[0].id]).lots[lot.id]
        assert found.state is LotState.COMMITTED
        assert found.counts == Counts(4, 3, 1)
        assert found.unit_counts == (Counts(3, 3, 0), Counts(1, 0, 1))
        assert list(found.files) == files
        assert found.outputs == {"silver/b", "quarantine/c"}

    def test_a_live_lot_is_not_taken_over(self, ledger: Ledger) -> None:
        with pytest.raises(LeaseHeld):
            ledger.take_over(new_lot(ledger), VERSIONS, 60)

    def test_one_of_two_takers_wins_and_the_old_worker_can_do_nothing_more(self, ledger: Ledger, clock: Clock) -> None:
        dead = new_lot(ledger)
        clock.advance(61)
        alive = ledger.take_over(dead, {"shipments": "2.0.0"}, 60)
        assert (alive.units, alive.outputs, alive.contracts) == (dead.units, dead.outputs, {"shipments": "2.0.0"})
        with pytest.raises(LeaseHeld):
            ledger.take_over(dead, VERSIONS, 60)
        for attempt in (
            lambda: ledger.commit_lot(dead, [], [Counts(), Counts()]),
            lambda: ledger.record_outputs(dead, ["silver/z"]),
            lambda: ledger.dissolve_lot(dead),
        ):
            with pytest.raises(LeaseLost):
                attempt()
        ledger.commit_lot(alive, [], [Counts(), Counts()])

    def test_a_committed_lot_is_committed_for_good(self, ledger: Ledger, clock: Clock) -> None:
        lot = new_lot(ledger)
        ledger.commit_lot(lot, [], [Counts(), Counts()])
        clock.advance(61)
        with pytest.raises(LeaseHeld):
            ledger.take_over(lot, VERSIONS, 60)
        with pytest.raises(LeaseLost):
            ledger.dissolve_lot(lot)

    def test_outputs_are_recorded_on_top_of_those_before(self, ledger: Ledger) -> None:
        lot = ledger.record_outputs(new_lot(ledger), ["silver/b"])
        assert lot.outputs == {"silver/a", "silver/b"}
        assert ledger.look_up([UNITS[0].id]).lots[lot.id].outputs == lot.outputs

    def test_a_dissolved_lot_leaves_its_units_free(self, ledger: Ledger) -> None:
        ledger.dissolve_lot(new_lot(ledger))
        assert not ledger.look_up(unit.id for unit in UNITS).lot_of
        new_lot(ledger)

    def test_writes_whose_answers_got_lost_count(self, forgetful: Ledger, clock: Clock) -> None:
        lot = new_lot(forgetful)
        clock.advance(61)
        taken = forgetful.take_over(lot, VERSIONS, 60)
        taken = forgetful.record_outputs(taken, ["silver/b"])
        forgetful.commit_lot(taken, [], [Counts(), Counts()])

    def test_a_lot_whose_lists_do_not_fit_is_refused_before_anything_is_written(self, ledger: Ledger) -> None:
        outputs = [f"silver/{n * 7919 % 1_000_003}-{n}" for n in range(100_000)]
        with pytest.raises(LotTooWide, match="narrow the contract"):
            ledger.claim_lot(LotId.new(datetime.now(UTC)), UNITS[:1], outputs, VERSIONS, 60)
        assert not ledger.look_up([UNITS[0].id]).lot_of


class TestFailures:
    def test_the_last_reason_stays_with_a_unit_until_it_is_bound(self, ledger: Ledger) -> None:
        ledger.note_failure(UNITS[0].id, "cut short")
        ledger.note_failure(UNITS[0].id, "still cut short")
        assert list(ledger.scan()) == [(UNITS[0].id, "", "still cut short")]
        lot = new_lot(ledger, UNITS[:1])
        ledger.note_failure(UNITS[0].id, "too late to matter")
        assert ledger.look_up([UNITS[0].id]).lot_of == {UNITS[0].id: lot.id}

    def test_an_error_of_aws_comes_through(self, clients: Clients) -> None:
        with pytest.raises(ClientError):
            Ledger(clients.dynamodb, "no-such-table").look_up([UNITS[0].id])


def test_only_open_work_stands_in_the_sparse_index(clients: Clients, ledger: Ledger, ledger_table: str) -> None:
    def open_work(kind: str) -> int:
        answer = clients.dynamodb.query(
            TableName=ledger_table,
            IndexName="open_work",
            KeyConditionExpression="#open = :kind",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":kind": {"S": kind}},
        )
        return answer["Count"]

    token = ledger.begin_planning(SOURCE, 5, 1000, 60)
    lot = new_lot(ledger)
    assert (open_work("object"), open_work("lot")) == (1, 1)
    assert token
    ledger.finish_planning(SOURCE, token)
    ledger.commit_lot(lot, [], [Counts(), Counts()])
    assert (open_work("object"), open_work("lot")) == (0, 0)
