"""The smoke test of a deployed pipeline: known rows go in, and every value that comes out is compared.

It uploads to the dataset `smoke`, which has a contract of its own, so that it never touches other data. It writes one
object to Bronze and nothing else; what the pipeline makes of it stays. Knows nothing of terminals.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.ops.audit.audit import audit
from services.ops.audit.listings import S3Listings
from services.ops.audit.scope import Scope
from services.shared.columns import OFFSET, RESCUED, SOURCE
from services.shared.identities import ObjectId
from services.shared.judge.verdicts import Reason
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, Lot, ObjectState

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATASET = "smoke"
GOOD_ROWS = 97
_KEYS = ("run", "number", "amount", "ratio", "even", "day", "note", "tags")  # of a row; columns have names of their own
_COLUMNS = ("event_time", *(f"{DATASET}_{key}" for key in _KEYS), RESCUED)
_LISTED = 5  # rows of a kind that are described one by one
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SmokeFile:
    """One run's object, and what must become of it. Rows are named by their offset in bytes, as Silver names them."""

    run: str
    body: bytes
    accepted: Mapping[int, Mapping[str, Any]]  # offset -> Silver's values
    refused: Mapping[int, Reason]  # offset -> why it must be in quarantine

    @property
    def key(self) -> str:
        return f"bronze/{DATASET}/{self.run}.jsonl"


@dataclass(slots=True)
class Smoke:
    """What a run found. It passed if nothing is in `problems`."""

    object: ObjectId
    rows: int
    seconds: float = 0.0  # from upload to commit, as far as it came
    in_silver: int = 0
    in_quarantine: int = 0
    problems: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)  # URIs of objects, and the ledger's item

    @property
    def passed(self) -> bool:
        return not self.problems


def make_file(moment: datetime) -> SmokeFile:
    """Known rows of every type, three of them bad, with the id of a new run in each."""
    run = f"{moment:%Y%m%dt%H%M%Sz}-{uuid.uuid4().hex[:8]}"
    accepted: dict[int, Mapping[str, Any]] = {}
    refused: dict[int, Reason] = {}
    body = b""
    for number in range(GOOD_ROWS):
        text, values = _good_row(run, number, moment - timedelta(seconds=number))
        accepted[len(body)] = values
        body += text.encode() + b"\n"
    at = f'"event_time": "{_iso(moment)}"'
    for row, reason in (
        (f'{{"run": "{run}", {at}, "number": "1"}}', Reason.WRONG_TYPE),
        (f'{{{at}, "number": 1, "note": "{run} has no run"}}', Reason.MISSING_REQUIRED),
        (f'{{"run": "{run}", {at}, "number": 1', Reason.MALFORMED_JSON),
    ):
        refused[len(body)] = reason
        body += row.encode() + b"\n"
    return SmokeFile(run, body, accepted, refused)


def _good_row(run: str, number: int, at: datetime) -> tuple[str, dict[str, Any]]:
    """The row's text, and what Silver must make of it."""
    amount = Decimal(number * 1_234_567 % 10**9) / 100
    day = (at - timedelta(days=number)).date()
    note = f"Grüße, 你好, 🚚 {number}" if number % 10 else None
    tags = f'["a", {number}]'
    text = (
        f'{{"event_time": "{_iso(at)}", "run": "{run}", "number": {number}, "amount": {amount:.2f}, '
        f'"ratio": {number / 8}, "even": {json.dumps(number % 2 == 0)}, "day": "{day}", '
        f'"note": {json.dumps(note, ensure_ascii=number % 2 == 0)}, "tags": {tags}, "extra": {number}}}'
    )
    rescued = f'{{"extra":{number}}}'
    values = (at, run, number, amount.quantize(Decimal("0.01")), number / 8, number % 2 == 0, day, note, tags, rescued)
    return text, dict(zip(_COLUMNS, values, strict=True))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


