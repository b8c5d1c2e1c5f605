"""What AWS Glue answers under load, and no emulator: it throttles, and connections are gone that were idle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, ConnectionClosedError

from services.ops.lake import catalog as module
from services.ops.lake.catalog import LakeCatalog, glue_catalog

THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
NO_TABLE = (400, {"__type": "EntityNotFoundException", "message": "not found"})
DONE = (200, dict[str, str]())
LOST = None  # the connection ends without an answer

Answer = tuple[int, dict[str, str]] | None


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


class Glue:
    """Gives these answers, one after the other, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        catalog: Any = glue_catalog()
        self.catalog = catalog
        for client in (catalog.glue, catalog._commits.glue):
            client.meta.events.register("before-send.glue", self._answer)

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.asked.append(request.headers["X-Amz-Target"].decode().removeprefix("AWSGlue."))
        answer = self.answers.pop(0)
        if answer is None:
            raise ConnectionClosedError(endpoint_url=request.url)
        status, body = answer
        return AWSResponse(request.url, status, HTTPHeaders(), _Body(json.dumps(body).encode()))

    def commit(self) -> None:
        self.catalog._update_glue_table("lake", "shipments", {"Name": "shipments"}, "7")


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Glue:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return Glue()


@pytest.mark.parametrize("first", [THROTTLED, LOST])
def test_a_table_is_asked_for_again(glue: Glue, first: Answer) -> None:
    glue.answers = [first, NO_TABLE]
    assert LakeCatalog(glue.catalog, "lake", "s3://bucket/").find("shipments") is None
    assert glue.asked == ["GetTable", "GetTable"]


def test_a_commit_that_was_throttled_is_sent_again(glue: Glue) -> None:
    glue.answers = [THROTTLED, THROTTLED, DONE]
    glue.commit()
    assert glue.asked == ["UpdateTable"] * 3


def test_a_commit_that_is_throttled_again_and_again_ends(glue: Glue) -> None:
    glue.answers = [THROTTLED] * (len(module._WAITS) + 1)
    with pytest.raises(ClientError, match="Rate exceeded"):
        glue.commit()
    assert glue.answers == []


@pytest.mark.parametrize("first", [LOST, (500, {"__type": "InternalServiceException"})])
def test_a_commit_that_may_have_landed_is_never_sent_again(glue: Glue, first: Answer) -> None:
    glue.answers = [first, DONE]
    with pytest.raises((ClientError, ConnectionClosedError)):
        glue.commit()
    assert glue.asked == ["UpdateTable"]
