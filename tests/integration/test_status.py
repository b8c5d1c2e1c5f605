"""`smelt status`: one screen of what is open, what was finished today, and how deep the queues are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

import services.shared.ledger.ledger as ledger_module
from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients
from services.ops.cli.app import app
from services.ops.dead_letters.looking import Depth
from services.ops.status.status import LEFT_AFTER, NO_DATASET, OVERDUE, Glance, Status, UnitState
from services.shared.ledger import items
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import RETRACT, Counts, Intent, LedgerObject, LotState, ObjectState
from services.shared.units import BronzeObject
from tests.support.lake import BRONZE, CREATED, Clock, MemoryLake
from tests.support.sweeping import claim, load, plan

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look asks every shard of the index, which takes time on an emulator."""
    for module in (items, ledger_module):
        monkeypatch.setattr(module, "OPEN_SHARDS", 3)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON.timestamp())


@pytest.fixture
def ledger(clients: Clients, ledger_table: str, clock: Clock) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table, clock)


@pytest.fixture
def lake() -> MemoryLake:
    return MemoryLake()


def look(ledger: Ledger, clock: Clock, limit: int = 1000, queues: dict[str, Depth] | None = None) -> Status:
    return Glance(ledger, limit).look(queues or {}, datetime.fromtimestamp(clock.now, UTC))


@pytest.fixture
def index(clients: Clients, ledger_table: str, clock: Clock) -> Callable[[str, LedgerObject | str], None]:
    """Puts a finished object or lot into the index of what was finished, as of now."""

    def put(kind: str, pk: str) -> None:
        clients.dynamodb.update_item(
            TableName=ledger_table,
            Key={"pk": {"S": pk}},
            UpdateExpression="SET #open = :open, since = :since",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues={":open": {"S": f"{kind}#01"}, ":since": {"N": str(int(clock.now * 1000))}},
        )

    return put  # type: ignore[return-value]


def test_an_empty_ledger_is_all_right(ledger: Ledger, clock: Clock) -> None:
    status = look(ledger, clock)
    assert (status.objects, status.lots, status.units, status.oldest, status.needs) == ({}, {}, {}, None, [])


def test_open_objects_lots_and_units_are_counted_by_state(ledger: Ledger, clock: Clock, lake: MemoryLake) -> None:
    known = plan(ledger, 4)
    units = list(known.plan)
    load(ledger, lake, units[:1])
    claim(ledger, lake, units[1:2])
    ledger.units.bury(units[2].id, "m1", "gone")
    ledger.objects.begin(BronzeObject(BRONZE, "bronze/x/a.jsonl", 10, "e", None, CREATED), 1000, 60)
    status = look(ledger, clock)
    assert status.objects == {ObjectState.PLANNED: 1, ObjectState.PLANNING: 1}
    assert status.lots == {LotState.PENDING: 1}
    assert status.units == {
        UnitState.COMMITTED: 1,
        UnitState.IN_PROGRESS: 1,
        UnitState.DEAD: 1,
        UnitState.WAITING: 2,
    }
    assert {name: one.open for name, one in status.datasets.items()} == {"shipments": 1, "x": 1}


def test_the_oldest_open_object_is_named_with_its_time(ledger: Ledger, clock: Clock) -> None:
    oldest = plan(ledger, 1)
    for _ in range(5):
        clock.advance(60)
        plan(ledger, 1)
    status = look(ledger, clock)
    assert status.oldest is not None
    assert (status.oldest.id, status.oldest.since) == (oldest.id, NOON)
    assert status.datasets["shipments"].oldest_open == NOON
    assert status.overdue == 0
    clock.advance(OVERDUE.total_seconds() - 200)
    assert look(ledger, clock).overdue == 2
    assert look(ledger, clock).needs == [(2, "objects unfinished for 24 h", "smelt audit --unfinished")]


def test_more_than_the_limit_is_said_and_the_oldest_is_still_right(ledger: Ledger, clock: Clock) -> None:
    oldest = plan(ledger, 3)
    for _ in range(11):
        clock.advance(1)
        plan(ledger, 3)
    status = look(ledger, clock, limit=6)
    assert status.more == {"object", "unit"}
    assert 0 < status.objects.total() <= 6
    assert status.units.total() == 6
    assert status.oldest is not None
    assert status.oldest.id == oldest.id
    assert look(ledger, clock, limit=1000).more == set()


