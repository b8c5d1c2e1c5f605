"""The code that one would write first, and how it doubles or loses rows. Each test is the reason of a rule here.

If one of these fails, PyIceberg has changed: the rule may not be needed any more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table

from services.ops.lake.live import live_files
from services.ops.lake.schema import table_schema
from tests.lake.compacting import compaction_of, run_job
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load


def silver_addresses(lake: LakeRig) -> list[str]:
    return sorted(f"file://{path.resolve()}" for path in (lake.folder / "silver").rglob("*.parquet"))


def ids(table: Table) -> Counter[str]:
    return Counter(table.refresh().scan().to_arrow()["shipment_id"].to_pylist())


@pytest.fixture
def table(lake: LakeRig) -> Table:
    """A table without files, over two lots, with the retries that tables have if nobody says otherwise."""
    load(lake, 1)
    load(lake, 2)
    found = lake.catalog().ensure(lake.contracts["shipments"])
    with found.transaction() as change:
        change.set_properties({"commit.retry.num-retries": "4"})
    return found


def test_two_publishers_double_rows_because_a_retry_does_not_check_again(lake: LakeRig, table: Table) -> None:
    other = lake.catalog().find("shipments")
    assert other is not None
    transactions = [one.transaction() for one in (table, other)]
    for transaction in transactions:
        transaction.add_files(silver_addresses(lake))  # neither is in the table yet
    for transaction in transactions:
        transaction.commit_transaction()
    assert ids(table) == {"S1": 2, "S2": 2}


def test_without_retries_the_second_publisher_fails(lake: LakeRig, table: Table) -> None:
    lake.catalog().ensure(lake.contracts["shipments"])  # sets the property
    transactions = [one.transaction() for one in (table.refresh(), lake.table())]
    for transaction in transactions:
        transaction.add_files(silver_addresses(lake))
    transactions[0].commit_transaction()
    with pytest.raises(CommitFailedException):
        transactions[1].commit_transaction()
    assert ids(table) == {"S1": 1, "S2": 1}


def test_publish_compact_publish_doubles_rows_because_the_check_sees_only_what_is_live(
    lake: LakeRig, table: Table
) -> None:
    table.add_files(silver_addresses(lake))
    lake.publish()  # takes the marks away: the compaction looks for them
    plan = compaction_of(lake).prepare(day(1))
    assert plan is not None
    (output,) = run_job(lake, plan).outputs
    table.refresh()
    with table.transaction() as change, change.update_snapshot().overwrite() as overwrite:
        for file in live_files(table, lake.store.root):
            overwrite.delete_data_file(file.data_file)
    table.add_files([f"{lake.store.root}{output.key}"])
    table.add_files(silver_addresses(lake))  # a publisher that died before it took its marks away: no error
    assert ids(table) == {"S1": 2, "S2": 2}


def test_a_delete_by_predicate_loses_what_was_published_meanwhile(lake: LakeRig, table: Table) -> None:
    first, second = silver_addresses(lake)
    table.add_files([first])
    compacted: Any = table.scan().to_arrow()  # the job has read one file
    other = lake.catalog().find("shipments")
    assert other is not None
    other.add_files([second])  # and another one is published
    table.refresh()
    with table.transaction() as change:
        change.delete(EqualTo("origin", "HAM"))  # the rows of the partition
        change.append(compacted)
    assert ids(table).total() == 1


def test_a_table_with_fresh_ids_takes_no_file(lake: LakeRig, table: Table) -> None:
    """A table that is made as usual has ids of its own, and the files have the contract's."""
    schema, location = table_schema(lake.contracts["shipments"]), f"{lake.store.root}lake/fresh"
    fresh = lake.catalog()._catalog.create_table("lake.fresh", schema, location)
    assert fresh.schema().find_field("origin").field_id != schema.find_field("origin").field_id
    with pytest.raises(ValueError):
        fresh.add_files(silver_addresses(lake))
