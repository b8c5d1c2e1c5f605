"""The ledger's records as DynamoDB items, and back. No AWS client.

Lists are packed (JSON, deflate): an item holds 400 KB. Times are UTC; leases are epoch milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from services.shared.errors import UnreadableItem
from services.shared.identities import LotId, ObjectId, UnitId
from services.shared.ledger.records import (
    Counts,
    Intent,
    LedgerObject,
    Lot,
    LotFile,
    LotState,
    LotTooWide,
    ObjectState,
    Progress,
    Retraction,
    UnitNotes,
    UnitRecord,
)
from services.shared.units import BronzeObject, Copy, Plan

Item = dict[str, Any]
Record = TypeVar("Record")

# A pending lot has its keys and, in parts, its files; a committed one its files. What else is in it needs less than
# 100 KB, and DynamoDB's limit is 400 KB.
MAX_LOT_BYTES = 290_000
MAX_FILES_PER_LOT = 8_000  # that surely fit: about 33 bytes each, most of them for the etag
OPEN_SHARDS = 32  # of each kind of open work: one key of an index takes about 1,000 writes a second


def object_key(id_: ObjectId) -> Item:
    return {"pk": {"S": f"object#{id_}"}}


def unit_key(id_: UnitId) -> Item:
    return {"pk": {"S": f"unit#{id_}"}}


def lot_key(id_: LotId) -> Item:
    return {"pk": {"S": f"lot#{id_}"}}


def open_shard(kind: str, id_: ObjectId | LotId) -> str:
    """The hash key in the index: `object#07`, `lot#31` are open work; `done#07`, `committed#31` await the history."""
    number = int.from_bytes(hashlib.blake2b(str(id_).encode(), digest_size=2).digest()) % OPEN_SHARDS
    return f"{kind}#{number:02d}"


def pack(value: Any) -> Item:
    return {"B": zlib.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), 6)}


def unpack(attribute: Item) -> Any:
    return json.loads(zlib.decompress(attribute["B"]))


def pack_files(files: Iterable[LotFile]) -> Item:
    return pack([[file.key, file.rows, file.bytes, file.etag] for file in files])


def pack_progress(progress: Progress) -> Item:
    counts = progress.counts
    files = [[file.key, file.rows, file.bytes, file.etag] for file in progress.files]
    return pack(
        {
            "position": progress.position,
            "part": progress.part,
            "counts": [counts.read, counts.silver, counts.quarantined],
            "files": files,
            "contracts": dict(progress.contracts),
            "reasons": dict(progress.reasons),
        }
    )


def intent_text(intent: Intent) -> str:
    """An intent as JSON, for the ledger."""
    told = {"kind": intent.kind, "by": intent.by, "note": intent.note}
    told |= {"object": str(intent.object)} if intent.object else {}
    told |= {"at": intent.at.isoformat()} if intent.at else {}
    return json.dumps(told, ensure_ascii=False, sort_keys=True)


def intent_from(text: str) -> Intent:
    """Read an intent back."""
    told = json.loads(text)
    object_ = ObjectId.parse(told["object"]) if "object" in told else None
    at = datetime.fromisoformat(told["at"]) if "at" in told else None
    return Intent(told["kind"], object_, told["by"], told["note"], at)


def counts_item(counts: Counts) -> Item:
    """Counts as a list of numbers."""
    return {"L": [{"N": str(number)} for number in (counts.read, counts.silver, counts.quarantined)]}


def check_width(*attributes: Item) -> None:
    """
    Raises:
        LotTooWide: these lists do not fit together in one item.
    """
    size = sum(len(attribute["B"]) for attribute in attributes)
    if size > MAX_LOT_BYTES:
        raise LotTooWide(
            f"the lot's list of files needs {size:,} bytes in the ledger, more than {MAX_LOT_BYTES:,}: its rows lie on "
            "too many different days. Narrow the contract's event-time window, or let the producer split files by day"
        )


def token_of(item: Item) -> str:
    """The lease's token in an item that was read back; empty where there is none."""
    return _text(item, "lease_token")


def state_of(item: Item) -> str:
    """The state in an item that was read back; empty where there is none."""
    return _text(item, "state")


def _naming_the_item(read: Callable[[Item], Record]) -> Callable[[Item], Record]:
    """Whatever is wrong in an item, the error says in which one."""

    @wraps(read)
    def reader(item: Item) -> Record:
        try:
            return read(item)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, zlib.error) as error:
            raise UnreadableItem(
                f"the ledger's item {item['pk']['S']} cannot be read ({type(error).__name__}: {error}): somebody has "
                "changed it, or this is a bug in smelt. The table has point-in-time recovery: docs/runbook.md, "
                '"Records of the ledger are missing", restores it and copies an item back. Delete this one only then'
            ) from error

    return reader


