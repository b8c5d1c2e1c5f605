"""`smelt replay`, scripts/replay_via_s3_copy.py and scripts/replay_from_s3.py: three doors to one replay."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.announcing import IngestFunction
from services.ops.belonging import check_bronze
from services.ops.bronze import S3Bronze
from services.ops.cli.asking import ByOption, ReasonOption, YesFlag, confirm, operator
from services.ops.cli.console import JsonFlag, RegionOption, finish, say, sentence, show_json
from services.ops.cli.options import IngestOption, QueueOption, SilverOption, TableOption
from services.ops.cli.replayed import as_document, show_summary
from services.ops.cli.times import parse_time
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.history.remembered import Remembered
from services.ops.parallel import Pace
from services.ops.queue_planner import queue_planner
from services.ops.replay.copying import COPY_SECONDS, Copier
from services.ops.replay.forcing import take_out
from services.ops.replay.planning import Candidate, ReplayRequest
from services.ops.replay.running import (
    DEFAULT_JOBS,
    ByCopying,
    BySending,
    DryRun,
    Force,
    Replay,
    Summary,
    Way,
    checked_destination,
)
from services.ops.rewrite.retraction import Retraction
from services.shared.aws import aws_client
from services.shared.identities import CopyKey
from services.shared.lake import LakeUnavailable, S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.table import Throttled
from services.shared.planning.copies import S3Copies
from services.shared.settings import unit_bytes_of
from services.shared.sqs import SendFailed

MAX_JOBS = 256
_PLACE_HOLDS = timedelta(days=1)  # what lies before an older run's place may have changed
# Loading all once more costs much, so a forced replay goes on for longer; an operator who asks months later means all.
_FORCED_PLACE_HOLDS = timedelta(days=7)

_Bucket = Annotated[str, typer.Option("--bucket", envvar="BRONZE_BUCKET", help="The bucket of Bronze.")]
_Prefix = Annotated[str, typer.Option(help="Replay objects whose key begins so, such as bronze/shipments/.")]
_Start = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Only objects modified at or after this time (UTC)."),
]
_End = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Only objects modified before this time (UTC)."),
]
_Destination = Annotated[
    str, typer.Option(help="Where copies go: bronze/replay/ and the name of this run. The same again goes on.")
]
_Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Load committed objects once more; a retracted one only where --prefix is its whole key."
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be done.")]
_Rate = Annotated[float, typer.Option(metavar="N", help="At most so many objects a second; 0 for no limit.")]
_Jobs = Annotated[int, typer.Option(metavar="N", help="How many objects are handled side by side.")]


@dataclass(frozen=True, slots=True)
class _Forcing:
    """What retracting needs."""

    silver_bucket: str
    reason: str
    by: str
    yes: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all three commands are asked."""

    bucket: str
    prefix: str
    start: datetime | None
    end: datetime | None
    table: str
    region: str | None
    force: _Forcing | None
    dry_run: bool
    rate: float
    jobs: int
    as_json: bool
    silver_bucket: str


def replay_via_s3_copy(
    bucket: _Bucket = "",
    prefix: _Prefix = "",
    dest_prefix: _Destination = "",
    start: _Start = None,
    end: _End = None,
    table: TableOption = "",
    ingest: IngestOption = "",
    region: RegionOption = None,
    force: _Force = False,
    silver_bucket: SilverOption = "",
    reason: ReasonOption = "",
    by: ByOption = "",
    yes: YesFlag = False,
    dry_run: _DryRun = False,
    rate: _Rate = 0,
    jobs: _Jobs = DEFAULT_JOBS,
    as_json: JsonFlag = False,
) -> None:
    """Copy what is not loaded to a new key, so that S3 tells ingest. Needs no access to the queue.

    With the ledger (--table), what is committed is skipped. Without it, everything in the window is copied, and ingest
    decides: nothing is doubled. What ingest has never seen is announced to it (--ingest). docs/replay.md lists the
    permissions.

    Example: replay_via_s3_copy.py --bucket my-bronze --prefix bronze/shipments/ --dest-prefix
    bronze/replay/2026-01-01T00-00-00Z --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z
    """
    forcing = _Forcing(silver_bucket, reason, by, yes) if force else None
    asked = _Asked(bucket, prefix, start, end, table, region, forcing, dry_run, rate, jobs, as_json, silver_bucket)
    _replay(asked, dest_prefix=dest_prefix, ingest=ingest)


