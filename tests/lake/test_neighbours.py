"""What is wrong with one table keeps no other from being published and looked after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyiceberg.exceptions import NoSuchPropertyException
from pyiceberg.types import ListType, NestedField, StructType

from services.ops.history.reader import History
from services.ops.lake.catalog import LakeCatalog, sqlite_catalog
from services.ops.lake.maintenance import Maintenance
from services.ops.lake.publish import Publisher
from services.ops.lake.run import publish
from services.ops.lake.schema import table_schema
from services.shared.contract.model import Contract, Field, FieldType
from services.shared.deadline import Deadline
from tests.faults.rig import shipment
from tests.lake.rig import ENDLESS, LakeRig, day

FIRST = "invoice_lines"  # by name, so that the others come behind it
INVOICE_LINE = (
    b'{"event_time":"2026-01-01T00:00:00Z","invoice_id":"I1","sku":"a","quantity":1,"unit_price":1,"line_total":1}'
)
ANSWERS = [
    NoSuchPropertyException("Property table_type missing, could not determine type"),  # a table that is no Iceberg
    ClientError({"Error": {"Code": "AccessDeniedException", "Message": "Insufficient Lake Formation"}}, "GetTable"),
    OSError("AWS Error ACCESS_DENIED during HeadObject operation"),
    FileNotFoundError("lake/invoice_lines/metadata/00007.metadata.json"),
]


class _Refusing:
    """A catalog that answers for the first dataset with an error."""

    def __init__(self, catalog: Any, error: Exception) -> None:
        self._catalog, self._error = catalog, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def load_table(self, name: tuple[str, str]) -> Any:
        if name[1] == FIRST:
            raise self._error
        return self._catalog.load_table(name)


def _refusing(lake: LakeRig, error: Exception) -> LakeCatalog:
    catalog: Any = _Refusing(sqlite_catalog(lake.folder / "catalog.db"), error)
    return LakeCatalog(catalog, "lake", lake.store.root)


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: type(error).__name__)
def test_a_table_that_cannot_be_opened_keeps_no_other_from_being_published(lake: LakeRig, error: Exception) -> None:
    lake.rig.upload("shipments", [shipment(1)])
    lake.rig.deliver(lake.rig.units[-1:])
    done = publish(
        lake.rig.ledger,
        _refusing(lake, error),
        lake.store,
        lake.contracts,
        History(lake.history),
        ENDLESS,
        again=True,
        removers=1,
    )
    assert [problem.split(":")[0] for problem in done.problems] == [FIRST]
    assert str(error) in done.problems[0]
    assert not done.all_right
    assert all(lake.catalog().find(dataset) is not None for dataset in lake.contracts if dataset != FIRST)
    lake.check()


@pytest.mark.parametrize("error", ANSWERS, ids=lambda error: type(error).__name__)
def test_a_table_that_cannot_be_opened_keeps_no_other_from_maintenance(lake: LakeRig, error: Exception) -> None:
    lake.backfill()
    maintenance = Maintenance(lake.rig.ledger, _refusing(lake, error), lake.store, ENDLESS)
    done = maintenance.run_each(sorted(lake.contracts))
    assert [one.dataset for one in done.tables] == sorted(lake.contracts.keys() - {FIRST})
    assert [problem.split(":")[0] for problem in done.problems] == [FIRST]
    assert str(error) in done.problems[0]
    assert done.finished
    assert not done.busy


@pytest.mark.parametrize("turns", [1, 100])
def test_a_table_that_is_worked_on_has_another_turn(lake: LakeRig, turns: int) -> None:
    """The publisher and the maintenance may start in the same second, each hour."""
    lake.backfill()
    lease, slept = lake.rig.ledger.leases.take("lake#shipments", 10_000), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == turns:
            lake.rig.ledger.leases.return_lease(lease)

    maintenance = Maintenance(*lake.parts(), ENDLESS, sleep=sleep)
    done = maintenance.run_each(sorted(lake.contracts))
    busy = [] if turns == 1 else ["shipments"]
    assert (done.busy, done.problems, done.finished) == (busy, [], True)
    assert sorted(one.dataset for one in done.tables) == sorted(lake.contracts.keys() - set(busy))
    assert 0 < sum(slept) < 120


def test_maintenance_waits_for_no_table_beyond_its_deadline(lake: LakeRig) -> None:
    lake.backfill()
    lake.rig.ledger.leases.take("lake#shipments", 10_000)
    left = [30.0]

    def sleep(seconds: float) -> None:
        left[0] -= seconds

    done = Maintenance(*lake.parts(), Deadline(lambda: left[0], 0), sleep=sleep).run_each(["shipments"])
    assert (done.busy, done.finished) == (["shipments"], False)
    assert left[0] > 0


def test_where_we_may_not_look_at_a_table_without_a_contract_it_is_said_who_may(lake: LakeRig) -> None:
    """As the publisher on AWS, whose role is made for the tables of contracts."""
    catalog = sqlite_catalog(lake.folder / "catalog.db")
    catalog.create_namespace("lake")
    lake.rig.upload(FIRST, [INVOICE_LINE])
    lake.rig.deliver(lake.rig.units)
    contracts = {name: one for name, one in lake.contracts.items() if name != FIRST}
    publisher = Publisher(lake.rig.ledger, _refusing(lake, ANSWERS[1]), lake.store, contracts, ENDLESS, removers=1)
    told = f"{FIRST}: no contract describes it. Bring its contract back, or run `smelt publish` as somebody who may"
    assert [problem[: len(told)] for problem in publisher.run().problems] == [told]


def _docs(fields: tuple[NestedField, ...]) -> list[str]:
    found = [field.doc for field in fields if field.doc]
    for field in fields:
        if isinstance(field.field_type, StructType):
            found += _docs(field.field_type.fields)
        elif isinstance(field.field_type, ListType) and isinstance(field.field_type.element_type, StructType):
            found += _docs(field.field_type.element_type.fields)
    return found


@pytest.mark.parametrize(
    ("meaning", "doc"),
    [
        ("The carrier.", "The carrier."),
        ("Who brings it.\n\n- a carrier\n- or\tnobody\u2028\x07", "Who brings it. - a carrier - or nobody"),
        ("x" * 256, "x" * 252 + "..."),
        ("ü" * 200, "ü" * 126 + "..."),
        (" \n", None),
    ],
)
def test_a_column_s_meaning_is_one_that_glue_takes(
    contracts: dict[str, Contract], meaning: str, doc: str | None
) -> None:
    """Glue refuses the whole table for a comment of more than 255 bytes, or of more lines than one."""
    child = Field("inside", FieldType.STRING, id=91, description="y" * 300)
    nested = Field("box", FieldType.OBJECT, id=90, description=meaning, children=(child,))
    shipments = contracts["shipments"]
    schema = table_schema(replace(shipments, fields=(*shipments.fields, nested)))
    assert schema.find_field("box").doc == doc
    for one in _docs(schema.fields):
        assert len(one.encode()) <= 255
        assert one.isprintable()


def test_a_long_meaning_is_no_change_of_a_table(lake: LakeRig) -> None:
    lake.rig.upload("shipments", [shipment(1)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    before = lake.table().schema().schema_id
    long = [replace(field, description="z\n" * 400) for field in lake.contracts["shipments"].fields]
    lake.contracts = {**lake.contracts, "shipments": replace(lake.contracts["shipments"], fields=tuple(long))}
    lake.rig.upload("shipments", [shipment(2, 2)])
    lake.rig.deliver(lake.rig.units[-1:])
    lake.publish()
    assert lake.table().schema().schema_id == before
    assert {str(one["partition"]["dt"]) for one in lake.table().inspect.partitions().to_pylist()} == {day(1), day(2)}