@_naming_the_item
def object_from(item: Item) -> LedgerObject:
    id_ = ObjectId.parse(item["pk"]["S"].removeprefix("object#"))
    created = datetime.fromisoformat(item["created"]["S"])
    version = item.get("version_id", {}).get("S")
    copy = _copy_from(item) if "copy_key" in item else None
    source = BronzeObject(id_.bucket, id_.key, _number(item, "size"), id_.etag, version, created, copy)
    return LedgerObject(
        plan=Plan(source, _number(item, "step")),
        state=ObjectState(item["state"]["S"]),
        sent=_number(item, "sent"),
        lease_token=_text(item, "lease_token"),
        lease_until=_number(item, "lease_until"),
        seen=_time(item, "reopened_at") or _time(item, "seen_at"),
        version_at=_time(item, "version_at"),
        resent=_time(item, "resent_at"),
        reason=_text(item, "reason"),
        advice=_text(item, "advice"),
        retraction=_retraction_from(item),
        archived=_text(item, "archived"),
        since=_number(item, "since"),
        indexed="open" in item,
    )


@_naming_the_item
def unit_from(item: Item) -> UnitRecord:
    lot = _text(item, "lot")
    notes = UnitNotes(
        suspect=_number(item, "suspect"),
        attempts=_number(item, "attempts"),
        lease_until=_number(item, "lease_until"),
        stalls=_number(item, "stalls"),
        dead=_text(item, "dead"),
        last_error=_text(item, "last_error"),
    )
    return UnitRecord(
        id=UnitId.parse(item["pk"]["S"].removeprefix("unit#")),
        lot=LotId.parse(lot) if lot else None,
        notes=notes,
        refused="refused_at" in item,
        retracted=_counts_from(item, "retracted") or Counts(),
        left=LotId.parse(_text(item, "left_lot")) if "left_lot" in item else None,
    )


@_naming_the_item
def lot_from(item: Item) -> Lot:
    def listed(name: str) -> list[Any]:
        return list(unpack(item[name])) if name in item else []

    return Lot(
        id=LotId.parse(item["pk"]["S"].removeprefix("lot#")),
        state=LotState(item["state"]["S"]),
        units=tuple(UnitId.parse(unit) for unit in listed("units")),
        outputs=frozenset(listed("outputs")),
        contracts=json.loads(item["contracts"]["S"]),
        lease_token=_text(item, "lease_token"),
        lease_until=_number(item, "lease_until"),
        take_overs=_number(item, "take_overs"),
        stalled=bool(_number(item, "stalled")),
        progress=_progress_from(item["progress"]) if "progress" in item else None,
        counts=Counts(_number(item, "rows_read"), _number(item, "rows_silver"), _number(item, "rows_quarantined")),
        unit_counts=tuple(Counts(*counts) for counts in listed("unit_counts")),
        files=tuple(LotFile(*file) for file in listed("files")),
        generation=_number(item, "generation") or 1,
        obsolete=frozenset(listed("obsolete")),
        intent=intent_from(item["intent"]["S"]) if "intent" in item else None,
        reasons=dict(unpack(item["reasons"])) if "reasons" in item else {},
        archived=_text(item, "archived"),
        indexed="open" in item,
    )


def record_from(item: Item) -> LedgerObject | Lot | UnitRecord:
    """Whatever the item is."""
    kind = item["pk"]["S"].partition("#")[0]
    if kind == "object":
        return object_from(item)
    return lot_from(item) if kind == "lot" else unit_from(item)


def _copy_from(item: Item) -> Copy:
    return Copy(_text(item, "copy_key"), _text(item, "copy_etag"), _text(item, "copy_version") or None)


def _retraction_from(item: Item) -> Retraction | None:
    at = _time(item, "retracted_at")
    if at is None:
        return None
    by, note, rows = _text(item, "retracted_by"), _text(item, "note"), _counts_from(item, "rows_retracted")
    return Retraction(at, by, note, rows, _time(item, "uploaded_again_at"), "reload" in item)


def _counts_from(item: Item, name: str) -> Counts | None:
    return Counts(*(int(number["N"]) for number in item[name]["L"])) if name in item else None


def _progress_from(attribute: Item) -> Progress:
    found = unpack(attribute)
    files = tuple(LotFile(*file) for file in found["files"])
    position, counts = tuple(found["position"]), Counts(*found["counts"])
    return Progress(position, found["part"], counts, files, found["contracts"], found["reasons"])


def _number(item: Item, name: str) -> int:
    return int(item.get(name, {}).get("N", 0))


def _time(item: Item, name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None


def _text(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))
