"""The alarms of a real plan, evaluated as CloudWatch documents it, on days that are well and on days that are not.

Each failure raises the alarms that name it and no other. How many data points CloudWatch looks at beyond the ones that
it needs is not documented, so everything here must hold for several such numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.terraform.tools.record_permissions import LAKE
from local.ministack import ROOT
from tests.integration.test_gate_policies import ALL, MACHINE
from tests.support.alarms import HOUR, MINUTE, Alarm, Metric, Samples, State, metric
from tests.support.terraform import IMAGES, of_type, plan

PREFIX = "smelt-dev-us-east-2-"
SURPLUS = (0, 2, 5)
EVENT = 6 * HOUR  # when it happens
TIMEOUT = 300  # seconds, of transform; it stops reading 15 s before that
UNITS, DEAD, FAILED_EVENTS = "smelt-dev-events", "smelt-dev-events-dlq", "smelt-dev-ingest-failures"


@pytest.fixture(scope="module")
def alarms(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> list[Alarm]:
    variables = ALL | {"observability_enabled": True}
    planned = plan("envs/dev", "dev.tfvars", variables, emulator, tmp_path_factory.mktemp("plan"))
    functions = {values["function_name"]: values for values in of_type(planned, "aws_lambda_function").values()}
    assert functions["smelt-dev-transform"]["timeout"] == TIMEOUT
    return [Alarm.of(values) for values in of_type(planned, "aws_cloudwatch_metric_alarm").values()]


def test_what_the_alarms_cost_is_what_deployers_are_told(emulator: str, tmp_path: Path) -> None:
    """A tenth of a dollar a month for each metric that an alarm watches."""
    planned = plan(
        "envs/dev", "dev.tfvars", LAKE | {"images": IMAGES, "observability_enabled": True}, emulator, tmp_path
    )
    found = of_type(planned, "aws_cloudwatch_metric_alarm")
    readme = (ROOT / "infra/terraform/README.md").read_text()
    parts = {"observability_enabled": ".observability[", "ops_enabled": ".ops[", "lake_enabled": ".lake["}
    for variable, part in parts.items():
        alarms = [Alarm.of(values) for address, values in found.items() if part in address]
        (row,) = re.findall(rf"^\| `{variable}` .*$", readme, re.MULTILINE)
        assert f" {len(alarms)} alarms" in row
        assert f"${sum(len(alarm.queries) for alarm in alarms) / 10:.2f} for the alarms" in row


class Day:
    """One sample a minute of every metric that AWS and the functions would report."""

    def __init__(self) -> None:
        self._minutes: dict[Metric, dict[int, float]] = {}

    @property
    def samples(self) -> Samples:
        return {
            what: [(float(minute * MINUTE), value) for minute, value in sorted(minutes.items())]
            for what, minutes in self._minutes.items()
        }

    def put(self, what: Metric, at: float, value: float) -> None:
        """In place of what was there in that minute."""
        self._minutes.setdefault(what, {})[int(at) // MINUTE] = value

    def fill(self, what: Metric, since: float, until: float, value: float | Callable[[float], float]) -> None:
        """A sample in each minute, in place of what was there."""
        for at in range(int(since), int(until), MINUTE):
            self.put(what, at, value(at) if callable(value) else value)

    def end(self, since: float) -> None:
        """Nothing is reported any more."""
        for what, minutes in self._minutes.items():
            self._minutes[what] = {minute: value for minute, value in minutes.items() if minute * MINUTE < since}


def own(service: str, name: str) -> Metric:
    return metric("smelt-dev", name, service=service)


def queue(name: str, of: str) -> Metric:
    return metric("AWS/SQS", name, QueueName=of)


def function(name: str, of: str) -> Metric:
    return metric("AWS/Lambda", name, FunctionName=f"smelt-dev-{of}")


SENT, AGE, WAITING = (
    queue(name, UNITS)
    for name in ("NumberOfMessagesSent", "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible")
)


def polled(day: Day, until: float, since: float = 0) -> None:
    """What SQS reports of a queue that Lambda polls and nobody sends to."""
    for what in (SENT, AGE, WAITING):
        day.fill(what, since, until, 0)


def busy(day: Day, since: float, until: float) -> None:
    """An upload every five minutes: ingest and transform are called, and report zeros too."""
    for at in range(int(since), int(until), 5 * MINUTE):
        for service in ("ingest", "transform"):
            for name in ("Errors", "Throttles"):
                day.put(function(name, service), at, 0)
        day.put(own("ingest", "ObjectsPlanned"), at, 1)
        day.put(SENT, at, 4)
        day.put(AGE, at, 60)
        # A long gzip goes on in the next invocation: each is used up to transform's own deadline, and ends in 2 s.
        day.put(function("Duration", "transform"), at, (TIMEOUT - 13) * 1000)
        zeros = {"UnitsDead": 0, "ObjectsRejected": 0, "BytesRejected": 0}
        sums = {"RowsRead": 5000, "RowsQuarantined": 20, "RowBytesRead": 1_000_000, "RowBytesQuarantined": 4000}
        for name, value in (zeros | sums).items():
            day.put(own("transform", name), at, value)
        day.put(own("transform", "ReturnedAge"), at, 600)


def healthy(hours: float = 30) -> Day:
    day = Day()
    polled(day, hours * HOUR)
    busy(day, 10 * MINUTE, hours * HOUR)
    return day


def raised(alarms: list[Alarm], day: Day, hours: float = 30, surplus: int = 2) -> dict[str, float]:
    """Alarm -> the second at which it was first raised."""
    samples = day.samples
    return {
        alarm.name.removeprefix(PREFIX): at
        for alarm in alarms
        for at, state in reversed(alarm.states(samples, hours * HOUR, surplus=surplus))
        if state is State.ALARM
    }


# ---- days that are well


@pytest.mark.parametrize("surplus", SURPLUS)
def test_a_healthy_day_is_all_right_from_its_first_minute(alarms: list[Alarm], surplus: int) -> None:
    samples = healthy().samples
    for alarm in alarms:
        assert alarm.states(samples, 30 * HOUR, surplus=surplus) == [
            (0, State.INSUFFICIENT_DATA),
            (MINUTE, State.OK),
        ], alarm.name


@pytest.mark.parametrize("surplus", SURPLUS)
def test_nothing_is_raised_before_anything_was_reported(alarms: list[Alarm], surplus: int) -> None:
    assert raised(alarms, Day(), 30, surplus) == {}


@pytest.mark.parametrize("surplus", SURPLUS)
def test_nothing_is_raised_if_the_first_upload_comes_hours_after_the_deployment(
    alarms: list[Alarm], surplus: int
) -> None:
    day = Day()
    polled(day, 30 * HOUR)
    busy(day, 5 * HOUR, 30 * HOUR)
    assert raised(alarms, day, 30, surplus) == {}


def test_a_night_without_uploads_is_no_failure(alarms: list[Alarm]) -> None:
    day = Day()
    polled(day, 40 * HOUR)
    busy(day, 0, 10 * HOUR)
    busy(day, 22 * HOUR, 40 * HOUR)
    assert raised(alarms, day, 40) == {}


def test_three_bad_rows_of_ten_are_no_share_to_speak_of(alarms: list[Alarm]) -> None:
    day = Day()
    polled(day, 4 * HOUR)
    day.put(own("transform", "RowsRead"), HOUR, 10)
    day.put(own("transform", "RowsQuarantined"), HOUR, 3)
    day.put(own("transform", "RowBytesRead"), HOUR, 2000)
    day.put(own("transform", "RowBytesQuarantined"), HOUR, 600)
    assert raised(alarms, day, 4) == {}


def test_a_single_failure_that_is_tried_again_wakes_nobody(alarms: list[Alarm]) -> None:
    day = healthy()
    day.put(function("Errors", "transform"), EVENT, 1)
    day.put(function("Throttles", "ingest"), EVENT, 3)
    day.put(function("Duration", "transform"), EVENT, TIMEOUT * 1000)
    day.put(function("Errors", "ge-announce"), EVENT, 1)
    day.put(metric("AWS/Scheduler", "InvocationDroppedCount", ScheduleGroup="smelt-dev-ge-announce"), EVENT, 1)
    assert raised(alarms, day) == {}


# ---- days that are not


def a_dead_letter(day: Day) -> None:
    day.put(own("transform", "UnitsDead"), EVENT, 1)
    day.fill(queue("ApproximateNumberOfMessagesVisible", DEAD), EVENT, 30 * HOUR, 1)


def an_event_that_ingest_fails_on_three_times(day: Day) -> None:
    for attempt in (0, 1, 3):
        day.put(function("Errors", "ingest"), EVENT + attempt * MINUTE, 1)
    # Lambda counts an event as dropped when it has kept it in the queue of failed events.
    day.put(function("AsyncEventsDropped", "ingest"), EVENT + 3 * MINUTE, 1)
    day.fill(queue("ApproximateNumberOfMessagesVisible", FAILED_EVENTS), EVENT + 4 * MINUTE, 30 * HOUR, 1)


def a_failed_event_that_could_not_be_kept(day: Day) -> None:
    day.put(function("AsyncEventsDropped", "ingest"), EVENT, 1)
    day.put(function("DestinationDeliveryFailures", "ingest"), EVENT, 1)


def transform_is_paused(day: Day) -> None:
    """Units wait, and nobody receives them. SQS reports what it has, since the queue is not empty."""
    day.fill(AGE, EVENT, 30 * HOUR, lambda at: at - EVENT)
    day.fill(WAITING, EVENT, 30 * HOUR, 40)


def a_unit_that_comes_back_again_and_again(day: Day) -> None:
    """SQS leaves it out of its age from the fourth receive on; other units are committed meanwhile."""
    for at in range(EVENT, 30 * HOUR, 10 * MINUTE):
        day.put(own("transform", "ReturnedAge"), at, at - EVENT)


def ingest_fails(day: Day) -> None:
    day.fill(function("Errors", "ingest"), EVENT, EVENT + 20 * MINUTE, 5)


def transform_fails(day: Day) -> None:
    day.fill(function("Errors", "transform"), EVENT, EVENT + 20 * MINUTE, 5)


def ingest_is_throttled(day: Day) -> None:
    day.fill(function("Throttles", "ingest"), EVENT, EVENT + 20 * MINUTE, 8)


def transform_is_throttled(day: Day) -> None:
    day.fill(function("Throttles", "transform"), EVENT, EVENT + 20 * MINUTE, 8)


def a_file_that_ingest_does_not_accept(day: Day) -> None:
    day.put(own("ingest", "ObjectsRejected"), EVENT, 1)


def an_object_that_transform_gives_up(day: Day) -> None:
    day.put(own("transform", "ObjectsRejected"), EVENT, 1)


def a_producer_that_has_changed(day: Day) -> None:
    for at in range(EVENT, EVENT + 2 * HOUR, 5 * MINUTE):
        day.put(own("transform", "RowsQuarantined"), at, 1000)


def a_file_that_becomes_one_refused_row(day: Day) -> None:
    """One row more of 60,000 is no share to speak of; its bytes are."""
    day.put(own("transform", "RowsQuarantined"), EVENT, 21)
    day.put(own("transform", "RowBytesRead"), EVENT, 11_000_000)
    day.put(own("transform", "RowBytesQuarantined"), EVENT, 10_004_000)


def invocations_that_hardly_end(day: Day) -> None:
    for at in (EVENT, EVENT + 20 * MINUTE):
        day.put(function("Duration", "transform"), at, (TIMEOUT - 3) * 1000)


def the_producer_stops(day: Day) -> None:
    day.end(EVENT)
    polled(day, 40 * HOUR, since=EVENT)


def a_partition_that_the_gate_does_not_pass(day: Day) -> None:
    day.put(metric("AWS/States", "ExecutionsFailed", StateMachineArn=MACHINE), EVENT, 1)


def a_run_of_the_gate_that_does_not_end(day: Day) -> None:
    day.put(metric("AWS/States", "ExecutionsTimedOut", StateMachineArn=MACHINE), EVENT, 1)


def the_announcer_fails(day: Day) -> None:
    day.fill(function("Errors", "ge-announce"), EVENT, EVENT + HOUR, 1)


def the_announcer_is_not_started(day: Day) -> None:
    dropped = metric("AWS/Scheduler", "InvocationDroppedCount", ScheduleGroup="smelt-dev-ge-announce")
    day.fill(dropped, EVENT, EVENT + HOUR, 1)


def an_event_that_starts_no_run_of_the_gate(day: Day) -> None:
    day.put(metric("AWS/Events", "FailedInvocations", RuleName="smelt-dev-ge-gate"), EVENT, 1)


# What happens -> the alarms that it raises -> within how many seconds.
FAILURES: dict[Callable[[Day], None], dict[str, float]] = {
    a_dead_letter: {"dead-letters": 2 * MINUTE, "units-dead": 2 * MINUTE},
    an_event_that_ingest_fails_on_three_times: {"ingest-failures": 6 * MINUTE},
    a_failed_event_that_could_not_be_kept: {"events-not-kept": 2 * MINUTE},
    transform_is_paused: {"late": 65 * MINUTE},
    a_unit_that_comes_back_again_and_again: {"returned": 75 * MINUTE},
    ingest_fails: {"ingest-errors": 15 * MINUTE},
    transform_fails: {"transform-errors": 15 * MINUTE},
    ingest_is_throttled: {"ingest-throttles": 20 * MINUTE},
    transform_is_throttled: {"transform-throttles": 20 * MINUTE},
    a_file_that_ingest_does_not_accept: {"ingest-rejects": 2 * MINUTE},
    an_object_that_transform_gives_up: {"transform-rejects": 2 * MINUTE},
    a_producer_that_has_changed: {"quarantine": 62 * MINUTE},
    a_file_that_becomes_one_refused_row: {"quarantine-bytes": 62 * MINUTE},
    invocations_that_hardly_end: {"slow": 32 * MINUTE},
    the_producer_stops: {"no-data": 25 * HOUR},
    a_partition_that_the_gate_does_not_pass: {"ge-not-passed": 2 * MINUTE},
    a_run_of_the_gate_that_does_not_end: {"ge-timed-out": 2 * MINUTE},
    the_announcer_fails: {"ge-announce-errors": 32 * MINUTE},
    the_announcer_is_not_started: {"ge-announce-dropped": 32 * MINUTE},
    an_event_that_starts_no_run_of_the_gate: {"ge-rule-failed": 2 * MINUTE},
}


def cases() -> Iterator[Any]:
    for happens, expected in FAILURES.items():
        for surplus in SURPLUS:
            yield pytest.param(happens, expected, surplus, id=f"{happens.__name__}-{surplus}")


@pytest.mark.parametrize(("happens", "expected", "surplus"), list(cases()))
def test_a_failure_raises_its_own_alarms_in_time_and_no_other(
    alarms: list[Alarm], happens: Callable[[Day], None], expected: dict[str, float], surplus: int
) -> None:
    hours = (EVENT + max(expected.values())) / HOUR + 1
    day = healthy(36)
    happens(day)
    found = raised(alarms, day, hours, surplus)
    assert set(found) == set(expected)
    for name, within in expected.items():
        assert EVENT <= found[name] <= EVENT + within, name


def test_every_alarm_has_a_failure_that_raises_it(alarms: list[Alarm]) -> None:
    named = {name for expected in FAILURES.values() for name in expected}
    assert {alarm.name.removeprefix(PREFIX) for alarm in alarms} == named


def test_a_pipeline_that_never_gets_a_file_says_so_after_a_day_and_not_before(alarms: list[Alarm]) -> None:
    day = Day()
    polled(day, 30 * HOUR)
    found = raised(alarms, day)
    assert set(found) == {"no-data"}
    assert 23 * HOUR < found["no-data"] <= 25 * HOUR


def test_alarms_end_when_the_failure_has_ended(alarms: list[Alarm]) -> None:
    for happens in (transform_fails, transform_is_throttled, a_file_that_ingest_does_not_accept):
        day = healthy()
        happens(day)
        samples = day.samples
        for alarm in alarms:
            assert alarm.states(samples, 30 * HOUR, surplus=2)[-1][1] is State.OK, alarm.name
