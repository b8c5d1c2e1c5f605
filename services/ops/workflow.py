"""The ops workflow's input and progress: what a person or a schedule asks for, checked once, and where a run is.

The state machine (infra/terraform/modules/workflow_ops/ops.asl.json) only carries the document that these functions
make from one task to the next, and follows its `next`. The document holds no list that grows with the number of
objects, so that Step Functions' 256 KiB are enough for a prefix of any size. Pure: no AWS client.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from services.ops.errors import OperatorError
from services.shared.identities import SILVER_ROOT

# An execution's history holds 25,000 events (AWS Step Functions Developer Guide, "Quotas"). Each of these is a bound of
# one loop; docs/decisions/0020-ops-workflow.md has the arithmetic, and a test adds up the definition's retries.
MAX_CHUNKS = 500  # of replaying: 15 minutes each
MAX_LOOKS = 250  # of checking that end because their time is over, not because something is missing
MAX_ATTEMPTS = 250  # of checking that found something missing

_LONGEST_WINDOW_HOURS = 24 * 366 * 20
_DAY = 86_400
_PREFIX = re.compile(r"bronze/[^\x00-\x1f\ud800-\udfff]{0,1000}")  # halves of a character are no UTF-8
_DESTINATION = re.compile(r"bronze/replay(?:/[A-Za-z0-9._-]{1,50}){0,4}/?")
_KEYS = (
    "bronze_bucket",
    "src_prefix",
    "dest_prefix_base",
    "window_hours",
    "start",
    "end",
    "silver_bucket",
    "silver_prefix",
    "record_type",
    "min_parquet_objects",
    "poll_interval_seconds",
    "max_attempts",
)
_NOTHING = object()


class InvalidInput(OperatorError):
    """The input cannot be used; the message names each key that is wrong, its value, and what is expected."""


class Next(StrEnum):
    """What the state machine does next; its Choice states know these words."""

    REPLAY = "replay"
    PROBE = "probe"
    WAIT = "wait"  # poll_interval_seconds, then probe
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What an input may be about."""

    bronze_bucket: str
    silver_bucket: str
    record_types: Collection[str]


@dataclass(frozen=True, slots=True)
class Request:
    """What one execution does: replay objects of a prefix that were last modified in `[start, end)`, then check."""

    src_prefix: str
    dest_prefix: str  # of the copies of this execution, and of no other
    start: datetime
    end: datetime
    record_type: str
    min_parquet_objects: int
    poll_interval_seconds: int
    max_attempts: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        times = {name: datetime.fromisoformat(stored[name]) for name in ("start", "end")}
        return cls(**{**stored, **times})


def read_request(document: Any, pipeline: Pipeline, started: datetime, execution: str) -> Request:
    """Check an execution's input.

    Args:
        document: the input, as JSON gives it.
        started: when the execution began: the end of a window that has none.
        execution: the execution's id, from which the prefix of its copies is made.

    Raises:
        InvalidInput: every problem is named.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput(f"The input is {_shown(document)}; expected a JSON object with src_prefix, record_type, ...")
    reading = _Reading(document)
    reading.no_other_keys()
    reading.same("bronze_bucket", pipeline.bronze_bucket, "this pipeline's Bronze bucket")
    reading.same("silver_bucket", pipeline.silver_bucket, "this pipeline's Silver bucket")
    reading.silver_prefix()
    base = reading.destination()
    start, end = reading.window(started)
    request = Request(
        src_prefix=reading.source(),
        dest_prefix=_run_prefix(base, started, execution),
        start=start,
        end=end,
        record_type=reading.record_type(pipeline.record_types),
        min_parquet_objects=reading.number("min_parquet_objects", 1, 0, 1_000_000),
        poll_interval_seconds=reading.number("poll_interval_seconds", 30, 1, 3600),
        max_attempts=reading.number("max_attempts", 20, 1, MAX_ATTEMPTS),
    )
    if reading.problems:
        raise InvalidInput(" ".join(reading.problems))
    return request


class _Reading:
    """An input whose problems are collected, so that a person sees all of them at once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.problems: list[str] = []

    def _wrong(self, key: str, expected: str) -> None:
        value = self._document.get(key, _NOTHING)
        told = "is missing" if value is _NOTHING else f"is {_shown(value)}"
        self.problems.append(f"{key} {told}; expected {expected}.")

    def no_other_keys(self) -> None:
        for key in self._document:
            if key not in _KEYS:
                self.problems.append(f"{_shown(key)} is not a key of the input; expected only {', '.join(_KEYS)}.")

    def same(self, key: str, ours: str, what: str) -> None:
        if self._document.get(key, ours) != ours:
            self._wrong(key, f"{ours}, {what}: the workflow works on no other")

    def silver_prefix(self) -> None:
        value = self._document.get("silver_prefix", SILVER_ROOT)
        if not isinstance(value, str) or value.strip("/") != SILVER_ROOT:
            self._wrong("silver_prefix", f'"{SILVER_ROOT}", below which this pipeline writes')

    def source(self) -> str:
        value = self._document.get("src_prefix")
        if not isinstance(value, str) or not _PREFIX.fullmatch(value) or len(value.encode()) > 1024:
            self._wrong("src_prefix", 'a prefix that begins with "bronze/", such as "bronze/shipments/"')
        elif f"{value}/".startswith("bronze/replay/"):
            self._wrong("src_prefix", "a prefix of originals, not of the copies below bronze/replay/")
        return str(value)

    def destination(self) -> str:
        value = self._document.get("dest_prefix_base", "bronze/replay")
        if not isinstance(value, str) or not _DESTINATION.fullmatch(value):
            self._wrong(
                "dest_prefix_base",
                '"bronze/replay" or a path below it, such as "bronze/replay/manual", of letters, digits and . _ -',
            )
        return str(value)

    def record_type(self, known: Collection[str]) -> str:
        value = self._document.get("record_type")
        if not isinstance(value, str) or value not in known:
            self._wrong("record_type", f"a dataset that has a contract: {', '.join(sorted(known))}")
        return str(value)

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._document.get(key, default)
        if not _is_number(value) or int(value) != value or not least <= value <= most:
            self._wrong(key, f"a whole number from {least} to {most}")
            return default
        return int(value)

    def window(self, started: datetime) -> tuple[datetime, datetime]:
        """`[start, end)`: either given, or the `window_hours` before the execution began."""
        given = self._document.keys() & {"start", "end"}
        if "window_hours" not in self._document and "start" not in given:
            self._wrong("window_hours", 'a number of hours, or in its place "start", and "end" if it is not now')
            return started, started
        if "window_hours" in self._document:
            hours = self._document["window_hours"]
            if given:
                self._wrong("window_hours", "no start and end beside it: give either")
            if not _is_number(hours) or not 0 < hours <= _LONGEST_WINDOW_HOURS:
                self._wrong("window_hours", f"a number of hours above 0, up to {_LONGEST_WINDOW_HOURS:,}")
                return started, started
            return started - timedelta(hours=hours), started
        start, end = self._time("start", started), self._time("end", started)
        if start >= end and not self.problems:
            self._wrong("start", f"a time before the end, {end.isoformat()}")
        return start, end

    def _time(self, key: str, default: datetime) -> datetime:
        value = self._document.get(key, _NOTHING)
        if value is _NOTHING:
            return default
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None or moment.year < 1970:  # time is left to go back from it
                raise ValueError
            return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            self._wrong(key, "a time with its offset from UTC, such as 2026-01-31T00:00:00Z")
            return default


