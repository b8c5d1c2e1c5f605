"""The end of a run: its result is read, its page drawn, and what did not pass is marked.

The job's own word is not enough. A run has passed only if Glue says that the job succeeded, and the result that the job
wrote says that this run has passed; whatever else is found is told as an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from services.ops.gate.files import HTML, JSON, GateFiles
from services.ops.gate.page import RUNS, gate_page
from services.shared.gate.plan import GatePlan, PlanError
from services.shared.gate.verdict import GateResult, ResultError, Verdict, not_judged
from services.shared.identities import GateRun


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended: its result, and the keys of what was written."""

    result: GateResult
    page: str
    marker: str  # empty if there is none


def finish(files: GateFiles, run: GateRun, job_error: str | None, now: datetime, quarantine_prefix: str = "") -> Ended:
    """Read the result, draw the page, and write or empty the partition's marker. Safe to repeat.

    A run that ends after one that was planned later leaves that one's marker as it is.

    Args:
        job_error: why the job did not succeed, in its own words; None if it did.
        quarantine_prefix: where markers are; empty for none.
    """
    result = _result(files, run, job_error, now)
    files.write(run.result, result.to_json().encode(), JSON)
    files.write(run.page, gate_page(result, earlier(files, run)).encode(), HTML)
    marker = ""
    if quarantine_prefix:
        marker = f"{quarantine_prefix.strip('/')}/{run.record_type}/dt={run.dt}/marker.json"
        _settle(files, marker, result)
    return Ended(result, run.page, marker)


def earlier(files: GateFiles, run: GateRun) -> list[GateResult]:
    """The results of the runs before this one, the oldest first; at most as many as a page shows."""
    own = str(run)
    keys = [key for key in files.keys(run.partition) if key.endswith("/result.json") and key < own]
    found = []
    for key in keys[-RUNS:]:
        try:
            found.append(GateResult.from_json(files.read(key) or b""))
        except ResultError:
            continue  # of another version of smelt: it has no place in the picture
    return found


def _result(files: GateFiles, run: GateRun, job_error: str | None, now: datetime) -> GateResult:
    plan = _plan(files, run, now)
    text = files.read(run.result)
    if text is None:
        why = job_error or "The job succeeded and wrote no result."
        return not_judged(plan, f"The job has not judged the partition: {why}", now)
    try:
        result = GateResult.from_json(text)
    except ResultError as error:
        return not_judged(plan, str(error), now)
    if result.run != run:
        return not_judged(plan, f"The result is one of another run, {result.run}.", now)
    if result.verdict is Verdict.PASSED and job_error is not None:
        return not_judged(plan, f"The result says passed, but the job did not succeed: {job_error}", now)
    if result.verdict is Verdict.PASSED and not all(rule.verdict is Verdict.PASSED for rule in result.rules):
        return not_judged(plan, "The result says passed, but not every rule has passed.", now)
    if result.verdict is Verdict.PASSED and not result.rules:
        return not_judged(plan, "The result says passed, but no rule was judged.", now)
    return result


def _plan(files: GateFiles, run: GateRun, now: datetime) -> GatePlan:
    try:
        return GatePlan.from_json(files.read(run.plan) or b"")
    except PlanError:
        return GatePlan(run, files.root, "", now, ())


def _settle(files: GateFiles, marker: str, result: GateResult) -> None:
    """Mark what the newest run says, however many end at the same time.

    Another run may end, and mark, between our look for newer ones and our own mark. So the last look comes after the
    last mark: whoever marks last has seen the results of all who marked before, since each is written first.
    """
    if _newest_result(files, result.run) != result.run or _is_of_newer_run(files, marker, result.run):
        return
    while True:
        _mark(files, marker, result)
        newest = _newest_result(files, result.run)
        if newest == result.run or not files.has(newest.page):  # it has not ended: it marks by itself
            return
        result = _result(files, newest, None, result.ended)


def _is_of_newer_run(files: GateFiles, marker: str, run: GateRun) -> bool:
    """Whether the marker is of a run that was planned later, whose results may be below another prefix."""
    try:
        marked = GateRun.parse(json.loads(files.read(marker) or b"{}")["run"])
    except (ValueError, KeyError, TypeError):
        return False  # there is none, or somebody else's
    return marked.planned > run.planned


def _newest_result(files: GateFiles, run: GateRun) -> GateRun:
    """The run with a result that was planned last; of two of the same second, the later by name."""
    results = [GateRun.parse(key) for key in files.keys(run.partition) if key.endswith("/result.json")]
    return max(results, key=lambda one: (one.planned, str(one)))


def _mark(files: GateFiles, marker: str, result: GateResult) -> None:
    """Say that a partition has not passed; once it has, or is empty, that too. Nobody need know of a marker before."""
    if not result.holds_back and not files.has(marker):
        return
    told = {
        "quarantined": result.holds_back,
        "verdict": result.verdict,
        "cause": result.cause,
        "record_type": result.run.record_type,
        "dt": result.run.dt,
        "run": str(result.run),
        "page": result.run.page,
        "at": result.ended.isoformat(),
    }
    files.write(marker, json.dumps(told, indent=1).encode(), JSON)
