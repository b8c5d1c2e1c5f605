"""Traffic while the audit reads: whatever happens between two reads, a healthy pipeline has no finding."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from services.ops.audit.audit import audit
from services.ops.audit.findings import Finding
from services.ops.audit.scope import Scope
from services.shared.identities import LakeKey, ObjectId
from services.shared.ledger.records import LedgerObject, LotState
from tests.support.world import NOW, World, long_ago

STEPS = 14  # of a life


def life(world: World) -> Iterator[None]:
    """An object from its upload to DONE, one change at a time: committed, dissolved, committed again."""
    source = world.upload(3, created=NOW)
    yield
    known = world.plan(source)
    yield
    units = [unit.id for unit in known.plan]
    lot = world.claim(units[:2])
    yield
    world.write(lot)
    yield
    lot = world.held[lot.id] = replace(lot, state=LotState.DISSOLVING)
    yield
    world.dissolve(lot)
    yield
    other = world.claim(units)
    yield
    extra = str(LakeKey("silver", "shipments", "2026-01-30", other.id, "0" * 8))
    other = world.held[other.id] = replace(other, outputs=other.outputs | {extra})
    yield
    world.write(other)
    yield
    committed = world.commit(replace(other, outputs=other.outputs - {extra}))
    committed = world.held[other.id] = replace(committed, outputs=frozenset([extra]))
    yield
    del world.lake[extra]
    yield
    world.held[other.id] = replace(committed, outputs=frozenset())
    yield
    world.done(known)
    yield


def busy_world(moments: Iterable[int]) -> World:
    """Two loaded objects, and one that lives its life: its next change comes before each of these reads, by number."""
    world = World()
    world.load(2, created=long_ago())
    world.load(created=long_ago())
    steps, reads, due = life(world), count(), list(moments)

    def traffic() -> None:
        number = next(reads)
        while due and due[0] <= number:
            due.pop(0)
            next(steps, None)

    world.before_read = traffic
    return world


def test_no_false_finding_whatever_changes_between_two_reads() -> None:
    """Changes come in bursts at three reads; an audit of this world reads about 50 times."""
    chance = random.Random(7)
    for _ in range(1000):
        bursts = [chance.randrange(55) for _ in range(3)]
        moments = sorted(chance.choice(bursts) for _ in range(STEPS))
        world = busy_world(moments)
        found = audit(world, world, Scope(), now=NOW)  # type: ignore[arg-type]
        assert not found.findings.kept, moments


def test_a_suspicion_that_has_gone_when_it_is_read_again_is_no_finding() -> None:
    world = World()
    known = world.plan(world.upload(2, created=NOW))
    lot = world.claim([unit.id for unit in known.plan])
    scan = list(world.scan())
    world.write(lot)
    world.commit(lot)
    world.done(known)
    world.scan = lambda segment=0, segments=1: iter(scan)  # type: ignore[method-assign]
    world.load()  # nothing of it is in the scan
    found = audit(world, world, Scope(), now=NOW)  # type: ignore[arg-type]
    assert found.findings.total == 0
    assert (found.files, found.counts.read) == (4, 20)


def test_an_upload_that_is_announced_while_the_audit_runs_is_no_finding() -> None:
    world = World()
    source = world.upload(created=long_ago())
    found = audit(world, world, Scope(), now=NOW)  # type: ignore[arg-type]
    assert found.findings.total == 1
    find_objects = world.find_objects

    def find_after_planning(ids: Iterable[ObjectId]) -> Iterator[LedgerObject]:
        world.plan(source)
        return find_objects(ids)

    world.find_objects = find_after_planning  # type: ignore[method-assign]
    found = audit(world, world, Scope(), now=NOW)  # type: ignore[arg-type]
    assert found.findings.total == 0


def once_before(world: World, read: str, change: Callable[[], None]) -> None:
    """Let something change before the world is asked for this the first time."""
    ask, changes = getattr(world, read), [change]

    def asked(*arguments: Any) -> Any:
        if changes:
            changes.pop()()
        return ask(*arguments)

    setattr(world, read, asked)


def freeze_scan(world: World, left_out: object = None) -> None:
    """From now on a scan gives what is there now, without one record."""
    scan = [record for record in world.scan() if record != left_out]
    world.scan = lambda segment=0, segments=1: iter(scan)  # type: ignore[method-assign]


def test_a_lot_that_is_dissolved_between_two_reads_of_the_recheck_is_no_finding() -> None:
    world = World()
    known = world.plan(world.upload())
    lot = world.claim([known.plan.unit(0).id])
    freeze_scan(world, left_out=world.records[known.plan.unit(0).id])
    once_before(world, "find_units", lambda: world.dissolve(lot))
    assert not findings_of(world)


def test_a_unit_that_is_freed_between_two_reads_of_the_recheck_is_no_finding() -> None:
    world = World()
    known = world.plan(world.upload())
    lot = world.claim([known.plan.unit(0).id])
    freeze_scan(world, left_out=lot)
    once_before(world, "find_lots", lambda: world.dissolve(lot))
    assert not findings_of(world)


def test_a_lot_whose_files_are_replaced_between_two_reads_of_the_recheck_is_no_finding() -> None:
    world = World()
    _, lot = world.load()
    freeze_scan(world)
    files = dict(world.lake)
    world.lake.clear()  # so that the lot is a suspect

    def rewrite() -> None:
        renamed = {f"{key.removesuffix('.parquet')}-0001.parquet": file for key, file in files.items()}
        world.lake = {key: replace(file, key=key) for key, file in renamed.items()}
        new = {file.key: f"{file.key.removesuffix('.parquet')}-0001.parquet" for file in lot.files}
        world.held[lot.id] = replace(lot, files=tuple(replace(file, key=new[file.key]) for file in lot.files))

    once_before(world, "find_files", rewrite)
    assert not findings_of(world)


def findings_of(world: World) -> list[Finding]:
    return audit(world, world, Scope(), now=NOW).findings.kept  # type: ignore[arg-type]
