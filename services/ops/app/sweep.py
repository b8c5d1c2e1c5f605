"""The scheduled sweep: marks finished objects DONE and deletes the files that commits left over, until time is over."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.sweep import sweep
from services.shared.errors import Transient
from services.shared.lake import S3Lake
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotAllSwept(Transient):
    """Something was left out that somebody must look at."""


@cache
def _lake() -> S3Lake:
    return S3Lake(pipeline.s3(), pipeline.settings().silver_bucket)


if pipeline.IN_LAMBDA:
    _lake(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Sweep from where the run before stopped.

    Raises:
        ClientError, BotoCoreError, Transient: ledger or bucket does not answer; the next run goes on there.
        NotAllSwept: everything else is done. An error, so that the alarm of this function tells somebody.
    """
    pipeline.ledger().home.check_bucket(pipeline.settings().silver_bucket)
    swept = sweep(pipeline.ledger(), _lake(), deadline=pipeline.deadline_of(context))
    for key in swept.refused:
        logger.error("not deleted: a lot wants a file deleted that is not its own", file=key)
    for lot in swept.elsewhere:
        logger.error("not tidied: the files that this lot committed are not in the bucket", lot=lot)
    for item in swept.unreadable:
        logger.error("passed over: an item of the ledger that cannot be read", item=item)
    for refusal in swept.forbidden:
        logger.error("not tidied: S3 refuses us", refusal=refusal)
    told: dict[str, Any] = {
        "finished": swept.finished,
        "open_objects": swept.objects,
        "marked_done": swept.done,
        "open_lots": swept.lots,
        "files_deleted": swept.files_deleted,
        "rewrites": swept.rewrites,
        "refused": len(swept.refused),
    }
    logger.info("swept", **told)
    count("ObjectsDone", swept.done)
    if not swept.all_right:
        raise NotAllSwept(
            "the sweep left something out; the log says what, and `smelt sweep` shows it. It is run again"
        )
    return told
