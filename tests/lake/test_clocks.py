"""Machines whose clocks differ change one table: Athena and Spark refuse one whose log goes back by a minute."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Self

import pytest

from services.shared.contract.model import Field, FieldType
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load, published


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """What PyIceberg takes for the time of a change from now on."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + ahead.total_seconds(), tz)

    clock = SimpleNamespace(time=lambda: time.time() + ahead.total_seconds())
    monkeypatch.setattr("pyiceberg.table.snapshots.time", clock)
    monkeypatch.setattr("pyiceberg.table.update.datetime", Clock)


def in_order(lake: LakeRig) -> None:
    metadata = lake.table().metadata
    snapshots = [entry.timestamp_ms for entry in metadata.snapshot_log]
    changes = [entry.timestamp_ms for entry in metadata.metadata_log]
    assert snapshots == sorted(snapshots)
    assert changes == sorted(changes)
    assert metadata.last_updated_ms >= max(*snapshots, *changes)
    by_id = {snapshot.snapshot_id: snapshot.timestamp_ms for snapshot in metadata.snapshots}
    assert snapshots == [by_id[entry.snapshot_id] for entry in metadata.snapshot_log]


@pytest.mark.parametrize("ahead", [timedelta(minutes=4), timedelta(minutes=-4)], ids=["ahead", "behind"])
def test_a_machine_with_another_time_compacts_and_the_function_goes_on(
    lake: LakeRig, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    published(lake)
    set_clock(monkeypatch, ahead)
    assert compact(lake, day(1))
    in_order(lake)
    set_clock(monkeypatch, timedelta(0))
    load(lake, 90)
    lake.publish()
    in_order(lake)
    now = round(time.time() * 1000) + 5 * 60 * 1000
    current = lake.table().current_snapshot()
    assert current == lake.table().snapshot_as_of_timestamp(now)


def test_changes_without_a_snapshot_have_a_later_time_too(lake: LakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, timedelta(minutes=4))
    published(lake)
    set_clock(monkeypatch, timedelta(0))
    shipments = lake.contracts["shipments"]
    grown = replace(shipments, fields=(*shipments.fields, Field("note", FieldType.STRING, id=11)), version="1.1.0")
    lake.catalog().ensure(grown)
    in_order(lake)
    lake.maintain(timedelta(days=40))
    in_order(lake)
