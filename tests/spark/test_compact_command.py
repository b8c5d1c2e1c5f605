"""`smelt compact` and `smelt recompute` as a person runs them: emulated S3 and DynamoDB, real transform, real job."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.shared.contract.model import Contract
from tests.faults.rig import Rig, shipment
from tests.support.lake import BRONZE, MemoryLake

pytestmark = pytest.mark.spark


class Uploading(MemoryLake):
    """A lake whose files and objects are in emulated buckets, too."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        super().__init__()
        self._clients, self._bucket = clients, bucket

    def put(self, key: str, data: bytes) -> str:
        self._clients.s3.put_object(Bucket=self._bucket, Key=key, Body=data)
        return super().put(key, data)


@pytest.fixture
def rig(
    clients: Clients,
    emulator: str,
    ledger_table: str,
    contracts: dict[str, Contract],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rig]:
    bucket = f"silver-{uuid.uuid4().hex[:12]}"
    create_bucket(clients.s3, bucket)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    monkeypatch.setenv("LEDGER_TABLE", ledger_table)
    monkeypatch.setenv("SILVER_BUCKET", bucket)
    yield Rig(clients.dynamodb, ledger_table, contracts, 1 << 20, lake=Uploading(clients, bucket), silver=bucket)


def test_a_day_is_compacted_once_and_told(rig: Rig, clients: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    for first in (0, 3, 6, 8):
        rig.upload("shipments", [shipment(number, 1) for number in (first, first + 1, first + 2)])
        rig.deliver(rig.units[-1:])
    assert execute(app, ["compact", "shipments", "2026-01-01", "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)

    assert (told["files_in"], told["rows_in"], told["files_out"], told["rows_out"]) == (4, 12, 1, 11)
    assert told["superseded_rows"] == 1
    manifest = json.loads(clients.s3.get_object(Bucket=rig.silver, Key=told["manifest"])["Body"].read())
    (output,) = manifest["outputs"]
    data = clients.s3.get_object(Bucket=rig.silver, Key=output["key"])["Body"].read()
    assert sorted(pq.read_table(io.BytesIO(data))["shipment_id"].to_pylist()) == sorted(f"S{n}" for n in range(11))
    assert execute(app, ["compact", "shipments", "2026-01-01"]) == ExitCode.OK
    assert "nothing was committed since" in " ".join(capsys.readouterr().out.split())


def test_a_day_is_judged_again_from_bronze(rig: Rig, clients: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    create_bucket(clients.s3, BRONZE)
    source = rig.upload("shipments", [shipment(number, 1) for number in range(3)])
    clients.s3.put_object(Bucket=BRONZE, Key=source.key, Body=rig.lake.objects[str(source.id)])
    rig.deliver(rig.units[-1:])
    assert execute(app, ["recompute", "shipments", "2026-01-01", "--json"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)

    assert (report["rows"]["same"], report["rows"]["unreadable"], report["objects"]) == (3, 0, [])
