"""Quarantined rows are judged again: exactly what passes moves to Silver, and nothing is lost or doubled on the way."""

from __future__ import annotations

import bz2
import gzip
import json
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from local.stack import Clients
from services.ops.rewrite.quarantine import Selection, show
from services.shared.contract.model import Contract
from services.shared.identities import LakeKey
from services.shared.lake import ByteStream, LakeForbidden, LakeSignedOut
from services.shared.ledger.records import RETRY, Counts, Lot, LotState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash, shipment
from tests.faults.test_large_units import LOT_BYTES, slow_rig
from tests.support.archive import NoArchive
from tests.support.faults import Interrupter
from tests.support.lake import CREATED
from tests.support.rewriting import MemoryShelf, retract, retry

LATE = CREATED + timedelta(days=4)  # behind what the contract that shipped accepts


def late(number: int, after: int = 0) -> bytes:
    """A row that the contract refuses as out of its window, until the window is wider."""
    row = json.loads(shipment(number))
    return json.dumps(row | {"event_time": (LATE + timedelta(days=after, seconds=number)).isoformat()}).encode()


@pytest.fixture
def fixed(contracts: dict[str, Contract]) -> dict[str, Contract]:
    """The contracts after shipments' window was made wider."""
    wider = replace(contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    return {**contracts, "shipments": wider}


def a_bad_file_and_a_good_one(rig: Rig) -> tuple[BronzeObject, BronzeObject]:
    bad = rig.upload("shipments", [shipment(1), late(2), b"{broken", late(3), late(4, after=1), b'{"event_time": 5}'])
    good = rig.upload("shipments", [shipment(5), late(6), shipment(7)])
    return bad, good


def silver_and_quarantine(rig: Rig) -> tuple[int, int]:
    return len(rig.lake.rows("silver")), len(rig.lake.rows("quarantine"))


@pytest.mark.parametrize("before", [True, False], ids=["before the call", "after the call"])
def test_a_retry_goes_on_wherever_it_stopped(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract], before: bool
) -> None:
    def loaded() -> Rig:
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
        a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units)
        assert silver_and_quarantine(rig) == (3, 6)
        return rig

    undisturbed, watch = loaded(), Interrupter()
    done = retry(undisturbed, fixed, watch)
    assert done is not None
    assert (done.passed, done.reasons) == ({"shipments": 4}, {"out_of_window": 4})
    assert (done.before, done.after) == (Counts(9, 3, 6), Counts(9, 7, 2))
    undisturbed.check_exactly_once()
    for lot in undisturbed.look_up().lots.values():
        for unit, counts in zip(lot.units, lot.unit_counts, strict=True):
            assert sum(lot.reasons_of(unit, counts).values()) == counts.quarantined
            assert not {"out_of_window", "unknown"} & set(lot.reasons_of(unit, counts))
    assert silver_and_quarantine(undisturbed) == (7, 2)

    for at, call in enumerate(watch.calls, start=1):
        rig = loaded()
        assert retry(rig, fixed, Interrupter(at, before, crash)) is None, call
        redelivered = rig.deliver(rig.units)
        assert redelivered is not None
        assert not redelivered.failed, call
        rig.clock.advance(61)
        again = retry(rig, fixed)
        assert again is not None
        assert not again.busy
        rig.check_exactly_once()
        assert silver_and_quarantine(rig) == (7, 2), call


def test_the_rest_stays_with_its_reason_and_a_second_retry_changes_nothing(
    rig: Rig, fixed: dict[str, Contract]
) -> None:
    a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    reasons = {(row["_source"], row["_offset"]): row["reason"] for row in rig.lake.rows("quarantine")}
    first = retry(rig, fixed)
    files = dict(rig.lake.files)
    second = retry(rig, fixed)
    assert first is not None
    assert second is not None
    assert (second.passed.total(), second.changes.lots, second.stayed) == (0, 0, first.stayed)
    assert rig.lake.files == files
    for row in rig.lake.rows("quarantine"):
        assert row["reason"] == reasons[row["_source"], row["_offset"]]
    rig.check_exactly_once()


def test_rows_that_pass_are_as_if_the_new_contract_had_judged_them_at_first(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    def rows(rig: Rig) -> list[dict[str, object]]:
        found = [{k: v for k, v in row.items() if k not in ("_file", "_source")} for row in rig.lake.rows("silver")]
        return sorted(found, key=lambda row: (str(row["shipment_id"]), row["_offset"]))

    at_once, retried = (Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300) for _ in range(2))
    for rig, used in ((at_once, fixed), (retried, contracts)):
        a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units, contracts=used)
    retry(retried, fixed)
    assert rows(retried) == rows(at_once)
    assert len(rows(retried)) == 7


