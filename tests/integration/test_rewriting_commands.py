"""smelt retract and smelt quarantine against an emulator, as an operator types them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.ministack import ROOT
from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import ObjectState
from services.shared.ledger.table import Throttled
from services.shared.sqs import SendFailed
from services.shared.units import BronzeObject
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor
from services.transform.protocol.lots import LotWorker
from services.transform.reading.reader import UnitReader
from tests.faults.rig import shipment
from tests.support.queue import MemoryQueue, records

AHEAD = timedelta(days=5)


def late(number: int) -> bytes:
    """A row whose time is a few days ahead: the contract that ships refuses it."""
    row = json.loads(shipment(number))
    return json.dumps(row | {"event_time": (datetime.now(UTC) + AHEAD).isoformat()}).encode()


def denied(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


def refusing(refused: str, refusal: Exception, call: Any) -> Any:
    """AWS's calls, of which one kind is refused."""

    def make(client: Any, operation: str, request: Any) -> Any:
        if operation == refused:
            raise refusal
        return call(client, operation, request)

    return make


@dataclass
class Pipeline:
    """Buckets and a ledger, and files loaded into them."""

    clients: Clients
    contracts: dict[str, Contract]
    table: str
    bronze: str
    silver: str
    capsys: Any

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.clients.dynamodb, self.table)

    def load(self, *files: tuple[str, list[bytes]]) -> list[BronzeObject]:
        """Files in one lot."""
        sources = []
        for name, rows in files:
            key, data = f"bronze/shipments/{name}", b"\n".join(rows)
            answer = self.clients.s3.put_object(Bucket=self.bronze, Key=key, Body=data)
            etag, version = answer["ETag"].strip('"'), answer["VersionId"]
            sources.append(BronzeObject(self.bronze, key, len(data), etag, version, datetime.now(UTC)))
        units = []
        for source in sources:
            planning = self.ledger.objects.begin(source, 1 << 20, 60)
            self.ledger.objects.finish(planning)
            units += list(planning.plan)
        lake = S3Lake(self.clients.s3, self.silver)
        worker = LotWorker(lake, self.ledger, self.contracts, 1 << 20, UnitReader(lake, 1 << 16))
        letters = DeadLetterQueue(MemoryQueue(), "dead")  # type: ignore[arg-type]
        result = DeliveryProcessor(worker, self.ledger, letters, self.bronze, self.silver).process(
            records(units), Deadline(lambda: 60, 5)
        )
        assert not result.failed
        return sources

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """A command; its exit code, output and messages."""
        self.capsys.readouterr()
        code = execute(app, [*arguments, "--table", self.table, "--silver-bucket", self.silver])
        done = self.capsys.readouterr()
        return code, done.out, done.err

    def run_json(self, *arguments: str) -> tuple[int, Any]:
        code, out, _ = self.run(*arguments, "--json")
        return code, json.loads(out)

    def check(self, sources: list[BronzeObject]) -> None:
        """The audit finds nothing, in this pipeline's own table and buckets."""
        found = audit(self.ledger, S3Listings(self.clients.s3, self.bronze, self.silver))
        assert not found.findings.total, found.findings.kept
        assert found.objects.total() == len(sources)


