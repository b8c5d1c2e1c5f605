"""What is left of the account's quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.preflight.findings import DENIED, Clients, Finding, Level, code_of

# AWS Lambda Developer Guide, "Configuring reserved concurrency": so many must stay for functions without a reservation.
LEAST_UNRESERVED = 100
_CONCURRENCY, _ROLES = "reserved_concurrency", "aws_iam_role"


def _changes(plan: Mapping[str, Any], kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Before and after of what the plan creates or changes of one type; empty where there is nothing."""
    for change in plan["resource_changes"]:
        if change["type"] == kind and {"create", "update"} & set(change["change"]["actions"]):
            yield change["change"].get("before") or {}, change["change"].get("after") or {}


def _reserved(function: Mapping[str, Any]) -> int:
    return max(0, function.get("reserved_concurrent_executions") or 0)  # -1: none


def concurrency(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Whether the account has the concurrent executions that the plan reserves and uses."""
    functions = list(_changes(plan, "aws_lambda_function"))
    if not functions:
        return
    try:
        limit = clients("lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        advice = "if too few would be left unreserved, the apply will fail"
        yield Finding(Level.UNCHECKED, _CONCURRENCY, "no permission to see the account's concurrent executions", advice)
        return
    more = sum(_reserved(after) - _reserved(before) for before, after in functions)
    total, left = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"] - more
    if more > 0 and left < LEAST_UNRESERVED:
        what = f"reserving {more} more would leave {left} of the account's {total} concurrent executions unreserved"
        advice = f"Lambda keeps {LEAST_UNRESERVED}: reserve less, or have the quota raised (Service Quotas, AWS Lambda)"
        yield Finding(Level.PROBLEM, _CONCURRENCY, what, advice)
    if any(_reserved(after) for _, after in functions if str(after.get("function_name", "")).endswith("-transform")):
        return
    for _, source in _changes(plan, "aws_lambda_event_source_mapping"):
        for scaling in source.get("scaling_config") or []:
            most = scaling.get("maximum_concurrency") or 0
            if most >= left:
                what = (
                    f"maximum_concurrency ({most}) takes all of the account's {left} unreserved concurrent executions"
                )
                advice = "ingest and other functions would be throttled: set it lower, or have the quota raised"
                yield Finding(Level.WARNING, "maximum_concurrency", what, advice)


def roles(plan: Mapping[str, Any], clients: Clients) -> Iterator[Finding]:
    """Whether the account may have as many roles as the plan adds."""
    new = sum(not before for before, _ in _changes(plan, _ROLES))
    if not new:
        return
    try:
        summary = clients("iam").get_account_summary()["SummaryMap"]
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        yield Finding(
            Level.UNCHECKED, _ROLES, "no permission to see how many roles the account may have", "see IAM's quotas"
        )
        return
    has, may_have = summary.get("Roles", 0), summary.get("RolesQuota")
    if may_have is not None and has + new > may_have:
        what = f"the account has {has} roles of {may_have}; the plan adds {new}"
        yield Finding(
            Level.PROBLEM, _ROLES, what, "delete unused roles, or have the quota raised (Service Quotas, IAM)"
        )
