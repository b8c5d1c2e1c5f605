"""`smelt publish` on the embedded emulator: Glue's API and S3, as on AWS; two publishers race on a real catalog."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException

from local.ministack import ROOT
from services.ops.lake.live import read_live
from services.ops.lake.opening import open_lake
from services.shared.ledger.records import Outbox
from tests.faults.rig import shipment
from tests.integration.test_rewriting_commands import Pipeline, pipeline

__all__ = ["pipeline"]  # a fixture


@pytest.fixture
def published(pipeline: Pipeline) -> Pipeline:
    pipeline.load(("a.jsonl", [shipment(n, 1 + n % 2) for n in range(6)]))
    return pipeline


def options(pipeline: Pipeline) -> list[str]:
    return ["--database", f"lake_{pipeline.silver.replace('-', '_')}"]


def table_of(pipeline: Pipeline) -> Any:
    catalog, _ = open_lake(pipeline.clients.s3, pipeline.silver, options(pipeline)[1])
    return catalog.find("shipments")


def test_publishes_into_glue_and_says_what_it_did(published: Pipeline) -> None:
    code, told = published.run_json("publish", *options(published))
    assert (code, told["files_added"], told["snapshots"], told["complete"]) == (0, 2, 1, True)
    assert sorted(table_of(published).scan().to_arrow()["shipment_id"].to_pylist()) == [f"S{n}" for n in range(6)]
    code, out, _ = published.run("publish", *options(published))
    assert code == 0
    assert out.splitlines()[-1] == "0 lots published: 0 files in 0 snapshots"


def test_of_two_commits_on_one_snapshot_one_fails(published: Pipeline) -> None:
    published.run("publish", *options(published))
    catalog, store = open_lake(published.clients.s3, published.silver, options(published)[1])
    tables = [catalog.find("shipments"), catalog.find("shipments")]
    transactions = []
    for table in tables:
        assert table is not None
        (file, *_) = read_live(table, store).files.values()
        transaction = table.transaction()
        with transaction.update_snapshot().overwrite() as overwrite:
            overwrite.delete_data_file(file.data_file)
        transactions.append(transaction)
    transactions[0].commit_transaction()
    with pytest.raises(CommitFailedException):
        transactions[1].commit_transaction()
    assert table_of(published).scan().to_arrow().num_rows == 3


def test_a_retraction_reaches_the_table_and_then_the_files_go(published: Pipeline) -> None:
    (wrong,) = published.load(("wrong.jsonl", [shipment(50)]))
    published.run("publish", *options(published))
    code, out, _ = published.run("retract", str(wrong.id), "--reason", "wrong", "--yes")
    assert code == 0
    assert "replaced files wait until the lake's tables do not name them" in " ".join(out.split())
    code, told = published.run_json("publish", *options(published))
    assert (code, told["files_removed"]) == (0, 1)
    assert "S50" not in table_of(published).scan().to_arrow()["shipment_id"].to_pylist()
    code, told = published.run_json("sweep")
    assert (code, told["files_deleted"]) == (0, 1)


def test_a_damaged_file_is_named_and_the_exit_code_is_1(published: Pipeline) -> None:
    published.run("publish", *options(published))
    published.ledger.marks.open(Outbox.PUBLISH)
    published.load(("b.jsonl", [shipment(9)]))
    newest = sorted(
        published.clients.s3.list_objects_v2(Bucket=published.silver, Prefix="silver/")["Contents"],
        key=lambda entry: entry["LastModified"],
    )[-1]["Key"]
    published.clients.s3.put_object(Bucket=published.silver, Key=newest, Body=b"broken")
    code, out, _ = published.run("publish", "--backfill", *options(published))
    assert code == 1
    assert newest in out.replace("\n", "")


def test_tidy_and_off(published: Pipeline) -> None:
    published.run("publish", *options(published))
    code, told = published.run_json("publish", "tidy", *options(published))
    assert code == 0
    assert {one["table"] for one in told["tables"]} == set(published.contracts)
    catalog, _ = open_lake(published.clients.s3, published.silver, options(published)[1])
    assert catalog.find("shipments") is not None


def test_what_is_missing_is_named(pipeline: Pipeline, tmp_path: Path) -> None:
    code, _, err = pipeline.run("publish")
    assert code == 2
    assert "LAKE_DATABASE" in err
    code, _, err = pipeline.run("publish", *options(pipeline), "--catalog", str(tmp_path / "no" / "lake.db"))
    assert code == 2
    assert "The folder" in err


def test_the_scheduled_functions_do_the_same(published: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.ops.app import lake, maintain, pipeline, publish

    settings = {
        "BRONZE_BUCKET": published.bronze,
        "SILVER_BUCKET": published.silver,
        "LEDGER_TABLE": published.table,
        "QUEUE_URL": "unused",
        "INGEST_FUNCTION": "unused",
        "LAKE_DATABASE": options(published)[1],
        "CONTRACTS_DIR": str(ROOT / "contracts"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    cached = (lake.lake, lake.contracts, pipeline.settings, pipeline.ledger, pipeline.s3)
    context: Any = SimpleNamespace(
        get_remaining_time_in_millis=lambda: 600_000,
        function_name="publish",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn",
        aws_request_id="1",
    )
    try:
        for one in cached:
            one.cache_clear()
        told = publish.handler({}, context)
        assert (told["files_added"], told["snapshots"], told["finished"]) == (2, 1, True)
        assert maintain.handler({}, context) == {"tables": len(published.contracts), "of": len(published.contracts)}
    finally:
        for one in cached:
            one.cache_clear()
    assert table_of(published).scan().to_arrow().num_rows == 6
