"""The audit says the same before and after the ledger has let go of what the history holds, and finds what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from local.stack import Clients
from services.ops.audit.accounts import Outcome
from services.ops.audit.audit import Audit, audit
from services.ops.audit.findings import Code
from services.ops.audit.listings import BronzeVersion, ListedFile
from services.ops.audit.scope import Scope
from services.ops.history.reader import History
from services.shared.contract.model import Contract
from services.shared.identities import ObjectId
from tests.faults.rig import Rig, shipment, shipments_and_nonsense
from tests.support.history import DAY, MemoryHistory, let_expire, load_everything, run_archive


@dataclass
class RigListings:
    """Bronze, Silver and quarantine of a rig. Implements `services.ops.audit.listings.Listings`."""

    rig: Rig

    def bronze(self, prefix: str) -> Iterator[list[BronzeVersion]]:
        ids = [ObjectId.parse(name) for name in self.rig.lake.objects]
        yield [BronzeVersion(id_, 1, "", datetime(2026, 1, 31, tzinfo=UTC)) for id_ in ids]

    def files(self) -> Iterator[list[ListedFile]]:
        yield [self._listed(key) for key in sorted(self.rig.lake.files)]

    def find_versions(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        return {id_ for id_ in ids if str(id_) in self.rig.lake.objects}

    def find_files(self, keys: Iterable[str]) -> Mapping[str, ListedFile]:
        return {key: self._listed(key) for key in keys if key in self.rig.lake.files}

    def _listed(self, key: str) -> ListedFile:
        return ListedFile(key, len(self.rig.lake.files[key]), self.rig.lake.etag(key))


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def rig(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Rig:
    made = shipments_and_nonsense(Rig(clients.dynamodb, ledger_table, contracts))
    load_everything(made)
    made.clock.advance(DAY)
    return made


def audited(rig: Rig, history: MemoryHistory, scope: Scope = Scope()) -> Audit:  # noqa: B008 (immutable)
    now = datetime.fromtimestamp(rig.clock.now, UTC)
    return audit(rig.ledger, RigListings(rig), scope, now=now, history=History(history))


def told(found: Audit) -> dict[str, Any]:
    """All that an audit says, but for the history's own rows."""
    return {
        "objects": +found.objects,
        "counts": found.counts,
        "lots": found.lots,
        "files": found.files,
        "accounts": found.accounts,
        "findings": found.findings.kept,
    }


EVERYTHING = [Scope(outcomes=frozenset(Outcome)), Scope(dataset="shipments", outcomes=frozenset(Outcome)), Scope()]


@pytest.mark.parametrize("scope", EVERYTHING, ids=["listing all", "one dataset", "plain"])
def test_the_verdicts_are_the_same_before_and_after_expiry(rig: Rig, history: MemoryHistory, scope: Scope) -> None:
    before = audited(rig, history, scope)
    assert (before.all_right, before.objects[Outcome.DONE]) == (True, 1 if scope.dataset else 2)
    run_archive(rig, history)
    assert told(audited(rig, history, scope)) == told(before)
    assert let_expire(rig)
    after = audited(rig, history, scope)
    assert told(after) == told(before)
    assert after.history_rows


def test_items_may_expire_in_any_order(rig: Rig, history: MemoryHistory) -> None:
    before = told(audited(rig, history))
    run_archive(rig, history)
    pages = rig.dynamodb.get_paginator("scan").paginate(TableName=rig.table)
    names = [item["pk"]["S"] for page in pages for item in page["Items"] if "expires_at" in item]
    assert len(names) > 3
    for name in names:
        rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": name}})
        assert told(audited(rig, history)) == before, name


