"""A unit too large for one invocation goes on where it stopped, or is refused with the limit and the advice."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.stack import Clients
from services.shared.contract.model import Contract
from services.shared.ledger.records import Counts, LotState, ObjectState, UnitNotes
from services.shared.units import BronzeObject, Unit
from services.transform.blocks import Check, Piece, Position, no_check
from services.transform.reading.envelope import Envelope
from services.transform.reading.reader import UnitReader
from tests.faults.rig import INVOCATION_SECONDS, Rig, crash, shipment
from tests.support.faults import Interrupter
from tests.support.lake import Clock
from tests.support.queue import record
from tests.support.readers import SlowReader

ROWS = [*(shipment(number, 1 + number % 3) for number in range(118)), b"{broken", b'{"event_time": 5}']
LOT_BYTES = 3000  # a part holds about 20 of the rows


def lines(rows: list[bytes]) -> bytes:
    return b"".join(row + b"\n" for row in rows)


def array(rows: list[bytes]) -> bytes:
    return b"[" + b",\n".join(rows) + b"]"


def upload_gzip(rig: Rig) -> BronzeObject:
    source = rig.lake.upload(f"bronze/shipments/{rig.name}.jsonl.gz", gzip.compress(lines(ROWS)))
    rig.expect(source, ROWS)
    return rig.plan(source)


def upload_array(rig: Rig) -> BronzeObject:
    rows = [row for row in ROWS if row != b"{broken"]
    source = rig.lake.upload(f"bronze/shipments/{rig.name}.json", array(rows))
    offset = 1
    for row in rows:
        rig.expected[str(source.id), offset] += 1
        offset += len(row) + 2
    return rig.plan(source)


def upload_elements(rig: Rig) -> BronzeObject:
    """Envelopes in an array: reading goes on inside of an element, too, since each row has a copy of what is kept."""
    where: Any = {"rows_path": ("rows",), "envelope_fields": (("who", ("who",)),)}
    rig.contracts = {**rig.contracts, "shipments": replace(rig.contracts["shipments"], **where)}
    rows = [row for row in ROWS if row != b"{broken"]
    elements = [b'{"who":"an account","rows":' + array(rows[at : at + 20]) + b"}" for at in range(0, len(rows), 20)]
    data = array(elements)
    source = rig.lake.upload(f"bronze/shipments/{rig.name}.json", data)
    for row in rows:
        rig.expected[str(source.id), data.index(row)] += 1
    return rig.plan(source)


UPLOADS = {"a gzip": upload_gzip, "an array": upload_array, "envelopes in an array": upload_elements}


def slow_rig(clients: Clients, table: str, contracts: dict[str, Contract]) -> Rig:
    rig = Rig(clients.dynamodb, table, contracts, unit_bytes=1 << 20)
    rig.reader = lambda lake: SlowReader(lake, rig.clock, 5)
    return rig


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_it_goes_on_from_invocation_to_invocation(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], upload: Any
) -> None:
    rig = slow_rig(clients, ledger_table, contracts)
    source = upload(rig)
    parts = []
    invocations = 0
    for _ in range(20):
        invocations += 1
        result = rig.deliver(rig.units, lot_bytes=LOT_BYTES)
        assert result is not None
        if not result.failed:
            break
        (lot,) = rig.look_up().lots.values()
        assert lot.progress is not None
        parts.append(lot.progress.part)
    assert invocations >= 3
    assert parts == sorted(set(parts)), "each invocation writes at least one part more"
    rig.check_exactly_once()
    assert rig.state_of(source) is ObjectState.DONE


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_every_row_is_there_once_wherever_the_workers_stop(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], upload: Any, before: bool
) -> None:
    """One crash at each step of a first invocation, then one at each step of those that go on."""
    watched = slow_rig(clients, ledger_table, contracts)
    upload(watched)
    watch = Interrupter()
    watched.deliver(watched.units, watch, LOT_BYTES)
    for step in range(1, len(watch.calls) + 1):
        rig = slow_rig(clients, ledger_table, contracts)
        upload(rig)
        rig.deliver(rig.units, Interrupter(step, before, crash), LOT_BYTES)
        rig.clock.advance(2 * INVOCATION_SECONDS)
        rig.deliver(rig.units, Interrupter(len(watch.calls) + 1 - step, before, crash), LOT_BYTES)
        rig.drain(rig.units, lot_bytes=LOT_BYTES)
        rig.check_exactly_once()


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_another_contract_version_starts_again_and_leaves_nothing_of_the_old_one(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], upload: Any
) -> None:
    rig = slow_rig(clients, ledger_table, contracts)
    upload(rig)
    rig.deliver(rig.units, lot_bytes=LOT_BYTES)
    shipments = rig.contracts["shipments"]
    earliest = shipments.earliest.replace(year=2026, month=1, day=2)
    rig.contracts = {**rig.contracts, "shipments": replace(shipments, version="9.0.0", earliest=earliest)}
    rig.drain(rig.units, lot_bytes=LOT_BYTES)
    rig.check_exactly_once()
    assert all(row["event_time"].day > 1 for row in rig.lake.rows("silver"))


def test_its_counts_are_those_of_all_its_parts(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    rig = slow_rig(clients, ledger_table, contracts)
    upload_gzip(rig)
    rig.drain(rig.units, lot_bytes=LOT_BYTES)
    (lot,) = rig.look_up().lots.values()
    assert lot.counts == Counts(len(ROWS), len(ROWS) - 2, 2)
    assert lot.unit_counts == (lot.counts,)


def test_its_neighbours_in_the_delivery_are_a_lot_of_their_own(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=1 << 20)
    rig.upload("shipments", [shipment(1)])
    upload_gzip(rig)
    rig.upload("shipments", [shipment(2)])
    rig.deliver(rig.units, lot_bytes=LOT_BYTES)
    rig.check_exactly_once()
    sizes = sorted(len(lot.units) for lot in rig.look_up().lots.values())
    assert sizes == [1, 1, 1]


def test_one_that_brought_nothing_twice_and_then_gets_on_is_not_rejected(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    """As after an hour in which S3 was slow: the third invocation writes parts before its time is up."""
    rig = slow_rig(clients, ledger_table, contracts)
    source = upload_gzip(rig)
    for number in range(2):
        rig.ledger.units.count_stall(rig.units[0].id, UnitNotes(stalls=number))
    rig.drain(rig.units, lot_bytes=LOT_BYTES)
    assert rig.state_of(source) is ObjectState.DONE
    rig.check_exactly_once()


def test_one_with_which_another_worker_gets_on_is_not_rejected(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    """Two deliveries have it at once: one reads in vain for the third time, the other has written a part."""
    rig = slow_rig(clients, ledger_table, contracts)
    source = upload_gzip(rig)
    (unit,) = rig.units
    for number in range(2):
        rig.ledger.units.count_stall(unit.id, UnitNotes(stalls=number))
    slow = rig.reader

    class Nowhere(UnitReader):
        def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
            rig.reader = slow
            rig.clock.advance(2 * rig.invocation_seconds)  # it was paused beyond its lease
            assert rig.deliver([unit], lot_bytes=LOT_BYTES) is not None
            args[-1]()
            yield from ()

    rig.reader = lambda lake: Nowhere(lake, max_row_bytes=4096)
    result = rig.deliver_records([record(unit.to_message(), "a copy of the message")], lot_bytes=LOT_BYTES)
    assert result is not None
    assert not result.rejected
    rig.drain([unit], lot_bytes=LOT_BYTES)
    assert rig.state_of(source) is ObjectState.DONE
    rig.check_exactly_once()


@dataclass
class BeforeTheRejection(Interrupter):
    """Lets another worker run right before the ledger is told to reject an object."""

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if ":rejected" in str(kwargs):
            another_runs, self.action = self.action, lambda: None
            another_runs()
        return super().call(name, function, *args, **kwargs)


@pytest.mark.parametrize("has_a_lot", [False, True], ids=["a free unit", "a lot that is dissolved"])
def test_one_that_another_worker_claims_before_the_rejection_is_not_rejected(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], has_a_lot: bool
) -> None:
    """Otherwise its rows would be in Silver, and the ledger would advise to upload them again."""
    rig = slow_rig(clients, ledger_table, contracts)
    source = upload_gzip(rig)
    (unit,) = rig.units
    slow = rig.reader

    class Nowhere(UnitReader):
        def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
            rig.clock.advance(50)
            args[-1]()
            yield from ()

    if has_a_lot:
        rig.deliver([unit], lot_bytes=LOT_BYTES)
    rig.reader = lambda lake: Nowhere(lake, max_row_bytes=4096)
    for _ in range(2):
        rig.deliver([unit], lot_bytes=LOT_BYTES)

    def another_claims_it() -> None:
        now, rig.reader = rig.clock.now, slow
        rig.clock.advance(2 * rig.invocation_seconds)  # the first was paused beyond its lease
        assert rig.deliver([unit], lot_bytes=LOT_BYTES) is not None
        rig.clock.now = now

    copy = record(unit.to_message(), "a copy of the message")
    result = rig.deliver_records([copy], BeforeTheRejection(action=another_claims_it), LOT_BYTES)
    assert result is not None
    assert not result.rejected
    rig.reader = slow
    rig.drain([unit], lot_bytes=LOT_BYTES)
    assert rig.state_of(source) is ObjectState.DONE
    rig.check_exactly_once()


def test_a_lot_that_gets_nowhere_is_rejected_and_leaves_no_file(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    """Its first part is written; behind it there is nothing to write however long one reads."""
    rig = slow_rig(clients, ledger_table, contracts)
    source = upload_gzip(rig)
    rig.deliver(rig.units, lot_bytes=LOT_BYTES)
    assert rig.lake.files
    (lot,) = rig.look_up().lots.values()
    assert lot.state is LotState.PENDING

    class Nowhere(UnitReader):
        def read(self, unit: Unit, *args: Any, **kwargs: Any) -> Iterator[Piece]:
            rig.clock.advance(50)
            args[-1]()
            yield from ()

    rig.reader = lambda lake: Nowhere(lake, max_row_bytes=4096)
    invocations = 0
    for _ in range(5):
        invocations += 1
        result = rig.deliver(rig.units, lot_bytes=LOT_BYTES)
        assert result is not None
        if not result.failed:
            break
    assert invocations == 3
    assert rig.state_of(source) is ObjectState.REJECTED
    assert not rig.lake.files
    assert not rig.look_up().lots


def test_the_reasons_of_its_refused_rows_are_those_of_all_its_parts(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract]
) -> None:
    rig = slow_rig(clients, ledger_table, contracts)
    rows = [b"{broken", *ROWS]
    source = rig.lake.upload(f"bronze/shipments/{rig.name}.jsonl.gz", gzip.compress(lines(rows)))
    rig.plan(source)
    rig.deliver(rig.units, lot_bytes=LOT_BYTES)
    assert any(lot.progress and lot.progress.reasons for lot in rig.look_up().lots.values())
    rig.drain(rig.units, lot_bytes=LOT_BYTES)
    (lot,) = rig.look_up().lots.values()
    refused = Counter(row["reason"] for row in rig.lake.rows("quarantine"))
    assert refused.total() == 3
    assert lot.reasons_of(rig.units[0].id, lot.counts) == refused


class SlowBytes(UnitReader):
    """Time passes whenever the deadline is looked at, whether there are rows or not."""

    def __init__(self, lake: Any, clock: Clock) -> None:
        super().__init__(lake, max_row_bytes=4096, block_bytes=512)
        self._clock = clock

    def read(
        self, unit: Unit, start: Position | None = None, check: Check = no_check, envelope: Envelope | None = None
    ) -> Iterator[Piece]:
        def slowly() -> None:
            self._clock.advance(0.1)
            check()

        return super().read(unit, start, slowly, envelope)


@pytest.mark.parametrize(
    ("name", "between"),
    [("lines.jsonl", b"\n"), ("array.json", b",")],
    ids=["lines", "an array"],
)
def test_envelopes_without_rows_take_as_many_invocations_as_they_need(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], name: str, between: bytes
) -> None:
    """There is nothing to write, and yet each invocation gets on: it is no unit that gets nowhere."""
    rig = slow_rig(clients, ledger_table, contracts)
    rig.reader = lambda lake: SlowBytes(lake, rig.clock)
    rig.contracts = {**rig.contracts, "shipments": replace(rig.contracts["shipments"], rows_path=("rows",))}
    rows = [shipment(1), shipment(2)]
    data = between.join([b'{"rows":[]}'] * 8000 + [b'{"rows":[' + b",".join(rows) + b"]}"])
    data = b"[" + data + b"]" if between == b"," else data
    source = rig.lake.upload(f"bronze/shipments/{rig.name}-{name}", data)
    for row in rows:
        rig.expected[str(source.id), data.index(row)] += 1
    rig.plan(source)
    invocations = 1
    while (result := rig.deliver(rig.units, lot_bytes=LOT_BYTES)) is None or result.failed:
        invocations += 1
        assert invocations < 100
    assert invocations > 4, "more than a unit that gets nowhere has"
    rig.check_exactly_once()
    assert rig.state_of(source) is ObjectState.DONE