@pytest.fixture
def pipeline(
    clients: Clients,
    contracts: dict[str, Contract],
    ledger_table: str,
    emulator: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> Iterator[Pipeline]:
    mark = uuid.uuid4().hex[:8]
    for bucket in (f"bronze-{mark}", f"silver-{mark}"):
        create_bucket(clients.s3, bucket)
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    yield Pipeline(clients, contracts, ledger_table, f"bronze-{mark}", f"silver-{mark}", capsys)


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """The contracts after shipments' window was made wider."""
    for file in (ROOT / "contracts").glob("*.yaml"):
        text = file.read_text()
        if file.name == "shipments.yaml":
            wider = re.sub(r"(property: maxAhead\s+value: )\S+", r"\g<1>P30D", text)
            assert wider != text
            text = wider
        (tmp_path / file.name).write_text(text)
    return tmp_path


class TestRetract:
    def test_asks_first_and_refuses_where_nobody_can_answer(self, pipeline: Pipeline) -> None:
        (wrong,) = pipeline.load(("wrong.jsonl", [shipment(1)]))
        code, out, err = pipeline.run("retract", str(wrong.id), "--reason", "wrong")
        assert code == 2
        assert "1 rows in Silver" in out
        assert "Pass --yes" in err
        pipeline.check([wrong])
        assert pipeline.run_json("retract", str(wrong.id), "--dry-run")[1]["objects"][0]["rows"]["silver"] == 1

    def test_takes_one_file_out_and_leaves_the_others(self, pipeline: Pipeline) -> None:
        sources = pipeline.load(("wrong.jsonl", [shipment(1), b"{broken"]), ("right.jsonl", [shipment(2), late(3)]))
        wrong, right = sources
        named = f"s3://{wrong.bucket}/{wrong.key}"
        code, told = pipeline.run_json("retract", named, "--reason", "sent twice", "--by", "Ann", "--yes")
        assert code == 0
        (done,) = told["objects"]
        assert done["object"] == str(wrong.id)
        assert done["rows"] == {"read": 2, "silver": 1, "quarantined": 1}
        assert done["others_before"] == done["others_after"] == {"read": 2, "silver": 1, "quarantined": 1}
        pipeline.check(sources)
        (known,) = pipeline.ledger.find_objects([wrong.id])
        assert known.retraction is not None
        assert (known.retraction.by, known.retraction.note) == ("Ann", "sent twice")
        code, out, _ = pipeline.run("retract", named, "--reason", "again", "--yes")
        assert code == 0
        assert "nothing was changed" in out
        assert pipeline.run_json("quarantine", "show")[1]["rows"] == 1
        assert [known.id for known in pipeline.ledger.find_objects([right.id]) if known.state is ObjectState.DONE]

    def test_lists_the_contents_of_a_key_that_had_several(self, pipeline: Pipeline) -> None:
        (first,) = pipeline.load(("a.jsonl", [shipment(1)]))
        (second,) = pipeline.load(("a.jsonl", [shipment(2)]))
        code, _, err = pipeline.run("retract", f"s3://{first.bucket}/{first.key}", "--reason", "x", "--yes")
        assert code == 2
        assert str(first.id) in err
        assert str(second.id) in err
        assert pipeline.run("retract", str(first.id), "--reason", "x", "--yes")[0] == 0
        pipeline.check([first, second])

    @pytest.mark.parametrize("name", ["s3://nowhere-at-all/bronze/x.jsonl", "bronze/x.jsonl", "s3://"])
    def test_says_what_is_wrong_with_a_name(self, pipeline: Pipeline, name: str) -> None:
        code, _, err = pipeline.run("retract", name, "--reason", "x", "--yes")
        assert code == 2
        assert "Traceback" not in err

    def test_says_that_the_ledger_does_not_know_a_whole_name(self, pipeline: Pipeline) -> None:
        (known,) = pipeline.load(("a.jsonl", [shipment(1)]))
        unknown = f"s3://{known.bucket}/{known.key}#{'0' * 32}"
        code, _, err = pipeline.run("retract", unknown, "--reason", "x", "--yes")
        told = " ".join(err.split())
        assert code == 2
        assert f"The ledger does not know {unknown}." in told
        assert "pass s3://bucket/key#etag" not in told
        code, out, _ = pipeline.run("history", "--object", unknown.partition("#")[0])
        assert code == 0
        assert str(known.id) in out

    def test_changes_nothing_in_a_wrong_bucket(self, pipeline: Pipeline) -> None:
        (wrong,) = pipeline.load(("wrong.jsonl", [shipment(1)]))
        right, pipeline.silver = pipeline.silver, pipeline.bronze
        code, _, err = pipeline.run("retract", str(wrong.id), "--reason", "x", "--yes")
        assert code == 2
        told = " ".join(err.split())
        assert f"are in the bucket {right}, not in {pipeline.silver}. Nothing was done." in told
        pipeline.silver = right
        assert pipeline.run("retract", str(wrong.id), "--reason", "x", "--yes")[0] == 0
        pipeline.check([wrong])

    @pytest.mark.parametrize(
        ("forced", "operation", "refusal"),
        [
            (False, "PutObject", denied("PutObject")),
            (True, "PutObject", denied("PutObject")),
            (True, "SendMessageBatch", SendFailed("SQS refused 1 of 1 messages")),
            (True, "BatchGetItem", Throttled("DynamoDB reads none of 1 items")),
        ],
    )
    def test_says_to_run_it_again_where_aws_refuses(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, forced: bool, operation: str, refusal: Exception
    ) -> None:
        wrong, _ = pipeline.load(("wrong.jsonl", [shipment(1)]), ("right.jsonl", [shipment(2)]))
        queue = pipeline.clients.sqs.create_queue(QueueName=f"units-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        command = ["retract", str(wrong.id), "--reason", "x", "--yes"]
        if forced:
            names = ["--bucket", pipeline.bronze, "--prefix", wrong.key, "--queue-url", queue]
            command = ["replay", *names, "--force", "--reason", "x", "--yes"]
        with monkeypatch.context() as patch:
            patch.setattr(BaseClient, "_make_api_call", refusing(operation, refusal, BaseClient._make_api_call))
            code, _, err = pipeline.run(*command)
        told = " ".join(err.split())
        assert code == 2
        assert ("(AccessDenied)" if operation == "PutObject" else str(refusal)) in told
        assert "What was done is kept; " in told
        assert "tried again" not in told  # nobody does
        assert ("readers may miss rows: `smelt audit --unfinished`" in told) is forced
        assert pipeline.run(*command)[0] == 0

    def test_a_forced_replay_brings_back_what_was_retracted_only_by_its_whole_key(self, pipeline: Pipeline) -> None:
        wrong, right = pipeline.load(("wrong.jsonl", [shipment(1)]), ("right.jsonl", [shipment(2)]))
        assert pipeline.run("retract", str(wrong.id), "--reason", "wrong", "--yes")[0] == 0
        queue = pipeline.clients.sqs.create_queue(QueueName=f"units-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        names = ["--bucket", pipeline.bronze, "--prefix", "bronze/shipments/", "--queue-url", queue]
        command = ["replay", *names, "--force", "--reason", "x", "--yes"]
        for arguments in ([*command, "--dry-run"], command):
            code, told, _ = pipeline.run(*arguments)
            assert code == 0
            assert "1 of these were retracted, and stay so." in told
        assert self._states(pipeline, wrong, right) == [ObjectState.RETRACTED, ObjectState.PLANNED]
        names[3] = wrong.key
        code, told = pipeline.run_json("replay", *names, "--force", "--reason", "x", "--yes")
        assert (code, told["objects"], told["done"]) == (0, {"forced": 1}, {"sent": 1})
        assert self._states(pipeline, wrong, right) == [ObjectState.PLANNED, ObjectState.PLANNED]

    @staticmethod
    def _states(pipeline: Pipeline, *objects: BronzeObject) -> list[ObjectState]:
        found = {known.id: known.state for known in pipeline.ledger.find_objects(one.id for one in objects)}
        return [found[one.id] for one in objects]

    def test_wants_a_reason(self, pipeline: Pipeline) -> None:
        code, _, err = pipeline.run("retract", "s3://bucket/bronze/x.jsonl", "--yes")
        assert code == 2
        assert "--reason" in err


class TestQuarantine:
    def test_shows_rows_by_dataset_reason_and_field_with_samples(self, pipeline: Pipeline) -> None:
        rows = [shipment(1), late(2), late(3), b"{broken", b'{"record_type": "nothing"}']
        pipeline.load(("a.jsonl", rows))
        code, told = pipeline.run_json("quarantine", "show", "--samples", "1")
        assert code == 0
        groups = {(g["dataset"], g["reason"], g["field"]): (g["rows"], len(g["samples"])) for g in told["groups"]}
        assert groups == {
            ("shipments", "out_of_window", "event_time"): (2, 1),
            ("shipments", "malformed_json", None): (1, 1),
            ("_unknown", "unknown_record_type", "record_type"): (1, 1),
        }
        code, out, _ = pipeline.run("quarantine", "show", "--dataset", "shipments", "--code", "malformed_json")
        assert code == 0
        assert "{broken" in out
        assert "1 rows in 1 files" in out

    def test_exports_rows_as_json_lines(self, pipeline: Pipeline, tmp_path: Path) -> None:
        (source,) = pipeline.load(("a.jsonl", [shipment(1), b"{broken", late(2)]))
        out = tmp_path / "refused.jsonl"
        code, _, err = pipeline.run("quarantine", "export", "--out", str(out), "--code", "malformed_json")
        assert code == 0
        assert "1 rows exported" in err
        (row,) = map(json.loads, out.read_text().splitlines())
        assert (row["_source"], row["raw"], row["reason"]) == (str(source.id), "{broken", "malformed_json")

    def test_retries_what_passes_now_once(
        self, pipeline: Pipeline, fixed: Path, contracts: dict[str, Contract]
    ) -> None:
        sources = pipeline.load(("a.jsonl", [shipment(1), late(2), b"{broken"]), ("b.jsonl", [late(3), shipment(4)]))
        options = ["quarantine", "retry", "--contracts", str(fixed), "--reason", "window is wider"]
        code, out, err = pipeline.run(*options)
        assert code == 2
        assert "2 rows would move to silver/shipments/" in out
        assert "Pass --yes" in err
        code, told = pipeline.run_json(*options, "--dry-run")
        assert (code, told["passed"], told["lots_rewritten"]) == (0, {"shipments": 2}, 0)
        code, told = pipeline.run_json(*options, "--yes")
        assert (code, told["passed"], told["stayed"]) == (0, {"shipments": 2}, {"malformed_json": 1})
        assert (told["before"], told["after"]) == ({"silver": 2, "quarantined": 3}, {"silver": 4, "quarantined": 1})
        pipeline.check(sources)
        code, told = pipeline.run_json(*options, "--yes")
        assert (code, told["passed"], told["lots_rewritten"]) == (0, {}, 0)

    def test_rows_whose_object_is_gone_are_listed_and_the_exit_code_says_so(
        self, pipeline: Pipeline, fixed: Path
    ) -> None:
        (source,) = pipeline.load(("a.jsonl", [late(2)]))
        pipeline.clients.s3.delete_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id or "")
        code, told = pipeline.run_json("quarantine", "retry", "--contracts", str(fixed), "--yes")
        assert (code, told["unreadable"], told["passed"]) == (1, 1, {})
        assert told["unreadable_listed"][0]["source"] == str(source.id)
        why = told["unreadable_listed"][0]["why"]
        assert "was deleted. What is loaded of it stays" in why
        assert "retract" not in why  # it would take the object's good rows out of Silver, for ever
