"""In which bucket the files are that a ledger speaks of.

A lot names its files by key. With another bucket under the same keys, what is missing there would be taken for deleted.
So the first transform that looks into an empty ledger writes its bucket down, once, and whoever writes, deletes or
judges files of the ledger compares.
"""

from __future__ import annotations

from services.shared.errors import Transient
from services.shared.ledger.items import Item
from services.shared.ledger.table import Condition, LedgerTable

_KEY: Item = {"pk": {"S": "pipeline#silver"}}
_NOBODYS = Condition("attribute_not_exists(pk)", {})


class WrongBucket(Transient):
    """The ledger's files are in another bucket. Nothing was changed."""


class Home:
    """The bucket of Silver, quarantine and history that the table belongs to."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def settle_in_bucket(self, bucket: str) -> None:
        """Make this bucket the ledger's own, if it has none yet.

        Raises:
            WrongBucket: it has another one.
        """
        item = _KEY | {"bucket": {"S": bucket}, "settled_at": self._table.timestamp()}
        found = self._table.get(_KEY) or self._table.put_if(item, _NOBODYS, lambda there: there == item)
        if found:
            self._compare(found, bucket)

    def check_bucket(self, bucket: str) -> None:
        """A ledger that has no bucket yet has no files either.

        Raises:
            WrongBucket: it has another one.
        """
        if found := self._table.get(_KEY):
            self._compare(found, bucket)

    def _compare(self, found: Item, bucket: str) -> None:
        own = found["bucket"]["S"]
        if own != bucket:
            raise WrongBucket(
                f"The files of the ledger {self._table.name} are in the bucket {own}, not in {bucket}. Nothing was "
                "done. Pass ledger and bucket of one pipeline; if Silver has moved, see docs/operations.md#move-silver."
            )
