"""The transform function: units from SQS in, Silver and quarantine Parquet out.

It answers with a partial batch response: the messages named in it come again, the others are done.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.deadline import Deadline
from services.shared.lake import S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.settings import TransformSettings
from services.shared.telemetry import count, logger, metrics, seconds, size, tracer
from services.transform.protocol.dead_letters import DeadLetterQueue
from services.transform.protocol.delivery import DeliveryProcessor, DeliveryResult
from services.transform.protocol.execution import LotReport
from services.transform.protocol.lots import LotWorker
from services.transform.protocol.redelivery import send_back
from services.transform.reading.reader import UnitReader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _settings() -> TransformSettings:
    return TransformSettings.from_env()


@cache
def _sqs() -> Any:
    return aws_client("sqs")


@cache
def _processor() -> DeliveryProcessor:
    settings = _settings()
    lake = S3Lake(aws_client("s3"), settings.silver_bucket)
    ledger = Ledger(aws_client("dynamodb"), settings.ledger_table, outboxes=settings.outboxes)
    contracts = load_contracts(settings.contracts_dir)
    reader = UnitReader(lake, settings.max_row_bytes)
    worker = LotWorker(lake, ledger, contracts, settings.lot_bytes, reader)
    dead_letters = DeadLetterQueue(_sqs(), settings.dead_letter_queue_url)
    return DeliveryProcessor(worker, ledger, dead_letters, settings.bronze_bucket, settings.silver_bucket)


if os.environ.get("AWS_LAMBDA_RUNTIME_API"):  # start-up in Lambda: a broken contract or setting fails now
    _processor()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Turn a delivery of units into lots.

    Returns:
        `{"batchItemFailures": [{"itemIdentifier": message id}, ...]}`.
    """
    deadline = Deadline.of(lambda: context.get_remaining_time_in_millis() / 1000)
    result = _processor().process(event["Records"], deadline, _tell_lot)
    _tell_delivery(result)
    if result.failed:
        now_ms = int(time.time() * 1000)
        sent_ms = (int(r["attributes"]["SentTimestamp"]) for r in event["Records"] if r["messageId"] in result.failed)
        seconds("ReturnedAge", (now_ms - min(sent_ms)) / 1000)
        for refusal in send_back(_sqs(), _settings().queue_url, event["Records"], result.failed, now_ms):
            logger.warning("a message comes again only after the queue's visibility timeout", error=refusal)
    return result.response


def _tell_lot(report: LotReport) -> None:
    """One line a lot that tells its story, and its metrics."""
    oldest = min(unit.object.created.timestamp() for unit in report.units)
    lag = time.time() - oldest
    raw_bytes = sum(unit.bytes for unit in report.units)
    files = report.lot.files
    logger.info(
        "lot committed",
        lot=str(report.lot.id),
        units=[str(unit.id) for unit in report.units],
        taken_over=report.taken_over,
        rows_read=report.counts.read,
        rows_silver=dict(report.silver_rows),
        rows_quarantined=dict(report.reasons),
        rows_rescued=report.rescued,
        row_bytes_quarantined=report.row_bytes.quarantined,
        files=len(files),
        bytes_read=raw_bytes,
        bytes_written=sum(file.bytes for file in files),
        seconds=round(report.seconds, 3),
        lag_seconds=round(lag, 3),
    )
    count("RowsRead", report.counts.read)
    count("RowsSilver", report.counts.silver)
    count("RowsQuarantined", report.counts.quarantined)
    count("RowsRescued", report.rescued)
    count("UnitsCommitted", len(report.units))
    count("LotsCommitted")
    count("LotsTakenOver", int(report.taken_over))
    count("FilesWritten", len(files))
    size("BytesRead", raw_bytes)
    size("RowBytesRead", report.row_bytes.read)
    size("RowBytesQuarantined", report.row_bytes.quarantined)
    seconds("SilverLag", lag)


def _tell_delivery(result: DeliveryResult) -> None:
    for message, error in result.failed.items():
        logger.warning("message goes back", message_id=message, error=str(error), kind=type(error).__name__)
    for message, error in result.dead.items():
        logger.error("dead letter", message_id=message, error=str(error), kind=type(error).__name__)
    for object_, error in result.rejected.items():
        logger.error("object rejected", object=str(object_), error=str(error))
    count("MessagesReturned", len(result.failed))
    count("DuplicatesSkipped", result.duplicates)
    count("UnitsDead", len(result.dead))
    count("ObjectsRejected", len(result.rejected))
    size("BytesRejected", result.rejected_bytes)
    count("LotsDissolved", result.dissolved)
