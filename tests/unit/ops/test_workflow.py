"""The ops workflow's input is checked with clear words, and its state stays small and its loops bounded."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ops import workflow
from services.ops.workflow import InvalidInput, Pipeline, Request, after_chunk, after_probe, begin, read_request, refuse
from services.shared.identities import CopyKey
from tests.support.workflow import DEFINITION

STARTED = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
PIPELINE = Pipeline("ours-bronze", "ours-silver", {"shipments", "smoke"})
# As the users' guide has it, with this pipeline's buckets.
GUIDE = {
    "bronze_bucket": "ours-bronze",
    "src_prefix": "bronze/shipments/",
    "dest_prefix_base": "bronze/replay/manual",
    "window_hours": 24,
    "silver_bucket": "ours-silver",
    "silver_prefix": "silver",
    "record_type": "shipments",
    "min_parquet_objects": 1,
    "poll_interval_seconds": 30,
    "max_attempts": 20,
}


def read(**changes: Any) -> Request:
    """The guide's input with these keys changed; None takes one away."""
    document = {key: value for key, value in (GUIDE | changes).items() if value is not None}
    return read_request(document, PIPELINE, STARTED, "arn:aws:states:us-east-2:1:execution:ops:one")


def test_the_guide_s_input_is_taken() -> None:
    request = read()
    assert (request.start, request.end) == (STARTED - timedelta(hours=24), STARTED)
    assert request.src_prefix == "bronze/shipments/"
    assert re.fullmatch(r"bronze/replay/manual/2026-01-31T12-30-00Z-[0-9a-f]{8}", request.dest_prefix)
    assert (request.record_type, request.min_parquet_objects) == ("shipments", 1)
    assert (request.poll_interval_seconds, request.max_attempts) == (30, 20)


def test_start_and_end_may_stand_in_place_of_the_window() -> None:
    request = read(window_hours=None, start="2026-01-01T00:00:00Z", end="2026-01-02T01:00:00+01:00")
    assert (request.start, request.end) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    assert read(window_hours=None, start="2026-01-01T00:00:00Z").end == STARTED


def test_what_is_left_out_has_a_default() -> None:
    optional = ("bronze_bucket", "dest_prefix_base", "silver_bucket", "silver_prefix", "min_parquet_objects")
    request = read(**dict.fromkeys(optional), poll_interval_seconds=None, max_attempts=None)
    assert request.dest_prefix.startswith("bronze/replay/2026-01-31T12-30-00Z-")
    assert request == replace(read(), dest_prefix=request.dest_prefix)


