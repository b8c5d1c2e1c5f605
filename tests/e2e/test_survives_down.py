"""`docker compose down` forgets nothing: data, ledger and what is not finished come back with the next `up`."""

from __future__ import annotations

import subprocess

import pytest

from local.generator import Request
from local.ministack import ROOT
from local.stack import Clients, Names
from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from tests.support.running import Running, await_true, json_lines, request

pytestmark = pytest.mark.e2e
NAMES = Names()


def compose(*arguments: str) -> None:
    done = subprocess.run(["docker", "compose", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_data_survives_down_and_nothing_is_loaded_again(stack: Clients, contracts: dict[str, Contract]) -> None:
    asked: Request = request(500, bad_rate=0.02)
    data = json_lines(contracts["shipments"], asked)
    running = Running(stack, NAMES)
    source = running.upload("bronze/shipments/kept.jsonl", data)
    await_true(lambda: bool(running.lots_of(source)))

    compose("down")
    compose("up", "--detach", "--wait")

    assert len(running.rows_of(source)) == 500
    running.upload("bronze/shipments/kept.jsonl", data)
    await_true(running.is_queue_empty)
    assert len(running.rows_of(source)) == 500
    ledger = Ledger(stack.dynamodb, NAMES.ledger_table)
    found = audit(ledger, S3Listings(stack.s3, NAMES.bronze_bucket, NAMES.silver_bucket))
    assert found.findings.kept == []
