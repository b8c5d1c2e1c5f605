"""The script `gen_fake_events.py`, run as users run it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.ministack import ROOT

SCRIPT = ROOT / "scripts" / "gen_fake_events.py"


def run(*arguments: str | Path, hash_seed: str = "random") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "COLUMNS": "500"}
    return subprocess.run(command, capture_output=True, env=environment, check=False)


def test_the_documented_command_writes_as_many_lines_as_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "shipments.jsonl"
    done = run("--type", "shipments", "--count", "50", "--format", "jsonl", "--out", out)
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert len(rows) == 50
    assert list(rows[0]) == ["event_time", "shipment_id", "origin", "destination", "carrier", "weight_kg"]
    now = datetime.now(UTC)
    assert all(now - timedelta(days=5) < datetime.fromisoformat(row["event_time"]) <= now for row in rows)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_array(count: int) -> None:
    done = run("--type", "invoice_lines", "--count", str(count), "--format", "json", "--bad-rate", "1", "--out", "-")
    assert len(json.loads(done.stdout)) == count


def test_a_name_that_ends_in_gz_is_compressed(tmp_path: Path) -> None:
    out = tmp_path / "events.jsonl.gz"
    run("--type", "tracking_events", "--count", "20", "--out", out)
    assert len(gzip.decompress(out.read_bytes()).splitlines()) == 20


def test_seed_and_times_decide_every_byte_in_any_process() -> None:
    asked = ["--type", "shipments", "--count", "300", "--seed", "3", "--start", "2026-05-01", "--end", "2026-05-02"]
    asked += ["--bad-rate", "0.2", "--duplicate-rate", "0.1", "--out", "-"]
    first, again = run(*asked, hash_seed="1").stdout, run(*asked, hash_seed="2").stdout
    assert first == again
    assert len(first.split(b"\n")) == 301


def test_any_folder_of_contracts_will_do() -> None:
    done = run("--type", "flights", "--contracts", ROOT / "examples" / "flights", "--count", "5", "--out", "-",
               "--start", "2013-05-01", "--end", "2013-05-02")  # fmt: skip
    assert {json.loads(line)["time_hour"][:10] for line in done.stdout.splitlines()} == {"2013-05-01"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--type", "parcels"], "no contract for 'parcels' in .*; there are invoice_lines, shipments, tracking_events"),
        (["--bad-rate", "1.5"], "bad_rate is 1.5; it must be from 0 to 1"),
        (["--count", "-1"], "count is -1"),
        (["--start", "2026-05-02", "--end", "2026-05-01"], "is not after start"),
        (["--start", "2026-05-02", "--end", "9999-01-01"], "is later than the contract of shipments accepts"),
        (["--out", "/no/such/folder/x"], "cannot write /no/such/folder/x: No such file"),
        (["--contracts", "/no/such/folder"], "is no folder"),
        (["--format", "xml"], "xml"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(wrong: list[str], said: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run("--type", "shipments", "--out", out, *wrong)
    assert done.returncode == 2
    assert re.search(said, done.stderr.decode())
    assert not out.exists()
