"""Fake events: good rows are accepted, bad rows are rejected for every reason, and a seed repeats them all.

The judge is the transform's own `RowJudge`, so generator and pipeline cannot come to disagree unseen.
"""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from local.generator import Request, WrongRequest, events, json_safe_events
from services.shared.contract import Contract, Field, FieldType
from services.transform.rows import Accepted, Reason, Rejected, RowJudge

START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)
REQUEST = Request(count=400, start=START, end=END, seed=7)
EVERY_TYPE = Contract(
    dataset="parcels",
    version="1.0.0",
    fields=(
        Field("at", FieldType.TIMESTAMP, required=True, examples=("1999-01-01T00:00:00Z",)),
        Field("parcel_id", FieldType.STRING, required=True),
        Field("name", FieldType.STRING, examples=('Zoë "Z"', "Ålesund", "李")),
        Field("count", FieldType.INTEGER),
        Field("ratio", FieldType.NUMBER),
        Field("price", FieldType.DECIMAL, precision=6, scale=2),
        Field("share", FieldType.DECIMAL, precision=20, scale=20),
        Field("pieces", FieldType.DECIMAL, precision=3, scale=0),
        Field("flag", FieldType.BOOLEAN),
        Field("day", FieldType.DATE, examples=(date(2026, 1, 1),)),
        Field("seen", FieldType.TIMESTAMP),
        Field("tags", FieldType.ARRAY),
        Field("more", FieldType.OBJECT),
    ),
    event_time="at",
    keys=("parcel_id",),
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    max_ahead=timedelta(days=1),
)
BY_DAY = replace(
    EVERY_TYPE,
    fields=(Field("at", FieldType.DATE, required=True), *EVERY_TYPE.fields[1:]),
    earliest=datetime(1, 1, 1, tzinfo=UTC),
)


@pytest.fixture(params=["shipments", "tracking_events", "invoice_lines", "every type", "by day"])
def contract(request: pytest.FixtureRequest, contracts: dict[str, Contract]) -> Contract:
    return (contracts | {"every type": EVERY_TYPE, "by day": BY_DAY})[request.param]


def judged(contract: Contract, rows: Iterator[bytes]) -> list[Accepted | Rejected]:
    judge = RowJudge({contract.dataset: contract})
    return [judge.judge(row, contract.dataset, END) for row in rows]


def value(contract: Contract, row: Accepted, name: str) -> Any:
    return row.values[[field.name for field in contract.fields].index(name)]


def accepted(contract: Contract, request: Request = REQUEST) -> list[Accepted]:
    rows = judged(contract, events(contract, request))
    return [row for row in rows if isinstance(row, Accepted)]


class TestGoodRows:
    def test_the_contract_accepts_every_one_and_knows_all_its_fields(self, contract: Contract) -> None:
        rows = accepted(contract)
        assert len(rows) == REQUEST.count
        assert not [row for row in rows if row.rescued]

    def test_event_times_lie_between_start_and_end(self, contract: Contract) -> None:
        times = [value(contract, row, contract.event_time) for row in accepted(contract)]
        is_day = not isinstance(times[0], datetime)
        first, end = (START.date(), END.date()) if is_day else (START, END)
        assert first <= min(times) <= max(times) < end
        assert len({f"{time:%Y-%m-%d}" for time in times}) == 2, "both days of the range have events"

    def test_keys_do_not_repeat(self, contract: Contract) -> None:
        keys = [tuple(value(contract, row, key) for key in contract.keys) for row in accepted(contract)]
        assert len(set(keys)) == REQUEST.count

    def test_optional_fields_are_null_now_and_then_and_required_ones_never(self, contract: Contract) -> None:
        rows = accepted(contract, replace(REQUEST, count=2000))
        for field in contract.fields:
            nulls = sum(value(contract, row, field.name) is None for row in rows)
            assert nulls == 0 if field.required else 0 < nulls < 200, field.name

    def test_examples_are_the_values(self) -> None:
        names = {value(EVERY_TYPE, row, "name") for row in accepted(EVERY_TYPE)}
        assert names == {'Zoë "Z"', "Ålesund", "李", None}

    def test_decimals_are_written_with_their_scale(self) -> None:
        rows = [json.loads(row, parse_float=str) for row in events(EVERY_TYPE, REQUEST)]
        prices = [row["price"] for row in rows if row["price"] is not None]
        assert {len(price.partition(".")[2]) for price in prices} == {2}
        shares = [Decimal(row["share"]) for row in rows if row["share"] is not None]
        assert all(0 <= share < 1 for share in shares)
        assert len(set(shares)) > 300

    def test_orders_of_one_seed_share_their_shipments(self, contracts: dict[str, Contract]) -> None:
        ids = [
            {json.loads(row)["shipment_id"] for row in events(contracts[dataset], REQUEST)}
            for dataset in ("shipments", "tracking_events")
        ]
        assert ids[0] == ids[1]


