"""Whether the tables have what the ledger says: each file of a committed lot is live, or a live run stands for it.

It changes nothing. A table that cannot be read is told, and keeps no other from being looked at. Lots with a mark are
left out: they wait for the publisher, and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError

from services.ops.grid import LOTS_PER_READ, batched
from services.ops.history.reader import History
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.live import Live, read_days, read_live
from services.ops.lake.publish import change_for, wanted_files
from services.ops.lake.store import Store
from services.shared.errors import Terminal, Transient
from services.shared.identities import SILVER_ROOT, LakeKey, LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LotFile, LotState, Outbox

_FILES_AT_ONCE = 1_000


@dataclass(slots=True)
class Checked:
    """What was found in one table."""

    dataset: str
    files: int = 0  # of committed lots
    waiting: int = 0  # lots with a mark, each as often as it was met
    missing: list[str] = field(default_factory=list)  # files that are neither live nor stood for
    stale: list[str] = field(default_factory=list)  # files that are, and that their lot does not have
    uneven: list[str] = field(default_factory=list)  # runs whose outputs do not have the rows of their record
    unreadable: str = ""  # why the table could not be compared to its end

    @property
    def all_right(self) -> bool:
        return not (self.missing or self.stale or self.uneven or self.unreadable)


def check_each(check: Callable[[str], Checked], datasets: Iterable[str]) -> Iterator[Checked]:
    """Compare tables, one after the other. What is wrong with one concerns no other.

    Args:
        check: compares one; see `check_table`.

    Raises:
        ClientError, BotoCoreError, Transient: ledger, bucket or catalog does not answer.
    """
    for dataset in datasets:
        try:
            checked = check(dataset)
        except (ClientError, BotoCoreError, Transient):
            raise
        except Terminal as error:
            checked = Checked(dataset, unreadable=str(error))
        except Exception as error:  # noqa: BLE001 (whatever a damaged table makes of those who open it)
            checked = Checked(dataset, unreadable=f"{type(error).__name__}: {error}")
        yield checked


def check_table(ledger: Ledger, catalog: LakeCatalog, store: Store, history: History, dataset: str) -> Checked:
    """Compare one table with the ledger, partition by partition.

    Raises:
        LakeDamaged: the table has what smelt never puts there.
    """
    found = Checked(dataset)
    table = catalog.find(dataset)
    keys = _lake_keys(store, dataset)
    while some := list(islice(keys, _FILES_AT_ONCE)):
        days = {key.dt for key in some}
        live = read_live(table, store, days) if table else Live(None)
        lots = _committed(ledger, history, {key.lot for key in some}, dataset, days, found)
        change = change_for(live, lots)
        covered = live.covered()
        found.files += sum(map(len, lots.values()))
        found.missing += [key for key in change.add if key not in covered]
    for some_days, live in read_days(table, store) if table else ():  # also days of which Silver has no file any more
        lots = _committed(ledger, history, live.lots(), dataset, some_days, Checked(dataset))
        found.stale += [key for key in change_for(live, lots).remove if key.startswith(f"{SILVER_ROOT}/")]
        found.stale += [
            key for key, (_, file) in live.covered().items() if file.lot in lots and key not in lots[file.lot]
        ]
        for run, record in live.runs.items():
            rows = sum(file.rows for file in live.outputs(run))
            if rows != record.rows or record.superseded < 0:
                found.uneven.append(f"{run}: {rows:,} rows, its record says {record.rows:,}")
    return found


def _lake_keys(store: Store, dataset: str) -> Iterator[LakeKey]:
    for file in store.list(f"{SILVER_ROOT}/{dataset}/"):
        try:
            yield LakeKey.parse(file.key)
        except ValueError:
            continue  # `smelt audit` tells of it


def _committed(
    ledger: Ledger, history: History, ids: set[LotId], dataset: str, days: Set[str], found: Checked
) -> Mapping[LotId, Mapping[str, LotFile]]:
    """The files of these days that lots at rest have, without those that wait for the publisher.

    A lot that neither ledger nor history knows has none.
    """
    lots: dict[LotId, dict[str, LotFile]] = {}
    for some in batched(sorted(ids), LOTS_PER_READ):
        marked = ledger.marks.holding(some, [Outbox.PUBLISH])
        found.waiting += len(marked)
        known = {lot.id: lot for lot in ledger.find_lots(some)}
        files = {id_: lot.files for id_, lot in known.items() if lot.state is LotState.COMMITTED}
        gone = set(some) - known.keys()
        files |= dict.fromkeys(gone, ()) | {id_: one.found.lot.files for id_, one in history.locate(gone).items()}
        for id_, listed in files.items():
            if id_ not in marked:
                wanted = wanted_files(listed, dataset)
                lots[id_] = {key: file for key, file in wanted.items() if LakeKey.parse(key).dt in days}
    return lots