def test_what_was_finished_today_is_counted_by_dataset(
    ledger: Ledger, clock: Clock, lake: MemoryLake, index: Callable[[str, str], None]
) -> None:
    yesterday = plan(ledger, 1, "yesterday")
    ledger.objects.mark_done([yesterday.id])
    clock.now -= 86_400
    index("done", f"object#{yesterday.id}")
    clock.now += 86_400
    for name, seconds in (("a", 10), ("b", 20)):
        known = plan(ledger, 1, name)
        lot = load(ledger, lake, list(known.plan))
        ledger.objects.mark_done([known.id])
        clock.advance(seconds)
        index("committed", f"lot#{lot.id}")
        index("done", f"object#{known.id}")
    rejected = BronzeObject(BRONZE, "bronze/a.csv", 1, "e", None, CREATED)
    folder = BronzeObject(BRONZE, "bronze/shipments/", 0, "e", None, CREATED)
    for one in (rejected, folder):
        ledger.objects.reject(one, "outside_bronze", "upload elsewhere")
        index("done", f"object#{one.id}")
    status = look(ledger, clock)
    assert status.finished == {ObjectState.DONE: 2, ObjectState.REJECTED: 1, "EMPTY": 1}
    assert (status.lots_committed, status.rows) == (2, Counts(2, 2, 0))
    shipments = status.datasets["shipments"]
    assert (shipments.done, shipments.rows) == (2, Counts(2, 2, 0))
    assert shipments.last_done == NOON + timedelta(seconds=30)
    assert shipments.lag == NOON + timedelta(seconds=30) - CREATED
    assert NO_DATASET not in status.datasets
    assert status.needs == [(1, "objects rejected today: not loaded", "smelt audit --state not_loaded")]


def test_rows_of_an_earlier_day_do_not_count_today_because_their_lot_was_rewritten(
    ledger: Ledger, clock: Clock, lake: MemoryLake, index: Callable[[str, str], None]
) -> None:
    """A retraction takes one file's rows out of a lot; all others came days ago."""
    wrong, other = plan(ledger, 1), plan(ledger, 2)
    clock.now -= 5 * 86_400
    lot = load(ledger, lake, [*wrong.plan, *other.plan])
    ledger.objects.mark_done([wrong.id, other.id])
    clock.now += 5 * 86_400
    leaving = ledger.releases.begin(wrong.id, "Ann", "wrong file")
    ours = ledger.rewrites.begin(lot, Intent(RETRACT, wrong.id, "Ann", "wrong file", NOON), 60, leaving)
    kept = [Counts(1, 1, 0)] * 2
    gone = [unit.id for unit in wrong.plan]
    done = ledger.rewrites.finish_rewriting(ours, [replace(file, rows=2) for file in lot.files], kept, gone)
    if done.obsolete:
        ledger.rewrites.clear_obsolete(done)
    index("committed", f"lot#{lot.id}")
    status = look(ledger, clock)
    assert (status.lots_committed, status.rows) == (0, Counts())
    assert "shipments" not in status.datasets or status.datasets["shipments"].rows == Counts()


def test_rows_of_a_lot_that_is_being_rewritten_count_on_the_day_of_its_commit(
    ledger: Ledger, clock: Clock, lake: MemoryLake, index: Callable[[str, str], None]
) -> None:
    """With the lake, a rewritten lot stays open until its tables and the sweep have followed."""
    known = plan(ledger, 2)
    lot = load(ledger, lake, list(known.plan))
    intent = Intent(RETRACT, known.id, "Ann", "wrong file", NOON)
    ledger.rewrites.begin(lot, intent, 60)
    index("lot", f"lot#{lot.id}")
    status = look(ledger, clock)
    assert (status.lots, status.lots_committed) == ({LotState.REWRITING: 1}, 1)
    assert status.rows == status.datasets["shipments"].rows == Counts(2, 2, 0)


