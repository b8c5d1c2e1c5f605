"""The pipeline that most fault tests break.

Its ledger is in memory, which makes these tests three times as fast. With `SMELT_FAULTS_ON=ministack` they run on
MiniStack's DynamoDB, as those that break the protocol do in .ci/run; tests/unit/workbench/test_memory_ledger.py holds
the two against each other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from local.stack import Clients, create_ledger
from services.shared.contract.model import Contract
from tests.faults.rig import Rig
from workbench.inprocess.dynamodb import TABLE, MemoryDynamoDB

IN_MEMORY = os.environ.get("SMELT_FAULTS_ON", "memory") == "memory"

if IN_MEMORY:

    @pytest.fixture
    def clients() -> Any:
        """Has a client of DynamoDB, and no other."""
        return SimpleNamespace(dynamodb=MemoryDynamoDB())

    @pytest.fixture
    def ledger_table() -> str:
        return TABLE


@pytest.fixture
def new_ledger(clients: Clients) -> Callable[[], tuple[Any, str]]:
    """Makes an empty ledger for each call: its client of DynamoDB, and the table's name."""

    def make() -> tuple[Any, str]:
        if IN_MEMORY:
            return MemoryDynamoDB(), TABLE
        table = f"ledger-{uuid.uuid4().hex[:12]}"
        create_ledger(clients.dynamodb, table)
        return clients.dynamodb, table

    return make


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    """Objects of one unit each."""
    return Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1 << 20)
