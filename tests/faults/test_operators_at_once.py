"""Operators, schedules and traffic at random, beside each other and killed at any call, over months: each row once."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from services.shared.contract.model import Contract
from tests.faults.rig import Rig
from tests.support.faults import Interrupter
from tests.support.office import DAMAGE, WORK, Office, wider
from tests.support.replaying import Desk

CASES = int(os.environ.get("SMELT_FAULT_CASES", "150"))
STEPS = 25  # of one case


@pytest.mark.timeout(3600)  # thousands of cases on a slow machine
@pytest.mark.parametrize(
    ("work", "cases"), [(WORK, CASES), ((*WORK, *DAMAGE), CASES // 10)], ids=["whole files", "lost files"]
)
def test_every_row_is_where_it_belongs_whatever_operators_do(
    new_ledger: Callable[[], tuple[Any, str]], contracts: dict[str, Contract], work: tuple[str, ...], cases: int
) -> None:
    told = Counter[str]()
    for seed in range(cases):
        dynamodb, table = new_ledger()
        rig = Rig(dynamodb, table, contracts, unit_bytes=300)
        office = Office(Desk(rig), wider(contracts), random.Random(seed), work=work)
        office.upload(Interrupter())
        try:
            for _ in range(STEPS):
                office.one_step()
            office.come_to_an_end()
            office.check()
        except Exception as error:
            error.add_note(f"with the seed {seed}")
            raise
        told += office.told
    assert told["killed"] > cases / 5
