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
    state = DEFINITION["States"]["RunJob"]
    retry = next(one for one in state["Retry"] if "Glue.ConcurrentRunsExceededException" in one["ErrorEquals"])
    assert retry["JitterStrategy"] == "FULL"  # a wait is anything from nothing to the delay: half of it, on average
    delays = [retry["IntervalSeconds"] * retry["BackoffRate"] ** min(n, 50) for n in range(retry["MaxAttempts"])]
    waits = sum(min(delay, retry["MaxDelaySeconds"]) for delay in delays) / 2
    assert 2 * 6 * 3600 < waits < DEFINITION["TimeoutSeconds"] - 3600
