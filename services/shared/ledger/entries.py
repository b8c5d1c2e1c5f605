"""The index of open work, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from services.shared.identities import LotId, ObjectId
from services.shared.ledger.items import OPEN_SHARDS, Item
from services.shared.ledger.table import LedgerTable


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """One entry of the index: an item, since when it is open, finished or waiting, and its place in the index."""

    shard: str  # such as `object#07`
    since: int  # epoch milliseconds
    pk: str

    @property
    def object(self) -> ObjectId:
        return ObjectId.parse(self.pk.removeprefix("object#"))

    @property
    def lot(self) -> LotId:
        """Of a lot, or of a mark: `lot#<id>`, `mark#publish#<id>`."""
        return LotId.parse(self.pk.rpartition("#")[2])

    @classmethod
    def from_item(cls, item: Item) -> Self:
        return cls(item["open"]["S"], int(item["since"]["N"]), item["pk"]["S"])

    def to_key(self) -> Item:
        return {"open": {"S": self.shard}, "since": {"N": str(self.since)}, "pk": {"S": self.pk}}


def entries_of(table: LedgerTable, kind: str, after: OpenEntry | None = None) -> Iterator[OpenEntry]:
    """One kind, shard by shard, oldest first within each, from behind `after` on.

    An index is eventually consistent: read the item itself before acting on it.
    """
    for shard in (f"{kind}#{number:02d}" for number in range(OPEN_SHARDS)):
        if after and shard < after.shard:
            continue
        start = after.to_key() if after and shard == after.shard else None
        yield from map(OpenEntry.from_item, table.open_keys(shard, start))
