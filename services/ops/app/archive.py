"""The scheduled archive: writes what is finished into the history, and only then lets it leave the ledger."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.history.files import S3HistoryFiles
from services.ops.history.writer import archive
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _files() -> S3HistoryFiles:
    return S3HistoryFiles(pipeline.s3(), pipeline.settings().silver_bucket)


if pipeline.IN_LAMBDA:
    _files(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Archive what was finished before today; the next run goes on where this one stops.

    Raises:
        ClientError, BotoCoreError, Transient: ledger or bucket does not answer; what was done is kept.
    """
    pipeline.ledger().home.check_bucket(pipeline.settings().silver_bucket)
    archived = archive(pipeline.ledger(), _files(), deadline=pipeline.deadline_of(context))
    told: dict[str, Any] = asdict(archived)
    if archived.damaged:
        logger.error("lots whose record contradicts itself stay in the ledger; smelt audit lists them", told=told)
    logger.info("archived", told=told)
    count("ObjectsArchived", archived.objects)
    return told