def test_nothing_is_rewritten_where_nothing_passes(rig: Rig, contracts: dict[str, Contract]) -> None:
    a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    files = dict(rig.lake.files)
    done = retry(rig, contracts)
    assert done is not None
    assert done.stayed.total() == 6
    assert rig.lake.files == files


def test_a_dry_run_tells_the_same_and_changes_nothing(rig: Rig, fixed: dict[str, Contract]) -> None:
    a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    files = dict(rig.lake.files)
    told, done = retry(rig, fixed, dry_run=True), None
    assert rig.lake.files == files
    done = retry(rig, fixed)
    assert told is not None
    assert done is not None
    assert (told.passed, told.stayed, told.judged) == (done.passed, done.stayed, done.judged)


def test_chosen_rows_alone_are_retried(rig: Rig, fixed: dict[str, Contract]) -> None:
    bad, good = a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    done = retry(rig, fixed, wanted=Selection(source=str(good.id)))
    assert done is not None
    assert done.passed.total() == 1
    rig.check_exactly_once()
    assert {row["_source"] for row in rig.lake.rows("quarantine")} == {str(bad.id)}
    assert retry(rig, fixed, wanted=Selection(code="wrong_type")).passed.total() == 0  # type: ignore[union-attr]
    assert retry(rig, fixed, wanted=Selection(code="out_of_window")).passed.total() == 3  # type: ignore[union-attr]
    rig.check_exactly_once()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".jsonl.gz", gzip.compress),
        (".jsonl.bz2", bz2.compress),
        (".jsonl.zst", lambda data: pa.compress(data, "zstd", True)),
        (".jsonl", gzip.compress),
        (".jsonl.gz", bytes),
    ],
)
def test_rows_of_compressed_objects_move(rig: Rig, fixed: dict[str, Contract], suffix: str, pack: object) -> None:
    lines = [shipment(1), b"   " + late(2) + b" ", *(shipment(n) for n in range(3, 200)), late(200), b"\xff"]
    data = b"".join(line + b"\n" for line in lines)
    source = rig.lake.upload(f"bronze/shipments/packed{suffix}", pack(data))  # type: ignore[operator]
    rig.expect(source, lines)
    rig.plan(source)
    rig.deliver(rig.units)
    done = retry(rig, fixed)
    assert done is not None
    assert (done.passed.total(), done.hopeless, done.unreadable) == (2, 1, 0)
    rig.check_exactly_once()


def test_rows_of_an_array_belong_to_its_first_unit_wherever_they_start(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=200)
    rows = [shipment(1), late(2), shipment(3), late(4), late(5), shipment(6)]
    data, offset = b"[", 1
    source = rig.lake.upload("bronze/shipments/array.json", b"[" + b",\n".join(rows) + b"]")
    del data
    for row in rows:
        rig.expected[str(source.id), offset] += 1
        offset += len(row) + 2
    rig.plan(source)
    assert len(rig.units) > 3
    rig.deliver(rig.units)
    starts = {row["_offset"] for row in rig.lake.rows("quarantine")}
    assert max(starts) > 200
    done = retry(rig, fixed)
    assert done is not None
    assert done.passed.total() == 3
    for lot in rig.look_up().lots.values():
        assert sum(lot.unit_counts, Counts()) == lot.counts
        assert all(counts.conserved for counts in lot.unit_counts)
    rig.check_exactly_once()


def upload_at(rig: Rig, name: str, data: bytes, rows: list[bytes]) -> BronzeObject:
    """An object that holds these rows in this order; each is expected once."""
    source, at = rig.lake.upload(f"bronze/shipments/{rig.name}-{name}", data), 0
    for row in rows:
        at = data.index(row, at)
        rig.expected[str(source.id), at] += 1
        at += len(row)
    return rig.plan(source)


def test_rows_of_documents_belong_to_their_first_unit_wherever_they_start(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=200)
    rows = [shipment(1), late(2).replace(b",", b",\n"), shipment(3), late(4)]
    upload_at(rig, "stream-1", b"".join(rows), rows)
    rig.deliver(rig.units)
    assert retry(rig, fixed).passed.total() == 2  # type: ignore[union-attr]
    rig.check_exactly_once()