def _is_number(value: Any) -> bool:
    """JSON's numbers; true and false are none, and neither is what Python's JSON calls NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 10**9


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _run_prefix(base: str, started: datetime, execution: str) -> str:
    """The same however often an execution asks for it, so that what was copied is not copied again."""
    mark = hashlib.sha256(execution.encode()).hexdigest()[:8]
    run = f"{started.astimezone(UTC):%Y-%m-%dT%H-%M-%SZ}-{mark}"
    return f"{base.rstrip('/')}/{run}"


# ---- the document that goes from task to task


def begin(request: Request) -> dict[str, Any]:
    """What the first task hands on."""
    return {"next": Next.REPLAY, "request": request.to_json(), "place": None, "chunks": 0, "replayed": {}}


def refuse(error: str, cause: str) -> dict[str, Any]:
    """The end of an execution that cannot go on. Step Functions takes 256 characters of error, 32,768 of cause."""
    return {"next": Next.FAILED, "error": error[:256], "cause": cause[:8000]}


def after_chunk(state: Mapping[str, Any], replayed: Mapping[str, Any], place: Any) -> dict[str, Any]:
    """What a chunk of replaying hands on, with the counts of all chunks. `place` is None at the end of the prefix."""
    request, replayed = state["request"], _added(state["replayed"], replayed)
    done = {"request": request, "replayed": replayed, "chunks": state["chunks"] + 1}
    if place is None:
        checked = {"place": None, "looks": 0, "attempts": 0}
        return done | {"next": Next.PROBE, "checked": checked}
    if done["chunks"] >= MAX_CHUNKS:
        return refuse(
            "ReplayNotFinished",
            f"The replay of {request['src_prefix']} has used its {MAX_CHUNKS} chunks and is not at the end of the "
            f"prefix: {_told(replayed)}. Start it again with the same start and end: what is in Silver is skipped. Or "
            "divide the work: one execution for each of several longer prefixes.",
        )
    return done | {"next": Next.REPLAY, "place": place}


def after_probe(
    state: Mapping[str, Any], missing: str, place: Any, at_end: bool, found: Mapping[str, Any]
) -> dict[str, Any]:
    """What a look at the result hands on.

    Args:
        missing: what is not as it should be, in words; empty if nothing that was looked at.
        place: where the next look goes on.
        at_end: nothing is left to be looked at.
        found: counts, for whoever reads the execution's output.
    """
    request, before = state["request"], state["checked"]
    looks, attempts = before["looks"] + (not missing and not at_end), before["attempts"] + bool(missing)
    checked = {**found, "place": place, "looks": looks, "attempts": attempts}
    handed_on = {**state, "checked": checked}
    if not missing and at_end:
        return {"next": Next.DONE, "request": request, "replayed": state["replayed"], "checked": dict(found)}
    if not missing:
        if looks >= MAX_LOOKS:
            return refuse("CheckNotFinished", f"Checking needs more than {MAX_LOOKS} looks; check smaller prefixes.")
        return handed_on | {"next": Next.PROBE}
    if attempts >= request["max_attempts"]:
        return refuse(
            "NotAllThere",
            f"After {attempts} looks, {request['poll_interval_seconds']} s apart (max_attempts): {missing} "
            f"Replayed: {_told(state['replayed'])}. `smelt audit --prefix {request['src_prefix']}` explains each.",
        )
    return handed_on | {"next": Next.WAIT}


def _added(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The sums of counts, which may be grouped."""
    sums = dict(before)
    for name, number in more.items():
        is_group = isinstance(number, Mapping)
        sums[name] = _added(sums.get(name, {}), number) if is_group else sums.get(name, 0) + number
    return sums


def _told(replayed: Mapping[str, Any]) -> str:
    """What was done with objects, in words, such as `3 copied, 2 skipped`."""
    return ", ".join(f"{number:,} {name}" for name, number in replayed.get("done", {}).items()) or "nothing"
