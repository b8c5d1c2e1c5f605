"""What fake events contain: values by type, every kind of bad row, and the same bytes in any process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from local.generator import Request, events
from local.ministack import ROOT
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted, Reason, Rejected

START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)
REQUEST = Request(count=400, start=START, end=END, seed=7)
PARCELS = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True, examples=("1999-01-01T00:00:00Z",)),
        Field("parcel_id", FieldType.STRING, required=True),
        Field("name", FieldType.STRING, examples=('Zoë "Z"', "Ålesund", "李")),
        Field("count", FieldType.INTEGER),
        Field("price", FieldType.DECIMAL, precision=6, scale=2),
        Field("share", FieldType.DECIMAL, precision=20, scale=20),
        Field("pieces", FieldType.DECIMAL, precision=3, scale=0),
        Field("day", FieldType.DATE, examples=(date(2026, 1, 1),)),  # as YAML reads a day that is not quoted
        Field("seen", FieldType.TIMESTAMP),
    ),
    event_time="at",
    keys=("parcel_id",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
BY_DAY = replace(
    PARCELS,
    fields=(Field("at", FieldType.DATE, required=True), *PARCELS.fields[1:]),
    earliest=datetime(1, 1, 1, tzinfo=UTC),
)


def judged(contract: Contract, rows: Iterator[bytes]) -> list[Accepted | Rejected]:
    judge = RowJudge({contract.dataset: contract})
    return [judge.judge(row, contract.dataset, END) for row in rows]


def reasons(contract: Contract) -> set[Reason]:
    rows = judged(contract, events(contract, replace(REQUEST, bad_rate=1.0)))
    return {row.reason for row in rows if isinstance(row, Rejected)}


@pytest.mark.parametrize("contract", [PARCELS, BY_DAY], ids=["by time", "by day"])
def test_good_rows_are_accepted_with_decimals_of_any_scale_and_a_window_since_year_1(contract: Contract) -> None:
    assert all(isinstance(row, Accepted) for row in judged(contract, events(contract, REQUEST)))


def test_examples_are_the_values_except_of_the_event_time() -> None:
    rows = [json.loads(row) for row in events(PARCELS, REQUEST)]
    assert {row["name"] for row in rows} == {'Zoë "Z"', "Ålesund", "李", None}
    assert {row["at"][:10] for row in rows} == {"2026-05-01", "2026-05-02"}


def test_decimals_are_written_with_their_scale() -> None:
    rows = [json.loads(row, parse_float=str, parse_int=str) for row in events(PARCELS, REQUEST)]
    scales = {name: {len(row[name].partition(".")[2]) for row in rows if row[name]} for name in ("price", "pieces")}
    assert scales == {"price": {2}, "pieces": {0}}
    assert len({row["share"] for row in rows}) > 300, "small scales do not leave only a few values"


def test_bad_rows_have_every_reason_that_a_row_of_ordinary_size_can_have() -> None:
    not_here = {Reason.TOO_DEEP, Reason.ROW_TOO_LONG, Reason.BROKEN_FRAME, Reason.NO_ROWS, Reason.BAD_DATE}
    assert reasons(PARCELS) == set(Reason) - not_here
    assert Reason.BAD_DATE in reasons(BY_DAY)


def test_a_repeated_row_is_the_good_row_before_it_byte_for_byte() -> None:
    rows = list(events(PARCELS, replace(REQUEST, count=2000, duplicate_rate=0.2)))
    assert len(set(rows)) == 2000 - sum(row == before for before, row in pairwise(rows))


def test_a_bad_row_is_never_repeated() -> None:
    rows = list(events(PARCELS, replace(REQUEST, count=2000, bad_rate=0.5, duplicate_rate=0.2)))
    twice = [row for row, times in Counter(rows).items() if times > 1]
    assert twice
    assert all(isinstance(row, Accepted) for row in judged(PARCELS, iter(twice)))


def test_shipments_and_their_tracking_events_share_their_ids(contracts: dict[str, Contract]) -> None:
    shipments, scans = (
        {json.loads(row)["shipment_id"] for row in events(contracts[dataset], REQUEST)}
        for dataset in ("shipments", "tracking_events")
    )
    assert shipments == scans


def script(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "scripts/gen_fake_events.py", "--type", "shipments", "--out", "-", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "COLUMNS": "500"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)


def test_seed_and_times_decide_every_byte_in_any_process() -> None:
    asked = ["--count", "300", "--seed", "3", "--start", "2026-05-01", "--end", "2026-05-02"]
    asked += ["--bad-rate", "0.2", "--duplicate-rate", "0.1"]
    first, again = script(*asked, hash_seed="1").stdout, script(*asked, hash_seed="2").stdout
    assert first == again
    assert len(first.splitlines()) == 300


def test_event_times_that_contracts_do_not_accept_today_are_refused() -> None:
    done = script("--start", "2026-05-02", "--end", "9999-01-01")
    assert done.returncode == 2
    assert b"is later than the contract of shipments accepts today" in done.stderr
