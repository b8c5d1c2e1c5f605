"""`smelt audit` over a real ledger, real buckets and what the real transform wrote."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import BRONZE, CREATED

NAMES = {"LEDGER_TABLE": "", "BRONZE_BUCKET": "", "SILVER_BUCKET": ""}


@dataclass
class Pipeline:
    """A rig whose objects and files are in buckets of their own, too."""

    rig: Rig
    clients: Clients
    bronze: str
    silver: str

    def upload(self, rows: list[bytes]) -> BronzeObject:
        """An object of Bronze, planned."""
        key = f"bronze/shipments/{uuid.uuid4().hex}.jsonl"
        data = b"".join(row + b"\n" for row in rows)
        source = self.put(key, data)
        self.rig.lake.objects[str(source.id)] = data
        return self.rig.plan(source)

    def put(self, key: str, data: bytes = b"{}\n") -> BronzeObject:
        """An object of Bronze that nobody has announced."""
        answer = self.clients.s3.put_object(Bucket=self.bronze, Key=key, Body=data)
        etag = answer["ETag"].strip('"')
        return BronzeObject(self.bronze, key, len(data), etag, answer.get("VersionId"), CREATED)

    def copy_files(self) -> None:
        """What transform wrote into the rig's lake, as files on S3."""
        for key, data in self.rig.lake.files.items():
            self.clients.s3.put_object(Bucket=self.silver, Key=key, Body=data)


@pytest.fixture
def pipeline(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Pipeline:
    silver = f"silver-{uuid.uuid4().hex[:8]}"
    # The rig's workers read no other Bronze.
    made = Pipeline(Rig(clients.dynamodb, ledger_table, contracts, silver=silver), clients, BRONZE, silver)
    for bucket in (made.bronze, made.silver):
        create_bucket(clients.s3, bucket)
    for version in clients.s3.list_object_versions(Bucket=BRONZE).get("Versions", []):
        clients.s3.delete_object(Bucket=BRONZE, Key=version["Key"], VersionId=version["VersionId"])
    return made


@dataclass
class Told:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


Command = Callable[..., Told]


@pytest.fixture
def smelt(
    pipeline: Pipeline, ledger_table: str, emulator: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Command:
    """The `smelt` command with the names of this pipeline in its environment."""
    names = {"LEDGER_TABLE": ledger_table, "BRONZE_BUCKET": pipeline.bronze, "SILVER_BUCKET": pipeline.silver}

    def run(*words: str, **environment: str) -> Told:
        for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator} | names | environment).items():
            monkeypatch.setenv(name, value)
        code = execute(app, list(words))
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return run


def test_an_empty_pipeline_is_all_right(smelt: Command) -> None:
    told = smelt("audit")
    assert (told.code, "0 objects" in told.out, "0 findings" in told.out) == (0, True, True)


def test_what_transform_wrote_is_accounted_for(pipeline: Pipeline, smelt: Command) -> None:
    small = pipeline.upload([shipment(1), b"{"])
    large = pipeline.upload([shipment(n) for n in range(40)])
    assert len(pipeline.rig.units) > 4
    pipeline.rig.deliver(pipeline.rig.units[:3])
    pipeline.copy_files()
    before = smelt("audit", "--json", "--overdue-hours", "1000")
    pipeline.rig.deliver(pipeline.rig.units)
    pipeline.copy_files()
    after = smelt("audit", "--json", "--state", "done", "--state", "committed")
    assert (before.code, after.code) == (0, 0)
    assert before.document["objects"]["in_progress"] == 1
    assert after.document["rows"] == {"read": 42, "silver": 41, "quarantined": 1}
    assert after.document["findings"] == {"total": 0, "by_code": {}, "listed": []}
    listed = {account["object"]: account["state"] for account in after.document["listed_objects"]}
    assert listed == {str(small.id): "done", str(large.id): "committed"}
    smelt("sweep")
    assert smelt("audit", "--json").document["objects"]["done"] == 2


def test_the_json_has_the_documented_shape(pipeline: Pipeline, smelt: Command) -> None:
    pipeline.put("bronze/shipments/lost.jsonl")
    pipeline.upload([shipment(1)])
    document = smelt("audit", "--json", "--in-flight-minutes", "0").document
    assert set(document) == {
        "all_right",
        "objects",
        "rows",
        "lots",
        "lots_with_leftover_files",
        "files",
        "history_rows",
        "tables",
        "uploads_in_flight",
        "replay_copies",
        "findings",
        "listed_objects",
        "objects_not_listed",
    }
    assert set(document["findings"]["listed"][0]) == {"code", "subject", "detail", "next"}
    assert set(document["listed_objects"][0]) == {
        "object",
        "state",
        "ledger_state",
        "created",
        "bytes",
        "units",
        "units_committed",
        "dead_letters",
        "rows_read",
        "rows_silver",
        "rows_quarantined",
        "reason",
        "errors",
        "next",
    }


def test_five_refused_files_are_not_loaded(pipeline: Pipeline, smelt: Command) -> None:
    for name in ("part-0000", "events.gz", "a.csv", "b.txt", "c.parquet"):
        source = pipeline.put(f"bronze/shipments/{name}")
        pipeline.rig.ledger.objects.reject(source, "unsupported_format", "upload .jsonl, .ndjson or .json")
    told = smelt("audit")
    assert told.code == 1
    assert "5 objects: 5 not loaded" in told.out
    assert " done" not in told.out
    assert "unsupported_format" in told.out and "upload .jsonl" in told.out


