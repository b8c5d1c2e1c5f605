"""What S3's answers mean: the bytes are gone for good, we may not read them yet, or S3 did not answer."""

from __future__ import annotations

import ssl
from http.client import IncompleteRead
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import SSLError as BrokenTls

from services.shared.errors import Terminal, Transient
from services.shared.lake import LakeForbidden, LakeUnavailable, ObjectGone, S3Lake
from services.shared.units import BronzeObject
from tests.support.lake import CREATED

SOURCE = BronzeObject("bronze", "bronze/shipments/a.jsonl", 10, "e1", "v1", CREATED)


class Body:
    """A response body that breaks."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error

    def close(self) -> None: ...


class S3:
    """Answers every read with the same body or error, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked: dict[str, Any] = {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.asked = request
        if isinstance(self._answer, Exception):
            raise self._answer
        return {"Body": self._answer}


def lake(answer: Any) -> S3Lake:
    return S3Lake(S3(answer), "silver")  # type: ignore[arg-type]


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, "GetObject")


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion", "404", "PreconditionFailed", "InvalidObjectState"])
def test_what_is_gone_is_terminal_and_says_what_to_do(code: str) -> None:
    with pytest.raises(ObjectGone, match="upload them again") as caught:
        lake(refusal(code)).open(SOURCE, 0, 10)
    assert isinstance(caught.value, Terminal)


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_a_missing_permission_is_waited_for(code: str) -> None:
    with pytest.raises(LakeForbidden, match="s3:GetObject") as caught:
        lake(refusal(code)).open(SOURCE, 0, 10)
    assert isinstance(caught.value, Transient)


@pytest.mark.parametrize("error", [refusal("SlowDown"), refusal("500"), EndpointConnectionError(endpoint_url="s3")])
def test_an_outage_is_waited_for(error: Exception) -> None:
    with pytest.raises(LakeUnavailable):
        lake(error).open(SOURCE, 0, 10)


BROKEN = [
    ssl.SSLError("bad record"),
    BrokenTls("bad record"),
    ProtocolError("connection broken"),
    IncompleteRead(b"12", 8),
    ConnectionResetError("reset"),
    TimeoutError("timed out"),
    ReadTimeoutError(endpoint_url="s3"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
def test_a_connection_that_breaks_while_reading_is_waited_for(error: Exception) -> None:
    stream = lake(Body(error)).open(SOURCE, 0, 10)
    with pytest.raises(LakeUnavailable, match="connection broke"):
        stream.read(4)


def test_a_read_pins_the_version_and_the_etag() -> None:
    s3 = S3(Body(OSError()))
    S3Lake(s3, "silver").open(SOURCE, 2, 6)  # type: ignore[arg-type]
    assert (s3.asked["VersionId"], s3.asked["IfMatch"], s3.asked["Range"]) == ("v1", '"e1"', "bytes=2-5")
