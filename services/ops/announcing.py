"""Announcing an object by way of the ingest function: S3's event of it, once more. Needs lambda:InvokeFunction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from services.shared.units import BronzeObject

if TYPE_CHECKING:
    from mypy_boto3_lambda.client import LambdaClient


class IngestFunction:
    """Hands S3 events to ingest, which plans each object once, however often it hears of it."""

    def __init__(self, client: LambdaClient, name: str) -> None:
        self._client = client
        self._name = name

    def announce(self, source: BronzeObject) -> None:
        """Lambda keeps the event and tries it three times; then it is in the queue of failed events."""
        payload = json.dumps({"Records": [record_of(source)]}).encode()
        self._client.invoke(FunctionName=self._name, InvocationType="Event", Payload=payload)


def record_of(source: BronzeObject) -> dict[str, Any]:
    """S3's notification record of a new object."""
    described: dict[str, Any] = {"key": quote_plus(source.key, safe="/"), "size": source.size, "eTag": source.etag}
    if source.version_id:
        described["versionId"] = source.version_id
    return {
        "eventName": "ObjectCreated:Put",
        "eventTime": source.created.isoformat(),
        "s3": {"bucket": {"name": source.bucket}, "object": described},
    }
