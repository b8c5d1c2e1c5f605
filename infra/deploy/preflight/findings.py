"""What preflight finds, and what AWS's errors mean to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

Clients = Callable[[str], Any]  # an AWS service's name -> its client

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
ABSENT = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "EntityNotFoundException",  # of Glue
    "ImageNotFoundException",
    "InvalidAddress",  # the URL is not of a queue in this region
    "InvalidParameter",  # the ARN is not of a topic in this region
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "RepositoryNotFoundException",
    "ResourceNotFound",  # a dashboard
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
}


class Level(StrEnum):
    """What a finding means."""

    PROBLEM = "problem"  # the apply would fail, or no row would arrive
    WARNING = "warning"  # it works, until something goes wrong
    UNCHECKED = "not checked"  # no permission to look


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one resource or variable of the plan. `advice` is what to do about it."""

    level: Level
    address: str
    what: str
    advice: str


def code_of(error: ClientError) -> str:
    """The code of AWS's answer."""
    return str(error.response["Error"]["Code"])


def not_found(error: ClientError, variable: str, thing: str, advice: str) -> Finding:
    """The finding for an error that means absent or not permitted. Any other error is raised again."""
    if code_of(error) in DENIED:
        advice = "if it does not exist, the pipeline will not work"
        return Finding(Level.UNCHECKED, variable, f"no permission to look up {thing}", advice)
    if code_of(error) not in ABSENT:
        raise error
    return Finding(Level.PROBLEM, variable, f"{thing} does not exist in this region", advice)


def value_of(plan: Mapping[str, Any], variable: str) -> Any:
    """The value of a variable of the root; None where it has none."""
    return plan.get("variables", {}).get(variable, {}).get("value")
