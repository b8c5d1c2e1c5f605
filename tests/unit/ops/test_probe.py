"""The probe finds what is missing, goes on where it stopped, and never asks twice for what is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from services.ops.grid import batched
from services.ops.probe import Place, Probed, probe
from services.ops.workflow import Request
from services.shared.deadline import Deadline
from services.shared.ledger.records import Counts, LotState, ObjectState, Retraction
from services.shared.units import BronzeObject
from tests.support.lake import BRONZE
from tests.support.world import NOW, World

NO_HURRY = Deadline.endless()
ASKED = Request("bronze/", "bronze/replay/x/", NOW - timedelta(days=1), NOW + timedelta(days=1), "shipments", 0, 1, 3)


@dataclass
class Folders:
    """Listings of both buckets, two keys a page. Remembers where listing began."""

    bucket: str = BRONZE
    found: dict[str, BronzeObject] = field(default_factory=dict)
    silver_files: list[tuple[str, datetime]] = field(default_factory=list)
    began: list[str] = field(default_factory=list)

    def add(self, source: BronzeObject, modified: datetime = NOW) -> None:
        self.found[source.key] = replace(source, created=modified)

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        self.began.append(after)
        behind = [one for key, one in sorted(self.found.items()) if key.startswith(prefix) and key > after]
        yield from batched(behind, 2)

    def modified(self, prefix: str, after: str) -> Iterator[list[tuple[str, datetime]]]:
        self.began.append(after)
        yield from batched([one for one in self.silver_files if one[0].startswith(prefix) and one[0] > after], 2)


def look(
    world: World, folders: Folders, asked: Request = ASKED, place: Place | None = None, deadline: Deadline = NO_HURRY
) -> Probed:
    ledger: Any = world
    listing: Any = folders
    return probe(ledger, listing, folders, asked, Place.from_json((place or Place()).to_json()), deadline)


def loaded(number: int) -> tuple[World, Folders]:
    """So many objects, all in Silver."""
    world, folders = World(), Folders()
    for _ in range(number):
        known, _ = world.load(units=2)
        folders.add(known.source)
    return world, folders


def test_what_is_loaded_is_accounted_for_with_its_rows() -> None:
    world, folders = loaded(5)
    probed = look(world, folders)
    tally = probed.place.tally
    assert (str(probed.missing), probed.at_end) == ("", True)
    assert (tally.objects, tally.rows_read, tally.rows_silver, tally.rows_quarantined) == (5, 100, 90, 10)


def test_an_object_counts_as_loaded_as_soon_as_its_last_unit_is_committed() -> None:
    world, folders = loaded(1)
    known, _ = world.load(units=3)
    world.objects[known.id] = replace(known, state=ObjectState.PLANNED)  # the sweep comes later
    folders.add(known.source)
    assert not look(world, folders).missing


def test_the_rows_of_a_lot_that_is_being_rewritten_are_in_silver() -> None:
    world, folders = loaded(0)
    known, lot = world.load(units=1)
    world.objects[known.id] = replace(known, state=ObjectState.PLANNED)
    world.held[lot.id] = replace(lot, state=LotState.REWRITING, generation=2)
    folders.add(known.source)
    assert not look(world, folders).missing


def test_a_done_object_whose_lots_have_expired_is_accounted_for() -> None:
    world, folders = loaded(1)
    world.records.clear()
    world.held.clear()
    assert not look(world, folders).missing


def test_an_object_that_was_taken_out_to_be_loaded_again_is_missing_and_a_retracted_one_is_not() -> None:
    for reload, missing in ((False, ""), (True, "was taken out to be loaded again, and is not let in yet")):
        world, folders = loaded(1)
        known = world.plan(world.upload(), ObjectState.RETRACTED)
        world.objects[known.id] = replace(known, retraction=Retraction(NOW, rows=Counts(), reload=reload))
        folders.add(known.source)
        assert missing in str(look(world, folders).missing)
        assert bool(look(world, folders).missing) is reload


def test_an_object_that_the_ledger_does_not_know_is_missing() -> None:
    world, folders = loaded(1)
    folders.add(world.upload())
    probed = look(world, folders)
    assert "1 object is not accounted for: s3://bronze-bucket/bronze/" in str(probed.missing)
    assert "the ledger does not know it; its event has not reached ingest" in str(probed.missing)


def test_an_object_that_is_half_loaded_is_missing_with_its_last_error() -> None:
    world, folders = loaded(0)
    known = world.plan(world.upload(units=3))
    lot = world.claim([known.plan.unit(0).id])
    world.write(lot)
    world.commit(lot)
    world.claim([known.plan.unit(1).id])
    world.bury(known.plan.unit(2).id, "it cannot be read")
    folders.add(known.source)
    said = str(look(world, folders).missing)
    assert f"{known.id}: PLANNED, 1 of 3 units in Silver, unit 200-300 is a dead letter: it cannot be read" in said


def test_a_dissolving_lot_holds_nothing_in_silver() -> None:
    world, folders = loaded(0)
    known, lot = world.load(units=1)
    world.objects[known.id] = replace(known, state=ObjectState.PLANNED)
    world.held[lot.id] = replace(lot, state=LotState.DISSOLVING)
    folders.add(known.source)
    assert "0 of 1 units in Silver" in str(look(world, folders).missing)


def test_a_rejected_object_is_accounted_for_and_counted() -> None:
    world, folders = loaded(1)
    source = world.upload(key="bronze/shipments/a.csv")
    world.reject(source)
    folders.add(source)
    probed = look(world, folders)
    assert (str(probed.missing), probed.place.tally.objects, probed.place.tally.rejected) == ("", 2, 1)


def test_a_key_that_smelt_does_not_read_is_accounted_for_though_nobody_has_announced_it() -> None:
    world, folders = loaded(1)
    folders.add(world.upload(key="bronze/shipments/_SUCCESS"))
    probed = look(world, folders)
    assert (str(probed.missing), probed.place.tally.objects, probed.place.tally.not_taken) == ("", 2, 1)


def test_rows_that_are_not_conserved_are_told() -> None:
    world, folders = loaded(0)
    known, lot = world.load(units=1)
    world.held[lot.id] = replace(lot, unit_counts=(Counts(10, 8, 1),), counts=Counts(10, 8, 1))
    folders.add(known.source)
    said = str(look(world, folders).missing)
    assert said.startswith(f"Rows are not conserved: lot {lot.id}: rows read are not rows in Silver plus rows in quar")


def test_what_was_modified_outside_of_the_window_and_copies_are_not_asked_for() -> None:
    world, folders = loaded(1)
    folders.add(world.upload(key="bronze/shipments/old"), ASKED.start - timedelta(seconds=1))
    folders.add(world.upload(key="bronze/shipments/new"), ASKED.end)
    folders.add(world.upload(key="bronze/replay/x/bronze/shipments/0.jsonl"))
    probed = look(world, folders)
    assert (str(probed.missing), probed.place.tally.objects) == ("", 1)


def test_the_next_look_goes_on_at_the_first_page_on_which_something_was_missing() -> None:
    world, folders = loaded(8)
    missing = world.upload(key="bronze/shipments/000005a.jsonl")
    folders.add(missing)
    first = look(world, folders)
    assert (first.place.after, first.place.tally.objects) == ("bronze/shipments/000002.jsonl", 2)
    assert first.missing.objects == 1  # those behind it are all there
    known = world.plan(missing)
    lot = world.claim([unit.id for unit in known.plan])
    world.write(lot)
    world.commit(lot)
    second = look(world, folders, place=first.place)
    assert folders.began[:2] == ["", "bronze/shipments/000002.jsonl"]
    assert (str(second.missing), second.at_end, second.place.tally.objects) == ("", True, 9)


def test_much_that_is_missing_is_counted_for_some_pages_and_five_are_named() -> None:
    world, folders = loaded(0)
    for _ in range(100):
        folders.add(world.upload())
    probed = look(world, folders)
    assert (probed.missing.objects, len(probed.missing.named), probed.at_end) == (22, 5, False)
    assert str(probed.missing).endswith(" and 17 more.")
    assert probed.place == Place()


def test_a_look_ends_in_time_and_the_next_one_goes_on() -> None:
    world, folders = loaded(6)
    left = count(3, -1)  # a second is over each time that somebody looks at the clock
    first = look(world, folders, deadline=Deadline(lambda: float(next(left)), 0))
    assert (str(first.missing), first.at_end) == ("", False)
    assert 0 < first.place.tally.objects < 6
    second = look(world, folders, place=first.place)
    assert (second.at_end, second.place.tally.objects) == (True, 6)


def files(number: int, modified: datetime = NOW, suffix: str = ".parquet") -> list[tuple[str, datetime]]:
    return [(f"silver/shipments/dt=2026-01-01/{n:04d}{suffix}", modified) for n in range(number)]


def test_recent_parquet_objects_are_counted() -> None:
    world, folders = loaded(1)
    asked = replace(ASKED, min_parquet_objects=3)
    old = ASKED.start - timedelta(seconds=1)
    folders.silver_files = [
        *files(2),
        *files(9, old),
        *files(9, suffix=".txt"),
        ("silver/smoke/a.parquet", NOW),
    ]
    probed = look(world, folders, asked)
    assert str(probed.missing) == (
        "silver/shipments/ has 2 Parquet objects written since 2026-01-31T00:00:00+00:00; min_parquet_objects is 3."
    )
    folders.silver_files = files(9)
    probed = look(world, folders, asked, probed.place)
    assert (str(probed.missing), probed.at_end, probed.place.tally.parquet_objects) == ("", True, 3)
    assert folders.began == ["", "", ""]  # Bronze once, Silver twice


def test_counting_goes_on_where_time_was_over() -> None:
    world, folders = loaded(0)
    folders.silver_files = files(6)
    asked = replace(ASKED, min_parquet_objects=6)
    left = count(2, -1)
    first = look(world, folders, asked, deadline=Deadline(lambda: float(next(left)), 0))
    assert (str(first.missing), first.at_end, first.place.tally.parquet_objects) == ("", False, 4)
    second = look(world, folders, asked, first.place)
    assert (str(second.missing), second.at_end, second.place.tally.parquet_objects) == ("", True, 6)
