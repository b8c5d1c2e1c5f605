"""What the gate has said last, and when a partition was announced to it. Small items beside the records.

pipeline#gates              the datasets that the gate has judged
gate#<dataset>              the last verdict, and each partition whose last verdict is not passed
announced#<dataset>#<dt>    when a partition was last announced, so that a busy one is judged once in a while
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.shared.errors import Transient
from services.shared.identities import GateRun
from services.shared.ledger.items import Item
from services.shared.ledger.table import Condition, LedgerTable

_ATTEMPTS = 10  # against others who end a run of the same dataset at the same moment
_MOST_OPEN = 1000  # partitions that are listed; more are counted
_NAMES: Item = {"pk": {"S": "pipeline#gates"}}
_KEPT = timedelta(days=7)  # an announcement, much longer than any time between two


class GateBusy(Transient):
    """Others are noting their verdicts; try again."""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict over a partition: passed, failed or error, by which run, and when."""

    dt: str
    verdict: str
    run: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate says of a dataset: its last verdict, and the partitions that have not passed since they failed."""

    dataset: str
    last: Said
    not_passed: dict[str, Said] = field(default_factory=dict)  # by dt


class Gates:
    """The gate's items over one table."""

    def __init__(self, table: LedgerTable) -> None:
        self._table = table

    def note(self, dataset: str, said: Said, is_open: bool) -> None:
        """Keep a verdict. An older run that ends later than a newer one of its partition changes nothing.

        Args:
            is_open: whether the partition is listed as not passed from now on.

        Raises:
            GateBusy: others are faster again and again.
        """
        planned = GateRun.parse(said.run).planned
        for _ in range(_ATTEMPTS):
            found = self._table.get(_gate_key(dataset))
            document = json.loads(found["said"]["S"]) if found else {"last": None, "not_passed": {}, "runs": {}}
            if str(document["runs"].get(said.dt, "")) > planned:
                return
            document["last"] = _later(document["last"], said)
            document["runs"][said.dt] = planned
            document["runs"] = dict(sorted(document["runs"].items(), key=lambda run: run[1])[-_MOST_OPEN:])
            document["not_passed"].pop(said.dt, None)
            if is_open:
                document["not_passed"][said.dt] = _to_json(said)
                document["not_passed"] = dict(sorted(document["not_passed"].items())[-_MOST_OPEN:])
            if not found:
                self._register(dataset)
            version = int(found["version"]["N"]) if found else 0
            item = _gate_key(dataset) | {"said": {"S": json.dumps(document)}, "version": {"N": str(version + 1)}}
            if self._table.put_if(item, _unchanged(version), lambda there, item=item: there == item) is None:  # type: ignore[misc]
                return
        raise GateBusy(f"the gate's item of {dataset} is written by others again and again")

    def _register(self, dataset: str) -> None:
        for _ in range(_ATTEMPTS):
            names, version = self._names()
            if dataset in names:
                return
            told = {"names": {"S": json.dumps(sorted({*names, dataset}))}, "version": {"N": str(version + 1)}}
            item = _NAMES | told
            if self._table.put_if(item, _unchanged(version), lambda there, item=item: there == item) is None:  # type: ignore[misc]
                return
        raise GateBusy("the list of datasets with a gate is written by others again and again")

    def _names(self) -> tuple[list[str], int]:
        found = next(iter(self._table.get_many([_NAMES])), None)
        return (json.loads(found["names"]["S"]), int(found["version"]["N"])) if found else ([], 0)

    def all(self) -> list[Gate]:
        """What the gate has said of each dataset, by name."""
        return sorted(self.of(self._names()[0]), key=lambda gate: gate.dataset)

    def of(self, datasets: Collection[str]) -> Iterator[Gate]:
        """What the gate has said of these datasets; of some it has said nothing."""
        for item in self._table.get_many([_gate_key(name) for name in sorted(set(datasets))]):
            document = json.loads(item["said"]["S"])
            open_ = {dt: _from_json(said) for dt, said in document["not_passed"].items()}
            yield Gate(item["pk"]["S"].removeprefix("gate#"), _from_json(document["last"]), open_)

    # -- announcements ---------------------------------------------------------------------------------------

    def announced_ms(self, partitions: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """When an event for each of these (dataset, dt) was last known to be sent, in epoch milliseconds."""
        items = self._table.get_many([_announced_key(*one) for one in sorted(set(partitions))])
        found = {}
        for item in items:
            if "sent" in item:
                _, dataset, dt = item["pk"]["S"].split("#")
                found[dataset, dt] = int(item["sent"]["N"])
        return found

    def claim(self, dataset: str, dt: str, every: timedelta) -> int | None:
        """Be the one who announces this partition now; None where somebody did, or began to, less than `every` ago.

        Who dies after this has announced nothing: the marks are still there, and `every` later somebody else claims.

        Returns:
            the claim, for `sent` and `give_back`.
        """
        now = self._table.now_ms()
        expires = {"N": str((now + int(_KEPT.total_seconds() * 1000)) // 1000)}
        free = Condition(
            "attribute_not_exists(claimed) OR claimed <= :before",
            {":before": {"N": str(now - int(every.total_seconds() * 1000))}},
        )
        values: dict[str, Item] = {":claimed": {"N": str(now)}, ":expires": expires}
        change = "SET claimed = :claimed, expires_at = :expires"
        return now if self._table.update(_announced_key(dataset, dt), change, values, free) else None

    def sent(self, dataset: str, dt: str, claim: int) -> None:
        """The event of this claim is on its way for sure. Whatever was committed before `claim` is announced."""
        self._table.update(
            _announced_key(dataset, dt), "SET sent = :sent", {":sent": {"N": str(claim)}}, _claimed_at(claim)
        )

    def give_back(self, dataset: str, dt: str, claim: int) -> None:
        """The event of this claim was refused: the next run may try at once."""
        self._table.update(_announced_key(dataset, dt), "REMOVE claimed", {}, _claimed_at(claim))


def _unchanged(version: int) -> Condition:
    """Nobody has written the item since it was read; 0 where there was none."""
    return Condition("attribute_not_exists(pk) OR version = :version", {":version": {"N": str(version)}})


def _claimed_at(claim: int) -> Condition:
    return Condition("claimed = :ours", {":ours": {"N": str(claim)}})


def _later(last: dict[str, Any] | None, said: Said) -> dict[str, Any]:
    if last is not None and last["at"] > said.at.isoformat():
        return last
    return _to_json(said)


def _to_json(said: Said) -> dict[str, Any]:
    return {"dt": said.dt, "verdict": said.verdict, "run": said.run, "at": said.at.isoformat()}


def _from_json(stored: dict[str, Any]) -> Said:
    return Said(stored["dt"], stored["verdict"], stored["run"], datetime.fromisoformat(stored["at"]))


def _gate_key(dataset: str) -> Item:
    return {"pk": {"S": f"gate#{dataset}"}}


def _announced_key(dataset: str, dt: str) -> Item:
    return {"pk": {"S": f"announced#{dataset}#{dt}"}}