def replay_from_s3(
    bucket: _Bucket = "",
    prefix: _Prefix = "",
    queue_url: QueueOption = "",
    start: _Start = None,
    end: _End = None,
    table: TableOption = "",
    region: RegionOption = None,
    force: _Force = False,
    silver_bucket: SilverOption = "",
    reason: ReasonOption = "",
    by: ByOption = "",
    yes: YesFlag = False,
    dry_run: _DryRun = False,
    rate: _Rate = 0,
    jobs: _Jobs = DEFAULT_JOBS,
    as_json: JsonFlag = False,
) -> None:
    """Plan what is not loaded through the ledger, and send its missing units straight to the queue.

    The ledger is --table or LEDGER_TABLE; without them, the one that belongs to a queue that Terraform has named.
    docs/replay.md lists the permissions. Stopped, the same command goes on where it was.

    Example: replay_from_s3.py --bucket my-bronze --prefix bronze/shipments/ --queue-url <url>
    --start 2026-01-01T00:00:00Z --end 2026-01-02T00:00:00Z
    """
    forcing = _Forcing(silver_bucket, reason, by, yes) if force else None
    asked = _Asked(bucket, prefix, start, end, table, region, forcing, dry_run, rate, jobs, as_json, silver_bucket)
    _replay(asked, queue_url=queue_url)


def replay_objects(
    bucket: _Bucket = "",
    prefix: _Prefix = "",
    dest_prefix: _Destination = "",
    queue_url: QueueOption = "",
    start: _Start = None,
    end: _End = None,
    table: TableOption = "",
    ingest: IngestOption = "",
    region: RegionOption = None,
    force: _Force = False,
    silver_bucket: SilverOption = "",
    reason: ReasonOption = "",
    by: ByOption = "",
    yes: YesFlag = False,
    dry_run: _DryRun = False,
    rate: _Rate = 0,
    jobs: _Jobs = DEFAULT_JOBS,
    as_json: JsonFlag = False,
) -> None:
    """Bring objects of a prefix and a time to their end, without doubling a row.

    With --dest-prefix, by copies that ingest sees; otherwise straight to the queue. Committed objects are skipped,
    half-committed ones get only their missing units. Stopped, the same command goes on. See docs/replay.md.

    Example: smelt replay --prefix bronze/shipments/ --start 2026-01-01 --end 2026-01-02 --dry-run
    """
    forcing = _Forcing(silver_bucket, reason, by, yes) if force else None
    asked = _Asked(bucket, prefix, start, end, table, region, forcing, dry_run, rate, jobs, as_json, silver_bucket)
    if dest_prefix:
        _replay(asked, dest_prefix=dest_prefix, ingest=ingest)
    else:
        _replay(asked, queue_url=queue_url)


def _replay(asked: _Asked, dest_prefix: str | None = None, queue_url: str | None = None, ingest: str = "") -> None:
    _check(asked)
    destination = checked_destination(dest_prefix) if dest_prefix is not None else ""
    table = asked.table or ("" if queue_url is None else ledger_of(queue_url))
    if not destination and not (queue_url and table):
        raise OperatorError(
            "No way given: pass --queue-url and --table (or set QUEUE_URL and LEDGER_TABLE) to send units, or "
            "--dest-prefix bronze/replay/<name of the run> to make copies."
        )
    if destination and CopyKey.is_copy(asked.prefix) and f"{destination}/".startswith(asked.prefix):
        raise OperatorError(
            f"--dest-prefix is {destination!r}, inside of --prefix {asked.prefix!r}: the copies would be copied again "
            "and again. Choose another name of the run, or a longer --prefix."
        )
    _check_force(asked, table)
    request = ReplayRequest(asked.prefix, asked.start, asked.end, asked.force is not None)
    try:
        s3 = aws_client("s3", asked.region, max(asked.jobs, DEFAULT_JOBS), COPY_SECONDS)
        listing = S3Bronze(s3, asked.bucket)
        ledger = Ledger(aws_client("dynamodb", asked.region, max(asked.jobs, DEFAULT_JOBS)), table) if table else None
        copies = S3Copies(s3)
        if ledger and not destination:  # copies are announced by S3 and ingest, which take no other bucket
            check_bronze(ledger, asked.bucket)
        if ledger and asked.silver_bucket:
            ledger.home.check_bucket(asked.silver_bucket)
        force = _force(asked.force, ledger, s3) if asked.force and ledger else None
        way: Way = DryRun()
        if destination and not asked.dry_run:
            announce = IngestFunction(aws_client("lambda", asked.region), ingest).announce if ingest else None
            way = ByCopying(Copier(s3, destination), listing, announce, force)
        elif ledger and not asked.dry_run:
            sqs = aws_client("sqs", asked.region, max(asked.jobs, DEFAULT_JOBS))
            way = BySending(queue_planner(ledger, asked.bucket, sqs, str(queue_url), copies), listing, force)
        past = Remembered(History.of(s3, asked.silver_bucket)) if ledger and asked.silver_bucket else None
        replay = Replay(listing, ledger, way, copies.origin_etag, asked.jobs, Pace(asked.rate), past)
        # Copies are found again by listing them. What was sent to the queue is known by its place only.
        walk = "" if destination or asked.dry_run else _walk(asked, str(queue_url))
        summary, resumed = _run(replay, request, ledger, walk)
    except (BotoCoreError, ClientError, LakeUnavailable, SendFailed, Throttled) as error:
        missing = " Until then readers may miss rows: `smelt audit --unfinished` names the objects."
        raise OperatorError(
            f"The replay of s3://{asked.bucket}/{asked.prefix} stopped: {sentence(error)} "
            "What was done is kept; the same command goes on from there."
            + (missing if asked.force and not asked.dry_run else "")
        ) from error
    if asked.as_json:
        show_json(as_document(asked.dry_run, destination, resumed, summary))
    else:
        show_summary(asked.dry_run, asked.force is not None, destination, bool(ledger), resumed, summary)
    finish(all_right=asked.dry_run or summary.all_right)


