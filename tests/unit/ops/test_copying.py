"""Copies for a replay: what is asked of S3, and what S3's refusals mean for the other objects."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.ops.app import pipeline
from services.ops.app import replay as workflow
from services.ops.bronze import Versions
from services.ops.errors import OperatorError
from services.ops.replay.copying import COPY_SECONDS, SINGLE_BYTES, Copier, NotCopyable
from services.ops.replay.planning import Candidate, ReplayRequest, Verdict
from services.ops.replay.running import ByCopying, Done, Replay
from services.ops.workflow import Pipeline, begin, read_request
from services.shared.deadline import Deadline
from services.shared.units import BronzeObject
from tests.support.ingest import Context

RUN = "bronze/replay/run"
SOURCES = [
    BronzeObject(
        "bronze-bucket", f"bronze/shipments/{name}.jsonl", 10, "e" * 32, None, datetime(2026, 1, 1, tzinfo=UTC)
    )
    for name in "abc"
]


@dataclass
class RefusingS3:
    """S3's copies, which it refuses for some keys."""

    refused: dict[str, tuple[str, str]] = field(default_factory=dict)  # key -> code and message
    asked: list[dict[str, Any]] = field(default_factory=list)
    unreadable: frozenset[str] = frozenset()  # keys; to copy is to read, and to write

    def head_object(self, Bucket: str, Key: str) -> None:  # noqa: N803 (as boto3 calls them)
        """What S3 says of an object needs no key."""

    def get_object(self, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803
        if Key in self.unreadable:
            code, message = self.refused[Key]
            raise ClientError({"Error": {"Code": code, "Message": message}}, "GetObject")
        return {"Body": io.BytesIO(b"{")}

    def copy_object(self, **request: Any) -> None:
        self.asked.append(request)
        if refusal := self.refused.get(request["CopySource"]["Key"]):
            raise ClientError({"Error": {"Code": refusal[0], "Message": refusal[1]}}, "CopyObject")


@dataclass
class Bronze:
    """A listing of three objects, and of copies."""

    copies: list[BronzeObject] = field(default_factory=list)
    bucket: str = "bronze-bucket"

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        yield [one for one in [*SOURCES, *self.copies] if one.key.startswith(prefix) and one.key > after]

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        for page in self.objects(prefix, after):
            yield Versions.of(page, [one.key for one in page])

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        return source


def replay(s3: RefusingS3, bronze: Bronze | None = None) -> Any:
    bronze = bronze or Bronze()
    way = ByCopying(Copier(s3, RUN), bronze)  # type: ignore[arg-type]
    return Replay(bronze, None, way, jobs=1).run(ReplayRequest("bronze/"))[0]


def test_tags_are_not_copied_since_that_needs_rights_that_operators_do_not_have() -> None:
    s3 = RefusingS3()
    replay(s3)
    assert [request["TaggingDirective"] for request in s3.asked] == ["REPLACE"] * 3
    assert not any("Tagging" in request for request in s3.asked)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidObjectState", "Operation is not valid for the source object's storage class"),
        ("ObjectNotInActiveTierError", "The source object of the COPY action is not in the active tier"),
        ("InvalidRequest", "The object was stored using a form of Server Side Encryption."),
        ("KMS.DisabledException", "the key is disabled"),
        ("AccessDenied", "User: somebody is not authorized to perform: kms:Decrypt on resource: a key"),
    ],
)
def test_an_object_that_s3_does_not_copy_does_not_stop_the_others(code: str, message: str) -> None:
    s3 = RefusingS3({SOURCES[0].key: (code, message)})
    summary = replay(s3)
    assert summary.objects == {(Verdict.NOT_LOOKED_UP, Done.NOT_COPYABLE): 1, (Verdict.NOT_LOOKED_UP, Done.COPIED): 2}
    assert not summary.all_right
    with pytest.raises(NotCopyable, match=r"a\.jsonl#e+ cannot be copied"):
        Copier(s3, RUN).copy(SOURCES[0], SOURCES[0].id)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        "Access Denied",
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are "
        "not allowed to access.",  # a KMS key of another account
    ],
)
def test_an_object_that_s3_forbids_to_read_does_not_stop_the_others(message: str) -> None:
    """Such as one of another account, or below a prefix that the bucket's policy denies. Transform cannot read it
    either, so it stays unfinished, and every replay comes to it."""
    key = SOURCES[0].key
    s3 = RefusingS3({key: ("AccessDenied", message)}, unreadable=frozenset({key}))
    summary = replay(s3)
    assert summary.objects == {(Verdict.NOT_LOOKED_UP, Done.NOT_COPYABLE): 1, (Verdict.NOT_LOOKED_UP, Done.COPIED): 2}
    assert [message in result.why for result in summary.listed] == [
        True,
        False,
        False,
    ]  # who is told which one, and why
    with pytest.raises(NotCopyable, match=r"a\.jsonl#e+ cannot be copied: S3 does not let us read it"):
        Copier(s3, RUN).copy(SOURCES[0], SOURCES[0].id)  # type: ignore[arg-type]


