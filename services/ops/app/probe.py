"""The ops workflow's check of its result: one look, as long as an invocation lasts."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.bronze import S3Bronze
from services.ops.probe import Place, S3Silver, probe
from services.ops.workflow import Request, after_probe
from services.shared.telemetry import logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _bronze() -> S3Bronze:
    return S3Bronze(pipeline.s3(), pipeline.settings().bronze_bucket)


@cache
def _silver() -> S3Silver:
    return S3Silver(pipeline.s3(), pipeline.settings().silver_bucket)


if pipeline.IN_LAMBDA:
    _bronze(), _silver(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(state: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Look on from where the look before stopped. Takes and gives the document of `services.ops.workflow`.

    Raises:
        ClientError, BotoCoreError, Transient: S3 or the ledger does not answer; Step Functions tries again.
    """
    request = Request.from_json(state["request"])
    place = Place.from_json(state["checked"]["place"])
    deadline = pipeline.deadline_of(context)
    probed = probe(pipeline.ledger(), _bronze(), _silver(), request, place, deadline)
    missing, found = str(probed.missing), asdict(probed.place.tally)
    logger.info("looked", missing=missing, at_end=probed.at_end, **found)
    return after_probe(state, missing, probed.place.to_json(), probed.at_end, found)
