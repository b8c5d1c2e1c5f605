"""What the handlers share: the pipeline that a function belongs to, made once, and an invocation's deadline."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from services.shared.aws import aws_client
from services.shared.deadline import Deadline
from services.shared.ledger.ledger import Ledger
from services.shared.settings import OpsSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

IN_LAMBDA = bool(os.environ.get("AWS_LAMBDA_RUNTIME_API"))  # then a setting that is wrong fails at start-up


@cache
def settings() -> OpsSettings:
    return OpsSettings.from_env()


@cache
def ledger() -> Ledger:
    return Ledger(aws_client("dynamodb"), settings().ledger_table)


@cache
def s3() -> Any:
    return aws_client("s3")


@cache
def sqs() -> Any:
    return aws_client("sqs")


def deadline_of(context: LambdaContext, reserve: float = 15.0) -> Deadline:
    """What is left of the invocation. `reserve` seconds are kept back for ending what has begun, a quarter at most."""

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return Deadline(remaining, min(reserve, remaining() / 4))
