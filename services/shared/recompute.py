"""A partition judged again: what is read for it, and how each of its rows would fare under today's contracts.

Nothing is changed by it. What the report names is applied by `smelt replay --force` of its objects. Pure values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Self

from services.shared.compaction import InputFile
from services.shared.contract.model import CREATION, Contract
from services.shared.identities import CompactionRun
from services.shared.judge.judge import RowJudge
from services.shared.judge.verdicts import Accepted, Reason
from services.shared.manifest_json import FORMAT, Body, ManifestError

# What is wrong with the row itself, or with what holds it: no contract says anything else of it.
OF_NO_CONTRACT = frozenset(
    {
        Reason.BAD_UTF8,
        Reason.TOO_DEEP,
        Reason.MALFORMED_JSON,
        Reason.NOT_AN_OBJECT,
        Reason.BAD_UNICODE,
        Reason.ROW_TOO_LONG,
        Reason.BROKEN_FRAME,
        Reason.NO_ROWS,
    }
)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)


_NEEDS_ENVELOPE = (
    "rows in objects of {} get values from outside of themselves (envelopeFields): "
    "replay them with `smelt replay --force` instead"
)


class Fate(StrEnum):
    """What becomes of a row."""

    SAME = "same"  # in Silver with the same values, or refused for the same reason
    CHANGED = "changed"  # in Silver, same partition, other values
    MOVED = "moved"  # in Silver, in another dataset or on another day
    REFUSED = "refused"  # from Silver to quarantine
    ACCEPTED = "accepted"  # from quarantine to Silver
    OTHER_REASON = "other_reason"  # in quarantine for another reason
    UNREADABLE = "unreadable"  # its bytes cannot be had any more, so nothing is known


@dataclass(frozen=True, slots=True)
class Judged:
    """A row's fate; `now` says in words where it would be, empty where nothing changes."""

    fate: Fate
    now: str = ""


def recompute_plan_key(run: CompactionRun) -> str:
    """The plan of a recompute, in its run's folder."""
    return f"{run}_recompute_plan.json"


@dataclass(frozen=True, slots=True)
class RecomputePlan:
    """A partition's committed files, and the contract files (their text) of all datasets by which it is judged."""

    run: CompactionRun
    contracts: Mapping[str, str]
    silver: tuple[InputFile, ...]
    quarantine: tuple[InputFile, ...]

    @property
    def plan_key(self) -> str:
        return recompute_plan_key(self.run)

    @property
    def report_key(self) -> str:
        return f"{self.run}_recompute.json"

    def to_json(self) -> str:
        def bodies(files: tuple[InputFile, ...]) -> list[dict[str, Any]]:
            return [
                {"key": one.key, "etag": one.etag, "rows": one.rows, "bytes": one.bytes, "lot": one.lot}
                for one in files
            ]

        body = {"format": FORMAT, "run": str(self.run), "contracts": dict(self.contracts)}
        return json.dumps(body | {"silver": bodies(self.silver), "quarantine": bodies(self.quarantine)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            ManifestError: it is no plan of a recompute.
        """
        body = Body.read(text, "the plan")
        body.only("run", "contracts", "silver", "quarantine")
        contracts = Body(body.value("contracts"), "the plan's contracts")
        try:
            run = CompactionRun.parse(body.text("run"))
        except ValueError as error:
            raise ManifestError(f"the plan: {error}") from error
        return cls(
            run,
            {name: contracts.text(name) for name in contracts.names()},
            tuple(_input(one) for one in body.bodies("silver")),
            tuple(_input(one) for one in body.bodies("quarantine")),
        )


def judge_again(
    judge: RowJudge,
    contracts: Mapping[str, Contract],
    row: bytes,
    default_dataset: str,
    created: datetime,
    partition: tuple[str, str],
    reason: str | None,
) -> tuple[Judged, Accepted | None]:
    """How a row fares that is in this partition (record type, day), or in quarantine for `reason`.

    Returns:
        what becomes of it, and the judge's answer where it is accepted into the same partition: whether its values
        are the same is for whoever has them. Of a row that has values of an envelope nothing is known: its object's
        dataset, which may be another one than the row's, says that it has them, and they are not in the row.
    """
    of_object = contracts.get(default_dataset)
    if of_object and of_object.envelope_fields:
        return Judged(Fate.UNREADABLE, _NEEDS_ENVELOPE.format(default_dataset)), None
    found = judge.judge(row, default_dataset, created)
    if not isinstance(found, Accepted):
        if reason is None:
            return Judged(Fate.REFUSED, f"quarantine: {found.reason}, {found.field or 'the row'}: {found.detail}"), None
        if reason == found.reason:
            return Judged(Fate.SAME), None
        return Judged(Fate.OTHER_REASON, f"quarantine: {found.reason}: {found.detail}"), None
    place = (found.dataset, day_of(contracts[found.dataset], found, created))
    if reason is not None:
        return Judged(Fate.ACCEPTED, f"silver/{place[0]}/dt={place[1]}/"), None
    if place != partition:
        return Judged(Fate.MOVED, f"silver/{place[0]}/dt={place[1]}/"), None
    return Judged(Fate.SAME), found


def day_of(contract: Contract, accepted: Accepted, created: datetime) -> str:
    """The day (dt) of an accepted row."""
    if contract.event_time == CREATION:
        return created.astimezone(UTC).date().isoformat()
    moment = accepted.values[[field.name for field in contract.fields].index(contract.event_time)]
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).date().isoformat()
    assert isinstance(moment, date)  # noqa: S101 (the contract's event time is one or the other)
    return moment.isoformat()


def row_at(content: bytes, offset: int) -> bytes | None:
    """The JSON object that starts at a byte, or behind blanks there; None where none does or it never ends."""
    start = offset
    while start < len(content) and content[start : start + 1] in (b" ", b"\t", b"\r", b"\n"):
        start += 1
    if content[start : start + 1] != b"{":
        return None
    depth = 0
    for token in _TOKEN.finditer(content, start):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if not depth:
            return content[start : token.end()]
    return None


def _input(body: Body) -> InputFile:
    body.only("key", "etag", "rows", "bytes", "lot", is_top=False)
    return InputFile(
        body.text("key"), body.text("etag"), body.number("rows", 1), body.number("bytes", 1), body.text("lot", least=0)
    )
