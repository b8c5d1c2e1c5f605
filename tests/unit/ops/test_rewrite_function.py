"""The function that rewrites without a laptop: it says so when it cannot come any further."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from services.ops.app import rewrite
from services.ops.errors import OperatorError
from services.ops.rewrite.retry import Retried
from tests.support.ingest import Context

EVENT = {"action": "retry", "dataset": "shipments", "by": "Ann", "reason": "the contract is fixed"}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The places that the next retries of the function come to."""
    places: list[str | None] = []
    ledger = SimpleNamespace(home=SimpleNamespace(check_bucket=lambda _: None))
    aws: dict[str, Any] = {"settings": lambda: SimpleNamespace(silver_bucket="silver"), "ledger": lambda: ledger}
    for name, double in {**aws, "s3": object}.items():
        monkeypatch.setattr(rewrite.pipeline, name, double)
    retry = SimpleNamespace(run=lambda *_, place: Retried(place=places.pop(0)))
    monkeypatch.setattr(rewrite, "Retry", lambda *_: retry)
    monkeypatch.setattr(rewrite, "_contracts", dict)
    return places


@pytest.mark.parametrize("place", ["", "quarantine/shipments/dt=2026-01-01/a.parquet"])
def test_a_lot_that_takes_longer_than_an_invocation_is_no_endless_loop(reached: list[str | None], place: str) -> None:
    reached.append(place)
    with pytest.raises(OperatorError, match="smelt quarantine retry --dataset shipments"):
        rewrite.handler({**EVENT, "place": place or None}, Context())  # type: ignore[arg-type]


def test_it_goes_on_where_the_invocation_before_stopped(reached: list[str | None]) -> None:
    reached += ["quarantine/b", None]
    assert rewrite.handler({**EVENT, "place": "quarantine/a"}, Context())["place"] == "quarantine/b"  # type: ignore[arg-type]
    assert rewrite.handler({**EVENT, "place": "quarantine/b"}, Context())["place"] is None  # type: ignore[arg-type]
