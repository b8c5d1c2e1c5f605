"""What the guide for analysts says about rows that are new, and what to do when another program writes to a table."""

from __future__ import annotations

import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from local.ministack import ROOT
from services.ops.lake.catalog import sqlite_catalog
from tests.faults.rig import shipment
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load, published


def _silver(lake: LakeRig) -> pa.Table:
    keys = [file.key for lot in lake.lots() for file in lot.files if file.key.startswith("silver/")]
    rows = pa.concat_tables([pq.read_table(lake.folder / key, partitioning=None) for key in keys])
    return rows.append_column("record_type", pa.array(["shipments"] * rows.num_rows))


def test_what_is_new_is_found_where_an_older_object_comes_later(lake: LakeRig) -> None:
    late = lake.rig.upload("shipments", [shipment(1), shipment(2)])
    lake.rig.upload("shipments", [shipment(3)])
    lake.rig.deliver(lake.rig.units[-1:])
    connection = duckdb.connect()
    mine = _silver(lake)
    connection.register("mine", mine)
    lake.rig.deliver(lake.rig.units[:1])
    connection.register("silver", _silver(lake))
    assert late.created <= max(mine["_created"].to_pylist()), "asked by _created alone, its rows are never found"
    text = (ROOT / "docs/data-guide.md").read_text()
    (query,) = re.findall(r"```sql\n(SELECT \* FROM silver\n[^`]*FROM mine[^`]*)```", text)
    found = connection.execute(query).to_arrow_table()
    assert sorted(found["shipment_id"].to_pylist()) == ["S1", "S2"]


def test_a_table_that_another_program_has_rewritten_is_made_anew(lake: LakeRig) -> None:
    published(lake)
    table = lake.table()
    table.overwrite(table.scan().to_arrow())
    load(lake, 50)
    done = lake.publish()
    assert done is not None
    assert done.lots == 0
    (problem,) = done.problems
    assert "another program, such as a table optimizer of AWS Glue, has rewritten the table" in problem
    assert "## Nobody else\n" in (ROOT / "docs/lake.md").read_text()
    sqlite_catalog(lake.folder / "catalog.db").drop_table(("lake", "shipments"))
    again = lake.backfill(again=True)
    assert again is not None
    assert again.all_right
    lake.check()
    assert day(1) in str(lake.table().scan().to_arrow()["event_time"].to_pylist()[0])