def _check(asked: _Asked) -> None:
    if not (asked.bucket and asked.prefix):
        raise OperatorError("Nothing to replay: pass --bucket (or set BRONZE_BUCKET) and --prefix bronze/<dataset>/.")
    if not asked.prefix.startswith("bronze/"):
        raise OperatorError(f"--prefix is {asked.prefix!r}; Bronze begins with bronze/, such as bronze/shipments/.")
    if asked.start and asked.end and asked.start >= asked.end:
        raise OperatorError(f"--start ({asked.start.isoformat()}) must be before --end ({asked.end.isoformat()}).")
    if not 1 <= asked.jobs <= MAX_JOBS:
        raise OperatorError(f"--jobs is {asked.jobs}; it must be from 1 to {MAX_JOBS}.")
    if not 0 <= asked.rate < float("inf"):
        raise OperatorError(f"--rate is {asked.rate}; it must be 0 (no limit) or more objects a second.")


def _check_force(asked: _Asked, table: str) -> None:
    """Ask before rows are taken out of Silver."""
    if asked.force is None:
        return
    if not (table and asked.force.silver_bucket):
        raise OperatorError(
            "--force takes rows out of Silver before they are loaded again: pass --table and --silver-bucket, too, or "
            "set LEDGER_TABLE and SILVER_BUCKET."
        )
    if not (asked.dry_run or asked.force.reason.strip()):
        raise OperatorError("No reason given: pass --reason; the ledger keeps it for whoever asks later.")
    if not asked.dry_run:
        where = f"s3://{asked.bucket}/{asked.prefix}"
        confirm(f"Take the rows of all objects below {where} out of Silver, and load them again?", asked.force.yes)


def _force(asked: _Forcing, ledger: Ledger, s3: Any) -> Force:
    """Retracts an object and lets it in again; one at a time, since objects share lots."""
    planner_bytes = unit_bytes_of(os.environ)
    ledger.home.check_bucket(asked.silver_bucket)
    lake, history = S3Lake(s3, asked.silver_bucket), History.of(s3, asked.silver_bucket)
    retraction = Retraction(ledger, lake, operator(asked.by), asked.reason, history, tell=say)
    one_at_a_time = Lock()

    def retract_and_reopen(candidate: Candidate) -> None:
        with one_at_a_time:
            take_out(candidate, retraction, lake, planner_bytes)

    return retract_and_reopen


def ledger_of(queue_url: str) -> str:
    """The ledger's table beside a queue that Terraform, or a local stack, has named; empty for any other queue."""
    name = queue_url.rstrip("/").rsplit("/", 1)[-1]
    return f"{name.removesuffix('-events')}-ledger" if name.endswith("-events") else ""


def _walk(asked: _Asked, queue_url: str) -> str:
    """The name of this replay's place in the ledger: the same for the same question."""
    question = repr((asked.bucket, asked.prefix, asked.start, asked.end, asked.force, queue_url))
    return f"replay#{hashlib.blake2b(question.encode(), digest_size=8).hexdigest()}"


def _run(replay: Replay, request: ReplayRequest, ledger: Ledger | None, walk: str) -> tuple[Summary, str]:
    place: dict[str, Any] | None = None
    keep: Callable[[Any], None] = _forget
    if walk and ledger is not None:
        place = ledger.cursors.load(walk, _FORCED_PLACE_HOLDS if request.force else _PLACE_HOLDS)
        keep = _keeper(ledger, walk)
    resumed = str(place["after"]) if place else ""
    if resumed:
        say(f"An earlier run of the same replay was stopped: going on behind {resumed}")
    with watching() as watch:
        summary, _ = replay.run(request, place, keep=keep, watch=watch)
    if walk and ledger is not None:
        ledger.cursors.clear(walk)
    return summary, resumed


def _forget(place: Any) -> None:
    """Nothing is kept of the place."""


def _keeper(ledger: Ledger, walk: str) -> Callable[[Any], None]:
    def keep(place: Any) -> None:
        ledger.cursors.save(walk, place)

    return keep
