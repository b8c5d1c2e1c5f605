"""What S3's answers and silences mean for the work: gone for ever, or not now."""

from __future__ import annotations

import http.client
import io
import ssl
import threading
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from services.shared.lake import LakeForbidden, LakeSignedOut, LakeUnavailable, ObjectGone, S3Lake, find_file
from services.shared.units import BronzeObject

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
PINNED = BronzeObject("bronze", "bronze/a/b.jsonl", 100, "abc", "v1", CREATED)
UNVERSIONED = BronzeObject("bronze", "bronze/a/b.jsonl", 100, "abc", None, CREATED)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def body(data: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(data), len(data))


def ranged(data: bytes, start: int, size: int = 100) -> dict[str, Any]:
    """The answer to a request for a range: `data` are the bytes from `start` on of an object of `size` bytes."""
    content_range = f"bytes {start}-{start + len(data) - 1}/{size}"
    return {"Body": body(data), "ContentLength": len(data), "ContentRange": content_range}


def test_a_store_that_ignores_the_range_and_sends_everything_is_read_at_the_right_place(s3: Any) -> None:
    """HTTP allows that; and an emulator does so for versions. Taken for the range, it doubled rows."""
    data = bytes(range(100))
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": body(data), "ContentLength": 100})
        stream = S3Lake(s3, "silver").open(PINNED, 10, 20)
        assert stream.read(4) + stream.read(100) == data[10:20]
        assert stream.read(1) == b""


