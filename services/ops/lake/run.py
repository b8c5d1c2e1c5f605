"""One run of the publisher, as the function and the command have it: marks first, then what came before marks."""

from __future__ import annotations

from collections.abc import Mapping

from services.ops.history.reader import History
from services.ops.lake.backfill import Backfill
from services.ops.lake.catalog import LakeCatalog
from services.ops.lake.publish import Published, Publisher, Watch
from services.ops.lake.store import Store
from services.shared.contract.model import Contract
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox


def publish(
    ledger: Ledger,
    catalog: LakeCatalog,
    store: Store,
    contracts: Mapping[str, Contract],
    history: History,
    deadline: Deadline,
    watch: Watch = lambda _what, _number: None,
    again: bool = False,
    removers: int = 16,
) -> Published:
    """Bring the tables to what the ledger says. `again` looks at all of Silver, not only at what waits.

    Raises:
        ClientError, BotoCoreError: ledger, bucket or catalog does not answer; what was done is kept.
    """
    ledger.marks.open(Outbox.PUBLISH)
    publisher = Publisher(ledger, catalog, store, contracts, deadline, watch, removers=removers)
    publisher.run()
    if publisher.done.finished:
        Backfill(ledger, catalog, store, contracts, history, publisher, deadline).run(again)
    return publisher.done
