"""The queries of sql/athena, and those that the users' guide has, over files that the real transform wrote."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from local.generator import events
from local.ministack import ROOT
from services.shared.contract.model import Contract
from tests.support.running import request
from tests.unit.workbench.conftest import Smelt

QUERIES = ROOT / "sql/athena"
ROWS = 400

OF_THE_GUIDE = {
    "latest": """SELECT dt, shipment_id, origin, destination, carrier, weight_kg, event_time
        FROM "lake".silver WHERE record_type = 'shipments' ORDER BY dt DESC, event_time DESC LIMIT 20;""",
    "per day": """SELECT dt, COUNT(*) AS rows FROM "lake".silver
        WHERE record_type = 'shipments' GROUP BY dt ORDER BY dt DESC;""",
    "sanity": """SELECT dt, MIN(weight_kg) AS min_weight_kg, MAX(weight_kg) AS max_weight_kg,
          APPROX_DISTINCT(shipment_id) AS approx_unique_shipments
        FROM "lake".silver WHERE record_type = 'shipments' GROUP BY dt ORDER BY dt DESC;""",
}


@pytest.fixture
def loaded(smelt: Smelt, tmp_path: Path, contracts: dict[str, Contract]) -> list[dict[str, Any]]:
    """Shipments and invoice lines in Silver; gives the good shipments."""
    for dataset, bad_rate in (("shipments", 0.1), ("invoice_lines", 0.0)):
        lines = [*events(contracts[dataset], request(ROWS, bad_rate))]
        (tmp_path / dataset).mkdir()
        (tmp_path / dataset / "a.jsonl").write_bytes(b"\n".join(lines))
    code, _, _ = smelt(
        "try", tmp_path / "shipments", tmp_path / "invoice_lines", "--contracts", ROOT / "contracts", "--jobs", "1"
    )
    assert code == 1, "some rows are bad"
    refused = {row["_offset"] for row in answered(smelt, "SELECT _offset FROM quarantine")}
    assert refused
    good, offset = [], 0
    for line in (tmp_path / "shipments/a.jsonl").read_bytes().split(b"\n"):
        if offset not in refused:
            good.append(json.loads(line))
        offset += len(line) + 1
    return good


def answered(smelt: Smelt, *arguments: object) -> list[dict[str, Any]]:
    code, said, told = smelt("query", *arguments, "--json")
    assert code == 0, told
    found: list[dict[str, Any]] = json.loads(said)
    return found


@pytest.mark.parametrize("file", sorted(QUERIES.glob("*.sql")), ids=lambda file: file.stem)
@pytest.mark.usefixtures("loaded")
def test_each_query_runs_and_answers_something(smelt: Smelt, file: Path) -> None:
    """A trial keeps no history, and here no shipment came twice: these answers are tested with rows of their own."""
    is_empty = "load_history" in file.read_text() or file.stem == "shipments_twice"
    assert bool(answered(smelt, "--file", file)) != is_empty


def test_a_shipment_that_came_twice_is_told_with_its_days(smelt: Smelt, tmp_path: Path) -> None:
    rows = [
        {"event_time": f"2026-01-0{day}T00:00:00Z", "shipment_id": id_, "origin": "Oslo", "destination": "Cork"}
        for day, id_ in ((1, "S1"), (2, "S2"), (3, "S1"))
    ]
    (tmp_path / "shipments").mkdir()
    (tmp_path / "shipments/a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert smelt("try", tmp_path / "shipments", "--contracts", ROOT / "contracts")[0] == 0
    assert answered(smelt, "--file", QUERIES / "shipments_twice.sql") == [
        {"shipment_id": "S1", "row_count": 2, "first_day": "2026-01-01", "last_day": "2026-01-03"}
    ]
    late = answered(smelt, "--file", QUERIES / "late_rows.sql")
    assert sum(row["row_count"] for row in late) == 3
    assert [one["days_late"] - other["days_late"] for one, other in zip(late[1:], late, strict=False)] == [1, 1]


def test_each_query_begins_with_what_it_answers() -> None:
    """The first line becomes the description of the query in Athena's workgroup."""
    for file in (*QUERIES.glob("*.sql"), *QUERIES.glob("views/*.sql")):
        first, *rest = file.read_text().splitlines()
        assert first.startswith("-- ")
        assert 10 < len(first) < 1024
        assert not any(line.startswith("--") for line in rest)


def test_the_queries_count_what_was_loaded(smelt: Smelt, loaded: list[dict[str, Any]]) -> None:
    days = Counter(row["event_time"][:10] for row in loaded)
    per_day = answered(smelt, "--file", QUERIES / "rows_per_day.sql")
    assert {row["dt"]: row["row_count"] for row in per_day if row["record_type"] == "shipments"} == days
    weights: dict[str, list[float]] = defaultdict(list)
    for row in loaded:
        if row.get("weight_kg") is not None:
            weights[row["event_time"][:10]].append(row["weight_kg"])
    sane = answered(smelt, "--file", QUERIES / "shipments_sanity.sql")
    assert [(row["dt"], row["min_weight_kg"], row["max_weight_kg"]) for row in sane] == [
        (day, min(weights[day]), max(weights[day])) for day in sorted(weights, reverse=True)
    ]
    refused = answered(smelt, "--file", QUERIES / "quarantine_reasons.sql")
    assert sum(row["row_count"] for row in refused) == ROWS - len(loaded)
    objects = answered(smelt, "--file", QUERIES / "rows_of_an_object.sql")
    assert {(row["in_silver"], row["in_quarantine"]) for row in objects} == {
        (len(loaded), ROWS - len(loaded)),
        (ROWS, 0),
    }


@pytest.mark.parametrize("name", OF_THE_GUIDE)
def test_the_guides_queries_run_as_they_are(smelt: Smelt, loaded: list[dict[str, Any]], name: str) -> None:
    found = answered(smelt, OF_THE_GUIDE[name])
    days = sorted({row["event_time"][:10] for row in loaded}, reverse=True)
    if name == "latest":
        latest = sorted((row["event_time"] for row in loaded), reverse=True)[:20]
        assert [row["shipment_id"] for row in found] == [
            row["shipment_id"] for time in latest for row in loaded if row["event_time"] == time
        ]
    else:
        assert [row["dt"] for row in found] == days
