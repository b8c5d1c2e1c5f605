"""A plan holds what lots have committed, whatever else lies in the folder, and names what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ops.committed import find_in
from services.ops.gate.files import FolderFiles
from services.ops.gate.planning import make_plan, new_run
from services.shared.gate.plan import GatePlan
from services.shared.identities import LakeKey, LotId
from services.shared.ledger.records import Lot, LotFile, LotState
from tests.support.gate import CONTRACT, DT, plan_of

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


class Pipeline:
    """A folder of files, and the lots that a ledger knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = FolderFiles(folder)
        self.lots: dict[LotId, Lot] = {}
        self.asked: list[LotId] = []

    def lot(
        self, number: int, state: LotState = LotState.COMMITTED, days: Iterable[str] = (DT,), rows: int = 5
    ) -> list[str]:
        id_ = LotId("20260201T000000Z", f"{number:016x}")
        keys = [str(LakeKey("silver", "parcels", day, id_, "0a0b0c0d")) for day in days]
        for key in keys:
            self.files.write(key, b"rows", "")
        committed = tuple(LotFile(key, rows, 4, "e") for key in keys) if state.holds_rows else ()
        self.lots[id_] = Lot(id_, state, (), frozenset(keys), {}, "", 0, files=committed)
        return keys

    def find(self, ids: Iterable[LotId]) -> Iterator[Lot]:
        asked = list(ids)
        self.asked += asked
        return (self.lots[id_] for id_ in asked if id_ in self.lots)

    def plan(self, at: datetime = NOW, contract: str = CONTRACT) -> GatePlan:
        run = new_run("ge/results", "parcels", DT, at)
        model = plan_of(self.folder, [], contract=contract).contract()
        plan = make_plan(self.files, self.find, run, model, contract, at)
        self.files.write(run.plan, plan.to_json().encode(), "")
        return plan


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_files_of_committed_and_rewriting_lots_are_judged(pipeline: Pipeline) -> None:
    keys = pipeline.lot(1) + pipeline.lot(2, LotState.REWRITING)
    plan = pipeline.plan()
    assert [(file.key, file.rows) for file in plan.files] == [(key, 5) for key in keys]
    assert (plan.rows, plan.missing) == (10, ())


def test_files_of_lots_that_are_not_committed_are_not_judged(pipeline: Pipeline) -> None:
    keys = pipeline.lot(1)
    pipeline.lot(2, LotState.PENDING)
    pipeline.lot(3, LotState.DISSOLVING)
    orphan = pipeline.lot(4)
    del pipeline.lots[LotId("20260201T000000Z", f"{4:016x}")]
    pipeline.files.write(f"silver/parcels/dt={DT}/somebody-else.parquet", b"?", "")
    plan = pipeline.plan()
    assert orphan[0] not in {file.key for file in plan.files}
    assert [file.key for file in plan.files] == keys


def test_a_file_that_a_lot_of_another_file_here_has_committed_is_missed(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    id_, lot = next(iter(pipeline.lots.items()))
    gone = LotFile(str(LakeKey("silver", "parcels", DT, id_, "0a0b0c0d", part=1)), 7, 4, "e")
    pipeline.lots[id_] = replace(lot, files=(*lot.files, gone))
    assert pipeline.plan().missing == (gone.key,)


def test_a_file_that_the_last_plan_had_is_missed_when_nothing_names_its_lot_any_more(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    (key,) = pipeline.lot(2)
    pipeline.plan()
    (pipeline.folder / key).unlink()
    plan = pipeline.plan(NOW.replace(hour=13))
    assert plan.missing == (key,)
    assert plan.rows == 5


def test_a_file_is_missed_by_every_plan_until_it_is_back(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    (key,) = pipeline.lot(2)
    pipeline.plan()
    (pipeline.folder / key).unlink()
    for hour in (13, 14, 15):
        assert pipeline.plan(NOW.replace(hour=hour)).missing == (key,)
    pipeline.files.write(key, b"rows", "")
    plan = pipeline.plan(NOW.replace(hour=16))
    assert (plan.missing, plan.rows) == ((), 10)


def test_a_lot_that_was_retracted_since_the_last_plan_is_not_missed(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    (key,) = pipeline.lot(2)
    pipeline.plan()
    (pipeline.folder / key).unlink()
    del pipeline.lots[LotId("20260201T000000Z", f"{2:016x}")]
    assert pipeline.plan(NOW.replace(hour=13)).missing == ()


def test_freshness_looks_at_the_newest_day_that_has_a_committed_file(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    newest = pipeline.lot(2, days=["2026-02-03"])
    pipeline.lot(3, LotState.PENDING, days=["2026-02-04"])
    assert [file.key for file in pipeline.plan().newest] == newest
    without = CONTRACT[: CONTRACT.index("slaProperties")] + CONTRACT[CONTRACT.index("schema:") :]
    assert pipeline.plan(contract=without).newest == ()


def test_lots_that_have_left_the_ledger_are_found_in_the_history(pipeline: Pipeline) -> None:
    pipeline.lot(1)
    pipeline.lot(2)
    one, two = pipeline.lots
    asked: list[set[LotId]] = []

    def archived(ids: Iterable[LotId]) -> Iterator[Lot]:
        asked.append(set(ids))
        return iter([pipeline.lots[two]])

    find = find_in(lambda ids: (pipeline.lots[id_] for id_ in ids if id_ == one), archived)
    assert {lot.id for lot in find([one, two])} == {one, two}
    assert asked == [{two}]
