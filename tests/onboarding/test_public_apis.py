"""Nested events of public APIs, in the files in which their services write them, reach Silver without code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.onboarding.journey import check_silver, onboard
from tests.onboarding.samples import (
    cloudtrail,
    debezium_change,
    earthquake,
    eventbridge,
    github_push,
    mongo_document,
    reading,
    segment_track,
    slack_message,
    stripe_event,
)
from tests.unit.workbench.conftest import Smelt

ROWS = 300


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def concatenated(rows: list[Any]) -> bytes:
    """As Data Firehose writes them by default."""
    return b"".join(json.dumps(row, separators=(",", ":")).encode() for row in rows)


def pretty(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row, indent=2, ensure_ascii=False) for row in rows).encode()


def records(rows: list[Any]) -> bytes:
    """As CloudTrail writes a file."""
    return gzip.compress(json.dumps({"Records": rows}).encode())


def history(rows: list[Any]) -> bytes:
    """As Slack answers: pretty-printed, with the rows beside what is about the page."""
    page = {"ok": True, "messages": rows, "has_more": True, "response_metadata": {"next_cursor": "bmV4"}}
    return json.dumps(page, indent=4).encode()


def features(rows: list[Any]) -> bytes:
    """As GeoJSON has them."""
    return json.dumps({"type": "FeatureCollection", "features": rows, "bbox": [-1, 2, 3, 4]}).encode()


@pytest.mark.parametrize(
    ("event", "form", "name", "event_time", "key"),
    [
        (github_push, lines, "pushes.jsonl", "_created", "after"),
        (github_push, pretty, "pushes.json", "_created", "after"),
        (cloudtrail, records, "trail.json.gz", "event_time", "event_id"),
        (stripe_event, lines, "events.jsonl", "created", "id"),
        (stripe_event, concatenated, "events", "created", "id"),
        (eventbridge, concatenated, "firehose-1-2026-05-01", "time", "id"),
        (slack_message, history, "history.json", "ts", "ts"),
        (segment_track, lines, "calls.ndjson", "timestamp", "message_id"),
        (debezium_change, lines, "changes.jsonl", "payload_source_ts_ms", ""),
        (mongo_document, lines, "export.json", "created_at_date", "id_oid"),
        (earthquake, features, "all_day.geojson", "properties_time", "id"),
        (reading, lines, "readings.ndjson", "ts", ""),
    ],
)
def test_events_are_onboarded_as_their_service_writes_them(
    smelt: Smelt,
    tmp_path: Path,
    event: Callable[[int], dict[str, Any]],
    form: Callable[[list[Any]], bytes],
    name: str,
    event_time: str,
    key: str,
) -> None:
    rows = [event(number) for number in range(ROWS)]
    file = tmp_path / name
    file.write_bytes(form(rows))
    contract = onboard(smelt, [file], "events")
    assert (contract.event_time, contract.keys) == (event_time, (key,) if key else ())
    check_silver(contract, rows)
