"""The ops workflow's replay: checks the input, then replays chunk by chunk, each as long as an invocation."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.announcing import IngestFunction
from services.ops.app import pipeline
from services.ops.bronze import S3Bronze
from services.ops.history.reader import History
from services.ops.history.remembered import Remembered
from services.ops.replay.copying import COPY_SECONDS, Copier
from services.ops.replay.planning import ReplayRequest
from services.ops.replay.running import ByCopying, Done, Replay, replay_chunk
from services.ops.workflow import (
    InvalidInput,
    Pipeline,
    Request,
    after_chunk,
    begin,
    read_request,
    refuse,
)
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


# S3 copies up to 5 GB in one request, and nobody promises how fast. A copy that has begun is waited for: were the
# invocation over first, its chunk would be done again, and after six times the workflow would give up.
_RESERVE_SECONDS = 225.0


@cache
def _ingest() -> IngestFunction:
    return IngestFunction(aws_client("lambda"), pipeline.settings().ingest_function)


@cache
def _copying() -> Any:
    """A client that waits for S3 while it copies: some gigabytes take longer than other answers."""
    return aws_client("s3", silence=COPY_SECONDS)


@cache
def _pipeline() -> Pipeline:
    settings = pipeline.settings()
    return Pipeline(settings.bronze_bucket, settings.silver_bucket, frozenset(load_contracts(settings.contracts_dir)))


if pipeline.IN_LAMBDA:
    _pipeline(), _ingest(), pipeline.ledger(), pipeline.s3(), _copying()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the input (an event with `input`, `execution` and `started`), or replay a chunk of a checked request.

    Returns:
        The document of `services.ops.workflow` for the next task.

    Raises:
        ClientError, BotoCoreError, Transient: S3 or the ledger does not answer; Step Functions tries again.
    """
    if "input" in event:
        return _checked(event)
    return _replayed(event, context)


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    started = datetime.fromisoformat(event["started"])
    try:
        request = read_request(event["input"], _pipeline(), started, event["execution"])
    except InvalidInput as error:
        logger.warning("input refused", error=str(error))
        return refuse("InvalidInput", str(error))
    logger.info("replay begins", **request.to_json())
    return begin(request)


def _replayed(state: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    request = Request.from_json(state["request"])
    bronze = S3Bronze(pipeline.s3(), pipeline.settings().bronze_bucket)
    way = ByCopying(Copier(_copying(), request.dest_prefix), bronze, _ingest().announce)
    past = Remembered.of_window(History.of(pipeline.s3(), pipeline.settings().silver_bucket), request.start)
    chunk, place = replay_chunk(
        Replay(bronze, pipeline.ledger(), way, past=past),
        ReplayRequest(request.src_prefix, request.start, request.end),
        state["place"],
        pipeline.deadline_of(context, _RESERVE_SECONDS),
        lambda why: logger.warning("not copied", error=why),
    )
    logger.info("replayed", at_end=place is None, chunk=chunk)
    count("ObjectsCopied", chunk["done"].get(Done.COPIED, 0))
    return after_chunk(state, chunk, place)