def test_new_work_beside_expired_work_is_accounted_for(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    let_expire(rig)
    rig.upload("shipments", [shipment(1), b"{"])
    rig.drain(rig.units[-1:])
    found = audited(rig, history)
    assert (found.findings.kept, found.objects[Outcome.DONE], found.counts.read) == ([], 3, rig.expected.total())


def test_a_silver_file_of_an_expired_lot_that_is_missing_changed_or_not_its_own_is_found(
    rig: Rig, history: MemoryHistory
) -> None:
    run_archive(rig, history)
    let_expire(rig)
    missing, changed, *_ = sorted(rig.lake.files)
    rig.lake.files["silver/shipments/dt=2026-01-01/20260101T000000Z-0000000000000000-00000000.parquet"] = b""
    del rig.lake.files[missing]
    rig.lake.files[changed] = b"other"
    codes = Counter(finding.code for finding in audited(rig, history).findings.kept)
    assert codes == {Code.FILE_MISSING: 1, Code.FILE_DIFFERS: 1, Code.ORPHAN_FILE: 1}


@pytest.mark.parametrize("table", ["objects", "lots"])
def test_a_missing_file_of_the_history_is_found(rig: Rig, history: MemoryHistory, table: str) -> None:
    run_archive(rig, history)
    (key,) = history.names(table)
    del history.files[key]
    (finding,) = audited(rig, history).findings.kept
    assert (finding.code, finding.subject) == (Code.HISTORY_MISSING, key)


@pytest.mark.parametrize("table", ["objects", "lots"])
def test_a_damaged_file_of_the_history_is_found(rig: Rig, history: MemoryHistory, table: str) -> None:
    run_archive(rig, history)
    (key,) = history.names(table)
    whole = history.files[key]
    flipped = bytes([*whole[:60], whole[60] ^ 0xFF, *whole[61:]])
    for damaged in (b"", whole[: len(whole) // 2], flipped):
        history.files[key] = damaged
        (finding,) = audited(rig, history).findings.kept
        assert (finding.code, finding.subject) == (Code.HISTORY_DAMAGED, key)


def test_lots_that_are_lost_with_their_history_are_found_at_their_objects(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    let_expire(rig)
    (key,) = history.names("lots")
    del history.files[key]
    found = audited(rig, history)
    lost = {finding.subject for finding in found.findings.kept if finding.code is Code.HISTORY_MISSING}
    assert lost == {str(unit.object.id) for unit in rig.units}
    assert not found.all_right
    assert found.findings.numbers[Code.ORPHAN_FILE]
    assert "Delete nothing" in found.findings.next_step(Code.ORPHAN_FILE)


def test_a_file_of_a_lot_that_somebody_deleted_from_the_ledger_is_not_to_be_deleted(
    rig: Rig, history: MemoryHistory
) -> None:
    (lot, *_) = rig.look_up().lots.values()
    rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": f"lot#{lot.id}"}})
    found = audited(rig, history).findings
    assert found.numbers[Code.ORPHAN_FILE] and found.numbers[Code.UNIT_OF_MISSING_LOT]
    assert "Delete nothing" in found.next_step(Code.ORPHAN_FILE)


def test_a_unit_that_vanished_before_its_lot_was_archived_is_found(rig: Rig, history: MemoryHistory) -> None:
    (unit, *_) = rig.units
    rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": f"unit#{unit.id}"}})
    findings = audited(rig, history).findings.kept
    assert Code.UNIT_NOT_BOUND in {finding.code for finding in findings}


def test_a_ledger_that_says_something_else_than_the_history_is_found(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    (lot, *_) = rig.look_up().lots.values()
    source = rig.units[-1].object
    for pk, name, value in (
        (f"lot#{lot.id}", "rows_read", {"N": "99"}),
        (f"object#{source.id}", "state", {"S": "REJECTED"}),
    ):
        rig.dynamodb.update_item(
            TableName=rig.table,
            Key={"pk": {"S": pk}},
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": value},
        )
    found = audited(rig, history).findings.kept
    differing = {finding.subject for finding in found if finding.code is Code.HISTORY_DIFFERS}
    assert differing == {f"lot {lot.id}", str(source.id)}


def test_an_object_that_only_the_history_knows_is_found(rig: Rig, history: MemoryHistory) -> None:
    run_archive(rig, history)
    source = rig.units[-1].object
    rig.dynamodb.delete_item(TableName=rig.table, Key={"pk": {"S": f"object#{source.id}"}})
    found = audited(rig, history).findings.kept
    assert str(source.id) in {finding.subject for finding in found if finding.code is Code.HISTORY_DIFFERS}
