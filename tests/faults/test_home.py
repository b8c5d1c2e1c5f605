"""A ledger and its bucket belong together: with another bucket nothing is written, deleted or judged."""

from __future__ import annotations

from typing import Any

import pytest

from local.stack import Clients
from services.ops.belonging import check_bronze
from services.ops.cli.app import app
from services.ops.cli.console import ExitCode, execute
from services.shared.contract.model import Contract
from services.shared.ledger.home import WrongBucket
from services.shared.ledger.ledger import Ledger
from services.shared.units import BronzeObject
from tests.faults.rig import Rig
from tests.support.faults import LostAnswers
from tests.support.lake import BRONZE, CREATED, SILVER


@pytest.fixture
def ledger(clients: Clients, ledger_table: str) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table)


def test_the_first_bucket_stays(ledger: Ledger) -> None:
    ledger.home.check_bucket("any")  # there are no files yet
    ledger.home.settle_in_bucket("ours")
    ledger.home.settle_in_bucket("ours")
    ledger.home.check_bucket("ours")
    for refuse in (ledger.home.check_bucket, ledger.home.settle_in_bucket):
        with pytest.raises(WrongBucket, match="are in the bucket ours, not in theirs"):
            refuse("theirs")
    ledger.home.check_bucket("ours")


def test_a_lost_answer_is_no_other_bucket(clients: Clients, ledger_table: str) -> None:
    forgetful = Ledger(LostAnswers(clients.dynamodb), ledger_table)  # type: ignore[arg-type]
    forgetful.home.settle_in_bucket("ours")
    forgetful.home.check_bucket("ours")


def test_transform_with_another_bucket_gives_every_message_back_and_writes_nothing(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, home="another")
    rig.upload("shipments", [b"{}"])
    (unit,) = rig.units
    result = rig.deliver([unit])
    assert result is not None
    assert [str(error)[:62] for error in result.failed.values()] == [
        f"The files of the ledger {rig.table} are in the bucket another, not in {SILVER}."[:62]
    ]
    assert (rig.lake.files, result.dead) == ({}, {})
    assert rig.ledger.look_up([unit.id]).lot_of == {}


@pytest.mark.parametrize(
    "command",
    [
        ["sweep"],
        ["audit", "--bronze-bucket", "b"],
        ["retract", "s3://b/bronze/shipments/a.jsonl", "--reason", "wrong", "--yes"],
        ["quarantine", "show"],
        ["quarantine", "retry", "--reason", "r", "--yes"],
        ["history"],
        ["history", "archive"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_command_with_another_bucket_stops_at_once(
    clients: Clients,
    ledger_table: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    Ledger(clients.dynamodb, ledger_table).home.settle_in_bucket("ours")

    def client(service: str, *_: Any, **__: Any) -> Any:
        return clients.dynamodb if service == "dynamodb" else _Untouched()

    for name in ("sweep", "audit", "retract", "quarantine", "history"):
        monkeypatch.setattr(f"services.ops.cli.{name}.aws_client", client)
    code = execute(app, [*command, "--table", ledger_table, "--silver-bucket", "theirs"])
    assert code == ExitCode.FAILED
    assert "are in the bucket ours, not in theirs" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("reconcile", ["reconcile", "--bronze-bucket", "theirs"]),
        ("replay", ["replay", "--bucket", "theirs", "--prefix", "bronze/shipments/"]),
        (
            "reload",
            ["reload", "FILE", "--bronze-bucket", "theirs", "--silver-bucket", SILVER, "--reason", "r", "--yes"],
        ),
    ],
    ids=["reconcile", "replay", "reload"],
)
def test_no_command_plans_the_bronze_of_another_pipeline(
    clients: Clients,
    ledger_table: str,
    contracts: dict[str, Contract],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    command: list[str],
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts)
    rig.upload("shipments", [b"{}"])
    rig.deliver(rig.units)

    def client(service: str, *_: Any, **__: Any) -> Any:
        return clients.dynamodb if service == "dynamodb" else _Untouched()

    monkeypatch.setattr(f"services.ops.cli.{module}.aws_client", client)
    words = [next(iter(rig.lake.files)) if word == "FILE" else word for word in command]
    assert execute(app, [*words, "--table", ledger_table, "--queue-url", "queue"]) == ExitCode.FAILED
    told = " ".join(capsys.readouterr().err.split())
    assert f"The objects of this ledger are in the bucket {BRONZE}, not in theirs. Nothing was done." in told


@pytest.mark.parametrize("before", [None, "rejected", "unfinished"])
def test_a_ledger_that_knows_nothing_of_another_bucket_takes_this_one(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], before: str | None
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts)
    if before == "rejected":  # an event of a foreign bucket
        source = BronzeObject("foreign", "bronze/shipments/a.jsonl", 1, "e", None, CREATED)
        rig.ledger.objects.reject(source, "foreign_bucket", "")
    elif before == "unfinished":
        rig.upload("shipments", [b"{}"])
    check_bronze(rig.ledger, BRONZE)


class _Untouched:
    """A client of S3 that nobody may call."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")
