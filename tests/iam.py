"""What an API request needs of IAM, and whether a role's statements allow it.

Knows the requests that the functions make (AWS Service Authorization Reference), and Allow statements with wildcards.
Conditions, denials and boundaries are not known here; the functions' roles have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

# A write of a DynamoDB transaction -> the action that it needs.
TRANSACTION_ACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


class Need(NamedTuple):
    """One action on one resource."""

    action: str
    resource: str


def needs(service: str, operation: str, parameters: Mapping[str, Any], account: str) -> Iterator[Need]:
    """What a request needs. `account` is `<region>:<account id>`, as ARNs have it.

    Raises:
        KeyError: a parameter that names the resource is missing.
        NotImplementedError: a service that is not known here.
    """
    action = f"{service}:{operation}"
    table = f"arn:aws:dynamodb:{account}:table"
    if service == "s3":
        versioned = "Version" if operation == "GetObject" and "VersionId" in parameters else ""
        yield Need(action + versioned, f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")
    elif service == "sqs":
        name = parameters["QueueUrl"].rsplit("/", 1)[1]
        yield Need(action.removesuffix("Batch"), f"arn:aws:sqs:{account}:{name}")
    elif operation == "TransactWriteItems":
        for write in parameters["TransactItems"]:
            ((kind, one),) = write.items()
            yield Need(TRANSACTION_ACTIONS[kind], f"{table}/{one['TableName']}")
    elif operation == "BatchGetItem":
        yield from (Need(action, f"{table}/{name}") for name in parameters["RequestItems"])
    elif service == "dynamodb":
        yield Need(action, f"{table}/{parameters['TableName']}")
    else:
        raise NotImplementedError(f"{action}: which resource it needs is not known here")


def refused(found: Iterable[Need], statements: Iterable[Mapping[str, Any]]) -> set[Need]:
    """Those that no statement allows."""
    allowed = [(action, resource) for one in statements for action in one["Action"] for resource in one["Resource"]]
    return {
        need
        for need in found
        if not any(need.action == action and fnmatchcase(need.resource, resource) for action, resource in allowed)
    }
