"""Files of Silver are lost while the lake is on: `smelt reload` comes to its end, and each row is published once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from services.ops.reload import Done, Reloaded
from services.ops.sweep import sweep
from services.shared.identities import LakeKey
from tests.faults.rig import crash
from tests.faults.test_lost_files import loaded, reload
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, Make, day
from tests.support.faults import Crash, Interrupter
from tests.support.replaying import Desk

_LOOKS = 60  # at what a publisher has done, until it is clear that it never will


def publish(lake: LakeRig) -> None:
    lake.publish()


def publish_and_compact(lake: LakeRig) -> None:
    lake.publish()
    for number in (1, 2):
        assert compact(lake, day(number)) is not None


def leave_waiting(lake: LakeRig) -> None:
    """Nothing was published when the file was lost."""


def lose(lake: LakeRig, key: str) -> None:
    lake.rig.lake.delete([key])


def change(lake: LakeRig, key: str) -> None:
    lake.rig.lake.put(key, b"by hand")


def reload_beside_publisher(lake: LakeRig, desk: Desk, *files: str, stops: Interrupter | None = None) -> list[Reloaded]:
    """The schedule publishes while the command waits."""
    looks = 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < _LOOKS, "it waits for ever"
        lake.rig.clock.advance(seconds)
        lake.publish()

    return reload(desk, *files, history=lake.history, sleep=wait, stops=stops)


def come_to_an_end(lake: LakeRig, desk: Desk) -> None:
    """What the schedules do."""
    desk.deliver()
    lake.settle()
    sweep(lake.rig.ledger, lake.rig.lake)


@pytest.mark.parametrize("every", [False, True], ids=["one file", "all files"])
@pytest.mark.parametrize("harm", [lose, change])
@pytest.mark.parametrize("before", [leave_waiting, publish, publish_and_compact])
def test_a_reload_ends_and_each_row_is_published_once(
    make: Make, before: Callable[[LakeRig], None], harm: Callable[[LakeRig, str], None], every: bool
) -> None:
    lake = make()
    desk = Desk(lake.rig)
    loaded(desk)
    loaded(desk, 3)  # another lot
    before(lake)
    lost = [key for key in sorted(lake.rig.lake.files) if key.startswith("silver/")]
    for key in lost if every else lost[:1]:
        harm(lake, key)
    by_lot = {LakeKey.parse(key).lot: key for key in (lost if every else lost[:1])}
    assert {one.done for one in reload_beside_publisher(lake, desk, *by_lot.values())} == {Done.SENT}
    come_to_an_end(lake, desk)
    desk.check()
    lake.check()


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_reload_that_is_killed_is_finished_by_the_next_while_the_lake_is_on(make: Make, before: bool) -> None:
    def fresh() -> tuple[LakeRig, Desk, list[str]]:
        lake = make()
        desk = Desk(lake.rig)
        loaded(desk)
        loaded(desk, 3)
        publish_and_compact(lake)
        silver = [key for key in sorted(lake.rig.lake.files) if key.startswith("silver/")]
        by_lot = {LakeKey.parse(key).lot: key for key in silver}
        for key in by_lot.values():
            lose(lake, key)
        return lake, desk, list(by_lot.values())

    watch = Interrupter()
    lake, desk, lost = fresh()
    reload_beside_publisher(lake, desk, *lost, stops=watch)
    for at in range(1, len(watch.calls) + 1, 17):
        lake, desk, lost = fresh()
        with suppress(Crash):
            reload_beside_publisher(lake, desk, *lost, stops=Interrupter(at, before, crash))
        desk.hours(2)
        reload_beside_publisher(lake, desk, *lost)
        desk.reconcile()
        come_to_an_end(lake, desk)
        desk.check()
        lake.check()