class TestBadRows:
    def test_the_contract_rejects_every_one(self, contract: Contract) -> None:
        asked = replace(REQUEST, bad_rate=1.0)
        assert not accepted(contract, asked)

    def test_every_reason_occurs_that_a_row_of_ordinary_size_can_have(self) -> None:
        rows = judged(EVERY_TYPE, events(EVERY_TYPE, replace(REQUEST, bad_rate=1.0)))
        reasons = {row.reason for row in rows if isinstance(row, Rejected)}
        assert reasons == set(Reason) - {Reason.TOO_DEEP, Reason.ROW_TOO_LONG, Reason.BAD_DATE}

    def test_a_bad_day_is_among_them_where_the_event_time_is_a_day(self) -> None:
        rows = judged(BY_DAY, events(BY_DAY, replace(REQUEST, bad_rate=1.0)))
        assert Reason.BAD_DATE in {row.reason for row in rows if isinstance(row, Rejected)}

    def test_their_share_is_about_what_was_asked_for(self, contract: Contract) -> None:
        good = len(accepted(contract, replace(REQUEST, count=5000, bad_rate=0.1)))
        assert 4350 < good < 4650

    def test_none_holds_a_newline(self, contract: Contract) -> None:
        assert not [row for row in events(contract, replace(REQUEST, bad_rate=1.0)) if b"\n" in row]

    def test_in_an_array_each_is_still_a_json_value(self, contract: Contract) -> None:
        rows = list(json_safe_events(contract, replace(REQUEST, bad_rate=1.0)))
        assert len(json.loads(b"[" + b",".join(rows) + b"]")) == REQUEST.count
        reasons = Counter(row.reason for row in judged(contract, iter(rows)) if isinstance(row, Rejected))
        assert reasons.total() == REQUEST.count
        assert len(reasons) >= 6


class TestDuplicates:
    def test_they_repeat_the_row_before_byte_for_byte(self, contract: Contract) -> None:
        rows = list(events(contract, replace(REQUEST, count=2000, duplicate_rate=0.2)))
        repeated = sum(row == before for before, row in pairwise(rows))
        assert len(rows) == 2000
        assert 300 < repeated < 500
        assert len(set(rows)) == 2000 - repeated

    def test_a_bad_row_is_never_repeated(self) -> None:
        rows = list(events(EVERY_TYPE, replace(REQUEST, count=2000, bad_rate=0.5, duplicate_rate=0.2)))
        judge = RowJudge({"parcels": EVERY_TYPE})
        twice = [row for row, times in Counter(rows).items() if times > 1]
        assert twice
        assert all(isinstance(judge.judge(row, "parcels", END), Accepted) for row in twice)


class TestRepeatability:
    def test_a_seed_gives_the_same_rows_again_and_another_seed_others(self, contract: Contract) -> None:
        asked = replace(REQUEST, bad_rate=0.2, duplicate_rate=0.2)
        rows = list(events(contract, asked))
        assert rows == list(events(contract, asked))
        assert not {*rows} & {*events(contract, replace(asked, seed=8, bad_rate=0.0))}

    def test_memory_does_not_grow_with_the_count(self) -> None:
        def peak(count: int) -> int:
            tracemalloc.start()
            for _ in events(EVERY_TYPE, replace(REQUEST, count=count, bad_rate=0.1, duplicate_rate=0.1)):
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        peak(100)  # whatever is made once is made now
        assert peak(20_000) < peak(1_000) + 20_000  # bytes: not one more for each row


class TestWrongRequests:
    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"count": -1}, "count is -1"),
            ({"bad_rate": 1.1}, "bad_rate is 1.1"),
            ({"duplicate_rate": -0.1}, "duplicate_rate is -0.1"),
            ({"bad_rate": float("nan")}, "bad_rate is nan"),
            ({"end": START}, "is not after start"),
            ({"start": datetime(1999, 1, 1, tzinfo=UTC)}, "is before 2000-01-01"),
        ],
    )
    def test_are_refused_before_the_first_row(self, wrong: dict[str, Any], named: str) -> None:
        for make in (events, json_safe_events):
            with pytest.raises(WrongRequest, match=named):
                make(EVERY_TYPE, replace(REQUEST, **wrong))
