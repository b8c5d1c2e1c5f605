"""The ingest function: S3's events in, units of work on the queue.

Lambda invokes it asynchronously: an error makes Lambda try twice more and then hand the event to the on-failure
destination, so nothing is swallowed here. Its start-up imports neither pyarrow nor pandas.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from services.shared.aws import FAILURES, aws_client
from services.shared.deadline import Deadline
from services.shared.errors import Transient
from services.shared.events import created_object, notification_records
from services.shared.ledger.ledger import Ledger
from services.shared.planning.copies import S3Copies
from services.shared.planning.planner import Outcome, Planned, Planner
from services.shared.settings import IngestSettings
from services.shared.sqs import send_ten
from services.shared.telemetry import count, logger, metrics, size, tracer
from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_RESERVE_SECONDS = 5.0  # for the answers of calls that are under way, and for giving the lease back


class PlanningIncomplete(Transient):
    """Some objects of an event are not planned yet: Lambda invokes the function again with the same event."""


@cache
def _settings() -> IngestSettings:
    return IngestSettings.from_env()


@cache
def _ledger() -> Ledger:
    return Ledger(aws_client("dynamodb"), _settings().ledger_table)


@cache
def _sqs() -> Any:
    return aws_client("sqs")


@cache
def _copies() -> S3Copies:
    """Made when the first copy comes: most functions never see one."""
    return S3Copies(aws_client("s3"))


if os.environ.get("AWS_LAMBDA_RUNTIME_API"):  # start-up in Lambda: fail now, not at the first event
    _settings(), _ledger(), _sqs()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Plan every created object of the event. A record that fails does not keep the others from being planned.

    Returns:
        Outcome -> how many objects had it.

    Raises:
        MalformedEvent: this is not an event of S3.
        PlanningIncomplete: at least one record must be tried again, or cannot be read; the others are done.
    """
    deadline = Deadline(lambda: context.get_remaining_time_in_millis() / 1000, _RESERVE_SECONDS)
    planner = _planner(deadline)
    outcomes = dict.fromkeys(Outcome, 0)
    unfinished: list[str] = []
    records = notification_records(event)
    for number, record in enumerate(records, 1):
        name = f"record {number}"
        try:
            source = created_object(record)
            if source is None:
                continue
            name = str(source.id)
            planned = planner.plan(source, deadline)
            outcomes[planned.outcome] += 1
            _tell(source, planned)
        except FAILURES as error:
            unfinished.append(_described(name, error))
            logger.warning("record not planned", error=unfinished[-1], kind=type(error).__name__)
        except Exception as error:  # noqa: BLE001 (the others must be planned, whatever this one met; it is raised below)
            unfinished.append(_described(name, error))
            logger.exception("record not planned: unexpected error", error=unfinished[-1])
    if unfinished:
        raise PlanningIncomplete(
            f"{len(unfinished)} of {len(records)} records are not planned; Lambda tries the event twice more: "
            + "; ".join(unfinished)
        )
    return {str(outcome): number for outcome, number in outcomes.items()}


def _planner(deadline: Deadline) -> Planner:
    settings = _settings()

    def send(bodies: Sequence[str]) -> None:
        send_ten(_sqs(), settings.queue_url, bodies, deadline)

    def origin_etag(copy: BronzeObject) -> str:
        return _copies().origin_etag(copy)

    return Planner(_ledger(), settings.bronze_bucket, settings.unit_bytes, send, origin_etag)


def _described(name: str, error: Exception) -> str:
    return ": ".join([name, str(error) or type(error).__name__, *getattr(error, "__notes__", ())])


def _tell(source: BronzeObject, planned: Planned) -> None:
    logger.info(
        "object " + planned.outcome,
        object=str(source.id),
        bytes=source.size,
        units=planned.units,
        reason=planned.reason or None,
    )
    if planned.outcome in (Outcome.PLANNED, Outcome.RESUMED):
        count("UnitsSent", planned.units)
    if planned.outcome is Outcome.PLANNED:
        count("ObjectsPlanned")
        size("BytesPlanned", source.size)
    elif planned.outcome in (Outcome.REJECTED, Outcome.REFUSED):
        count("ObjectsRejected")
        size("BytesRejected", source.size)
    elif planned.outcome is Outcome.DUPLICATE:
        count("DuplicatesSkipped")
