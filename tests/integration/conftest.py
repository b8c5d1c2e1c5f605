"""Ingest on the emulator, with a queue and a ledger of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Clients
from services.ingest import app
from services.shared.ledger.ledger import Ledger
from tests.support.ingest import BUCKET


@pytest.fixture
def queue_url(clients: Clients) -> str:
    return clients.sqs.create_queue(QueueName=f"units-{time.monotonic_ns()}")["QueueUrl"]


@pytest.fixture
def ledger(clients: Clients, ledger_table: str) -> Ledger:
    return Ledger(clients.dynamodb, ledger_table)


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch, emulator: str, queue_url: str, ledger_table: str) -> Iterator[Any]:
    """The function's handler, its environment set to the emulator."""
    settings = {
        "BRONZE_BUCKET": BUCKET,
        "QUEUE_URL": queue_url,
        "LEDGER_TABLE": ledger_table,
        "UNIT_BYTES": "1024",
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    caches = (app._settings, app._ledger, app._sqs, app._copies)
    for cached in caches:
        cached.cache_clear()
    yield app.handler
    for cached in caches:
        cached.cache_clear()
