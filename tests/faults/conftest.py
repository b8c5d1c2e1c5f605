"""The pipeline that most fault tests break."""

from __future__ import annotations

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from tests.faults.rig import Rig


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    """Objects of one unit each."""
    return Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1 << 20)