def test_a_second_look_reads_finished_lots_once(
    ledger: Ledger, clock: Clock, lake: MemoryLake, index: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = plan(ledger, 1)
    lot = load(ledger, lake, list(known.plan))
    ledger.objects.mark_done([known.id])
    index("committed", f"lot#{lot.id}")
    glance = Glance(ledger)
    at = datetime.fromtimestamp(clock.now, UTC)
    first = glance.look({}, at)
    monkeypatch.setattr(ledger.archive, "finished_lots", lambda ids: pytest.fail(f"read again: {list(ids)}"))
    assert glance.look({}, at).rows == first.rows == Counts(1, 1, 0)


def test_dead_letters_and_failed_events_need_somebody(ledger: Ledger, clock: Clock) -> None:
    queues = {"units": Depth(5, 3, 1), "dead_letters": Depth(2), "failed_events": Depth(0, 1)}
    assert look(ledger, clock, queues=queues).needs == [
        (2, "dead letters", "smelt dlq show"),
        (1, "failed S3 events", "smelt dlq show --only events"),
    ]


def test_units_that_were_given_up_and_have_no_letter_need_somebody(ledger: Ledger, clock: Clock) -> None:
    (unit,) = plan(ledger, 1).plan
    ledger.units.bury(unit.id, "m1", "gone")
    needed = [(1, "units given up, whose dead letters are gone", "smelt audit --unfinished")]
    assert look(ledger, clock, queues={"dead_letters": Depth()}).needs == needed
    assert look(ledger, clock, queues={"dead_letters": Depth(0, 1)}).needs == [(1, "dead letters", "smelt dlq show")]
    assert look(ledger, clock).needs == []  # the queue has no name here: nothing is known of it


def test_what_a_forced_replay_took_out_and_left_needs_somebody(ledger: Ledger, clock: Clock) -> None:
    known = plan(ledger, 1)
    leaving = ledger.releases.begin(known.id, "Ann", "", reload=True)
    ledger.releases.refuse(leaving, [unit.id for unit in known.plan])
    assert look(ledger, clock).needs == []
    ledger.releases.finish(leaving)
    clock.advance(LEFT_AFTER.total_seconds() + 1)
    needed = [(1, "objects taken out by replay --force, not loaded again", "smelt audit --unfinished")]
    assert look(ledger, clock).needs == needed
    ledger.objects.reopen(known.id)
    assert look(ledger, clock).needs == []


# ---- the command


@pytest.fixture
def shell(clients: Clients, emulator: str, ledger_table: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a shell in which a pipeline is named; it is this process's too."""
    mark = uuid.uuid4().hex[:8]
    names = {"LEDGER_TABLE": ledger_table, "AWS_ENDPOINT_URL": emulator, "COLUMNS": "60"}
    for variable in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "INGEST_FAILURES_QUEUE_URL"):
        name = f"{mark}-{variable.replace('_', '-').lower()}"
        names[variable] = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    for name, value in (CREDENTIALS | names).items():
        monkeypatch.setenv(name, value)
    return os.environ | CREDENTIALS | names


def run(environment: dict[str, str], *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "services.ops.cli", "status", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_screen_fits_sixty_columns_and_shows_everything(
    shell: dict[str, str], clients: Clients, ledger: Ledger, lake: MemoryLake
) -> None:
    known = plan(ledger, 4, "x" * 60)
    load(ledger, lake, list(known.plan)[:1])
    code, screen = run(shell)
    tables = [line for line in screen.splitlines() if not line.startswith("oldest open")]
    assert [line for line in tables if len(line) > 60] == []
    assert "…" not in screen
    words = " ".join(screen.split())
    for text in ("1 planned", "1 committed, 3 waiting", "shipments", "dead letters", "failed S3 events", str(known.id)):
        assert text in words
    assert code == 0
    clients.sqs.send_message(QueueUrl=shell["DEAD_LETTER_QUEUE_URL"], MessageBody="x")
    code, screen = run(shell)
    assert code == 1
    assert "1 dead letters: `smelt dlq show`" in screen


def test_json_has_every_number(shell: dict[str, str], ledger: Ledger) -> None:
    plan(ledger, 2)
    result = CliRunner().invoke(app, ["status", "--json"])
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["objects"] == {"PLANNED": 1}
    assert told["units_of_open_objects"] == {"waiting": 2}
    assert told["rows_today"] == {"read": 0, "silver": 0, "quarantined": 0}
    assert told["queues"]["units"] == {"visible": 0, "in_flight": 0, "delayed": 0}
    assert (told["gates"], told["more_than_limit"]) == ([], [])
    assert told["datasets"][0]["dataset"] == "shipments"


def test_watching_goes_on_until_ctrl_c_which_ends_it_with_130(shell: dict[str, str]) -> None:
    command = [sys.executable, "-m", "services.ops.cli", "status", "--watch", "--every", "1"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=shell | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        killer = threading.Timer(60, process.kill)
        killer.start()
        screens = 0
        for line in process.stdout:
            screens += line.startswith(shell["LEDGER_TABLE"])
            if screens == 2:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        killer.cancel()
    assert (screens, process.returncode, said) == (2, 130, "Interrupted.\n")