def test_a_forced_replay_takes_no_more_rows_out_once_a_copy_is_refused() -> None:
    """The object was readable, so it is the copy that has no key, as all others would have none."""
    message = "User: operator is not authorized to perform: kms:GenerateDataKey on resource: key"
    taken: list[Candidate] = []
    s3 = RefusingS3({one.key: ("AccessDenied", message) for one in SOURCES})
    way = ByCopying(Copier(s3, RUN), Bronze(), force=taken.append)  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match=r"a\.jsonl.*kms:GenerateDataKey.*`smelt reconcile"):
        for one in SOURCES:
            way.handle(Candidate(one, one.id, Verdict.FORCED), Deadline.endless())
    assert [one.source for one in taken] == SOURCES[:1]


def test_a_refusal_that_every_object_would_meet_stops_the_replay() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        replay(RefusingS3({SOURCES[0].key: ("AccessDenied", "Access Denied")}))


@pytest.mark.parametrize(("seconds", "again"), [(1, 0), (0, 3)], ids=["later", "in the same second"])
def test_copies_with_other_etags_as_sse_kms_gives_are_known_by_their_time(seconds: int, again: int) -> None:
    copies = [
        replace(one, key=f"{RUN}/{one.key}", etag="f" * 32, created=one.created + timedelta(seconds=seconds))
        for one in SOURCES
    ]
    s3 = RefusingS3()
    assert replay(s3, Bronze(copies)).number(Done.COPIED) == len(s3.asked) == again


def test_the_workflow_waits_as_long_as_a_command_for_s3_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five gigabytes take S3 longer than its other answers, also where their copy begins as the last one of a chunk."""
    clients: list[Any] = []
    deadlines: list[Deadline] = []

    def chunk(_replay: Any, _request: Any, _place: Any, deadline: Deadline, _tell: Any) -> tuple[dict[str, Any], None]:
        deadlines.append(deadline)
        return {"done": {}}, None

    def copier(client: Any, prefix: str) -> Copier:
        clients.append(client)
        return Copier(client, prefix)

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(
        pipeline, "settings", lambda: SimpleNamespace(bronze_bucket="bronze-bucket", silver_bucket="silver-bucket")
    )
    monkeypatch.setattr(pipeline, "ledger", lambda: None)
    monkeypatch.setattr(workflow, "_ingest", lambda: SimpleNamespace(announce=None))
    monkeypatch.setattr(workflow, "Copier", copier)
    monkeypatch.setattr(workflow, "replay_chunk", chunk)
    started = datetime(2026, 1, 2, tzinfo=UTC)
    asked = {"src_prefix": "bronze/shipments/", "record_type": "shipments", "window_hours": 24}
    known = Pipeline("bronze-bucket", "silver-bucket", ["shipments"])
    workflow.handler(begin(read_request(asked, known, started, "one")), Context(milliseconds=900_000))
    assert [client.meta.config.read_timeout for client in clients] == [COPY_SECONDS]
    slow = 25_000_000  # bytes a second
    assert [deadline.reserve for deadline in deadlines] >= [SINGLE_BYTES / slow]
