"""The scheduled publisher: brings the lake's tables to what the ledger says, until time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.app.lake import contracts, lake
from services.ops.history.reader import History
from services.ops.lake.run import publish
from services.shared.errors import Transient
from services.shared.ledger.records import Outbox
from services.shared.telemetry import count, logger, metrics, seconds, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotAllPublished(Transient):
    """Lots wait for a reason that somebody must look at."""


if pipeline.IN_LAMBDA:
    lake(), contracts(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Publish what waits, then go on with the backfill where the run before stopped.

    The metric `PublishLag` is the age of the oldest mark that is left (seconds), so an alarm tells of what waits.

    Raises:
        ClientError, BotoCoreError, Transient: ledger, bucket or catalog does not answer; what was done is kept.
        NotAllPublished: everything else is done. An error, so that the alarm of this function tells somebody.
    """
    ledger, settings = pipeline.ledger(), pipeline.settings()
    ledger.home.check_bucket(settings.silver_bucket)
    catalog, store = lake()
    history = History.of(pipeline.s3(), settings.silver_bucket)
    done = publish(ledger, catalog, store, contracts(), history, pipeline.deadline_of(context))
    told: dict[str, Any] = {
        "lots": done.lots,
        "snapshots": done.snapshots,
        "files_added": done.added,
        "files_removed": done.removed,
        "files_listed": done.listed,
        "busy": done.busy,
        "finished": done.finished,
    }
    logger.info("published", **told)
    count("LotsPublished", done.lots)
    oldest = min((entry.since for entry in _oldest()), default=ledger.now_ms())
    seconds("PublishLag", (ledger.now_ms() - oldest) / 1000)
    for problem in done.problems:
        logger.error("not published", problem=problem)
    if done.problems:
        raise NotAllPublished(f"{len(done.problems)} problems keep lots from being published: {done.problems[0]}")
    return told


def _oldest() -> Any:
    ledger = pipeline.ledger()
    return (entry for shard in ledger.open_shards(Outbox.PUBLISH) for entry in ledger.open_sample(shard, 1))
