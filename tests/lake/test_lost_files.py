"""Files of Silver are lost while the lake is on: `smelt reload` comes to its end, and each row is published once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.ops.reload import Done, Reloaded
from services.ops.sweep import sweep
from services.shared.identities import LakeKey
from tests.faults.test_lost_files import loaded, reload
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, Make, day
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


def reload_beside_publisher(lake: LakeRig, desk: Desk, *files: str) -> list[Reloaded]:
    """The schedule publishes while the command waits."""
    looks = 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < _LOOKS, "it waits for ever"
        lake.rig.clock.advance(seconds)
        lake.publish()

    return reload(desk, *files, history=lake.history, sleep=wait)


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
