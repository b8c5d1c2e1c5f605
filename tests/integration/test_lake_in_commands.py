"""`smelt audit` and `smelt status` know the lake, where there is one."""

from __future__ import annotations

import json
from typing import Any

from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox
from tests.faults.rig import shipment
from tests.integration.test_publish import options, table_of
from tests.integration.test_rewriting_commands import Pipeline, pipeline

__all__ = ["pipeline"]  # a fixture


def test_the_audit_compares_the_tables_and_names_what_is_missing(pipeline: Pipeline) -> None:
    pipeline.load(("a.jsonl", [shipment(n) for n in range(3)]))
    pipeline.run("publish", *options(pipeline))
    code, told = pipeline.run_json("audit", "--bronze-bucket", pipeline.bronze, *options(pipeline))
    assert (code, told["tables"]) == (0, {"files": 1, "waiting": 0})
    (entry,) = table_of(pipeline).inspect.files().to_pylist()
    table_of(pipeline).delete()  # of the table, not of files
    code, told = pipeline.run_json("audit", "--bronze-bucket", pipeline.bronze, *options(pipeline))
    (finding,) = told["findings"]["listed"]
    assert (code, told["all_right"], finding["code"]) == (1, False, "table_file_missing")
    assert entry["file_path"].endswith(finding["subject"])
    assert "smelt publish --backfill" in finding["next"]
    code, out, _ = pipeline.run("audit", "--bronze-bucket", pipeline.bronze, *options(pipeline))
    assert code == 1
    assert "1 files of committed lots compared with the lake's tables" in out


def test_the_audit_says_where_it_did_not_look(pipeline: Pipeline) -> None:
    pipeline.load(("a.jsonl", [shipment(1)]))
    code, _, err = pipeline.run("audit", "--bronze-bucket", pipeline.bronze)
    assert (code, "lake" in err) == (0, False)
    pipeline.ledger.marks.open(Outbox.PUBLISH)
    code, _, err = pipeline.run("audit", "--bronze-bucket", pipeline.bronze)
    assert code == 0
    assert "The lake's tables were not looked at: pass --database" in err
    assert pipeline.run_json("audit", "--bronze-bucket", pipeline.bronze)[1]["tables"] is None


def status(pipeline: Pipeline) -> Any:
    pipeline.capsys.readouterr()
    execute(app, ["status", "--table", pipeline.table, "--json"])
    return json.loads(pipeline.capsys.readouterr().out)


def test_status_counts_the_marks_of_each_open_outbox(pipeline: Pipeline) -> None:
    assert status(pipeline)["marks"] == {}
    ledger = Ledger(pipeline.clients.dynamodb, pipeline.table, outboxes={Outbox.PUBLISH})
    ledger.marks.open(Outbox.EVENTS)
    ledger.marks.open(Outbox.PUBLISH)
    told = status(pipeline)
    assert told["marks"] == {name: {"waiting": 0, "oldest": None} for name in ("events", "publish")}
    pipeline.load(("a.jsonl", [shipment(1)]))
    (wrong,) = pipeline.load(("b.jsonl", [shipment(2), shipment(3)]), ("c.jsonl", [shipment(4)]))[:1]
    pipeline.run("retract", str(wrong.id), "--reason", "wrong", "--yes")  # a rewrite leaves marks in open outboxes
    told = status(pipeline)
    assert {name: one["waiting"] for name, one in told["marks"].items()} == {"events": 1, "publish": 1}
    (waiting,) = ledger.marks.to_deal_with(Outbox.PUBLISH)
    assert told["marks"]["publish"]["oldest"].startswith("20")
    assert waiting.mark.since
    execute(app, ["status", "--table", pipeline.table])
    out = pipeline.capsys.readouterr().out
    assert "lots that wait for the lake's publisher: 1, the oldest for" in out
