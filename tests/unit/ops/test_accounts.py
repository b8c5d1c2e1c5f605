"""Every object has one word that says what became of it; done, unfinished and refused objects have different words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ops.audit.accounts import Outcome
from services.ops.audit.audit import Audit, Limits, audit
from services.ops.audit.open_work import unfinished
from services.ops.audit.scope import Scope, dataset_of
from services.shared.identities import ObjectId
from services.shared.ledger.records import Counts, ObjectState
from tests.support.world import NOW, World, long_ago

MANY = 2500  # units: more than one look-up takes


def run(world: World, limits: Limits = Limits(), **scope: Any) -> Audit:  # noqa: B008 (immutable)
    return audit(world, world, Scope(**scope), limits, NOW)  # type: ignore[arg-type]


def outcomes(found: Audit) -> dict[str, int]:
    return {str(outcome): number for outcome, number in found.objects.items() if number}


def test_refused_objects_are_not_loaded_and_never_done() -> None:
    world = World()
    for name in ("part-0000", "events.gz", "a.csv", "b.parquet", "c.txt"):
        world.reject(world.upload(key=f"bronze/shipments/{name}"), advice=f"rename {name}")
    found = run(world)
    assert outcomes(found) == {"not_loaded": 5}
    assert not found.all_right
    assert found.findings.total == 0
    assert {(account.reason, account.next_step.split()[0]) for account in found.accounts} == {
        ("unsupported_format", "rename")
    }


def test_a_refused_object_without_bytes_is_empty_and_nothing_is_to_be_done() -> None:
    world = World()
    world.reject(world.upload(0, key="bronze/shipments/"), "directory_marker")
    found = run(world)
    assert (outcomes(found), found.all_right, found.accounts) == ({"empty": 1}, True, [])


def test_a_dead_unit_stops_its_object_and_its_error_is_shown() -> None:
    world = World()
    known = world.plan(world.upload(3))
    world.bury(known.plan.unit(1).id, "the object was deleted")
    (account,) = run(world).accounts
    assert (account.outcome, account.dead, account.units) == (Outcome.STOPPED, 1, 3)
    assert account.errors == ("unit 100-200: the object was deleted",)
    assert "redrive" in account.next_step


def test_an_old_object_that_was_announced_late_is_not_overdue_yet() -> None:
    world = World()
    source = world.upload(2, created=NOW - timedelta(days=30))
    world.plan(source)
    world.objects[source.id] = replace(world.objects[source.id], seen=NOW - timedelta(hours=1))
    assert outcomes(run(world)) == {"in_progress": 1}
    assert outcomes(run(world, Limits(overdue=timedelta(minutes=59)))) == {"overdue": 1}


def test_work_in_progress_is_all_right_until_it_is_overdue() -> None:
    world = World()
    world.plan(world.upload(2, created=NOW - timedelta(hours=23)), ObjectState.PLANNING)
    assert (outcomes(run(world)), run(world).all_right) == ({"in_progress": 1}, True)
    sooner = run(world, Limits(overdue=timedelta(hours=22)))
    assert (outcomes(sooner), sooner.all_right) == ({"overdue": 1}, False)


def test_an_object_whose_units_are_all_committed_waits_for_the_sweep() -> None:
    world = World()
    known = world.plan(world.upload(2, created=long_ago()))
    for unit in known.plan:
        lot = world.claim([unit.id])
        world.write(lot)
        world.commit(lot)
    found = run(world)
    assert (outcomes(found), found.all_right, found.counts) == ({"committed": 1}, True, Counts(20, 18, 2))


@pytest.mark.parametrize("committed", [MANY, MANY - 1])
def test_the_units_of_a_large_object_are_all_counted(committed: int) -> None:
    world = World()
    known = world.plan(world.upload(MANY, created=long_ago()))
    units = [unit.id for unit in known.plan][:committed]
    for first in range(0, committed, 99):
        lot = world.claim(units[first : first + 99])
        world.write(lot)
        world.commit(lot)
    (account,) = run(world).accounts
    assert (account.committed, account.units) == (committed, MANY)
    assert account.outcome is (Outcome.COMMITTED if committed == MANY else Outcome.OVERDUE)
    assert account.counts == Counts(10 * committed, 9 * committed, committed)


def test_unfinished_objects_are_told_without_a_scan_or_a_listing() -> None:
    world = World()
    world.load()
    world.reject(world.upload(key="bronze/shipments/a.csv"))
    stopped = world.plan(world.upload(2))
    world.bury(stopped.plan.unit(0).id, "too deep")
    waiting = world.plan(world.upload(2, dataset="flights"))
    lot = world.claim([waiting.plan.unit(0).id])
    for closed in ("scan", "files", "bronze"):
        setattr(world, closed, None)
    found = unfinished(world, now=NOW)  # type: ignore[arg-type]
    assert outcomes(found) == {"stopped": 1, "in_progress": 1}
    assert not found.all_right
    assert found.lots == {lot.state: 1}
    assert outcomes(unfinished(world, Scope(dataset="flights"), now=NOW)) == {"in_progress": 1}  # type: ignore[arg-type]


def scoped_world() -> World:
    world = World()
    world.load(dataset="shipments", created=datetime(2026, 1, 1, tzinfo=UTC))
    world.load(dataset="shipments", created=datetime(2026, 1, 2, tzinfo=UTC))
    world.load(dataset="flights", created=datetime(2026, 1, 2, tzinfo=UTC))
    world.upload(dataset="flights", created=datetime(2026, 1, 3, tzinfo=UTC))  # never announced
    return world


@pytest.mark.parametrize(
    ("scope", "objects", "findings"),
    [
        ({}, 3, 1),
        ({"dataset": "shipments"}, 2, 0),
        ({"dataset": "flights"}, 1, 1),
        ({"prefix": "bronze/ship"}, 2, 0),
        ({"prefix": "bronze/flights/", "dataset": "flights"}, 1, 1),
        ({"prefix": "bronze/shipments/", "dataset": "flights"}, 0, 0),
        ({"since": datetime(2026, 1, 2, tzinfo=UTC)}, 2, 1),
        ({"until": datetime(2026, 1, 2, tzinfo=UTC)}, 1, 0),
        ({"since": datetime(2026, 1, 2, tzinfo=UTC), "until": datetime(2026, 1, 3, tzinfo=UTC)}, 2, 0),
    ],
)
def test_a_scope_chooses_objects_and_findings(scope: dict[str, Any], objects: int, findings: int) -> None:
    found = run(scoped_world(), **scope)
    assert (found.objects.total(), found.findings.total) == (objects, findings)
    assert found.counts.read == 10 * objects


def test_damage_of_a_lot_outside_the_scope_is_not_told() -> None:
    world = scoped_world()
    lost = next(key for key, lot in world.held.items() if "flights" in lot.units[0].object.key)
    for file in world.held[lost].files:
        del world.lake[file.key]
    assert run(world, dataset="shipments").findings.total == 0
    assert run(world, dataset="flights").findings.total == 3


def test_states_choose_which_objects_are_listed_and_change_no_total() -> None:
    world = scoped_world()
    world.reject(world.upload(key="bronze/flights/a.csv"))
    usual, done = run(world), run(world, outcomes=frozenset([Outcome.DONE]))
    assert [account.outcome for account in usual.accounts] == [Outcome.NOT_LOADED]
    assert [account.outcome for account in done.accounts] == [Outcome.DONE] * 3
    assert usual.objects == done.objects


def test_no_more_objects_are_kept_than_the_limit_and_all_are_counted() -> None:
    world = World()
    for number in range(150):
        world.reject(world.upload(key=f"bronze/shipments/{number}.csv"))
        world.plan(world.upload())
    found = run(world, Limits(listed=10))
    assert outcomes(found) == {"not_loaded": 150, "in_progress": 150}
    assert (len(found.accounts), found.accounts_left_out) == (10, 290)


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("bronze/shipments/a.jsonl", "shipments"),
        ("bronze/shipments/part-0000", "shipments"),
        ("bronze/replay/r1/bronze/shipments/a.jsonl", "shipments"),
        ("bronze/replay/r1/shipments/a.jsonl", "shipments"),
        ("bronze/a.jsonl", ""),
        ("elsewhere/shipments/a.jsonl", ""),
    ],
)
def test_every_key_names_its_dataset_whether_it_is_accepted_or_not(key: str, dataset: str) -> None:
    assert dataset_of(key) == dataset
    assert Scope(dataset="shipments").has(ObjectId("b", key, "e"), NOW) is (dataset == "shipments")
