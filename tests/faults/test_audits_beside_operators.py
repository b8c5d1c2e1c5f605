"""An audit finds nothing wrong where nothing is, at any moment and beside anybody: people follow its advice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ops.audit.audit import Audit, audit
from services.ops.audit.findings import Code
from services.ops.history.reader import History
from services.shared.contract.model import Contract
from services.shared.ledger.ledger import Ledger
from tests.faults.rig import Rig
from tests.faults.test_audit_over_time import RigListings
from tests.faults.test_operators_at_once import CASES, STEPS
from tests.support.faults import Interrupted, Interrupter
from tests.support.history import HISTORY_CALLS
from tests.support.office import WORK, Office, wider
from tests.support.replaying import Desk

READS = ("batch_get_item", "get_item", "get_paginator", "query")
LISTINGS = ("bronze", "files", "find_versions", "find_files")
AT_ONCE = 3  # things that others do while the audit reads
NOT_MEANWHILE = ("upload", "wait")  # Bronze is listed at once in a test; an audit does not take days


def audited_meanwhile(office: Office, stops: Interrupter) -> Audit:
    rig = office.rig
    ledger = Ledger(Interrupted(rig.dynamodb, stops, READS), rig.table, rig.clock)  # type: ignore[arg-type]
    listings: Any = Interrupted(RigListings(rig), stops, LISTINGS)
    files: Any = Interrupted(office.history, stops, HISTORY_CALLS)
    return audit(ledger, listings, now=datetime.fromtimestamp(rig.clock.now, UTC), history=History(files))


@pytest.mark.timeout(3600)
def test_an_audit_beside_operators_finds_nothing_wrong(
    new_ledger: Callable[[], tuple[Any, str]], contracts: dict[str, Contract]
) -> None:
    done = Counter[str]()
    for seed in range(max(CASES // 30, 10)):
        office = Office(Desk(Rig(*new_ledger(), contracts, unit_bytes=300)), wider(contracts), random.Random(seed))
        dice = office.dice
        office.upload(Interrupter())
        for step in range(STEPS):
            office.one_step()
            others = [dice.choice([act for act in WORK if act not in NOT_MEANWHILE]) for _ in range(AT_ONCE)]

            def meanwhile(office: Office = office, others: list[str] = others) -> None:
                done.update(others)
                for act in others:
                    office.act(act, Interrupter())

            stops = Interrupter(dice.randrange(0, 14), action=meanwhile)
            found = audited_meanwhile(office, stops).findings.kept
            wrong = [one for one in found if one.code is not Code.NEVER_ANNOUNCED]  # events that were lost
            assert not wrong, f"seed {seed}, step {step}: {others} at {stops.at} of {stops.calls}"
    assert done["let_expire"]
