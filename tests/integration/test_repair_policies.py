"""What IAM decides about the commands that repair: the policies of docs/operations.md allow what they ask for.

The commands run on the emulator, which allows everything; iam-simulate decides about what they have asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from local.stack import Clients
from services.ops.cli.app import app
from tests.integration.test_least_privilege import Context, created, delivered, deployed  # noqa: F401 (a fixture)
from tests.integration.test_policies import BRONZE, HERE, SILVER
from tests.support.iam import Need, Request, needs, record
from tests.support.iam_policies import Policy
from tests.support.iam_simulate import Ask, Decision, decide
from tests.support.terraform import IMAGES, need_terraform, of_type, plan

ACCOUNT = "000000000000"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:role/operator"
BUCKET, LAKE = BRONZE.rsplit(":", 1)[1], SILVER.rsplit(":", 1)[1]
KEY = "bronze/shipments/a.jsonl"
GOOD = b'{"event_time":"2026-01-30T00:00:00Z","shipment_id":"S-1","origin":"a","destination":"b","carrier":"c"}\n'


@pytest.fixture(scope="module")
def policies(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Policy]:
    """Kind -> the policy of a real plan."""
    need_terraform()
    variables = {"images": IMAGES, "operator_policies_enabled": True}
    scratch: Path = tmp_path_factory.mktemp("plan")
    planned = of_type(plan("envs/dev", "dev.tfvars", variables, emulator, scratch), "aws_iam_policy")
    return {values["name"].rsplit("-", 1)[1]: json.loads(values["policy"]) for values in planned.values()}


@pytest.fixture
def emptied(clients: Clients, deployed: None) -> Iterator[None]:  # noqa: F811 (the fixture)
    """Bronze keeps versions; none is left, so that the bucket can be deleted."""
    clients.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield
    for version in clients.s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        clients.s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])


@dataclass(frozen=True)
class Loaded:
    """An object that is loaded, of a good and a refused row."""

    id: str
    file: str  # of Silver
    requests: list[Request]  # grows by each

    def asks_for(self, *command: str) -> tuple[Result, list[Need]]:
        """What a command's requests need."""
        self.requests.clear()
        names = {"OBJECT": self.id, "FILE": self.file}
        done = CliRunner().invoke(app, [names.get(word, word) for word in command])
        return done, sorted({need for request in self.requests for need in needs(request, HERE)})


@pytest.fixture
def loaded(clients: Clients, emptied: None, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    from services.ingest import app as ingest
    from services.transform import app as transform

    requests = record(monkeypatch, emulator)
    queue = clients.sqs.get_queue_url(QueueName="smelt-dev-events")["QueueUrl"]
    clients.sqs.purge_queue(QueueUrl=queue)  # of what other tests have left there
    stored = clients.s3.put_object(Bucket=BUCKET, Key=KEY, Body=GOOD + b"{broken\n")
    etag = stored["ETag"].strip('"')
    event = created(KEY, len(GOOD) + 8, etag)
    event["s3"]["object"]["versionId"] = stored["VersionId"]
    ingest.handler({"Records": [event]}, Context())
    (unit,) = clients.sqs.receive_message(QueueUrl=queue)["Messages"]
    assert transform.handler({"Records": [delivered(unit["Body"], "1")]}, Context()) == {"batchItemFailures": []}
    (file,) = clients.s3.list_objects_v2(Bucket=LAKE, Prefix="silver/")["Contents"]
    return Loaded(f"s3://{BUCKET}/{KEY}#{etag}", str(file["Key"]), requests)


WHY = ("--reason", "a test", "--yes")
# Name -> the command; the policies beside `read`; an action that it cannot do without.
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "audit": (("audit",), (), "s3:ListBucketVersions"),
    "history": (("history",), (), "dynamodb:Query"),
    "quarantine show": (("quarantine", "show"), (), "s3:GetObject"),
    "quarantine retry": (("quarantine", "retry", *WHY), ("retract",), "s3:GetObjectVersion"),
    "retract": (("retract", "OBJECT", *WHY), ("retract",), "s3:DeleteObject"),
    "sweep": (("sweep",), ("retract",), "dynamodb:Query"),
    "history archive": (("history", "archive"), ("retract",), "s3:PutObject"),
    "reconcile": (("reconcile", "--older-than-minutes", "0"), ("replay",), "s3:ListBucketVersions"),
    "replay": (("replay", "--prefix", "bronze/shipments/"), ("replay",), "s3:ListBucket"),
    "replay --force": (
        ("replay", "--prefix", "bronze/shipments/", "--force", *WHY),
        ("retract", "replay"),
        "sqs:SendMessage",
    ),
    "reload": (("reload", "FILE", *WHY), ("retract", "replay"), "sqs:SendMessage"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_asks_for_nothing_but_what_its_policies_allow(
    name: str, loaded: Loaded, policies: dict[str, Policy], clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, kinds, needed = COMMANDS[name]
    monkeypatch.setattr("services.ops.history.writer.DAY_MS", 1)  # what is finished is of yesterday
    if name == "reload":
        clients.s3.delete_object(Bucket=LAKE, Key=loaded.file)
    done, asked = loaded.asks_for(*command)
    assert done.exit_code == 0, done.output
    assert needed in {need.action for need in asked}
    assert refused(asked, policies["read"], *(policies[kind] for kind in kinds)) == []


@pytest.mark.parametrize("kind", ["retract", "replay"])
def test_a_reload_needs_both_of_its_policies(
    kind: str, loaded: Loaded, policies: dict[str, Policy], clients: Clients
) -> None:
    clients.s3.delete_object(Bucket=LAKE, Key=loaded.file)
    _, asked = loaded.asks_for("reload", "FILE", *WHY)
    assert refused(asked, policies["read"], policies[kind])


def refused(asked: list[Need], *given: Policy) -> list[Need]:
    """Those that these policies do not allow."""
    asks = [Ask(OPERATOR, need.action, need.resource, given, None, dict(need.context)) for need in asked]
    return [need for need, found in zip(asked, decide(asks, ACCOUNT), strict=True) if found is not Decision.ALLOWED]
