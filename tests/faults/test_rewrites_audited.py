"""The audit while lots are rewritten: at no step does it find what is not wrong, and real damage it finds at each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ops.audit.accounts import Outcome
from services.ops.audit.audit import Audit, audit
from services.ops.audit.findings import Code
from services.ops.audit.listings import BronzeVersion, ListedFile
from services.ops.cli import audit as command
from services.shared.contract.model import Contract
from services.shared.identities import LakeKey, ObjectId
from services.shared.ledger.items import object_key, pack_files
from services.shared.ledger.records import LotFile, LotState
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, crash
from tests.faults.test_retry import a_bad_file_and_a_good_one
from tests.support.faults import Interrupter
from tests.support.rewriting import retract, retry


@dataclass
class RigListings:
    """The listings of a rig's lake. Implements `services.ops.audit.listings.Listings`."""

    rig: Rig

    def bronze(self, prefix: str) -> Iterator[list[BronzeVersion]]:
        ids = map(ObjectId.parse, self.rig.lake.objects)
        yield [BronzeVersion(id_, 1, "null", datetime(2026, 1, 1, tzinfo=UTC)) for id_ in ids]

    def files(self) -> Iterator[list[ListedFile]]:
        for key in sorted(self.rig.lake.files):
            yield [self._file(key)]

    def find_versions(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        return {id_ for id_ in ids if str(id_) in self.rig.lake.objects}

    def find_files(self, keys: Iterable[str]) -> Mapping[str, ListedFile]:
        return {key: self._file(key) for key in keys if key in self.rig.lake.files}

    def _file(self, key: str) -> ListedFile:
        return ListedFile(key, len(self.rig.lake.files[key]), self.rig.lake.etag(key))


def audited(rig: Rig) -> Audit:
    return audit(rig.ledger, RigListings(rig))


def codes(rig: Rig) -> set[Code]:
    return {finding.code for finding in audited(rig).findings.kept}


@pytest.fixture
def fixed(contracts: dict[str, Contract]) -> dict[str, Contract]:
    wider = replace(contracts["shipments"], max_ahead=timedelta(days=30), version="1.1.0")
    return {**contracts, "shipments": wider}


@pytest.fixture
def loaded(
    new_ledger: Callable[[], tuple[Any, str]], contracts: dict[str, Contract]
) -> Callable[[], tuple[Rig, BronzeObject]]:
    """A lot with a bad file and a good one, on a table of its own: the audit reads all of it."""

    def make() -> tuple[Rig, BronzeObject]:
        rig = Rig(*new_ledger(), contracts, unit_bytes=300)
        bad, _ = a_bad_file_and_a_good_one(rig)
        rig.deliver(rig.units)
        for source in {unit.object.id for unit in rig.units}:
            rig.ledger.objects.mark_done([source])
        return rig, bad

    return make


@pytest.mark.parametrize("command", ["retract", "retry"])
def test_nothing_is_found_at_any_step_nor_after_a_crash_there(
    loaded: Callable[[], tuple[Rig, BronzeObject]], fixed: dict[str, Contract], command: str
) -> None:
    def run(rig: Rig, bad: BronzeObject, interrupter: Interrupter | None = None) -> Any:
        return retract(rig, bad, interrupter) if command == "retract" else retry(rig, fixed, interrupter)

    watch = Interrupter()
    run(*loaded(), watch)
    for at, call in enumerate(watch.calls, start=1):
        rig, bad = loaded()
        assert run(rig, bad, Interrupter(at, True, crash)) is None
        found = audited(rig)
        assert not found.findings.total, (call, found.findings.kept)
        assert found.counts.conserved
        run(rig, bad)
        found = audited(rig)
        assert not found.findings.total, (call, found.findings.kept)


def test_nothing_is_found_while_a_retraction_goes_on_during_the_audit(
    loaded: Callable[[], tuple[Rig, BronzeObject]],
) -> None:
    """The ledger is read first; then the object leaves; then the files are listed and everything is read again."""
    for step in range(4):
        rig, bad = loaded()
        listings, seen = RigListings(rig), iter(range(100))

        def leave(rig: Rig = rig, bad: BronzeObject = bad, seen: Iterator[int] = seen, step: int = step) -> None:
            if next(seen) == step:
                retract(rig, bad)

        class Moving(RigListings):
            def files(self) -> Iterator[list[ListedFile]]:
                for key in sorted(self.rig.lake.files):
                    leave()
                    if key in self.rig.lake.files:
                        yield [self._file(key)]

        found = audit(rig.ledger, Moving(listings.rig))
        assert not found.findings.total, found.findings.kept


def test_the_words_for_a_retracted_object(loaded: Callable[[], tuple[Rig, BronzeObject]]) -> None:
    rig, bad = loaded()
    assert audited(rig).objects == {Outcome.DONE: 2}
    assert retract(rig, bad, Interrupter(first="put", action=crash)) is None
    found = audited(rig)
    assert found.objects == {Outcome.DONE: 1, Outcome.RETRACTING: 1}
    assert not found.all_right
    retract(rig, bad)
    found = audited(rig)
    assert found.objects == {Outcome.DONE: 1, Outcome.RETRACTED: 1}
    assert found.all_right
    (known,) = rig.ledger.find_objects([bad.id])
    assert known.retraction is not None
    later = known.retraction.at + timedelta(seconds=1)
    assert rig.ledger.releases.note_upload(known, replace(bad, created=later))
    found = audited(rig)
    assert found.objects == {Outcome.DONE: 1, Outcome.UPLOADED_AGAIN: 1}
    assert not found.all_right
    retract(rig, bad)
    assert audited(rig).objects == {Outcome.DONE: 1, Outcome.RETRACTED: 1}


class TestDamage:
    def test_a_file_that_is_gone_while_its_lot_is_rewritten(
        self, loaded: Callable[[], tuple[Rig, BronzeObject]]
    ) -> None:
        rig, bad = loaded()
        retract(rig, bad, Interrupter(first="put", before=False, action=crash))
        (lot,) = rig.look_up().lots.values()
        rig.lake.delete([lot.files[0].key])
        assert codes(rig) == {Code.FILE_MISSING}

    def test_a_file_of_a_rewrite_that_no_lot_knows(self, loaded: Callable[[], tuple[Rig, BronzeObject]]) -> None:
        rig, bad = loaded()
        retract(rig, bad)
        (lot,) = rig.look_up().lots.values()
        rig.lake.put(str(LakeKey("silver", "shipments", "2026-01-01", lot.id, "0" * 8, generation=2)), b"late")
        assert codes(rig) == {Code.ORPHAN_FILE}

    def test_units_of_a_retracted_object_in_a_lot(self, loaded: Callable[[], tuple[Rig, BronzeObject]]) -> None:
        rig, bad = loaded()
        retract(rig, bad)
        rig.dynamodb.update_item(TableName=rig.table, Key=object_key(bad.id), UpdateExpression="REMOVE rows_retracted")
        assert audited(rig).objects[Outcome.RETRACTING] == 1
        (good,) = {unit.object.id for unit in rig.units} - {bad.id}
        rig.dynamodb.update_item(
            TableName=rig.table,
            Key=object_key(good),
            UpdateExpression="SET #s = :s, retracted_at = :at, reason = :r, rows_retracted = :rows",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={
                ":s": {"S": "RETRACTED"},
                ":at": {"S": "2026-01-01T00:00:00.000+00:00"},
                ":r": {"S": "retracted"},
                ":rows": {"L": [{"N": "0"}] * 3},
            },
        )
        assert codes(rig) == {Code.RETRACTED_COMMITTED}

    def test_a_lot_that_counts_a_file_of_a_generation_that_it_has_not_reached(
        self, loaded: Callable[[], tuple[Rig, BronzeObject]]
    ) -> None:
        rig, _ = loaded()
        (lot,) = rig.look_up().lots.values()
        old = lot.files[0]
        key = str(LakeKey.parse(old.key)._replace(generation=2))
        rig.lake.put(key, rig.lake.files.pop(old.key))
        files = [LotFile(key, old.rows, old.bytes, old.etag), *lot.files[1:]]
        rig.dynamodb.update_item(
            TableName=rig.table,
            Key={"pk": {"S": f"lot#{lot.id}"}},
            UpdateExpression="SET files = :files",
            ExpressionAttributeValues={":files": pack_files(files)},
        )
        assert codes(rig) == {Code.FILE_MISNAMED}


def test_where_a_rewrite_left_rows_twice_the_audit_says_what_ends_that(
    loaded: Callable[[], tuple[Rig, BronzeObject]], fixed: dict[str, Contract], capsys: pytest.CaptureFixture[str]
) -> None:
    states, step = set[LotState](), 0
    while True:
        rig, _ = loaded()
        step += 1
        if retry(rig, fixed, Interrupter(step, before=False, action=crash)):
            break
        rig.clock.advance(3600)
        if max(rig.lake.positions().values()) == 1:
            continue
        states |= {lot.state for lot in rig.look_up().lots.values()}
        command._show(audited(rig))
        assert "smelt sweep" in capsys.readouterr().out
        rig.tidy()
        assert max(rig.lake.positions().values()) == 1
        command._show(audited(rig))
        assert "smelt sweep" not in capsys.readouterr().out
    assert states == {LotState.REWRITING, LotState.COMMITTED}