class TestRowsOfEnvelopes:
    ROWS = (shipment(1), late(2), shipment(3))

    def loaded(self, rig: Rig, **how: object) -> dict[str, Contract]:
        """The rig with an envelope and a document without rows delivered; gives the contracts with a wider window."""
        contract = replace(rig.contracts["shipments"], rows_path=("rows",), **how)  # type: ignore[arg-type]
        rig.contracts = {**rig.contracts, "shipments": contract}
        upload_at(rig, "a.json", b'{"carrier": "X", "rows": [' + b", ".join(self.ROWS) + b"]}", list(self.ROWS))
        upload_at(rig, "b.json", shipment(4), [shipment(4)])
        rig.deliver(rig.units)
        return {**rig.contracts, "shipments": replace(contract, max_ahead=timedelta(days=30), version="1.1.0")}

    def test_move_and_a_document_without_rows_stays_though_it_would_pass_as_a_row(self, rig: Rig) -> None:
        done = retry(rig, self.loaded(rig))
        assert done is not None
        assert (done.passed.total(), done.hopeless, done.stayed) == (1, 1, {"no_rows": 1})
        rig.check_exactly_once()

    def test_stay_where_they_need_values_of_the_envelope(self, rig: Rig) -> None:
        done = retry(rig, self.loaded(rig, envelope_fields=(("sender", ("carrier",)),)))
        assert done is not None
        assert (done.passed.total(), done.unreadable) == (0, 1)
        assert "smelt replay --force" in done.listed[0][2]
        rig.check_exactly_once()


class TestWhatCannotBeReadAnyMore:
    def test_is_listed_and_stays(self, rig: Rig, fixed: dict[str, Contract]) -> None:
        bad, _good = a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units)
        del rig.lake.objects[str(bad.id)]
        done = retry(rig, fixed)
        assert done is not None
        assert (done.passed.total(), done.unreadable) == (1, 5)
        assert {source for source, _, _ in done.listed} == {str(bad.id)}
        assert "was deleted" in done.listed[0][2]
        rig.check_exactly_once()

    def test_a_row_whose_bytes_are_others_stays(self, rig: Rig, fixed: dict[str, Contract]) -> None:
        bad, _ = a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units)
        data = rig.lake.objects[str(bad.id)]
        rig.lake.objects[str(bad.id)] = data.replace(b'"S2"', b'"X2"')
        done = retry(rig, fixed)
        assert done is not None
        assert [(source, why) for source, _, why in done.listed] == [
            (str(bad.id), f"other bytes are at byte {len(shipment(1)) + 1}, or none")
        ]
        assert "X2" not in {row["shipment_id"] for row in rig.lake.rows("silver")}
        rig.check_exactly_once()


def test_two_retries_at_once_are_as_one(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    def loaded() -> Rig:
        rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
        a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units)
        return rig

    watch = Interrupter()
    retry(loaded(), fixed, watch)
    for seconds in (0, 61):  # the other one finds a live lease, or one that is over
        for at in range(1, len(watch.calls) + 1):
            rig = loaded()

            def another(rig: Rig = rig, seconds: int = seconds) -> None:
                rig.clock.advance(seconds)
                retry(rig, fixed)

            retry(rig, fixed, Interrupter(at, True, another))
            rig.clock.advance(61)
            assert retry(rig, fixed) is not None
            rig.check_exactly_once()
            assert silver_and_quarantine(rig) == (7, 2)


