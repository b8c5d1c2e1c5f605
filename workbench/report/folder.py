"""What a folder of Silver and quarantine says, gathered for a report, in memory of bounded size.

Objects and lots are known by what rows and file names say. What left no row is not known here, but a trial's account
tells it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from services.ops.errors import OperatorError
from services.ops.pages.page import write_page
from services.ops.report.model import LISTED, Example, LotPart, ObjectPart, Refusal, Report
from services.ops.report.page import page_of
from services.shared.contract.model import CREATION, Contract
from services.shared.identities import QUARANTINE_ROOT, SILVER_ROOT, LakeKey, LotId, ObjectId
from services.shared.ledger.records import Counts
from workbench.inprocess.folder import ACCOUNT, BUCKET, pattern
from workbench.trial.place import PAGE
from workbench.trial.refusals import read_refusals

_MEMORY = "1GB"  # that DuckDB may take
_LOTS = 10_000  # that are in memory at once: the latest
_ROOTS = (SILVER_ROOT, QUARANTINE_ROOT)


def of_folder(lake: Path, contracts: Sequence[Contract], at: datetime) -> Report:
    """Gather a report.

    Args:
        lake: holds `silver/`, `quarantine/` or both, and `account.json` if it is a trial's.
        contracts: of the datasets that may be there.
        at: when it is made.

    Raises:
        OperatorError: a file in it is not what it should be.
        OSError: a file cannot be read.
    """
    account = _account(lake)
    report = Report("Trial" if account else "Silver on this machine", str(lake), at)
    try:
        with _database() as database:
            _add_files(report, lake, database)
            _add_objects(report, lake, database)
            _add_newest(report, lake, database, contracts)
        report.refusals = account.refusals if account else read_refusals(lake, {})
    except duckdb.Error as error:
        raise OperatorError(f"{lake}: a Parquet file cannot be read: {str(error).partition(chr(10))[0]}") from error
    if len(report.refusals) > LISTED:
        report.notes.append(f"{len(report.refusals) - LISTED:,} more reasons with fewer rows are not shown.")
        report.refusals = report.refusals[:LISTED]
    seen = [contract for contract in contracts if contract.dataset in report.datasets]
    report.contracts = seen or list(contracts)
    silver = sum(part.silver for part in report.datasets.values())
    quarantined = sum(part.quarantined for part in report.datasets.values())
    read = account.read if account else silver + quarantined
    report.counts = Counts(read, silver, quarantined)
    if account:
        _add_refused_files(report, account.refused_files)
    else:
        report.notes.append("Rows, objects and lots are those that files show. The ledger knows more: `smelt status`.")
    return report


def write_trial_page(folder: Path, out: Path, contracts: Sequence[Contract]) -> None:
    """Write the page about a trial, whose files are in `folder` and will be in `out`. Errors as `of_folder`."""
    report = of_folder(folder, contracts, datetime.now(UTC))
    report.about = str(out)
    write_page(folder / PAGE, page_of(report))


def add_files(report: Report, local: Report) -> None:
    """Add to a report from a ledger what only the files themselves tell: when rows happened, and files by dataset."""
    report.happened = local.happened
    for name, part in local.datasets.items():
        if not part.silver:  # such as rows of unknown datasets, which the ledger counts with their objects
            continue
        known = report.dataset(name)
        known.files, known.bytes, known.newest = part.files, part.bytes, part.newest


class _Account(NamedTuple):
    """What of a trial's account is shown."""

    read: int  # rows
    refusals: list[Refusal]
    refused_files: list[ObjectPart]


def _account(lake: Path) -> _Account | None:
    """What a trial wrote about itself; None where the folder is not a trial's."""
    file = lake / ACCOUNT
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OperatorError(f"{file}: is not what `smelt try` wrote. Run the trial again.") from error
    try:
        return _Account(
            int(found["rows"]["read"]),
            [
                Refusal(**{**one, "examples": [Example(**example) for example in one["examples"]]})
                for one in found["refusals"]
            ],
            [
                ObjectPart(one["file"], "", "rejected", Counts(), None, None, one["reason"], one["advice"])
                for one in found["refused_files"]
            ],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"{file}: is not what `smelt try` wrote. Run the trial again.") from error


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as database:
        database.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{_MEMORY}'")
        yield database


def _pattern(lake: Path, root: str, dataset: str = "*") -> str:
    return pattern(lake, root, dataset, "dt=*", "*.parquet")


def _has(lake: Path, root: str) -> bool:
    return any(lake.glob(f"{root}/*/dt=*/*.parquet"))


