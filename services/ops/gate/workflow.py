"""The gate workflow's input and the document that goes from task to task, checked once. Pure: no AWS client.

The state machine (infra/terraform/modules/workflow_ge_gate/gate.asl.json) plans, runs the job, finishes, and tells. It
follows `next`, and carries names and a cause, never rows or lists.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from services.ops.errors import OperatorError
from services.ops.gate.planning import new_run
from services.shared.gate.plan import GatePlan
from services.shared.gate.verdict import GateResult, Verdict
from services.shared.identities import GateRun

RESULT_PREFIX = "ge/results"
_PREFIX = re.compile(r"ge(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,50}){1,6}/?")
_KEYS = {"record_type", "dt", "result_prefix"}
_LONGEST_CAUSE = 8000  # characters; Step Functions takes 32,768
_LONGEST_SUBJECT = 100  # SNS's limit


class InvalidInput(OperatorError):
    """The input cannot be used; the message names each key that is wrong, its value, and what is expected."""


class Next(StrEnum):
    """What the state machine does next; its Choice states know these words."""

    RUN = "run"  # the job
    FINISH = "finish"  # there is nothing for the job to read
    PASSED = "passed"
    NOT_PASSED = "not_passed"
    REFUSED = "refused"  # the input


@dataclass(frozen=True, slots=True)
class Request:
    """A partition to be judged."""

    record_type: str
    dt: str
    result_prefix: str = RESULT_PREFIX

    def run(self, started: datetime, execution: str) -> GateRun:
        """The same run however often an execution asks for it."""
        token = hashlib.sha256(execution.encode()).hexdigest()[:16]
        return new_run(self.result_prefix, self.record_type, self.dt, started, token)


def read_request(document: Any, record_types: Collection[str]) -> Request:
    """Check an execution's input.

    Raises:
        InvalidInput: every problem is named.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput(f"The input is {document!r}; expected a JSON object with record_type and dt")
    problems = [
        f"{key!r} is not a key of the input; expected only record_type, dt, result_prefix."
        for key in sorted(map(str, document.keys() - _KEYS))
    ]
    record_type, dt = document.get("record_type"), document.get("dt")
    prefix = document.get("result_prefix", RESULT_PREFIX)
    if not isinstance(record_type, str) or record_type not in record_types:
        known = ", ".join(sorted(record_types))
        problems.append(f"record_type is {record_type!r}; expected a dataset that has a contract: {known}.")
    if not isinstance(dt, str) or not _is_day(dt):
        problems.append(f"dt is {dt!r}; expected a day such as 2026-01-31.")
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        problems.append(f'result_prefix is {prefix!r}; expected "ge/results" or another path below ge/.')
    if problems:
        raise InvalidInput(" ".join(problems))
    return Request(str(record_type), str(dt), str(prefix).rstrip("/"))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def refuse(cause: str) -> dict[str, Any]:
    """The end of an execution whose input cannot be used."""
    return {"next": Next.REFUSED, "error": "InvalidInput", "cause": cause[:_LONGEST_CAUSE]}


def after_plan(plan: GatePlan) -> dict[str, Any]:
    """What planning hands on."""
    has_work = bool(plan.files or plan.missing)
    return {
        "next": Next.RUN if has_work else Next.FINISH,
        "run": str(plan.run),
        "lake": plan.root,
        "plan": plan.run.plan,
        "files": len(plan.files),
        "rows": plan.rows,
    }


def job_error_of(state: Mapping[str, Any]) -> str | None:
    """Why the job did not succeed, from what Step Functions caught; None if it did, or was not needed."""
    caught = state.get("job_error")
    if caught is None:
        return None
    cause = str(caught.get("Cause") or "")
    try:
        told = json.loads(cause)  # of a job that ran: its description
    except ValueError:
        told = None
    if isinstance(told, Mapping):
        cause = str(told.get("ErrorMessage") or f"it ended as {told.get('JobRunState')}")
    return f"{caught.get('Error')}: {cause}" if caught.get("Error") != "States.TaskFailed" else cause


def after_finish(result: GateResult, root: str, page: str, marker: str) -> dict[str, Any]:
    """The end: the verdict, and what is told to people."""
    passed = result.verdict is Verdict.PASSED
    partition = f"{result.run.record_type}, dt={result.run.dt}"
    cause = f"The gate's verdict over {partition} is {result.verdict}: {result.cause} Page: {root}/{page}" + (
        f" Marker: {root}/{marker}" if marker else ""
    )
    return {
        "next": Next.PASSED if passed else Next.NOT_PASSED,
        "verdict": result.verdict,
        "record_type": result.run.record_type,
        "dt": result.run.dt,
        "run": str(result.run),
        "rules": len(result.rules),
        "rows": result.rows,
        "page": f"{root}/{page}",
        "error": "GateFailed" if result.verdict is Verdict.FAILED else "GateError",
        "cause": "" if passed else cause[:_LONGEST_CAUSE],
        "subject": f"Gate {result.verdict}: {partition}"[:_LONGEST_SUBJECT],
    }
