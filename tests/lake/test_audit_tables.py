"""The audit and the lake's tables: what contradicts the ledger is a finding, what is on its way is none."""

from __future__ import annotations

import pytest

from services.ops.audit.audit import Audit
from services.ops.audit.findings import Code, Findings
from services.ops.audit.tables import audit_tables
from services.ops.history.reader import History
from services.ops.lake.check import Checked, check_table
from services.ops.lake.committer import TableBusy
from services.ops.lake.live import read_live, record_key
from tests.lake.compacting import compact
from tests.lake.rig import LakeRig, day
from tests.lake.test_compaction import load, published
from tests.support.rewriting import retract


def audited(lake: LakeRig) -> Audit:
    def check(dataset: str) -> Checked:
        return check_table(lake.rig.ledger, lake.catalog(), lake.store, History(lake.history), dataset)

    result = Audit(Findings(10))
    audit_tables(result, check, sorted(lake.contracts))
    return result


def found(lake: LakeRig) -> list[tuple[Code, str]]:
    return [(finding.code, finding.subject) for finding in audited(lake).findings.kept]


def test_what_waits_and_what_is_published_is_no_finding(lake: LakeRig) -> None:
    load(lake, 1, 2, 50)
    result = audited(lake)
    assert result.tables is not None
    assert (result.tables.files, result.tables.waiting, result.all_right) == (0, 1, True)
    published(lake)
    compact(lake, day(1))
    result = audited(lake)
    assert result.tables is not None
    assert (result.tables.files, result.tables.waiting, result.all_right) == (5, 0, True)


def test_a_file_that_no_table_has_is_a_finding(lake: LakeRig) -> None:
    published(lake)
    lake.rig.outboxes = frozenset()
    load(lake, 70)
    (lost,) = {file.key for lot in lake.lots() for file in lot.files} - set(read_live(lake.table(), lake.store).files)
    assert found(lake) == [(Code.TABLE_FILE_MISSING, lost)]
    assert not audited(lake).all_right


def test_a_file_that_was_replaced_and_is_still_in_its_table_is_a_finding(lake: LakeRig) -> None:
    bad = load(lake, 1, 2, 50)
    lake.publish()
    old = [file.key for lot in lake.lots() for file in lot.files]
    retract(lake.rig, bad)
    for entry in lake.rig.ledger.open_entries("publish"):
        lake.rig.dynamodb.delete_item(TableName=lake.rig.table, Key={"pk": {"S": entry.pk}})
    assert found(lake) == [(Code.TABLE_FILE_LEFT, key) for key in sorted(old)]


def test_a_compaction_with_other_rows_than_its_record_is_a_finding(lake: LakeRig) -> None:
    published(lake)
    swap = compact(lake, day(1))
    assert swap is not None
    text = lake.store.read(record_key(swap.run))
    assert text is not None
    lake.store.put(record_key(swap.run), text.replace(b'"rows": 11', b'"rows": 12'))
    assert found(lake) == [(Code.TABLE_RUN_UNEVEN, str(swap.run))]


def test_a_table_that_cannot_be_read_is_a_finding_and_keeps_no_other_from_being_looked_at(lake: LakeRig) -> None:
    published(lake)
    swap = compact(lake, day(1))
    assert swap is not None
    lake.store.delete([record_key(swap.run)])

    def check(dataset: str) -> Checked:
        if dataset == "parcels":
            return Checked(dataset, files=3, missing=["a"])
        if dataset == "gone":
            raise FileNotFoundError("metadata.json")
        return check_table(lake.rig.ledger, lake.catalog(), lake.store, History(lake.history), dataset)

    result = Audit(Findings(10))
    audit_tables(result, check, ["shipments", "gone", "parcels"])
    assert not result.all_right
    told = {finding.subject: finding for finding in result.findings.kept}
    assert {name: finding.code for name, finding in told.items()} == {
        "shipments": Code.TABLE_UNREADABLE,
        "gone": Code.TABLE_UNREADABLE,
        "a": Code.TABLE_FILE_MISSING,
    }
    assert record_key(swap.run) in told["shipments"].detail
    assert "FileNotFoundError: metadata.json" in told["gone"].detail
    assert result.tables is not None
    assert result.tables.files == 3


def test_an_outage_is_no_finding() -> None:
    def check(dataset: str) -> Checked:
        raise TableBusy(dataset)

    with pytest.raises(TableBusy):
        audit_tables(Audit(Findings(10)), check, ["shipments"])


def test_what_a_publisher_heals_meanwhile_is_no_finding() -> None:
    answers = [Checked("shipments", missing=["a", "b"]), Checked("shipments", files=2, missing=["b"])]
    result = Audit(Findings(10))
    audit_tables(result, lambda _: answers.pop(0), ["shipments"])
    assert [(finding.code, finding.subject) for finding in result.findings.kept] == [(Code.TABLE_FILE_MISSING, "b")]
    assert result.tables is not None
    assert result.tables.files == 2
