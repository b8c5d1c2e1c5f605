"""The check of the tables: silent where all is right, at each step, and loud where a row is missing or doubled."""

from __future__ import annotations

from services.ops.history.reader import History
from services.ops.lake.check import Checked, check_table
from services.ops.lake.live import read_live, record_key
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load, published
from tests.support.rewriting import retract


def check(lake: LakeRig) -> Checked:
    return check_table(lake.rig.ledger, lake.catalog(), lake.store, History(lake.history), "shipments")


def test_it_is_silent_while_all_is_right(lake: LakeRig) -> None:
    bad = load(lake, 1, 2, 50)
    assert check(lake).waiting == 1
    published(lake)
    assert (check(lake).all_right, check(lake).files, check(lake).waiting) == (True, 5, 0)
    compact(lake, day(1))
    assert (check(lake).all_right, check(lake).files) == (True, 5)
    retract(lake.rig, bad)
    assert (check(lake).all_right, check(lake).waiting) == (True, 1)
    lake.publish()
    assert check(lake).all_right


def test_a_file_that_was_never_published_is_named(lake: LakeRig) -> None:
    published(lake)
    lake.rig.outboxes = frozenset()
    load(lake, 70)
    (lost,) = {file.key for lot in lake.lots() for file in lot.files} - set(read_live(lake.table(), lake.store).files)
    assert check(lake).missing == [lost]


def test_a_file_that_was_left_behind_is_named(lake: LakeRig) -> None:
    bad = load(lake, 1, 2, 50)
    lake.publish()
    old = [file.key for lot in lake.lots() for file in lot.files]
    retract(lake.rig, bad)
    load(lake, 3)
    for entry in lake.rig.ledger.open_entries("publish"):
        lake.rig.dynamodb.delete_item(TableName=lake.rig.table, Key={"pk": {"S": entry.pk}})
    assert check(lake).stale == old


def test_a_run_with_other_rows_than_its_record_is_named(lake: LakeRig) -> None:
    published(lake)
    swap = compact(lake, day(1))
    assert swap is not None
    key = record_key(swap.run)
    text = lake.store.read(key)
    assert text is not None
    lake.store.put(key, text.replace(b'"rows": 11', b'"rows": 12'))
    (uneven,) = check(lake).uneven
    assert "11 rows, its record says 12" in uneven
