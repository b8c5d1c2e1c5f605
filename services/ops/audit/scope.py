"""Which objects an audit is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.ops.audit.accounts import Outcome
from services.shared.identities import ObjectId

BRONZE_ROOT = "bronze/"
REPLAY_ROOT = "bronze/replay/"


@dataclass(frozen=True, slots=True)
class Scope:
    """A choice of objects. Findings and totals are about these objects; `outcomes` chooses only which are listed."""

    dataset: str = ""
    prefix: str = ""  # of the Bronze key
    since: datetime | None = None  # creation time of the object, included
    until: datetime | None = None  # not included
    outcomes: frozenset[Outcome] = frozenset()  # none: those that are not finished well

    @property
    def is_everything(self) -> bool:
        return not (self.dataset or self.prefix or self.since or self.until)

    @property
    def has_tables(self) -> bool:
        """Whether the lake's tables are meant: they are of datasets, not of objects."""
        return not (self.prefix or self.since or self.until)

    @property
    def bronze_prefix(self) -> str:
        """The part of Bronze that must be listed."""
        named = f"{BRONZE_ROOT}{self.dataset}/" if self.dataset else BRONZE_ROOT
        return max(named, self.prefix, key=len) if self.prefix.startswith(BRONZE_ROOT) else named

    def has(self, id_: ObjectId, created: datetime) -> bool:
        return (
            id_.key.startswith(self.prefix)
            and (not self.dataset or dataset_of(id_.key) == self.dataset)
            and (self.since is None or created >= self.since)
            and (self.until is None or created < self.until)
        )

    def has_any(self, objects: Iterable[tuple[ObjectId, datetime | None]]) -> bool:
        """Whether one of these is meant; an object that the ledger does not know (no time) always is."""
        return self.is_everything or any(created is None or self.has(id_, created) for id_, created in objects)

    def lists(self, outcome: Outcome) -> bool:
        """Whether objects with this outcome are listed one by one."""
        return (
            outcome in self.outcomes
            if self.outcomes
            else outcome not in (Outcome.DONE, Outcome.EMPTY, Outcome.RETRACTED)
        )


def dataset_of(key: str) -> str:
    """The dataset that a Bronze key names, whether smelt accepts the key or not; empty where it names none."""
    path = re.sub(r"^(?:bronze/replay/[^/]+/)+(?:bronze/)?", BRONZE_ROOT, key)
    parts = path.split("/")
    return parts[1] if parts[0] == "bronze" and len(parts) > 2 else ""
