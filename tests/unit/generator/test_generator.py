"""Fake events: good rows that every contract accepts, bad rows of every kind, and the script that users type."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.generator import Request, WrongRequest, events, json_safe_events
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.verdicts import Reason
from services.transform.blocks import lines_block
from services.transform.rows.parser import Parsed, RowParser

ROOT = Path(__file__).resolve().parents[3]
EVERY_TYPE = Contract(
    dataset="everything",
    version="1.0.0",
    fields=(
        Field("on_day", FieldType.DATE, required=True),
        Field("id", FieldType.INTEGER, required=True),
        Field("share", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=9, scale=4),
        Field("flag", FieldType.BOOLEAN),
        Field("tags", FieldType.ARRAY),
        Field("more", FieldType.OBJECT),
    ),
    event_time="on_day",
    keys=("id",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
CONTRACTS = (
    load_contracts(ROOT / "contracts") | load_contracts(ROOT / "examples" / "flights") | {"everything": EVERY_TYPE}
)
SHIPMENTS = CONTRACTS["shipments"]
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
GOOD = Request(count=300, start=START, end=END, seed=7)


def parse(contract: Contract, rows: Iterable[bytes]) -> Parsed:
    return RowParser({contract.dataset: contract}).parse(lines_block(b"\n".join(rows), 0), contract.dataset, END)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS.keys())
class TestAnyContract:
    def test_accepts_its_good_rows_all_of_them(self, contract: Contract) -> None:
        parsed = parse(contract, events(contract, GOOD))
        assert parsed.quarantine.to_pylist() == []
        assert parsed.silver[contract.dataset].num_rows == 300

    def test_knows_all_columns_of_its_good_rows(self, contract: Contract) -> None:
        silver = parse(contract, events(contract, GOOD)).silver[contract.dataset]
        assert silver["_rescued"].null_count == 300

    def test_has_event_times_from_start_to_before_end(self, contract: Contract) -> None:
        silver = parse(contract, events(contract, GOOD)).silver[contract.dataset]
        days = {f"{moment:%Y-%m-%d}" for moment in silver[contract.event_time].to_pylist()}
        assert days == {"2026-03-01", "2026-03-02", "2026-03-03"}

    def test_rejects_its_bad_rows_all_of_them(self, contract: Contract) -> None:
        parsed = parse(contract, events(contract, replace(GOOD, bad_rate=1.0)))
        assert parsed.quarantine.num_rows == 300

    def test_gives_the_same_bytes_for_the_same_seed_and_others_for_another(self, contract: Contract) -> None:
        request = replace(GOOD, bad_rate=0.1, duplicate_rate=0.1)
        assert list(events(contract, request)) == list(events(contract, request))
        assert list(events(contract, request)) != list(events(contract, replace(request, seed=8)))


def test_nullable_fields_are_sometimes_null_and_required_fields_never() -> None:
    silver = parse(SHIPMENTS, events(SHIPMENTS, GOOD)).silver["shipments"]
    nulls = {name: silver[name].null_count for name in ("shipment_id", "origin", "carrier", "weight_kg")}
    assert nulls["shipment_id"] == nulls["origin"] == 0
    assert 0 < nulls["carrier"] < 30
    assert 0 < nulls["weight_kg"] < 30


class TestBadRows:
    def test_come_in_every_kind_in_turn(self) -> None:
        parsed = parse(SHIPMENTS, events(SHIPMENTS, replace(GOOD, count=100, bad_rate=1.0)))
        assert Counter(parsed.quarantine["reason"].to_pylist()) == {
            Reason.MALFORMED_JSON: 10,
            Reason.MISSING_REQUIRED: 10,
            Reason.WRONG_TYPE: 10,
            Reason.BAD_TIMESTAMP: 10,
            Reason.OUT_OF_WINDOW: 10,
            Reason.UNKNOWN_RECORD_TYPE: 10,
            Reason.NOT_AN_OBJECT: 10,
            Reason.BAD_UTF8: 10,
            Reason.BAD_UNICODE: 10,
            Reason.DUPLICATE_KEY: 10,
        }

    def test_are_still_json_inside_an_array(self) -> None:
        rows = list(json_safe_events(SHIPMENTS, replace(GOOD, bad_rate=1.0)))
        assert len([json.loads(row) for row in rows]) == 300
        assert parse(SHIPMENTS, rows).quarantine.num_rows == 300

    def test_never_contain_a_newline(self) -> None:
        assert not any(b"\n" in row for row in events(SHIPMENTS, replace(GOOD, bad_rate=1.0)))


class TestRates:
    def test_give_about_that_share_of_bad_rows(self) -> None:
        parsed = parse(SHIPMENTS, events(SHIPMENTS, replace(GOOD, count=5_000, bad_rate=0.2)))
        assert parsed.quarantine.num_rows == pytest.approx(1_000, rel=0.15)

    def test_give_about_that_share_of_repeated_rows(self) -> None:
        rows = list(events(SHIPMENTS, replace(GOOD, count=5_000, duplicate_rate=0.2)))
        assert len(rows) - len(set(rows)) == pytest.approx(1_000, rel=0.15)

    def test_of_zero_give_only_distinct_keys(self) -> None:
        keys = [json.loads(row)["shipment_id"] for row in events(SHIPMENTS, replace(GOOD, count=5_000))]
        assert len(set(keys)) == 5_000


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(GOOD, count=-1), "count is -1; it must be 0 or more"),
        (replace(GOOD, bad_rate=1.5), "bad_rate is 1.5; it must be from 0 to 1"),
        (replace(GOOD, duplicate_rate=-0.1), "duplicate_rate is -0.1; it must be from 0 to 1"),
        (replace(GOOD, end=START), "is not after start"),
        (replace(GOOD, start=datetime(1999, 12, 31, tzinfo=UTC)), "is before 2000-01-01"),
    ],
)
def test_a_wrong_request_is_refused_before_the_first_row(request_: Request, reason: str) -> None:
    with pytest.raises(WrongRequest, match=reason):
        events(SHIPMENTS, request_)
    with pytest.raises(WrongRequest, match=reason):
        json_safe_events(SHIPMENTS, request_)


def peak_bytes(count: int) -> int:
    tracemalloc.start()
    try:
        for _ in events(SHIPMENTS, replace(GOOD, count=count, bad_rate=0.1, duplicate_rate=0.1)):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_rows_need_no_more_memory() -> None:
    peak_bytes(100)  # what is cached on first use
    assert peak_bytes(10_000) < peak_bytes(1_000) + 64 * 1024


def script(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "scripts/gen_fake_events.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def shipments(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return script("--type", "shipments", "--count", "50", *arguments)


class TestTheScript:
    def test_writes_lines(self, tmp_path: Path) -> None:
        file = tmp_path / "shipments.jsonl"
        done = shipments("--format", "jsonl", "--out", str(file))
        assert done.returncode == 0, done.stderr
        lines = file.read_bytes().splitlines()
        assert len(lines) == 50
        assert all(json.loads(line)["shipment_id"].startswith("SHI-") for line in lines)

    @pytest.mark.parametrize("more", [["--bad-rate", "0.5"], ["--count", "0"], ["--count", "1"]])
    def test_writes_an_array_that_is_json(self, tmp_path: Path, more: list[str]) -> None:
        file = tmp_path / "shipments.json"
        done = shipments("--format", "json", "--out", str(file), *more)
        assert done.returncode == 0, done.stderr
        expected = int(more[1]) if "--count" in more else 50
        assert len(json.loads(file.read_bytes())) == expected

    def test_compresses_a_file_named_gz(self, tmp_path: Path) -> None:
        file = tmp_path / "shipments.jsonl.gz"
        assert shipments("--out", str(file)).returncode == 0
        assert len(gzip.decompress(file.read_bytes()).splitlines()) == 50

    def test_writes_to_standard_output_rows_that_the_contract_accepts_today_and_nothing_else(self) -> None:
        done = shipments("--out", "-")
        parsed = RowParser(CONTRACTS).parse(lines_block(done.stdout, 0), "shipments", datetime.now(UTC))
        assert done.returncode == 0
        assert (parsed.rows_read, parsed.quarantine.num_rows) == (50, 0)

    def test_reads_other_folders_of_contracts(self) -> None:
        done = script("--type", "flights", "--contracts", "examples/flights", "--count", "3", "--out", "-")
        assert all("tailnum" in json.loads(line) for line in done.stdout.splitlines())
        assert len(done.stdout.splitlines()) == 3

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--type", "parcels"], "No contract for 'parcels'"),
            (["--bad-rate", "2"], "bad_rate is 2.0; it must be from 0 to 1"),
            (["--start", "2026-03-02", "--end", "2026-03-01"], "is not after start"),
            (["--contracts", "nowhere"], "nowhere: no such folder"),
        ],
    )
    def test_refuses_with_exit_code_2_and_a_sentence_and_writes_no_file(
        self, tmp_path: Path, arguments: list[str], reason: str
    ) -> None:
        file = tmp_path / "out.jsonl"
        done = shipments("--out", str(file), *arguments)
        message = " ".join(done.stderr.decode().split())
        assert done.returncode == 2
        assert reason in message
        assert "Traceback" not in message
        assert not file.exists()

    def test_says_where_it_cannot_write(self, tmp_path: Path) -> None:
        done = shipments("--out", str(tmp_path / "missing" / "out.jsonl"))
        assert done.returncode == 2
        assert b"No such file or directory" in done.stderr
