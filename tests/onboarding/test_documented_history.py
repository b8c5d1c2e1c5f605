"""The queries of sql/athena over a history that the real archive task wrote, of loads that the real transform made."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from services.ops.history.writer import archive
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, shipment
from tests.support.history import DAY, RETENTION, MemoryHistory
from tests.support.rewriting import retract
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB
from workbench.query.athena import LocalAthena

QUERIES = ROOT / "sql/athena"
BAD = [b'{"event_time": 5}', b"{broken"]


class Loaded:
    """Two files of one lot, of which one was retracted a day later, and one file of another dataset; all archived."""

    def __init__(self, folder: Path, contracts: dict[str, Contract]) -> None:
        self.rig = Rig(MemoryDynamoDB(), TABLE, contracts, unit_bytes=1 << 20)
        self.history = MemoryHistory()
        self.right = self.rig.upload("shipments", [*(shipment(n, 1 + n % 3) for n in range(9)), *BAD])
        self.wrong = self.rig.upload("shipments", [shipment(n, 3 + n) for n in range(4)])
        self.rig.drain(self.rig.units)
        self.other = self.rig.upload("nonsense", [b'{"record_type": "nonsense"}'])
        self.rig.drain([unit for unit in self.rig.units if unit.object.id == self.other.id])
        self._end_of_day()
        assert retract(self.rig, self.wrong) is not None
        self._end_of_day()
        for key, data in (self.rig.lake.files | self.history.files).items():
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(data)
        self._athena = LocalAthena(folder)

    def _end_of_day(self) -> None:
        sweep(self.rig.ledger, self.rig.lake)
        self.rig.clock.advance(DAY)
        assert archive(self.rig.ledger, self.history, RETENTION, writers=1).complete

    def ask(self, sql: str) -> list[dict[str, Any]]:
        answer = self._athena.query(sql)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def documented(self, name: str) -> list[dict[str, Any]]:
        return self.ask((QUERIES / f"{name}.sql").read_text())


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, contracts: dict[str, Contract]) -> Loaded:
    return Loaded(tmp_path_factory.mktemp("lake"), contracts)


def test_each_load_is_told_with_its_rows_and_what_was_refused_and_why(loaded: Loaded) -> None:
    def told(source: BronzeObject) -> list[tuple[Any, ...]]:
        names = ("state", "rows_read", "rows_silver", "rows_quarantined", "refused")
        rows = [row for row in loaded.documented("loads") if row["object"] == str(source.id)]
        assert all(row["finished_at"] and row["bytes"] == source.size for row in rows)
        return [tuple(row[name] for name in names) for row in rows]

    assert told(loaded.right) == [("DONE", 11, 9, 2, "malformed_json 1, wrong_type 1")]
    assert told(loaded.wrong) == [("RETRACTED", 0, 0, 0, ""), ("DONE", 4, 4, 0, "")]
    assert told(loaded.other) == [("DONE", 1, 0, 1, "unknown_record_type 1")]


def test_the_files_of_a_load_are_those_in_which_its_rows_are(loaded: Loaded) -> None:
    """Of the newest generation of its lot: what was there before the retraction is deleted."""
    files = defaultdict(set)
    for row in loaded.documented("files_of_loads"):
        files[row["object"]].add(row["file"])
    assert set(files) == {str(loaded.right.id), str(loaded.other.id)}
    holding = {row["_file"] for root in ("silver", "quarantine") for row in loaded.rig.lake.rows(root)}
    assert set.union(*files.values()) == holding == set(loaded.rig.lake.files)
    assert any("-g2-" in file for file in files[str(loaded.right.id)])


def test_the_days_of_a_dataset_are_those_that_its_rows_have_now(loaded: Loaded) -> None:
    (days,) = loaded.documented("days_of_datasets")
    assert days == {"record_type": "shipments", "first_day": "2026-01-01", "last_day": "2026-01-03"}


def test_quarantine_has_the_folder_as_its_dataset_and_the_rows_own_record_type(loaded: Loaded) -> None:
    found = loaded.ask("SELECT dataset, record_type, COUNT(*) AS n FROM quarantine GROUP BY 1, 2 ORDER BY 1")
    assert found == [
        {"dataset": "_unknown", "record_type": "nonsense", "n": 1},
        {"dataset": "shipments", "record_type": "shipments", "n": 2},
    ]


def test_the_history_has_a_partition_key_for_its_days(loaded: Loaded) -> None:
    days = {row["dt"] for row in loaded.ask("SELECT dt FROM load_history")}
    assert len(days) == 2
    assert all(isinstance(day, str) and len(day) == 10 for day in days)
