"""The gate's page in a real browser: read without JavaScript, on a phone's width, with hostile values in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ops.gate.page import gate_page
from services.shared.gate.plan import PlannedFile
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import GateResult, Measured, judge
from tests.support.browser import look
from tests.support.gate import plan_of

PHONE = 360  # pixels
HOSTILE = "<script>pwned=1</script><img src=x onerror='parent.pwned=1'>" + "long" * 60
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def _result(**numbers: float) -> GateResult:
    plan = plan_of(Path("/lake"), [PlannedFile("silver/parcels/dt=2026-01-31/a.parquet", 1_234_567)])
    contract = plan.contract()
    measured = {
        at: Measured(numbers.get(rule.name.replace(" ", "_"), 0), (HOSTILE, "UPS"), note="")
        for at, rule in enumerate(rules_of(contract))
    }
    return judge(plan, contract, 1_234_567, measured, NOW, "Great Expectations 1.24.1 on Spark 3.5.6")


@pytest.fixture(scope="module")
def page() -> str:
    before = [
        replace(
            _result(enough_rows=100 if day % 3 else 2000),
            rows=1_000_000 + 10_000 * day,
            ended=NOW - timedelta(days=9 - day),
        )
        for day in range(9)
    ]
    return gate_page(_result(enough_rows=100, known_carrier=17, email_looks_right=4), before)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1000])
def test_it_fits_can_be_read_and_runs_nothing(tmp_path: Path, page: str, width: int, dark: bool) -> None:
    seen = look(page, tmp_path, width, dark)
    assert (seen.outside, seen.faint, seen.loaded) == ([], [], [])
    assert (seen.ran, seen.scripts) == (0, 0)
    assert seen.wide <= seen.width == width
    assert seen.texts > 60


def test_hostile_values_stay_text(page: str) -> None:
    assert "&lt;script&gt;pwned=1" in page
    assert "<script" not in page
    assert page.index("failed</span>") < page.index("What is wrong") < page.index("<h2>Rules</h2>") < page.index("<svg")


def test_the_picture_of_the_last_runs_draws_what_passed_in_green_and_names_the_year_where_it_changes() -> None:
    page = gate_page(_result(), [replace(_result(), ended=NOW - timedelta(days=400))])
    assert '<span class="swatch color-2"></span>passed' in page
    assert "2024-12-28" in page
