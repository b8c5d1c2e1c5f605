"""Fixtures that several levels of tests use. The emulator is MiniStack; it needs no Docker."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ministack import ROOT, ministack
from local.stack import Clients, connect, create_ledger
from services.shared.contract.model import Contract

os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "true")  # no X-Ray daemon here
os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "tests")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells have it behind `&`, which programs under test inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    """The contracts that ship."""
    from services.shared.contract.loader import load_contracts

    return load_contracts(ROOT / "contracts")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a MiniStack of this test process."""
    log: Path = tmp_path_factory.mktemp("ministack") / "log"
    with ministack(log=log) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def clients(emulator: str) -> Clients:
    return connect(emulator)


@pytest.fixture
def ledger_table(clients: Clients) -> str:
    """A fresh ledger table on the emulator."""
    name = f"ledger-{uuid.uuid4().hex[:12]}"
    create_ledger(clients.dynamodb, name)
    return name
