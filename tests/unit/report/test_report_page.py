"""The report's page, looked at by Chromium: on a telephone, in the dark, with rows that would like to be scripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ops.pages.charts import SERIES
from services.ops.report.model import LISTED, Example, LotPart, ObjectPart, Refusal, Report
from services.ops.report.page import page_of
from services.shared.contract.model import Contract
from services.shared.ledger.records import Counts
from tests.support.browser import look

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOSTILE = (
    "<script>pwned=1</script>",
    "</bdi></td><img src=x onerror=pwned=2>",
    "\"'><svg onload=pwned=3>",
    "</style><script>pwned=4</script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\x1b[2J\x00\ud800",
    "&lt;script&gt;",
    "W" * 400,
)


def full_report(contracts: dict[str, Contract], text: str = "shipments") -> Report:
    """A report in which everything is there, and `text` in every place that takes text from elsewhere."""
    report = Report("Pipeline", f"ledger {text}", NOW, NOW - timedelta(days=14), contracts=list(contracts.values()))
    for nth in range(SERIES + 3):
        part = report.dataset(f"{text}{nth}")
        part.silver, part.quarantined, part.files, part.bytes = 123_456_789, 98_765, 400, 10**9
        part.newest, part.loaded, part.lag, part.open = "2026-01-05 09:00:01", NOW, timedelta(seconds=9), 3
        for hour in range(200):
            for line in (report.loaded, report.refused, report.happened):
                line.add(NOW - timedelta(hours=hour), part.name, 1_000_000 + hour)
    report.counts = Counts(1_000_000_001, 1_000_000_000, 1)
    example = Example(text, 12, 10**12, text, text)
    report.refusals = [Refusal(text, "wrong_type", text, 20, [example] * 3)]
    one = ObjectPart(text, text, "rejected", Counts(1000, 990, 10), 10**12, NOW, text, text)
    report.objects, report.rejected, report.rejected_total = [one] * LISTED, [one] * 2, 2_000
    report.objects_by_state = {"done": 100_000, "rejected": 2_000, "in_progress": 7}
    report.lots = [LotPart("20260105T120000Z-0123456789abcdef", NOW, 10**9, 10, 8000, 10**12)] * LISTED
    report.needs = [(3, "dead letters", "smelt dlq show")]
    report.notes = [text]
    return report


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_cut_nothing_scrolls_sideways_and_everything_can_be_read(
    contracts: dict[str, Contract], tmp_path: Path, width: int, dark: bool
) -> None:
    seen = look(page_of(full_report(contracts)), tmp_path, width, dark)
    assert seen.width == width
    assert seen.wide <= width
    assert seen.outside == []
    assert seen.faint == []
    assert seen.texts > 500
    assert seen.loaded == []
    red, green, blue = (int(part) for part in seen.background.strip("rgb()").split(","))
    assert (red + green + blue < 150) is dark


@pytest.fixture(scope="module")
def elements(contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many elements the page has with text that is harmless."""
    return look(page_of(full_report(contracts, "x")), tmp_path_factory.mktemp("harmless"), 360).elements


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_from_elsewhere_stays_text(
    contracts: dict[str, Contract], tmp_path: Path, text: str, elements: int
) -> None:
    seen = look(page_of(full_report(contracts, text)), tmp_path, 360)
    assert (seen.ran, seen.scripts) == (0, 0)
    assert seen.elements == elements
    assert (seen.wide, seen.outside) == (360, [])


def test_nothing_hidden_reaches_the_page(contracts: dict[str, Contract]) -> None:
    page = page_of(full_report(contracts, HOSTILE[5]))
    assert not any(char in page for char in "\u202e\x1b\x00\ud800")
    assert r"\u202egnp.exe\x1b[2J\x00\ud800" in page


def test_a_pipeline_without_anything_says_so(tmp_path: Path) -> None:
    page = page_of(Report("Pipeline", "ledger", NOW))
    for told in (
        "No rows yet.",
        "No row was refused.",
        "No object yet.",
        "No contract is known here.",
        "0 = 0 in Silver",
    ):
        assert told in page
    seen = look(page, tmp_path, 360)
    assert (seen.wide, seen.outside, seen.faint) == (360, [], [])


def test_rows_that_do_not_add_up_are_said_first(contracts: dict[str, Contract]) -> None:
    report = full_report(contracts)
    assert "Every row is accounted for" in page_of(report)
    report.counts = Counts(10, 8, 1)
    page = page_of(report)
    assert "Rows do not add up" in page
    assert "Every row is accounted for" not in page


def test_contracts_are_there_with_all_their_fields(contracts: dict[str, Contract]) -> None:
    page = page_of(full_report(contracts))
    for contract in contracts.values():
        for field in contract.fields:
            assert f">{field.name}</td>" in page
    assert "decimal(12,2)" in page


def test_what_is_not_listed_is_counted(contracts: dict[str, Contract]) -> None:
    page = page_of(full_report(contracts))
    assert f"there are {102_007 - LISTED:,} more" in page
    assert "there are 1,998 more" in page