def test_a_content_that_was_overwritten_before_it_was_announced_is_found(pipeline: Pipeline, smelt: Command) -> None:
    key = "bronze/shipments/é #1\n.jsonl"
    lost = pipeline.put(key, shipment(1) + b"\n")
    pipeline.rig.plan(pipeline.put(key, shipment(2) + b"\n"))
    on_its_way = smelt("audit", "--json", "--overdue-hours", "1000")
    told = smelt("audit", "--json", "--in-flight-minutes", "0")
    assert (on_its_way.code, on_its_way.document["uploads_in_flight"]) == (0, 1)
    (finding,) = told.document["findings"]["listed"]
    assert (told.code, finding["code"], finding["subject"]) == (1, "never_announced", str(lost.id))


def test_files_that_are_missing_changed_or_not_smelts_are_found(pipeline: Pipeline, smelt: Command) -> None:
    pipeline.upload([shipment(n, day=1 + n) for n in range(3)])
    pipeline.rig.deliver(pipeline.rig.units)
    pipeline.copy_files()
    missing, changed, _ = sorted(pipeline.rig.lake.files)
    pipeline.clients.s3.delete_object(Bucket=pipeline.silver, Key=missing)
    pipeline.clients.s3.put_object(Bucket=pipeline.silver, Key=changed, Body=b"other")
    for foreign in ("silver/by-hand.parquet", "quarantine/é", "elsewhere/is-fine"):
        pipeline.clients.s3.put_object(Bucket=pipeline.silver, Key=foreign, Body=b"")
    told = smelt("audit", "--json")
    found = {(finding["code"], finding["subject"]) for finding in told.document["findings"]["listed"]}
    assert found == {
        ("file_missing", missing),
        ("file_differs", changed),
        ("foreign_file", "silver/by-hand.parquet"),
        ("foreign_file", "quarantine/é"),
    }
    text = smelt("audit", "--limit", "1").out
    assert "foreign_file: 2" in text and "1 more are not listed" in text


def test_a_worker_that_died_before_its_commit_leaves_no_finding(pipeline: Pipeline, smelt: Command) -> None:
    pipeline.upload([shipment(1)])
    pipeline.rig.deliver(pipeline.rig.units, Interrupter(first="put", before=False, action=crash))
    pipeline.copy_files()
    assert len(pipeline.rig.lake.files) == 1
    told = smelt("audit", "--json", "--overdue-hours", "1000")
    assert (told.code, told.document["lots"]) == (0, {"PENDING": 1})


def test_a_dead_unit_stops_its_object(pipeline: Pipeline, smelt: Command) -> None:
    source = pipeline.upload([shipment(1)])
    (unit,) = pipeline.rig.units
    pipeline.rig.ledger.units.bury(unit.id, "m1", f"{source.id} cannot be read: it was deleted")
    for words in (("audit",), ("audit", "--unfinished")):
        told = smelt(*words)
        assert told.code == 1
        assert "1 objects: 1 stopped" in told.out
        assert "it was deleted" in told.out


def test_an_item_of_the_ledger_that_somebody_changed_is_named(pipeline: Pipeline, smelt: Command) -> None:
    pipeline.upload([shipment(1)])
    (unit,) = pipeline.rig.units
    pipeline.rig.deliver([unit])
    (bound,) = pipeline.rig.ledger.find_units([unit.id])
    key = f"lot#{bound.lot}"
    pipeline.clients.dynamodb.update_item(
        TableName=pipeline.rig.table,
        Key={"pk": {"S": key}},
        UpdateExpression="SET units = :twice",
        ExpressionAttributeValues={":twice": {"B": b"eJyNz"}},  # packed, and then encoded once more
    )
    told = smelt("audit")
    assert told.code == 2
    assert f"the ledger's item {key} cannot be read" in told.err
    assert "Traceback" not in told.err


def test_unfinished_needs_the_table_alone(pipeline: Pipeline, smelt: Command) -> None:
    pipeline.upload([shipment(1)])
    told = smelt("audit", "--unfinished", "--json", BRONZE_BUCKET="", SILVER_BUCKET="")
    assert [account["state"] for account in told.document["listed_objects"]] == ["in_progress"]


@pytest.mark.parametrize(
    ("command", "wrong", "advice"),
    [
        ("audit", {"LEDGER_TABLE": "missing"}, "Check the name and the region"),
        ("sweep", {"LEDGER_TABLE": "missing"}, "Check the name and the region"),
        ("audit", {"BRONZE_BUCKET": "missing-bucket"}, "Check the name and the region"),
        ("audit", {"SILVER_BUCKET": "missing-bucket"}, "Pass ledger and bucket of one pipeline"),
        ("sweep", {"SILVER_BUCKET": "missing-bucket"}, "Pass ledger and bucket of one pipeline"),
    ],
)
def test_a_command_says_what_it_could_not_read(
    smelt: Command, command: str, wrong: dict[str, str], advice: str
) -> None:
    told = smelt(command, **wrong)
    assert told.code == 2
    assert next(iter(wrong.values())) in told.err
    assert advice in " ".join(told.err.split())
    assert "Traceback" not in told.err


def test_a_sweep_with_nothing_to_delete_asks_no_bucket(smelt: Command) -> None:
    assert smelt("sweep", BRONZE_BUCKET="missing-bucket").code == 0


@pytest.mark.parametrize("words", [("audit",), ("audit", "--unfinished"), ("sweep",)])
def test_a_command_asks_for_a_pipeline(smelt: Command, words: tuple[str, ...]) -> None:
    told = smelt(*words, **NAMES)
    assert (told.code, "No pipeline given: pass --table" in told.err) == (2, True)
