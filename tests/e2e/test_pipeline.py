"""Bronze to Silver through the real images: S3 -> ingest -> SQS -> transform -> S3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.generator import Request
from local.stack import Clients, Names
from services.shared.contract.model import Contract
from tests.support.running import KINDS, Running, request

pytestmark = pytest.mark.e2e


@pytest.fixture
def running(stack: Clients) -> Running:
    return Running(stack, Names())


@pytest.mark.parametrize(("dataset", "suffix", "make"), KINDS)
def test_every_row_lands_once_though_its_event_and_its_unit_are_delivered_twice(
    running: Running,
    contracts: dict[str, Contract],
    dataset: str,
    suffix: str,
    make: Callable[[Contract, Request], bytes],
) -> None:
    data = make(contracts[dataset], request(2000, bad_rate=0.02))
    running.check_that_every_row_lands_once(dataset, suffix, data, rows=2000)


def test_a_message_that_is_not_a_unit_ends_in_the_dead_letter_queue(running: Running) -> None:
    running.check_that_a_message_that_is_not_a_unit_becomes_a_dead_letter()


def test_an_object_that_is_not_taken_is_recorded_with_its_reason(running: Running) -> None:
    running.check_that_an_object_that_is_not_taken_is_recorded()