WRONG = [
    ({"bronze_bucket": "another"}, "bronze_bucket is 'another'; expected ours-bronze"),
    ({"silver_bucket": "ours-bronze"}, "silver_bucket is 'ours-bronze'; expected ours-silver"),
    ({"bronze_bucket": 5}, "bronze_bucket is 5; expected ours-bronze"),
    ({"src_prefix": None}, "src_prefix is missing; expected a prefix that begins with"),
    ({"src_prefix": "silver/"}, "src_prefix is 'silver/'; expected"),
    ({"src_prefix": "bronze/" + "ä" * 600}, "src_prefix is"),
    ({"src_prefix": "bronze/\ud800/"}, "src_prefix is 'bronze/\\ud800/'; expected a prefix"),
    ({"src_prefix": "bronze/replay/manual/"}, "src_prefix is 'bronze/replay/manual/'; expected a prefix of originals"),
    ({"src_prefix": "bronze/replay"}, "src_prefix is 'bronze/replay'; expected a prefix of originals"),
    ({"dest_prefix_base": "bronze/shipments"}, "dest_prefix_base is 'bronze/shipments'; expected"),
    ({"dest_prefix_base": "bronze/replay/a/../b c"}, "dest_prefix_base is 'bronze/replay/a/../b c'; expected"),
    ({"dest_prefix_base": "bronze/replay//"}, "dest_prefix_base is 'bronze/replay//'; expected"),
    ({"dest_prefix_base": "bronze/replay/ä"}, "dest_prefix_base is 'bronze/replay/ä'; expected"),
    ({"window_hours": None}, "window_hours is missing; expected a number of hours, or in its place"),
    ({"window_hours": 0}, "window_hours is 0; expected a number of hours above 0"),
    ({"window_hours": "24"}, "window_hours is '24'; expected a number of hours"),
    ({"window_hours": True}, "window_hours is True; expected"),
    ({"window_hours": float("inf")}, "window_hours is inf; expected"),
    ({"start": "2026-01-01T00:00:00Z"}, "window_hours is 24; expected no start and end beside it"),
    ({"window_hours": None, "start": "yesterday"}, "start is 'yesterday'; expected a time with its offset"),
    ({"window_hours": None, "start": "0001-01-01T00:00:00Z"}, "start is '0001-01-01T00:00:00Z'; expected a time with"),
    ({"window_hours": None, "start": "2026-01-01T00:00:00"}, "start is '2026-01-01T00:00:00'; expected a time with"),
    ({"window_hours": None, "start": "2026-01-01T00:00:00Z", "end": 5}, "end is 5; expected a time with its offset"),
    ({"window_hours": None, "end": "2026-01-01T00:00:00Z"}, "window_hours is missing"),
    (
        {"window_hours": None, "start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"},
        "start is '2026-01-02T00:00:00Z'; expected a time before the end",
    ),
    ({"silver_prefix": "gold"}, "silver_prefix is 'gold'; expected \"silver\""),
    ({"record_type": "flights"}, "record_type is 'flights'; expected a dataset that has a contract: shipments, smoke"),
    ({"record_type": ["shipments"]}, "record_type is ['shipments']; expected a dataset"),
    ({"min_parquet_objects": -1}, "min_parquet_objects is -1; expected a whole number from 0 to 1000000"),
    ({"min_parquet_objects": 1.5}, "min_parquet_objects is 1.5; expected a whole number"),
    ({"poll_interval_seconds": 0}, "poll_interval_seconds is 0; expected a whole number from 1 to 3600"),
    ({"max_attempts": 251}, "max_attempts is 251; expected a whole number from 1 to 250"),
    ({"maximum_attempts": 5}, "'maximum_attempts' is not a key of the input; expected only bronze_bucket, "),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_key_is_named_with_its_value_and_what_is_expected(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(**changes)
    assert said in str(raised.value)
    assert len(str(raised.value)) < 600


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        read(bronze_bucket="another", record_type=5, max_attempts=0)
    assert [word in str(raised.value) for word in ("bronze_bucket", "record_type", "max_attempts")] == [True] * 3


@pytest.mark.parametrize("document", [None, [], "text", 5])
def test_an_input_that_is_not_an_object_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a JSON object"):
        read_request(document, PIPELINE, STARTED, "one")


def test_copies_of_two_executions_are_apart_and_those_of_one_together() -> None:
    prefixes = [read_request(GUIDE, PIPELINE, STARTED, name).dest_prefix for name in ("one", "two", "one")]
    assert prefixes[0] == prefixes[2] != prefixes[1]


@pytest.mark.parametrize("base", ["bronze/replay", "bronze/replay/", "bronze/replay/manual", "bronze/replay/manual/"])
def test_copies_resolve_to_their_originals(base: str) -> None:
    origin = "bronze/shipments/dt=2026-01-01/a.jsonl"
    assert CopyKey.origins(str(CopyKey(read(dest_prefix_base=base).dest_prefix, origin)))[0] == origin


# ---- from task to task


def test_a_request_comes_back_from_the_state_as_it_was() -> None:
    state = json.loads(json.dumps(begin(read())))
    assert Request.from_json(state["request"]) == read()


def replayed(copied: int) -> dict[str, Any]:
    """What a chunk counts, as services/ops/replay has it."""
    skipped = {"skipped": 1} if copied > 1 else {}
    return {"done": {"copied": copied} | skipped, "bytes": 100 * copied}


def chunked(places: int) -> dict[str, Any]:
    """The state after this many chunks, none of them the last."""
    state = begin(read())
    for _ in range(places):
        state = after_chunk(state, replayed(1), {"after": "k" * 1024})
    return state


def test_replaying_goes_on_until_there_is_no_place_left() -> None:
    state = chunked(3)
    assert (state["next"], state["place"], state["chunks"]) == ("replay", {"after": "k" * 1024}, 3)
    state = after_chunk(state, replayed(4), None)
    assert (state["next"], state["replayed"]) == ("probe", {"done": {"copied": 7, "skipped": 1}, "bytes": 700})
    assert "place" not in state


def test_replaying_without_an_end_is_stopped_and_says_what_to_do() -> None:
    state = chunked(workflow.MAX_CHUNKS)
    assert (state["next"], state["error"]) == ("failed", "ReplayNotFinished")
    assert "what is in Silver is skipped" in state["cause"]


def probed(missing: str = "", at_end: bool = True, state: dict[str, Any] | None = None) -> dict[str, Any]:
    state = state or after_chunk(chunked(0), replayed(2), None)
    return after_probe(state, missing, {"after": "k"}, at_end, {"objects": 3})


def test_what_is_missing_is_looked_for_again_until_the_attempts_are_over() -> None:
    state = probed("3 objects are missing.")
    assert (state["next"], state["checked"]["attempts"]) == ("wait", 1)
    for _ in range(18):
        state = probed("3 objects are missing.", state=state)
    assert (state["next"], state["checked"]["attempts"]) == ("wait", 19)
    state = probed("2 objects are missing.", state=state)
    assert (state["next"], state["error"]) == ("failed", "NotAllThere")
    assert state["cause"].startswith(
        "After 20 looks, 30 s apart (max_attempts): 2 objects are missing. Replayed: 2 copied, 1 skipped."
    )


def test_a_look_that_ends_because_its_time_is_over_is_no_attempt() -> None:
    state = probed(at_end=False)
    assert (state["next"], state["checked"]["attempts"], state["checked"]["looks"]) == ("probe", 0, 1)
    for _ in range(workflow.MAX_LOOKS - 1):
        state = probed(at_end=False, state=state)
    assert (state["next"], state["error"]) == ("failed", "CheckNotFinished")


def test_the_end_tells_what_was_found() -> None:
    state = probed()
    assert state["next"] == "done"
    assert (state["replayed"]["done"], state["checked"]) == ({"copied": 2, "skipped": 1}, {"objects": 3})


# ---- Step Functions' limits (AWS Step Functions Developer Guide, "Quotas")


def test_the_state_fits_with_the_longest_keys() -> None:
    prefix = "bronze/" + "\U0001f600" * 254  # 1,023 bytes, twelve characters of JSON for each four
    state = after_chunk(begin(read(src_prefix=prefix)), {"copied": 10**12}, {"after": prefix, "version": "v" * 1024})
    state = after_chunk(state, {"copied": 10**12}, None)
    state = after_probe(state, "x" * 10_000, {"after": prefix}, False, {"rows_read": 10**15})
    assert len(json.dumps(state)) < 32 * 1024 < 262_144


def test_a_refusal_fits_whatever_is_told() -> None:
    refused = refuse("E" * 1000, "\U0001f600" * 100_000)
    assert len(refused["error"]) <= 256
    assert len(refused["cause"].encode()) <= 32_768


def test_no_execution_has_more_events_than_its_history_holds() -> None:
    """Each loop at its bound, each task failing as often as it is tried again."""
    states = json.loads(DEFINITION.read_text())["States"]
    bounds = {
        "CheckInput": 1,
        "InputIsValid": 1,
        "ReplayChunk": workflow.MAX_CHUNKS,
        "AllReplayed": workflow.MAX_CHUNKS,
        "Probe": workflow.MAX_LOOKS + workflow.MAX_ATTEMPTS,
        "AllThere": workflow.MAX_LOOKS + workflow.MAX_ATTEMPTS,
        "WaitForRows": workflow.MAX_ATTEMPTS,
        "Done": 1,
        "Failed": 1,
        "Stopped": 1,
    }
    assert bounds.keys() == states.keys()
    events = 2  # ExecutionStarted and its end
    for name, times in bounds.items():
        tries = 1 + sum(retry["MaxAttempts"] for retry in states[name].get("Retry", []))
        scheduled_started_ended = 3 * tries if states[name]["Type"] == "Task" else 0
        events += times * (2 + scheduled_started_ended)  # entered and exited
    assert 20_000 < events < 25_000
