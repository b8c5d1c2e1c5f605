"""The gate's input, and how long its state machine waits for its turn."""

from __future__ import annotations

import json

import pytest

from local.ministack import ROOT
from services.ops.gate.workflow import InvalidInput, read_request

DEFINITION = json.loads((ROOT / "infra/terraform/modules/workflow_ge_gate/gate.asl.json").read_text())


@pytest.mark.parametrize("prefix", ["ge/..", "ge/../silver", "ge/./results", "ge/results/../../silver", "ge", "ge//x"])
def test_a_prefix_stays_below_ge(prefix: str) -> None:
    with pytest.raises(InvalidInput, match="result_prefix"):
        read_request({"record_type": "parcels", "dt": "2026-01-31", "result_prefix": prefix}, ["parcels"])


@pytest.mark.parametrize("prefix", ["ge/results", "ge/results/", "ge/mine/v1.2", "ge/..."])
def test_other_paths_below_ge_are_taken(prefix: str) -> None:
    asked = {"record_type": "parcels", "dt": "2026-01-31", "result_prefix": prefix}
    assert read_request(asked, ["parcels"]).result_prefix == prefix.rstrip("/")


def test_a_year_of_partitions_at_once_waits_for_its_turn() -> None:
    """365 runs of four minutes, four at a time, take six hours; who gives up before calls that an error."""
    assert 2 * 6 * 3600 < _waits_for("Glue.ConcurrentRunsExceededException") < DEFINITION["TimeoutSeconds"] - 3600


@pytest.mark.parametrize("error", ["Glue.AWSGlueException", "Glue.ThrottlingException"])
def test_partitions_that_start_at_the_same_moment_wait_for_glue_to_take_them(error: str) -> None:
    """Glue takes some fifteen starts at once. Step Functions tells the rest "Rate exceeded", as Glue.AWSGlueException.

    A missing right has that name as well, so somebody must hear of it on the same day.
    """
    assert 1800 < _waits_for(error) < 2 * 3600


@pytest.mark.parametrize("state", ["Plan", "Finish"])
def test_a_year_of_partitions_waits_for_the_functions_of_a_new_account(state: str) -> None:
    """Ten invocations at once, in all: 365 of ten seconds and more take six minutes, beside what else is at work."""
    assert 4 * 360 < _waits_for("Lambda.TooManyRequestsException", state) < 2 * 3600


def _waits_for(error: str, state: str = "RunJob") -> float:
    """Seconds, on average, for which a state's task is tried again after this error."""
    retry = next(one for one in DEFINITION["States"][state]["Retry"] if error in one["ErrorEquals"])
    assert retry["JitterStrategy"] == "FULL"  # a wait is anything from nothing to the delay: half of it, on average
    delays = [retry["IntervalSeconds"] * retry["BackoffRate"] ** min(n, 50) for n in range(retry["MaxAttempts"])]
    return float(sum(min(delay, retry["MaxDelaySeconds"]) for delay in delays) / 2)
