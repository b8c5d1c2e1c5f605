"""The scheduled announcer: one event for each partition that commits have written, out of the ledger's marks."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.app.pipeline import IN_LAMBDA, deadline_of
from services.ops.gate.announcing import Events, announce
from services.shared.aws import aws_client
from services.shared.errors import Transient
from services.shared.ledger.ledger import Ledger
from services.shared.settings import AnnounceSettings
from services.shared.telemetry import logger, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotAllSent(Transient):
    """EventBridge refused events."""


@cache
def _settings() -> AnnounceSettings:
    return AnnounceSettings.from_env()


@cache
def _ledger() -> Ledger:
    return Ledger(aws_client("dynamodb"), _settings().ledger_table)


@cache
def _events() -> Events:
    return Events(aws_client("events"), _settings().pipeline)


if IN_LAMBDA:
    _ledger(), _events()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Announce what waits; the next run goes on with what is left.

    Raises:
        ClientError, BotoCoreError, Transient: the ledger or EventBridge does not answer; nothing is lost.
        NotAllSent: everything else is done. An error, so that the alarm of this function tells somebody.
    """
    done = announce(_ledger(), _events().send, _settings().every, deadline_of(context))
    told = {"events": done.events, "marks": done.marks, "waiting": done.waiting, "finished": done.finished}
    logger.info("announced", told=told)
    if done.refused:
        raise NotAllSent(f"EventBridge refused {len(done.refused)} events: {done.refused[0]}. They are sent again")
    return told
