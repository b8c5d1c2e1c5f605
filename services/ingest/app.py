"""The ingest function: S3 notifications in, units of work on the queue.

Lambda invokes it asynchronously: an error makes Lambda try twice more and then hand the event to the on-failure
destination, so nothing is swallowed here. Its start-up imports neither pyarrow nor pandas.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from services.ingest.events import created_objects
from services.ingest.planner import Outcome, Planned, plan_object, send_units
from services.shared.aws import aws_client
from services.shared.errors import Transient
from services.shared.ledger.ledger import Ledger
from services.shared.settings import IngestSettings
from services.shared.telemetry import count, logger, metrics, size, tracer
from services.shared.units import BronzeObject, Unit

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class PlanningIncomplete(Transient):
    """Some objects of an event are not planned yet: Lambda invokes the function again with the same event."""


@cache
def _settings() -> IngestSettings:
    return IngestSettings.from_env()


@cache
def _ledger() -> Ledger:
    return Ledger(aws_client("dynamodb"), _settings().ledger_table, _settings().ledger_ttl_days)


@cache
def _sqs() -> Any:
    return aws_client("sqs")


if os.environ.get("AWS_LAMBDA_RUNTIME_API"):  # start-up in Lambda: fail now, not at the first event
    _settings(), _ledger(), _sqs()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Plan every created object of the event.

    Returns:
        How many objects were planned, were duplicates, were rejected.

    Raises:
        MalformedEvent: this is no S3 notification.
        PlanningIncomplete: at least one object must be tried again; the others are done.
    """
    outcomes = dict.fromkeys(Outcome, 0)
    unfinished: list[str] = []

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def send(units: Iterable[Unit]) -> None:
        send_units(_sqs(), _settings().queue_url, units, remaining)

    for source in created_objects(event):
        try:
            planned = plan_object(
                source, _settings().bronze_bucket, _settings().unit_bytes, _ledger(), send, remaining()
            )
        except (Transient, ClientError, BotoCoreError) as error:
            logger.warning("object not planned yet", object=str(source.id), error=str(error))
            unfinished.append(f"{source.id}: {error}")
            continue
        outcomes[planned.outcome] += 1
        _tell(source, planned)
    if unfinished:
        raise PlanningIncomplete("; ".join(unfinished))
    return {str(outcome): number for outcome, number in outcomes.items()}


def _tell(source: BronzeObject, planned: Planned) -> None:
    logger.info(
        "object " + planned.outcome,
        object=str(source.id),
        bytes=source.size,
        units=planned.units,
        reason=planned.reason or None,
    )
    if planned.outcome is Outcome.PLANNED:
        count("ObjectsPlanned")
        count("UnitsSent", planned.units)
        size("BytesPlanned", source.size)
    else:
        count("ObjectsRejected" if planned.outcome is Outcome.REJECTED else "DuplicatesSkipped")