@dataclass(frozen=True)
class SmokeTest:
    """One pipeline to be tested. `pause` waits for so many seconds; `clock` gives seconds, from any start."""

    ledger: Ledger
    s3: S3Client
    bronze_bucket: str
    silver_bucket: str
    table: str
    tell: Tell = lambda _text: None
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, timeout: float) -> Smoke:
        """Upload, wait for at most `timeout` seconds, then compare.

        Raises:
            ClientError, BotoCoreError: a bucket or the ledger cannot be used.
        """
        file = make_file(datetime.now(UTC))
        for bucket in (self.bronze_bucket, self.silver_bucket):  # a wrong name or region leaves nothing anywhere
            self.s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
        answer = self.s3.put_object(Bucket=self.bronze_bucket, Key=file.key, Body=file.body)
        id_ = ObjectId(self.bronze_bucket, file.key, answer["ETag"].strip('"'))
        found = Smoke(id_, rows=len(file.accepted) + len(file.refused))
        found.leaves = [f"s3://{id_.bucket}/{id_.key}", f"item object#{id_} of the table {self.table}, and its units"]
        self.tell(f"uploaded {found.rows} rows to {found.leaves[0]}")
        lot = self._await_lot(found, timeout)
        if lot is not None:
            found.leaves += [f"s3://{self.silver_bucket}/{one.key}" for one in lot.files]
            found.leaves.append(f"item lot#{lot.id} of the table {self.table}")
            self._audit(found)
            self._compare(found, file)
        return found

    def _await_lot(self, found: Smoke, timeout: float) -> Lot | None:
        """The committed lot of the object; without one, the reason is among the problems."""
        started, stage = self.clock(), "ingest"
        while True:
            known, lot = self._look_up(found.object)
            found.seconds = self.clock() - started
            if known is not None and known.state is not ObjectState.REJECTED and stage == "ingest":
                stage = "transform"
                self.tell(f"planned by ingest after {found.seconds:.0f} s")
            if lot is not None:
                self.tell(f"committed after {found.seconds:.0f} s")
                return lot
            if known is not None and known.state is ObjectState.REJECTED:
                found.problems.append(f"the object is rejected ({known.reason}). {known.advice}".rstrip())
                return None
            if found.seconds >= timeout:
                found.problems.append(f"nothing more happened within {timeout:.0f} s. {_NEXT[stage]}")
                return None
            self.tell(f"waiting for {stage}: {found.seconds:.0f} s of {timeout:.0f} s at most")
            self.pause(min(2.0, timeout))

    def _look_up(self, id_: ObjectId) -> tuple[LedgerObject | None, Lot | None]:
        known = next(self.ledger.find_objects([id_]), None)
        if known is None:
            return None, None
        (unit,) = (unit.id for unit in known.plan)  # the file is far smaller than a unit
        look_up = self.ledger.look_up([unit])
        lot = look_up.lots.get(look_up.lot_of[unit]) if unit in look_up.lot_of else None
        return known, lot if lot is not None and lot.state.holds_rows else None

    def _audit(self, found: Smoke) -> None:
        listings = S3Listings(self.s3, self.bronze_bucket, self.silver_bucket)
        result = audit(self.ledger, listings, Scope(DATASET, found.object.key))
        for finding in result.findings.kept:
            next_step = result.findings.next_step(finding.code)
            found.problems.append(f"audit: {finding.code}: {finding.subject}: {finding.detail} {next_step}")
        if not result.objects.total():
            found.problems.append("audit: it does not know the object. Run `smelt audit` and report its output.")
        self.tell(f"audited: {result.findings.total} findings")

    def _compare(self, found: Smoke, file: SmokeFile) -> None:
        silver = list(self._rows(found.object, f"silver/{DATASET}/"))
        quarantine = list(self._rows(found.object, f"quarantine/{DATASET}/"))
        found.in_silver, found.in_quarantine = len(silver), len(quarantine)
        found.problems += compare(file, silver, quarantine)

    def _rows(self, source: ObjectId, prefix: str) -> Iterator[dict[str, Any]]:
        """The object's rows in every file of its time below a prefix: also in files that the ledger does not name."""
        import pyarrow.parquet as pq  # slow to import, and most commands never need it

        uploaded = self.s3.head_object(Bucket=source.bucket, Key=source.key)["LastModified"]
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.silver_bucket, Prefix=prefix)
        for entry in (entry for page in pages for entry in page.get("Contents", [])):
            if entry["LastModified"] < uploaded.replace(microsecond=0) or not entry["Key"].endswith(".parquet"):
                continue
            body = self.s3.get_object(Bucket=self.silver_bucket, Key=entry["Key"])["Body"].read()
            for row in pq.read_table(io.BytesIO(body)).to_pylist():
                if row[SOURCE] == str(source):
                    yield row


_NEXT = {
    "ingest": (
        "ingest has not planned the object. Does the Bronze bucket notify ingest (`make tf-plan` shows a difference)? "
        "Read ingest's log and the queue of failed events."
    ),
    "transform": (
        "ingest has planned the object, and transform has not committed it. Is the queue's mapping to transform "
        "enabled? Read transform's log, and run `smelt audit --dataset smoke`."
    ),
}


def compare(file: SmokeFile, silver: list[dict[str, Any]], quarantine: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the rows of a run, in sentences; empty if each is where it belongs, once, with its values."""
    problems = []
    for root, rows, expected in (
        ("Silver", silver, file.accepted.keys()),
        ("quarantine", quarantine, file.refused.keys()),
    ):
        times = Counter(row[OFFSET] for row in rows)
        problems += _each(f"missing in {root}", [offset for offset in expected if offset not in times])
        problems += _each(f"more than once in {root}", [offset for offset, number in times.items() if number > 1])
        problems += _each(f"in {root} by mistake", [offset for offset in times if offset not in expected])
    for row in silver:
        wanted = file.accepted.get(row[OFFSET], {})
        problems += [
            f"row at byte {row[OFFSET]}: {name} is {row.get(name)!r}, not {value!r}"
            for name, value in wanted.items()
            if row.get(name) != value
        ]
    for row in quarantine:
        reason = file.refused.get(row[OFFSET])
        if row["reason"] != reason:
            why = f"not {reason}" if reason else f"{row['detail']}"
            problems.append(f"row at byte {row[OFFSET]}: refused as {row['reason']}, {why}")
    return problems


def _each(what: str, offsets: list[int]) -> list[str]:
    if not offsets:
        return []
    listed = ", ".join(str(offset) for offset in sorted(offsets)[:_LISTED])
    more = f" and {len(offsets) - _LISTED} more" if len(offsets) > _LISTED else ""
    return [f"{len(offsets)} rows {what}: at byte {listed}{more}"]
