"""The end of a run: nothing passes but what the job and its result both call passed; the page hides nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ops.gate import finishing
from services.ops.gate.files import FolderFiles
from services.ops.gate.finishing import Ended, finish
from services.shared.gate.plan import GatePlan, PlannedFile
from services.shared.gate.rules import rules_of
from services.shared.gate.verdict import GateResult, Measured, Verdict, judge, nothing_to_judge
from services.shared.identities import GateRun
from tests.support.gate import plan_of

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
MARKER = "ge/quarantine/parcels/dt=2026-01-31/marker.json"


class Job:
    """A run in a folder, whose job has written a result or not."""

    def __init__(self, folder: Path) -> None:
        self.files = FolderFiles(folder)
        self.plan: GatePlan = plan_of(folder, [PlannedFile("silver/parcels/dt=2026-01-31/a.parquet", 10)])
        self.run: GateRun = self.plan.run
        self.files.write(self.run.plan, self.plan.to_json().encode(), "")

    def judged(self, **numbers: float) -> GateResult:
        contract = self.plan.contract()
        good = {"enough rows": 10.0}
        measured = {
            at: Measured(
                numbers.get(rule.name.replace(" ", "_"), good.get(rule.name, 0)), ("<script>alert(1)</script>",)
            )
            for at, rule in enumerate(rules_of(contract))
        }
        return judge(self.plan, contract, 10, measured, NOW)

    def wrote(self, result: GateResult) -> None:
        self.files.write(self.run.result, result.to_json().encode(), "")

    def finish(self, job_error: str | None = None) -> Ended:
        return finish(self.files, self.run, job_error, NOW, "ge/quarantine/")

    def marker(self) -> dict[str, object]:
        return dict(json.loads(self.files.read(MARKER) or b"{}"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_a_run_that_both_call_passed_has_passed_and_leaves_no_marker(job: Job) -> None:
    job.wrote(job.judged())
    ended = job.finish()
    assert ended.result.verdict is Verdict.PASSED
    assert not job.files.has(MARKER)
    assert b"passed</span>" in (job.files.read(ended.page) or b"")


def test_a_failure_leaves_a_marker_until_the_partition_passes(job: Job) -> None:
    job.wrote(job.judged(no_parcel_twice=3))
    assert job.finish("it was not passed").result.verdict is Verdict.FAILED
    assert (job.marker()["quarantined"], job.marker()["verdict"]) == (True, "failed")
    assert "no parcel twice" in str(job.marker()["cause"])
    job.wrote(job.judged())
    job.finish()
    assert (job.marker()["quarantined"], job.marker()["verdict"]) == (False, "passed")


@pytest.mark.parametrize(("missing", "held_back"), [((), False), (["silver/parcels/dt=2026-01-31/a.parquet"], True)])
def test_a_partition_whose_rows_were_all_retracted_is_no_pass_and_holds_nothing_back(
    job: Job, missing: list[str], held_back: bool
) -> None:
    job.wrote(job.judged(no_parcel_twice=3))
    job.finish("it was not passed")
    plan = plan_of(Path(job.files.root), [], missing=missing)
    later = replace(plan, run=plan.run._replace(planned="20260201T001500Z"))
    job.files.write(later.run.plan, later.to_json().encode(), "")
    job.files.write(later.run.result, nothing_to_judge(later, NOW).to_json().encode(), "")
    result = finish(job.files, later.run, None, NOW, "ge/quarantine").result
    assert (result.verdict, result.holds_back) == (Verdict.ERROR, held_back)
    assert (job.marker()["quarantined"], job.marker()["verdict"]) == (held_back, "error")


def test_a_partition_that_never_had_a_row_gets_no_marker(job: Job) -> None:
    job.wrote(nothing_to_judge(replace(job.plan, files=()), NOW))
    assert job.finish().result.verdict is Verdict.ERROR
    assert not job.files.has(MARKER)


@pytest.mark.parametrize(("newer", "older"), [("failed", "passed"), ("passed", "failed")])
def test_an_older_run_that_ends_after_a_newer_one_leaves_its_marker(job: Job, newer: str, older: str) -> None:
    verdicts = {"passed": job.judged(), "failed": job.judged(no_parcel_twice=3)}
    later = job.run._replace(planned="20260201T001500Z")
    job.files.write(later.result, replace(verdicts[newer], run=later).to_json().encode(), "")
    finish(job.files, later, None, NOW, "ge/quarantine")
    marker = job.marker()
    job.wrote(verdicts[older])
    assert job.finish().result.verdict == older
    assert job.marker() == marker
    assert marker.get("quarantined", False) is (newer == "failed")


@pytest.mark.parametrize(("newer", "older"), [("failed", "passed"), ("passed", "failed")])
@pytest.mark.parametrize("planned", ["20260201T000000Z", "20260201T001500Z"])
@pytest.mark.parametrize("was_marked", [True, False])
def test_a_newer_run_that_ends_while_an_older_one_marks_has_the_last_word(
    job: Job, monkeypatch: pytest.MonkeyPatch, newer: str, older: str, planned: str, was_marked: bool
) -> None:
    verdicts = {"passed": job.judged(), "failed": job.judged(no_parcel_twice=3)}
    later = job.run._replace(planned=planned, token="f" * 16)
    if was_marked:
        job.files.write(MARKER, b'{"quarantined": true}', "")
    mark = finishing._mark

    def mark_late(files: FolderFiles, marker: str, result: GateResult) -> None:
        monkeypatch.setattr(finishing, "_mark", mark)
        job.files.write(later.result, replace(verdicts[newer], run=later).to_json().encode(), "")
        finish(job.files, later, None, NOW, "ge/quarantine")
        mark(files, marker, result)

    monkeypatch.setattr(finishing, "_mark", mark_late)
    job.wrote(verdicts[older])
    assert job.finish().result.verdict == older
    assert job.marker().get("quarantined", False) is (newer == "failed")


def test_an_older_run_leaves_the_marker_of_a_newer_one_below_another_prefix(job: Job) -> None:
    later = job.run._replace(prefix="ge/mine", planned="20260201T001500Z")
    failed = replace(job.judged(no_parcel_twice=3), run=later)
    job.files.write(later.result, failed.to_json().encode(), "")
    finish(job.files, later, None, NOW, "ge/quarantine")
    job.wrote(job.judged())
    assert job.finish().result.verdict is Verdict.PASSED
    assert (job.marker()["quarantined"], job.marker()["run"]) == (True, str(later))


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"run": 1}', b'{"run": "x"}'])
def test_a_marker_that_is_not_ours_is_written_over(job: Job, damaged: bytes) -> None:
    job.files.write(MARKER, damaged, "")
    job.wrote(job.judged(no_parcel_twice=3))
    job.finish()
    assert job.marker()["verdict"] == "failed"


def test_whatever_else_is_found_is_an_error(job: Job) -> None:
    passed = job.judged()
    other = replace(passed, run=passed.run._replace(token="f" * 16))
    unruly = replace(passed, rules=())
    torn = replace(passed, rules=(replace(passed.rules[0], verdict=Verdict.FAILED), *passed.rules[1:]))
    for written, error, told in [
        (None, None, "wrote no result"),
        (None, "Glue ran out of memory", "ran out of memory"),
        (passed, "the job timed out", "the job timed out"),
        (other, None, "another run"),
        (unruly, None, "no rule was judged"),
        (torn, None, "not every rule"),
    ]:
        (Path(job.files.root) / job.run.result).unlink(missing_ok=True)
        if written:
            job.wrote(written)
        ended = job.finish(error)
        assert ended.result.verdict is Verdict.ERROR, told
        assert told in ended.result.cause
        assert job.marker()["verdict"] == "error"
    job.files.write(job.run.result, b"{", "")
    assert job.finish().result.verdict is Verdict.ERROR


def test_finishing_again_changes_nothing(job: Job) -> None:
    job.wrote(job.judged(no_parcel_twice=3))
    first = job.finish("not passed")
    page = job.files.read(first.page)
    assert job.finish("not passed") == first
    assert job.files.read(first.page) == page


def test_the_page_shows_values_as_text_and_the_runs_before(job: Job) -> None:
    for hours in (3, 2, 1):
        before = job.run._replace(planned=(NOW - timedelta(hours=hours)).strftime("%Y%m%dT%H%M%SZ"))
        result = replace(job.judged(), run=before, ended=NOW - timedelta(hours=hours))
        job.files.write(before.result, result.to_json().encode(), "")
    job.run = job.run._replace(planned=NOW.strftime("%Y%m%dT%H%M%SZ"))
    job.wrote(replace(job.judged(known_carrier=1, email_looks_right=1), run=job.run))
    page = (job.files.read(job.finish("x").page) or b"").decode()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") == 1  # the carrier's; the email is classified
    assert "the contract classifies email" in page
    assert page.index("failed</span>") < page.index("<h2>Rules</h2>") < page.index("<svg")
    assert "src=" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xlink", ""
    )
