"""The scheduled reconcile: finds what never became Silver and nobody works on, and gives just that another push."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.bronze import S3Bronze
from services.ops.history.reader import History
from services.ops.history.remembered import CLOCKS_DIFFER, Remembered
from services.ops.queue_planner import messages_waiting, queue_planner
from services.ops.reconcile import OLDER_THAN, WALK, Scope, reconcile
from services.shared.ledger.ledger import Ledger
from services.shared.planning.copies import S3Copies
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_WALKS = f"{WALK}#begun"  # when this walk began, and the one before

if pipeline.IN_LAMBDA:
    pipeline.ledger(), pipeline.s3(), pipeline.sqs()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Reconcile from where the run before stopped; the next run goes on where this one does.

    Args:
        event: `window_hours`, if of what Bronze lists only objects are meant that came in so many hours, or since the
            walk before began; without it all of Bronze. Open work is looked at however old its objects are.
            `older_than_minutes`: younger work is left alone; without it, an hour.

    Raises:
        ClientError, BotoCoreError, Transient: AWS does not answer; what was done is kept.
    """
    settings, ledger = pipeline.settings(), pipeline.ledger()
    deadline = pipeline.deadline_of(context)
    waiting = messages_waiting(pipeline.sqs(), settings.queue_url)  # a run that cannot ask this begins no walk
    hours, minutes = event.get("window_hours"), event.get("older_than_minutes")
    now, place = datetime.now(UTC), ledger.cursors.load(WALK)
    before = _walk_before(ledger, now, begins=place is None)
    since = min(now - timedelta(hours=hours), before - OLDER_THAN - CLOCKS_DIFFER) if hours else None
    past = Remembered.of_window(History.of(pipeline.s3(), settings.silver_bucket), since)
    copies = S3Copies(pipeline.s3())
    planner = queue_planner(ledger, settings.bronze_bucket, pipeline.sqs(), settings.queue_url, copies, deadline)
    found = reconcile(
        ledger,
        S3Bronze(pipeline.s3(), settings.bronze_bucket),
        planner,
        OLDER_THAN if minutes is None else timedelta(minutes=minutes),
        place=place,
        deadline=deadline,
        scope=Scope(listed_from=since),
        waiting=waiting,
        keep=lambda place: ledger.cursors.save(WALK, place),
        past=past,
    )
    if found.place is None:
        ledger.cursors.clear(WALK)
    for repair in found.listed:
        logger.info("reconciled", object=str(repair.id), found=repair.found, units=repair.units, detail=repair.detail)
    told = {**found.to_json(), "repaired": found.repaired, "finished": found.place is None}
    logger.info("reconciled all", told=told)
    count("ObjectsReconciled", found.repaired)
    return told


def _walk_before(ledger: Ledger, now: datetime, begins: bool) -> datetime:
    """When the walk before this one began: what came later, it may have passed. Large buckets take many runs for one.

    Args:
        begins: this run is the first one of its walk.
    """
    begun = ledger.cursors.load(_WALKS) or {}
    if begins:
        begun = {"this": now.isoformat(), "before": begun.get("this")}
        ledger.cursors.save(_WALKS, begun)
    before = begun.get("before")
    return datetime.fromisoformat(before) if before else now