def _add_files(report: Report, lake: Path, database: duckdb.DuckDBPyConnection) -> None:
    """Rows by dataset, day and time of loading, and the lots: from the names of files and how many rows they hold."""
    lots: dict[LotId, LotPart] = {}
    strange = 0
    for root in (root for root in _ROOTS if _has(lake, root)):
        found = database.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [_pattern(lake, root)])
        while batch := found.fetchmany(1000):
            for name, rows in batch:
                file = Path(name)
                try:
                    key = LakeKey.parse(file.relative_to(lake).as_posix())
                    claimed = datetime.fromtimestamp(key.lot.claimed_ms / 1000, UTC)
                    day = datetime.fromisoformat(key.dt).replace(tzinfo=UTC)
                except ValueError:
                    strange += 1
                    continue
                _add_file(report, key, claimed, day, rows, file.stat().st_size, lots)
            if len(lots) > 2 * _LOTS:
                lots = {id_: lots[id_] for id_ in sorted(lots, reverse=True)[:_LOTS]}
    report.lots = sorted(lots.values(), key=lambda lot: lot.name, reverse=True)[:LISTED]
    if strange:
        files = "Parquet file has a name" if strange == 1 else "Parquet files have names"
        report.notes.append(f"{strange:,} {files} that smelt does not write: their rows are not counted.")


def _add_file(
    report: Report,
    key: LakeKey,
    claimed: datetime,
    day: datetime,
    rows: int,
    size: int,
    lots: dict[LotId, LotPart],
) -> None:
    part = report.dataset(key.record_type)
    part.loaded = max(part.loaded or claimed, claimed)
    is_silver = key.root == SILVER_ROOT
    if is_silver:
        part.silver += rows
        part.files += 1
        part.bytes += size
        part.newest = max(part.newest, key.dt)
        report.loaded.add(claimed, key.record_type, rows)
        report.happened.add(day, key.record_type, rows)
    else:
        part.quarantined += rows
        report.refused.add(claimed, key.record_type, rows)
    before = lots.get(key.lot) or LotPart(str(key.lot), claimed, 0, 0, 0, 0)
    lots[key.lot] = LotPart(
        before.name,
        claimed,
        before.silver + rows * is_silver,
        before.quarantined + rows * (not is_silver),
        before.files + 1,
        before.bytes + size,
    )


def _add_objects(report: Report, lake: Path, database: duckdb.DuckDBPyConnection) -> None:
    """The objects that rows come from: how many, and the latest."""
    parts = [
        f"SELECT _source, _created, {int(root == SILVER_ROOT)} AS silver FROM read_parquet("  # noqa: S608 (our own words)
        "?, hive_partitioning = false, union_by_name = true)"
        for root in _ROOTS
        if _has(lake, root)
    ]
    if not parts:
        return
    files = [_pattern(lake, root) for root in _ROOTS if _has(lake, root)]
    found = database.execute(
        f"""SELECT _source, sum(silver)::BIGINT, (count(*) - sum(silver))::BIGINT, epoch_us(max(_created)),
                   count(*) OVER ()
            FROM ({" UNION ALL ".join(parts)}) WHERE _source IS NOT NULL GROUP BY _source
            ORDER BY max(_created) DESC, 3 DESC, _source LIMIT {LISTED}""",  # noqa: S608 (our own words)
        files,
    ).fetchall()
    report.objects = [_object(source, silver, quarantined) for source, silver, quarantined, _, _ in found]
    report.objects_by_state = {"loaded": found[0][4]} if found else {}


def _object(source: str, silver: int, quarantined: int) -> ObjectPart:
    counts = Counts(silver + quarantined, silver, quarantined)
    try:
        id_ = ObjectId.parse(source)
    except ValueError:
        return ObjectPart(source, "", "loaded", counts, None, None)
    _, dataset, name = (*id_.key.split("/", 2), "", "")[:3]
    return ObjectPart(name if id_.bucket == BUCKET else source, dataset, "loaded", counts, None, None)


def _add_newest(report: Report, lake: Path, database: duckdb.DuckDBPyConnection, contracts: Sequence[Contract]) -> None:
    """The latest event time of each dataset, where its contract says which column that is; else its day stays."""
    for contract in contracts:
        part = report.datasets.get(contract.dataset)
        if part is None or not part.silver or contract.event_time == CREATION:
            continue
        try:
            answer = database.execute(
                f'SELECT left(CAST(max("{contract.event_time}") AS VARCHAR), 19) '  # noqa: S608 (a checked name)
                "FROM read_parquet(?, hive_partitioning = false, union_by_name = true)",
                [_pattern(lake, SILVER_ROOT, contract.dataset)],
            ).fetchone()
        except duckdb.BinderException:  # files of another contract, without this column
            continue
        part.newest = answer[0] if answer and answer[0] else part.newest


def _add_refused_files(report: Report, refused: Sequence[ObjectPart]) -> None:
    report.rejected_total = len(refused)
    if refused:
        report.objects_by_state["rejected"] = len(refused)
    report.rejected = list(refused[:LISTED])
    report.objects = [*report.rejected, *report.objects][:LISTED]
