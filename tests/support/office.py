"""Everybody who works on one pipeline: operators, schedules and traffic, at random, beside each other or killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from services.ops.audit.accounts import Outcome
from services.ops.audit.findings import Code
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.history.writer import archive
from services.ops.reload import Done, Reload, Reloaded, lots_of_files, objects_of_lots
from services.ops.replay.forcing import take_out
from services.ops.replay.planning import Candidate, ReplayRequest
from services.ops.rewrite.files import ConservationError
from services.ops.rewrite.quarantine import Selection
from services.ops.rewrite.retraction import Retraction
from services.ops.rewrite.retry import Retry
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.ledger.records import LeaseHeld, LeaseLost, LostRace, ObjectState
from services.shared.ledger.releases import NothingToRetract, NotReopened
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_audit_over_time import audited
from tests.faults.test_retry import late
from tests.support.faults import LAKE_CALLS, Crash, Interrupted, Interrupter
from tests.support.history import DAY, HISTORY_CALLS, RETENTION, MemoryHistory
from tests.support.lake import SILVER
from tests.support.queue import record
from tests.support.replaying import RUN, Desk
from tests.support.rewriting import ENDLESS, MemoryShelf

# What one of two who are at the same work may be told. Nothing is lost by it: it is run again.
TOLD: tuple[type[Exception], ...] = (
    LeaseHeld,
    LeaseLost,
    LostRace,
    NotReopened,
    NothingToRetract,
    OperatorError,
    ConservationError,  # a file is lost: `smelt reload`
)


# What happens, each as often as it is named.
WORK = (
    "upload",
    *["deliver"] * 3,
    "purge",
    *["wait"] * 2,
    "let_expire",
    "sweep",
    *["archive"] * 3,
    "reconcile",
    "retract",
    "force",
    "replay",
    "retry",
)
DAMAGE = ("lose", "reload", "reload")
LOST = (Code.FILE_MISSING, Code.FILE_DIFFERS)


def wider(contracts: Mapping[str, Contract]) -> dict[str, Contract]:
    """The contracts that a retry judges by."""
    shipments = replace(contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    return {**contracts, "shipments": shipments}


@dataclass
class Office:
    """Everybody who works on one pipeline. `wider` are the contracts that a retry judges by."""

    desk: Desk
    wider: dict[str, Contract]
    dice: random.Random
    history: MemoryHistory = field(default_factory=MemoryHistory)
    sources: list[BronzeObject] = field(default_factory=list)
    retracted: set[str] = field(default_factory=set)  # objects whose rows need not be there
    gone: set[str] = field(default_factory=set)  # and of these, those whose rows must not be there
    loaded_again: Counter[str] = field(default_factory=Counter)  # how often somebody let an object in again
    told: Counter[str] = field(default_factory=Counter)
    harmed: int = 0  # files, by hand
    work: Sequence[str] = WORK
    _messages: int = 0

    @property
    def rig(self) -> Rig:
        return self.desk.rig

    def number(self) -> int:
        """Of a shipment."""
        return self.dice.randrange(90)

    def pause(self, seconds: float) -> None:
        """Somebody waits."""
        self.rig.clock.advance(seconds)

    # -- what happens ------------------------------------------------------------------------------------------

    def upload(self, stops: Interrupter) -> None:
        """Two files; S3's event of one in three is lost."""
        for _ in range(2):
            lines = [self.dice.choice([shipment, late])(self.number()) for _ in range(4)]
            source = self.desk.upload("shipments", [*lines, b"{broken", b" " * len(self.sources) + b"{}"])
            self.sources.append(source)
            if self.dice.randrange(3):
                self.desk.ingest(source, stops)

    def deliver(self, stops: Interrupter) -> None:
        """One delivery; messages that are not acknowledged come back."""
        bodies, self.desk.queue = self.desk.queue[:20], self.desk.queue[20:]
        records = []
        for body in bodies:
            self._messages += 1
            records.append(record(body, f"o-{self._messages}"))
        result = self.rig.deliver_records(records, stops) if records else None
        back = set(result.failed) if result else {one["messageId"] for one in records}
        self.desk.queue += [one["body"] for one in records if one["messageId"] in back]

    def purge(self, _stops: Interrupter) -> None:
        self.desk.queue.clear()

    def wait(self, _stops: Interrupter) -> None:
        self.rig.clock.advance(self.dice.choice([30, 3600, DAY, DAY]))

    def let_expire(self, _stops: Interrupter) -> None:
        """Months pass, and DynamoDB deletes some of what it may."""
        self.rig.clock.advance(RETENTION.total_seconds() + DAY)
        for page in self.rig.dynamodb.get_paginator("scan").paginate(TableName=self.rig.table):
            for item in page["Items"]:
                expired = "expires_at" in item and int(item["expires_at"]["N"]) < self.rig.clock.now
                if expired and self.dice.randrange(4):
                    self.rig.dynamodb.delete_item(TableName=self.rig.table, Key={"pk": item["pk"]})

    def sweep(self, stops: Interrupter) -> None:
        sweep(self.desk.ledger(stops), self._lake(stops))

    def archive(self, stops: Interrupter) -> None:
        archive(self.desk.ledger(stops), self._files(stops), RETENTION, writers=1)

    def reconcile(self, stops: Interrupter) -> None:
        self.desk.reconcile(stops, timedelta(minutes=self.dice.choice([0, 60])))

    def retract(self, stops: Interrupter) -> None:
        name = str((source := self._any()).id)
        self.retracted.add(name)
        before = self.loaded_again[name]
        self._retraction(stops).run(source.id, ENDLESS)
        if self.loaded_again[name] == before:
            self.gone.add(name)

    def force(self, stops: Interrupter) -> None:
        """One object is taken out and loaded again."""
        source, retraction = self._any(), self._retraction(stops)

        def retract_and_reopen(candidate: Candidate) -> None:
            name = str(candidate.origin)
            if candidate.is_kept_away:
                self.gone.discard(name)
                self.loaded_again[name] += 1
            take_out(candidate, retraction, self.rig.lake, self.rig.unit_bytes)

        request = ReplayRequest(source.key, force=True)
        if self.dice.randrange(2):
            self.desk.replay_by_sending(request, stops, retract_and_reopen)
        else:
            name = f"{RUN}-{self.dice.randrange(10**6)}"
            self.desk.replay_by_copy(request, name, stops, force=retract_and_reopen, announce=self._announce)
            self.desk.ingest_copies()

    def replay(self, stops: Interrupter) -> None:
        self.desk.replay_by_sending(ReplayRequest("bronze/shipments/"), stops)

    def retry(self, stops: Interrupter) -> None:
        Retry(
            self.desk.ledger(stops),
            self._lake(stops),
            MemoryShelf(self.rig.lake),
            self.wider,
            "Ann",
            "wider",
            History(self._files(stops)),
            clock=self.rig.clock,
            writers=1,
        ).run(Selection(), ENDLESS)

    def lose(self, _stops: Interrupter) -> None:
        """Somebody deletes a file by hand, or writes over it."""
        if keys := sorted(self.rig.lake.files):
            key = self.dice.choice(keys)
            self.harmed += 1
            if self.dice.randrange(3):
                self.rig.lake.delete([key])
            else:
                self.rig.lake.put(key, b"by hand")

    def reload(self, stops: Interrupter) -> None:
        """What an audit names as lost is loaded again; now and then also what is not lost."""
        lost = self.lost_files()
        if keys := lost or sorted(self.rig.lake.files)[:1]:
            self.reload_files(keys if self.dice.randrange(2) else [self.dice.choice(keys)], stops)

    def reload_files(self, keys: Sequence[str], stops: Interrupter) -> list[Reloaded]:
        ledger, past = self.desk.ledger(stops), History(self._files(stops))
        objects = objects_of_lots(ledger, past, lots_of_files(keys, SILVER), restore=True)
        retraction = self._retraction(stops, lost_files=True)
        done = list(Reload(self.desk.bronze, self._lake(stops), retraction, self.desk.planner(stops)).run(objects))
        self.told["loaded again"] += sum(one.done is Done.SENT for one in done)
        return done

    def lost_files(self) -> list[str]:
        """The files that an audit tells to reload."""
        found = audited(self.rig, self.history)
        return [one.subject for one in found.findings.kept if one.code in LOST]

    def _retraction(self, stops: Interrupter, lost_files: bool = False) -> Retraction:
        return Retraction(
            self.desk.ledger(stops),
            self._lake(stops),
            "Ann",
            "wrong",
            History(self._files(stops)),
            clock=self.rig.clock,
            sleep=self.pause,
            lost_files=lost_files,
            writers=1,
        )

    def _announce(self, source: BronzeObject) -> None:
        self.desk.ingest(source)

    def _any(self) -> BronzeObject:
        return self.dice.choice(self.sources)

    def _lake(self, stops: Interrupter) -> Any:
        return Interrupted(self.rig.lake, stops, LAKE_CALLS)

    def _files(self, stops: Interrupter) -> Any:
        return Interrupted(self.history, stops, HISTORY_CALLS)

    # -- a day at the office -----------------------------------------------------------------------------------

    def one_step(self) -> None:
        """Somebody does something; he may be killed at a call, or another does something meanwhile."""
        first, second = self.dice.choice(self.work), self.dice.choice(self.work)
        kind = self.dice.choice(["undisturbed", "killed", "meanwhile", "meanwhile"])
        stops = Interrupter()

        def meanwhile() -> None:
            if first == "deliver" and stops.calls[-1] == "put":
                return  # Lambda kills a worker before its lease ends; docs/architecture.md says what remains
            self.act(second, Interrupter())

        if kind != "undisturbed":
            stops.at, stops.before = self.dice.randrange(1, 40), bool(self.dice.randrange(2))
            stops.action = crash if kind == "killed" else meanwhile
        self.act(first, stops)

    def act(self, what: str, stops: Interrupter) -> None:
        self.rig.clock.advance(0.01)  # a step takes time; the ledger tells milliseconds apart
        try:
            getattr(self, what)(stops)
        except Crash:
            self.told["killed"] += 1
        except TOLD as told:
            self.told[type(told).__name__] += 1

    def come_to_an_end(self) -> None:
        """What an operator does at the end of the day: finish what was begun, then the runbook's last recipe."""
        for _ in range(3):
            self.rig.clock.advance(DAY)
            sweep(self.rig.ledger, self.rig.lake)
            if lost := self.lost_files():
                self.reload_files(lost, Interrupter())
            for known in self.rig.ledger.find_objects(source.id for source in self.sources):
                if known.is_leaving:
                    self._retraction(Interrupter()).run(known.id, ENDLESS, reload=known.is_to_be_reloaded)
            self.reconcile_all()
            self.desk.deliver()
            sweep(self.rig.ledger, self.rig.lake)

    def reconcile_all(self) -> None:
        self.desk.reconcile(older_than=timedelta(0))
        self.desk.replay_by_sending(ReplayRequest("bronze/shipments/"))  # dead letters, too

    def check(self) -> None:
        states = {str(one.id): one.state for one in self.rig.ledger.find_objects(one.id for one in self.sources)}
        out = {name for name, state in states.items() if state is ObjectState.RETRACTED}
        assert self.gone - out == set()  # nothing of it is there again
        assert out - self.retracted == set()
        expected = Counter({row: number for row, number in self.rig.expected.items() if row[0] not in out})
        assert self.rig.lake.positions() == expected
        found = audited(self.rig, self.history)
        assert found.findings.kept == []
        assert set(+found.objects) <= {Outcome.DONE, Outcome.RETRACTED}
        assert found.counts.read == expected.total()