def test_a_retry_that_was_left_is_undone_by_a_retraction_and_may_be_started_again(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
    bad, good = a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    assert retry(rig, fixed, Interrupter(first="put", before=False, action=crash)) is None
    (lot,) = rig.look_up().lots.values()
    assert lot.state is LotState.REWRITING
    assert lot.intent is not None
    assert lot.intent.kind == RETRY
    assert retract(rig, bad) is not None
    rig.forget(bad)
    rig.check_exactly_once()
    assert retry(rig, fixed).passed.total() == 1  # type: ignore[union-attr]
    rig.check_exactly_once()
    (lot,) = rig.look_up().lots.values()
    assert lot.generation == 4
    assert {LakeKey.parse(file.key).generation for file in lot.files} <= {3, 4}
    assert {unit.object for unit in lot.units} == {good.id}


def test_a_retraction_that_was_left_is_finished_by_a_retry(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    rig = Rig(clients.dynamodb, ledger_table, contracts, unit_bytes=300)
    bad, _ = a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    assert retract(rig, bad, Interrupter(first="put", before=False, action=crash)) is None
    rig.clock.advance(61)
    done = retry(rig, fixed)
    assert done is not None
    assert done.passed.total() == 1
    assert retract(rig, bad) is not None
    rig.forget(bad)
    rig.check_exactly_once()


def test_rows_whose_quarantine_expires_meanwhile_stay_as_they_were(rig: Rig, fixed: dict[str, Contract]) -> None:
    a_bad_file_and_a_good_one(rig)
    rig.deliver(rig.units)
    (lot,) = rig.look_up().lots.values()

    def expire() -> None:
        rig.lake.delete([file.key for file in lot.files if file.key.startswith("quarantine/")])

    judged = retry(rig, fixed, Interrupter(first="update_item", before=False, action=expire))
    assert judged is not None
    assert (judged.passed.total(), judged.busy) == (0, [])
    (after,) = rig.look_up().lots.values()
    assert (after.state, after.files, after.counts) == (LotState.COMMITTED, lot.files, lot.counts)
    assert not after.leftovers


def sixty_late_rows_in_parts(clients: Clients, table: str, contracts: dict[str, Contract]) -> tuple[Rig, Lot]:
    """One compressed object, all of it in quarantine, in a lot of several files."""
    rig = slow_rig(clients, table, contracts)
    content = b"\n".join(late(number) for number in range(60))
    rig.plan(rig.lake.upload("bronze/shipments/large.jsonl.gz", gzip.compress(content)))
    rig.drain(rig.units, lot_bytes=LOT_BYTES)
    (lot,) = rig.look_up().lots.values()
    return rig, lot


def test_rows_beside_a_lost_file_are_shown_and_retried(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    rig, lot = sixty_late_rows_in_parts(clients, ledger_table, contracts)
    lost, *others = lot.files
    assert len(others) >= 2
    rig.lake.delete([lost.key])
    left = 60 - lost.rows
    shown = show(rig.ledger, rig.lake, MemoryShelf(rig.lake), NoArchive(), Selection())
    assert (shown.rows, shown.files) == (left, len(others))
    done = retry(rig, fixed)
    assert done is not None
    assert (done.passed.total(), done.before, done.after) == (left, Counts(60, 0, 60), Counts(60, left, lost.rows))
    assert len(rig.lake.rows("silver")) == left


def test_a_compressed_object_is_read_once_however_many_parts_its_rows_are_in(
    clients: Clients, ledger_table: str, contracts: dict[str, Contract], fixed: dict[str, Contract]
) -> None:
    """Read from its start for each part, an object of gigabytes would take days."""
    rig, lot = sixty_late_rows_in_parts(clients, ledger_table, contracts)
    assert len(lot.files) > 5
    watch = Interrupter()
    done = retry(rig, fixed, watch)
    assert done is not None
    assert done.passed.total() == len(rig.lake.rows("silver")) == 60
    look, rewrite = 2, 2  # each for its first bytes, which tell how it is compressed, and from its start
    assert watch.calls.count("open") == look + rewrite


def test_an_object_that_s3_refuses_keeps_nobody_else_waiting(
    rig: Rig, fixed: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = []
    for number in range(3):
        sources.append(rig.upload("shipments", [shipment(number), late(number)]))
        rig.clock.advance(1)
        rig.deliver(rig.units[-1:])
    opened = rig.lake.open

    def refuse(source: BronzeObject, start: int, end: int) -> ByteStream:
        if source.id == sources[1].id:
            raise LakeForbidden(f"{source.id} cannot be read (AccessDenied)")
        return opened(source, start, end)

    with monkeypatch.context() as patched:
        patched.setattr(rig.lake, "open", refuse)
        done = retry(rig, fixed)
    assert done is not None
    assert (done.passed.total(), done.unreadable, done.stayed) == (2, 1, {"out_of_window": 1})
    assert [(source, "AccessDenied" in why) for source, _, why in done.listed] == [(str(sources[1].id), True)]
    again = retry(rig, fixed)
    assert again is not None
    assert (again.passed.total(), again.unreadable) == (1, 0)
    rig.check_exactly_once()


def test_without_credentials_a_retry_stops(
    rig: Rig, fixed: dict[str, Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.upload("shipments", [late(1)])
    rig.deliver(rig.units)

    def refuse(source: BronzeObject, start: int, end: int) -> ByteStream:
        raise LakeSignedOut(f"{source.id} cannot be read (ExpiredToken)")

    monkeypatch.setattr(rig.lake, "open", refuse)
    with pytest.raises(LakeSignedOut):
        retry(rig, fixed)