def test_a_store_that_sends_another_range_is_not_believed(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_response("get_object", ranged(b"0123456789", 0))
        with pytest.raises(LakeUnavailable, match="were asked for"):
            S3Lake(s3, "silver").open(PINNED, 10, 20)


@pytest.mark.parametrize(
    ("source", "pins"),
    [(PINNED, {"IfMatch": '"abc"', "VersionId": "v1"}), (UNVERSIONED, {"IfMatch": '"abc"'})],
    ids=["with a version", "without one"],
)
def test_reading_pins_the_etag_and_the_version_if_there_is_one(s3: Any, source: BronzeObject, pins: Any) -> None:
    with Stubber(s3) as stub:
        expected = {"Bucket": "bronze", "Key": "bronze/a/b.jsonl", "Range": "bytes=10-19", **pins}
        stub.add_response("get_object", ranged(b"0123456789", 10), expected)
        stream = S3Lake(s3, "silver").open(source, 10, 20)
        assert stream.read(100) == b"0123456789"
        assert stream.read(100) == b""


@pytest.mark.parametrize(
    ("code", "status", "kind", "advice"),
    [
        ("NoSuchKey", 404, ObjectGone, "deleted"),
        ("NoSuchVersion", 404, ObjectGone, "version was deleted"),
        ("InvalidRequest", 400, ObjectGone, "uploader's own key"),
        ("PreconditionFailed", 412, ObjectGone, "another one than was announced, .*smelt retract"),
        ("InvalidRange", 416, ObjectGone, "shorter"),
        ("InvalidObjectState", 403, ObjectGone, "archived; restore it"),
        ("AccessDenied", 403, LakeForbidden, "check the function's role"),
        ("403", 403, LakeForbidden, "check the function's role"),
        ("ExpiredToken", 400, LakeSignedOut, "sign in to AWS again"),
        ("KMS.KMSInvalidStateException", 400, LakeForbidden, "the policy of its KMS key"),
        ("SlowDown", 503, LakeUnavailable, "now"),
        ("InternalError", 500, LakeUnavailable, "now"),
    ],
)
def test_an_answer_of_s3_is_terminal_only_where_the_bytes_are_gone(
    s3: Any, code: str, status: int, kind: type[Exception], advice: str
) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("get_object", code, http_status_code=status)
        with pytest.raises(kind, match=advice) as raised:
            S3Lake(s3, "silver").open(PINNED, 0, 1)
    assert type(raised.value) is kind


class TestARefusal:
    """S3 refuses to say whether an object exists, unless it takes us for somebody who may list the bucket.

    With a right to list that is limited to a prefix it may not do so: a request for an object names no prefix.
    """

    VERSION = {"Key": PINNED.key, "VersionId": "v1"}  # noqa: RUF012
    OTHER = {"Key": PINNED.key + ".gz", "VersionId": "v1"}  # noqa: RUF012
    LATER = {"Key": PINNED.key, "VersionId": "v2"}  # noqa: RUF012
    ASKED = {"Bucket": "bronze", "Prefix": PINNED.key}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("listed", "kind"),
        [
            ({"Versions": [LATER, VERSION]}, LakeForbidden),
            ({"Versions": [LATER, OTHER]}, ObjectGone),
            ({"DeleteMarkers": [LATER]}, ObjectGone),
            ({}, ObjectGone),
        ],
        ids=["there", "only another version", "only a delete marker", "nothing"],
    )
    def test_of_a_version_means_that_it_is_gone_where_a_listing_does_not_have_it(
        self, s3: Any, listed: Any, kind: type[Exception]
    ) -> None:
        with Stubber(s3) as stub:
            stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
            stub.add_response("list_object_versions", listed, self.ASKED)
            with pytest.raises(kind) as raised:
                S3Lake(s3, "silver").open(PINNED, 0, 1)
        assert type(raised.value) is kind

    def test_of_a_version_is_looked_up_in_all_pages_of_its_key(self, s3: Any) -> None:
        more = {"Versions": [self.LATER], "IsTruncated": True, "NextKeyMarker": PINNED.key, "NextVersionIdMarker": "v2"}
        with Stubber(s3) as stub:
            stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
            stub.add_response("list_object_versions", more, self.ASKED)
            stub.add_response(
                "list_object_versions",
                {"Versions": [self.VERSION]},
                {**self.ASKED, "KeyMarker": PINNED.key, "VersionIdMarker": "v2"},
            )
            with pytest.raises(LakeForbidden):
                S3Lake(s3, "silver").open(PINNED, 0, 1)

    @pytest.mark.parametrize(
        ("listed", "kind"),
        [
            ({"Contents": [{"Key": PINNED.key}]}, LakeForbidden),
            ({"Contents": [{"Key": PINNED.key + ".gz"}]}, ObjectGone),
            ({}, ObjectGone),
        ],
        ids=["there", "only a longer key", "nothing"],
    )
    def test_of_an_object_means_that_it_is_gone_where_a_listing_does_not_have_it(
        self, s3: Any, listed: Any, kind: type[Exception]
    ) -> None:
        with Stubber(s3) as stub:
            stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
            stub.add_response("list_objects_v2", listed, self.ASKED | {"MaxKeys": 1})
            with pytest.raises(kind) as raised:
                S3Lake(s3, "silver").open(UNVERSIONED, 0, 1)
        assert type(raised.value) is kind

    @pytest.mark.parametrize("source", [PINNED, UNVERSIONED], ids=["with a version", "without one"])
    def test_stays_one_where_we_may_not_list_either(self, s3: Any, source: BronzeObject) -> None:
        with Stubber(s3) as stub:
            stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
            stub.add_client_error("list_object_versions" if source.version_id else "list_objects_v2", "AccessDenied")
            with pytest.raises(LakeForbidden):
                S3Lake(s3, "silver").open(source, 0, 1)

    def test_of_a_file_means_that_it_is_not_there_where_a_listing_does_not_have_it(self, s3: Any) -> None:
        listed = {"Bucket": "silver", "Prefix": "silver/a.parquet", "MaxKeys": 1}
        with Stubber(s3) as stub:
            stub.add_client_error("head_object", "403", http_status_code=403)
            stub.add_response("list_objects_v2", {}, listed)
            assert not S3Lake(s3, "silver").holds("silver/a.parquet", "abc")
            stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
            stub.add_response("list_objects_v2", {}, listed)
            with pytest.raises(ObjectGone, match="Somebody"):
                S3Lake(s3, "silver").read("silver/a.parquet", "abc")


