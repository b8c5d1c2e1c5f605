"""A rewrite that was left is ended in a wrong bucket: no file of the right one is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from services.ops.rewrite.files import ConservationError
from services.ops.sweep import sweep
from services.shared.contract.model import Contract
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_retry import a_bad_file_and_a_good_one, fixed
from tests.support.faults import Interrupter
from tests.support.lake import MemoryLake
from tests.support.rewriting import retract, retry

__all__ = ["fixed"]


def in_a_wrong_bucket(rig: Rig, what: Callable[[], object]) -> None:
    right, rig.lake = rig.lake, MemoryLake()
    rig.lake.objects = right.objects
    with suppress(ConservationError):
        what()
    rig.lake = right


def check_the_right_one(rig: Rig) -> None:
    swept = sweep(rig.ledger, rig.lake)
    assert swept.all_right
    rig.check_exactly_once()
    assert set(rig.lake.files) == {file.key for lot in rig.look_up().lots.values() for file in lot.files}
    assert not list(rig.ledger.open_lots())


@pytest.mark.parametrize("stopped_at", ["put", "transact_write_items", "delete"])
@pytest.mark.parametrize("by", [retract, sweep])
def test_a_retraction(rig: Rig, stopped_at: str, by: Callable[..., object]) -> None:
    wrong = rig.upload("shipments", [shipment(n) for n in range(9)])
    rig.upload("shipments", [shipment(n) for n in range(20, 29)])
    rig.deliver(rig.units)
    assert retract(rig, wrong, _before(stopped_at)) is None
    rig.clock.advance(61)
    in_a_wrong_bucket(rig, lambda: retract(rig, wrong) if by is retract else sweep(rig.ledger, rig.lake))
    rig.clock.advance(61)
    assert retract(rig, wrong) is not None
    rig.forget(wrong)
    check_the_right_one(rig)


@pytest.mark.parametrize("stopped_at", ["put", "transact_write_items", "delete"])
@pytest.mark.parametrize("by", [retry, sweep])
def test_a_retry(rig: Rig, fixed: Mapping[str, Contract], stopped_at: str, by: Callable[..., object]) -> None:
    a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    assert retry(rig, fixed, _before(stopped_at)) is None
    rig.clock.advance(61)
    in_a_wrong_bucket(rig, lambda: retry(rig, fixed) if by is retry else sweep(rig.ledger, rig.lake))
    rig.clock.advance(61)
    assert retry(rig, fixed) is not None
    check_the_right_one(rig)


def _before(call: str) -> Interrupter:
    """The first put has landed; other calls have not."""
    return Interrupter(first=call, before=call != "put", action=crash)
