"""The audit finds each way in which ledger and buckets can contradict each other, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.ops.audit.audit import Audit, Limits, audit
from services.ops.audit.findings import NEXT, Code
from services.ops.audit.listings import ListedFile
from services.ops.audit.scope import Scope
from services.shared.identities import LotId, UnitId
from services.shared.ledger.records import Counts, LotFile, LotState, ObjectState, UnitRecord
from tests.support.world import NOW, ROWS, World, long_ago

OLD_LOT = LotId("20260101T000000Z", "0123456789abcdef")


def run(world: World, scope: Scope = Scope(), limits: Limits = Limits()) -> Audit:  # noqa: B008 (immutable)
    return audit(world, world, scope, limits, NOW)  # type: ignore[arg-type]


def codes(world: World) -> dict[str, int]:
    return {str(code): number for code, number in run(world).findings.numbers.items()}


@pytest.fixture
def world() -> World:
    """Three loaded objects, one of them of several units."""
    made = World()
    for units in (1, 3, 1):
        made.load(units, created=long_ago())
    return made


def test_a_healthy_pipeline_has_no_finding(world: World) -> None:
    found = run(world)
    assert found.all_right
    assert (found.findings.total, found.objects.total(), found.files) == (0, 3, 6)
    assert found.counts == Counts(50, 45, 5)


def also_list(world: World, lot_id: LotId, unit: UnitId) -> None:
    """Put a unit into a lot as well, with rows that add up."""
    lot = world.held[lot_id]
    extra = {"silver": ROWS.silver, "quarantine": ROWS.quarantined}
    files = tuple(replace(file, rows=file.rows + extra[file.key.split("/")[0]]) for file in lot.files)
    counts = {"unit_counts": (*lot.unit_counts, ROWS), "counts": lot.counts + ROWS}
    world.held[lot_id] = replace(lot, units=(*lot.units, unit), files=files, **counts)  # type: ignore[arg-type]


def unit_in_two_lots(world: World) -> None:
    first, second = list(world.held.values())[:2]
    also_list(world, second.id, first.units[0])


def unit_twice_in_one_lot(world: World) -> None:
    lot = next(iter(world.held.values()))
    also_list(world, lot.id, lot.units[0])


def lot_lists_a_free_unit(world: World) -> None:
    unit = next(iter(world.records))
    world.records[unit] = UnitRecord(unit)


def unit_bound_to_a_lot_that_is_gone(world: World) -> None:
    known = world.plan(world.upload(2))
    unit = known.plan.unit(0).id
    world.records[unit] = UnitRecord(unit, OLD_LOT)


def unit_bound_to_a_lot_without_it(world: World) -> None:
    known = world.plan(world.upload(2))
    unit = known.plan.unit(0).id
    world.records[unit] = UnitRecord(unit, next(iter(world.held)))


def unit_between_the_grid(world: World) -> None:
    known = world.plan(world.upload(2))
    lot = world.claim([UnitId(known.id, 50, 150)])
    world.write(lot)
    world.commit(lot)


def unit_of_an_unknown_object(world: World) -> None:
    lot = next(iter(world.held.values()))
    del world.objects[lot.units[0].object]
    world.versions = [version for version in world.versions if version.id != lot.units[0].object]


def done_with_a_gap(world: World) -> None:
    known = world.plan(world.upload(3, created=long_ago()))
    lot = world.claim([known.plan.unit(0).id, known.plan.unit(2).id])
    world.write(lot)
    world.commit(lot)
    world.done(known)


def rejected_with_rows(world: World) -> None:
    known = world.plan(world.upload(1, created=long_ago()))
    lot = world.claim([known.plan.unit(0).id])
    world.write(lot)
    world.commit(lot)
    world.reject(known.source, "too_large")


def change_lot(**changes: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        lot = next(iter(world.held.values()))
        world.held[lot.id] = replace(lot, **changes)  # type: ignore[arg-type]

    return change


def file_rows_differ(world: World) -> None:
    lot = next(iter(world.held.values()))
    files = (replace(lot.files[0], rows=lot.files[0].rows + 1), *lot.files[1:])
    world.held[lot.id] = replace(lot, files=files)


def file_of_another_lot(world: World) -> None:
    first, second = list(world.held.values())[:2]
    world.held[first.id] = replace(first, files=(replace(second.files[0], rows=first.files[0].rows), first.files[1]))
    del world.lake[first.files[0].key]


def file_missing(world: World) -> None:
    del world.lake[next(iter(world.lake))]


def file_of_another_size(world: World) -> None:
    key, file = next(iter(world.lake.items()))
    world.lake[key] = replace(file, size=file.size + 1)


def file_of_another_etag(world: World) -> None:
    key, file = next(iter(world.lake.items()))
    world.lake[key] = replace(file, etag="another")


def file_of_no_lot(world: World) -> None:
    key = f"silver/shipments/dt=2026-01-01/{OLD_LOT}-00000000.parquet"
    world.lake[key] = ListedFile(key, 1, "e")


def file_that_its_lot_does_not_reference(world: World) -> None:
    key = f"silver/shipments/dt=2026-01-02/{next(iter(world.held))}-00000000.parquet"
    world.lake[key] = ListedFile(key, 1, "e")


def foreign_file(world: World) -> None:
    world.lake["silver/by-hand.parquet"] = ListedFile("silver/by-hand.parquet", 1, "e")


def upload_without_an_event(world: World) -> None:
    world.upload(created=long_ago())


def content_overwritten_before_its_event_came(world: World) -> None:
    lost = world.upload(created=long_ago())
    world.load(key=lost.key)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (unit_in_two_lots, Code.UNIT_IN_TWO_LOTS),
        (unit_twice_in_one_lot, Code.UNIT_IN_TWO_LOTS),
        (lot_lists_a_free_unit, Code.UNIT_NOT_BOUND),
        (unit_bound_to_a_lot_that_is_gone, Code.UNIT_OF_MISSING_LOT),
        (unit_bound_to_a_lot_without_it, Code.UNIT_NOT_IN_LOT),
        (unit_between_the_grid, Code.UNIT_OFF_GRID),
        (unit_of_an_unknown_object, Code.UNKNOWN_OBJECT),
        (done_with_a_gap, Code.DONE_NOT_COMMITTED),
        (rejected_with_rows, Code.REJECTED_COMMITTED),
        (change_lot(counts=Counts(11, 9, 1)), Code.ROWS_DO_NOT_ADD_UP),
        (change_lot(unit_counts=(Counts(11, 9, 1),), counts=Counts(11, 9, 1)), Code.ROWS_DO_NOT_ADD_UP),
        (change_lot(unit_counts=()), Code.ROWS_DO_NOT_ADD_UP),
        (file_rows_differ, Code.FILE_ROWS_DIFFER),
        (file_of_another_lot, Code.FILE_MISNAMED),
        (file_missing, Code.FILE_MISSING),
        (file_of_another_size, Code.FILE_DIFFERS),
        (file_of_another_etag, Code.FILE_DIFFERS),
        (file_of_no_lot, Code.ORPHAN_FILE),
        (file_that_its_lot_does_not_reference, Code.ORPHAN_FILE),
        (foreign_file, Code.FOREIGN_FILE),
        (upload_without_an_event, Code.NEVER_ANNOUNCED),
        (content_overwritten_before_its_event_came, Code.NEVER_ANNOUNCED),
    ],
    ids=lambda value: value.__name__ if callable(value) and not isinstance(value, Code) else str(value),
)
def test_damage_is_found_under_its_code(world: World, damage: Callable[[World], None], code: Code) -> None:
    damage(world)
    found = run(world)
    assert found.findings.numbers == {code: 1}
    assert not found.all_right
    assert all(finding.subject and finding.detail for finding in found.findings.kept)


def test_every_code_says_what_to_do_next() -> None:
    assert set(NEXT) == set(Code)
    assert all(step.endswith((".", ")")) for step in NEXT.values())


@pytest.mark.parametrize("state", [LotState.PENDING, LotState.DISSOLVING])
def test_files_of_a_lot_that_is_not_committed_are_in_progress(world: World, state: LotState) -> None:
    known = world.plan(world.upload(2, created=NOW))
    lot = world.claim([unit.id for unit in known.plan])
    world.write(lot)
    world.held[lot.id] = replace(lot, state=state)
    assert codes(world) == {}


def test_files_that_a_commit_left_over_wait_for_the_sweep(world: World) -> None:
    lot = next(iter(world.held.values()))
    key = f"silver/shipments/dt=2026-01-02/{lot.id}-00000000.parquet"
    world.lake[key] = ListedFile(key, 1, "e")
    world.held[lot.id] = replace(lot, outputs=frozenset([key]))
    found = run(world)
    assert (found.findings.total, found.leftovers) == (0, 1)


def test_quotes_around_an_etag_do_not_matter(world: World) -> None:
    lot = next(iter(world.held.values()))
    quoted = tuple(LotFile(file.key, file.rows, file.bytes, f'"{file.etag}"') for file in lot.files)
    world.held[lot.id] = replace(lot, files=quoted)
    assert codes(world) == {}


def test_a_young_upload_is_on_its_way_and_an_old_one_is_not(world: World) -> None:
    world.upload(created=NOW)
    world.upload(created=NOW - Limits().in_flight)
    world.upload(created=long_ago())
    found = run(world)
    assert (found.in_flight, found.findings.numbers) == (2, {Code.NEVER_ANNOUNCED: 1})


def test_a_replay_copy_is_a_request_and_no_data_of_its_own(world: World) -> None:
    world.upload(created=long_ago(), key="bronze/replay/r1/bronze/shipments/a.jsonl")
    found = run(world)
    assert (found.findings.total, found.replay_copies) == (0, 1)


def test_an_object_deleted_from_bronze_after_loading_is_no_finding(world: World) -> None:
    world.versions.clear()
    assert codes(world) == {}


@pytest.mark.parametrize(("days", "missing"), [(0, 4), (1, 1), (2, 1), (3, 4)])
def test_quarantine_may_be_missing_once_it_is_old_enough_to_have_expired(world: World, days: int, missing: int) -> None:
    """The lots are of yesterday. What expires after two days may do so while the audit runs; Silver never expires."""
    first, *_ = world.held.values()
    gone = [key for key in world.lake if key.startswith("quarantine/") or str(first.id) in key]
    for key in gone:
        del world.lake[key]
    found = run(world, limits=Limits(quarantine_days=days))
    assert found.findings.numbers == {Code.FILE_MISSING: missing}


def test_an_old_file_of_quarantine_that_was_changed_is_found(world: World) -> None:
    key = next(key for key in world.lake if key.startswith("quarantine/"))
    world.lake[key] = replace(world.lake[key], etag="another")
    assert run(world, limits=Limits(quarantine_days=1)).findings.numbers == {Code.FILE_DIFFERS: 1}


def test_all_findings_are_counted_and_only_some_are_kept(world: World) -> None:
    for _ in range(5):
        world.upload(created=long_ago())
    found = run(world, limits=Limits(listed=2))
    assert (found.findings.total, len(found.findings.kept)) == (5, 2)


def test_a_done_object_with_a_gap_names_the_first_missing_unit(world: World) -> None:
    done_with_a_gap(world)
    (finding,) = run(world).findings.kept
    assert "1 of its 3 units are not committed, first" in finding.detail
    assert finding.detail.endswith("@100-200")


def test_a_state_that_no_rule_knows_is_never_taken_for_done() -> None:
    assert set(ObjectState) == {
        ObjectState.PLANNING,
        ObjectState.PLANNED,
        ObjectState.DONE,
        ObjectState.REJECTED,
        ObjectState.RETRACTED,
    }, "a new state needs a word in accounts.Outcome"
