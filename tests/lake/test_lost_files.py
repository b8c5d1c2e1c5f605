"""Files of Silver are lost while the lake is on: `smelt reload` comes to its end, and each row is published once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFile

from services.ops.reload import Done, Reloaded
from services.ops.sweep import sweep
from services.shared.identities import LakeKey
from tests.faults.rig import crash, shipment
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


def opening_as_s3(forbidden: str) -> Callable[..., Any]:
    """Opens a file as S3 does for a role that may not read, or may not list, what has this in its name."""
    opened = PyArrowFile.open

    def open_(self: PyArrowFile, seekable: bool = True) -> Any:
        if forbidden in self.location:
            raise PermissionError(f"Cannot open file, access denied: {self.location}")
        return opened(self, seekable)

    return open_


def test_a_missing_file_that_s3_calls_forbidden_keeps_no_other_lot(
    lake: LakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may list below a prefix only gets 403 for what is not there."""
    desk = Desk(lake.rig)
    loaded(desk)
    lost, *_ = sorted(key for key in lake.rig.lake.files if key.startswith("silver/"))
    lose(lake, lost)
    loaded_elsewhere = lake.rig.upload("shipments", [shipment(50)])
    lake.rig.drain([unit for unit in lake.rig.units if unit.object.id == loaded_elsewhere.id])
    monkeypatch.setattr(PyArrowFile, "open", opening_as_s3(lost))
    done = lake.publish()
    assert done is not None
    assert done.lots >= 1
    assert [problem for problem in done.problems if f"{lost} is missing" in problem]


def test_a_file_that_is_forbidden_is_not_taken_for_a_missing_one(
    lake: LakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(Desk(lake.rig))
    with monkeypatch.context() as patched:
        patched.setattr(PyArrowFile, "open", opening_as_s3("/silver/"))
        done = lake.publish()
    assert done is not None
    assert "cannot be read" in done.problems[0]
    assert done.lots == 0
    lake.publish()
    lake.check()
