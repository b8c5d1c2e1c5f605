"""The gate's page in a real browser: read without JavaScript, on a phone's width, with hostile values in it."""

from __future__ import annotations

import html
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ops.gate.page import gate_page
from services.shared.gate.plan import PlannedFile
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import GateResult, Measured, judge
from tests.support.gate import plan_of

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
pytestmark = pytest.mark.skipif(
    not BROWSER, reason="no Chromium: `apt-get install --no-install-recommends chromium` installs it"
)
PHONE = 360  # pixels
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">" + "long" * 60
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


def _browse(folder: Path, page: str, *options: str) -> str:
    file = folder / "page.html"
    file.write_text(page, "utf-8")
    return subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options, file.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_hostile_values_stay_text(tmp_path: Path, page: str) -> None:
    seen = _browse(tmp_path, page, "--dump-dom")
    assert "<title>FAILED: parcels 2026-01-31</title>" in seen
    assert "<script" not in seen
    assert "<img" not in seen
    assert "&lt;script&gt;document.title='owned'" in seen


def test_a_phone_shows_all_of_it_without_scrolling_sideways(tmp_path: Path, page: str) -> None:
    frame = f'<iframe id="page" width="{PHONE}" height="2000" srcdoc="{html.escape(page)}"></iframe>'
    measure = "document.title = document.getElementById('page').contentDocument.documentElement.scrollWidth"
    seen = _browse(tmp_path, f"{frame}<script>onload = () => {{ {measure} }}</script>", "--dump-dom")
    assert f"<title>{PHONE}</title>" in seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_looked_at(tmp_path: Path, page: str, scheme: str) -> None:
    picture = tmp_path / f"{scheme}.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    _browse(tmp_path, page, f"--screenshot={picture}", "--window-size=1000,1600", *dark)
    assert picture.stat().st_size > 20_000  # a blank page has about 6 kB