class BrokenBody:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, size: int) -> bytes:
        raise self._error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLError("bad record mac"),
        urllib3.exceptions.SSLError("bad record mac"),
        urllib3.exceptions.IncompleteRead(3, 97),
        urllib3.exceptions.ProtocolError("connection broken"),
        urllib3.exceptions.DecodeError("bad chunk"),
        http.client.IncompleteRead(b"abc"),
        ReadTimeoutError(endpoint_url="s3"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_a_body_that_breaks_off_is_tried_again(s3: Any, error: Exception) -> None:
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": body(b""), "ContentLength": 100})
        stream = S3Lake(s3, "silver").open(PINNED, 0, 100)
    stream._body = BrokenBody(error)  # type: ignore[attr-defined]
    with pytest.raises(LakeUnavailable, match="connection broke"):
        stream.read(10)


def test_a_body_that_ends_early_is_tried_again(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": body(b"abc"), "ContentLength": 100})
        stream = S3Lake(s3, "silver").open(PINNED, 0, 100)
        assert stream.read(10) == b"abc"
        with pytest.raises(LakeUnavailable, match="97 bytes less"):
            stream.read(10)


def test_writing_returns_the_etag_without_quotes(s3: Any) -> None:
    with Stubber(s3) as stub:
        stub.add_response(
            "put_object", {"ETag": '"0123"'}, {"Bucket": "silver", "Key": "k", "Body": b"x", "ContentType": ANY}
        )
        assert S3Lake(s3, "silver").put("k", b"x") == "0123"


def test_deleting_is_one_request_for_each_file(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []
    monkeypatch.setattr(s3, "delete_object", lambda **request: asked.append(request))
    S3Lake(s3, "silver").delete(["a", "b"])
    assert sorted(asked, key=lambda request: request["Key"]) == [{"Bucket": "silver", "Key": key} for key in "ab"]


def test_files_are_deleted_side_by_side(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands, one after the other, would not be done within an invocation, nor within the next."""
    together = threading.Barrier(4, timeout=30)
    monkeypatch.setattr(s3, "delete_object", lambda **_: together.wait())
    S3Lake(s3, "silver").delete(["a", "b", "c", "d"])
    assert not together.broken


def test_a_file_that_cannot_be_deleted_is_named_whatever_became_of_the_others(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(Bucket: str, Key: str) -> None:  # noqa: N803 (boto3's names)
        if Key == "b":
            raise EndpointConnectionError(endpoint_url=Bucket)

    monkeypatch.setattr(s3, "delete_object", delete)
    with pytest.raises(LakeUnavailable, match="b cannot be deleted now"):
        S3Lake(s3, "silver").delete(["a", "b", "c"])


@pytest.mark.parametrize("operation", ["put_object", "delete_object"])
@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", LakeForbidden), ("SlowDown", LakeUnavailable)])
def test_a_refused_write_or_delete_is_tried_again(s3: Any, operation: str, code: str, kind: type[Exception]) -> None:
    lake = S3Lake(s3, "silver")
    with Stubber(s3) as stub:
        stub.add_client_error(operation, code)
        with pytest.raises(kind):
            lake.put("k", b"x") if operation == "put_object" else lake.delete(["k"])


def test_a_silent_s3_is_tried_again(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="s3")

    for operation in ("get_object", "put_object", "delete_object"):
        monkeypatch.setattr(s3, operation, fail)
    lake = S3Lake(s3, "silver")
    for call in (lambda: lake.open(PINNED, 0, 1), lambda: lake.put("k", b"x"), lambda: lake.delete(["k"])):
        with pytest.raises(LakeUnavailable):
            call()


@pytest.mark.parametrize(("etag", "held"), [('"abc"', True), ('"other"', False)])
def test_a_file_is_held_if_its_content_is_there(s3: Any, etag: str, held: bool) -> None:
    with Stubber(s3) as stub:
        stub.add_response("head_object", {"ETag": etag}, {"Bucket": "silver", "Key": "silver/a.parquet"})
        assert S3Lake(s3, "silver").holds("silver/a.parquet", "abc") is held


@pytest.mark.parametrize(("status", "code"), [(404, "404"), (403, "403")])
def test_only_a_missing_file_is_not_held_and_a_refusal_says_nothing_about_it(s3: Any, status: int, code: str) -> None:
    with Stubber(s3) as stub:
        stub.add_client_error("head_object", code, http_status_code=status)
        if status == 403:
            stub.add_response("list_objects_v2", {"Contents": [{"Key": "silver/a.parquet"}]})
        if status == 404:
            assert not S3Lake(s3, "silver").holds("silver/a.parquet", "abc")
        else:
            with pytest.raises(LakeForbidden, match="looked at"):
                S3Lake(s3, "silver").holds("silver/a.parquet", "abc")


@pytest.mark.parametrize(
    ("listed", "found"), [([], None), (["silver/a", "silver/ab"], "refused"), (["silver/ab"], None)]
)
def test_a_missing_file_that_looks_forbidden_is_told_by_a_listing(s3: Any, listed: list[str], found: Any) -> None:
    """S3 answers so where the right to list has a condition on the prefix, which a request for an object has not."""
    with Stubber(s3) as stub:
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in listed]})
        if found is None:
            assert find_file(s3, "silver", "silver/a") is None
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                find_file(s3, "silver", "silver/a")
