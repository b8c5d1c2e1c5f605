"""Which API requests are made, what each needs of IAM, and whether a role's statements allow it.

Knows the requests that the functions make (AWS Service Authorization Reference), and Allow statements with wildcards.
A statement with a condition allows nothing here; tests/support/iam_simulate.py evaluates those, and denials.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import unquote

import boto3
import pytest

from local.stack import CREDENTIALS

# A write of a DynamoDB transaction -> the action that it needs.
TRANSACTION_ACTIONS = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


class Request(NamedTuple):
    """An API request, as it was made."""

    service: str
    operation: str
    parameters: dict[str, Any]

    @property
    def action(self) -> str:
        """Such as `s3:GetObject`; not always what IAM calls it."""
        return f"{self.service}:{self.operation}"


def record(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> list[Request]:
    """A list that grows by every request that this process makes through boto3's default session, at an emulator."""
    session = boto3.session.Session()
    seen: list[Request] = []
    session.events.register(
        "before-parameter-build",
        lambda params, model, **_: seen.append(Request(model.service_model.service_name, model.name, dict(params))),
    )
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint}).items():
        monkeypatch.setenv(name, value)
    return seen


class Need(NamedTuple):
    """One action on one resource, with what IAM is told of the request."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


# API operation -> what it is called in IAM (Service Authorization Reference, Amazon S3).
_LISTINGS = {"ListObjectsV2": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions"}
_WRITES = {"CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload", "CopyObject"}


def needs(request: Request, account: str) -> Iterator[Need]:
    """What a function's request needs. `account` is `<region>:<account id>`, as ARNs have it.

    Raises:
        KeyError: a parameter that names the resource is missing.
        NotImplementedError: a service that is not known here.
    """
    service, operation, parameters = request
    action = request.action
    table = f"arn:aws:dynamodb:{account}:table"
    if service == "s3" and operation in _LISTINGS:
        prefix = (("s3:prefix", parameters["Prefix"]),) if parameters.get("Prefix") else ()
        yield Need(_LISTINGS[operation], f"arn:aws:s3:::{parameters['Bucket']}", prefix)
    elif service == "s3" and operation in _WRITES:
        yield Need("s3:PutObject", f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")
        if source := parameters.get("CopySource"):
            named = source if isinstance(source, str) else f"{source['Bucket']}/{source['Key']}"
            yield Need("s3:GetObject", f"arn:aws:s3:::{unquote(named)}")
    elif service == "lambda" and operation == "Invoke":
        yield Need("lambda:InvokeFunction", f"arn:aws:lambda:{account}:function:{parameters['FunctionName']}")
    elif service == "s3":
        reads = operation in {"GetObject", "HeadObject"}  # both need the same
        versioned = "Version" if reads and "VersionId" in parameters else ""
        name = f"s3:GetObject{versioned}" if reads else action
        yield Need(name, f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}")
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
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield Need(action, f"{table}/{parameters['TableName']}{index}")
    else:
        raise NotImplementedError(f"{action}: which resource it needs is not known here")


def refused(found: Iterable[Need], statements: Iterable[Mapping[str, Any]]) -> set[Need]:
    """Those that no statement allows without a condition."""
    allowed = [
        (action, resource)
        for one in statements
        if "Condition" not in one
        for action in one["Action"]
        for resource in one["Resource"]
    ]
    return {
        need
        for need in found
        if not any(need.action == action and fnmatchcase(need.resource, resource) for action, resource in allowed)
    }
