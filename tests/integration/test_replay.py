"""Replay and reconcile on the emulator's S3, SQS and DynamoDB, through the commands that people run."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

import services.shared.ledger.ledger as ledger_module
from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.bronze import S3Bronze, Versions
from services.ops.cli import reconcile as reconcile_command
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.cli.replay import ledger_of, replay_from_s3, replay_via_s3_copy
from services.ops.reconcile import Scope
from services.ops.replay.copying import Copier, KeyTooLong, SourceChanged
from services.ops.replay.planning import ReplayRequest, Verdict
from services.ops.replay.running import BySending, Done, Replay, replay_chunk
from services.shared.deadline import Deadline
from services.shared.ledger import items
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, ObjectState
from services.shared.planning.copies import ORIGIN_ETAG, S3Copies
from services.shared.planning.planner import Planner
from services.shared.units import BronzeObject, UnitMessage
from tests.support.ingest import messages
from tests.support.lake import MemoryLake
from tests.support.sweeping import load

MIB = 1024 * 1024
RUN = "bronze/replay/2026-01-01T00-00-00Z"
DATA = b"x" * 3000
Output = pytest.CaptureFixture[str]


@dataclass
class World:
    """A bucket, a queue and a ledger of a test's own."""

    clients: Clients
    bucket: str
    queue_url: str
    table: str

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.clients.dynamodb, self.table)

    @property
    def bronze(self) -> S3Bronze:
        return S3Bronze(self.clients.s3, self.bucket)

    def upload(self, name: str, data: bytes = DATA) -> BronzeObject:
        self.clients.s3.put_object(Bucket=self.bucket, Key=f"bronze/shipments/{name}", Body=data)
        return self.listed(f"bronze/shipments/{name}")

    def listed(self, key: str) -> BronzeObject:
        (page,) = self.bronze.versions(key)
        return page.contents[0]

    def planner(self) -> Planner:
        def send(bodies: Any) -> None:
            for body in bodies:
                self.clients.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

        return Planner(self.ledger, self.bucket, 1024, send, S3Copies(self.clients.s3).origin_etag)

    def ingest(self, source: BronzeObject) -> LedgerObject:
        self.planner().plan(source, Deadline(lambda: 60.0, 5.0))
        return self.known(source)

    def known(self, source: BronzeObject) -> LedgerObject:
        (found,) = self.ledger.find_objects([source.id])
        return found

    def sent(self) -> list[UnitMessage]:
        """What is on the queue now; it is taken off."""
        found = [UnitMessage.parse(body) for body in messages(self.clients, self.queue_url)]
        self.clients.sqs.purge_queue(QueueUrl=self.queue_url)
        return sorted(found, key=lambda one: (one.object, one.start))

    def keys(self, prefix: str) -> list[str]:
        return [one.key for page in self.bronze.objects(prefix) for one in page]


@pytest.fixture
def world(clients: Clients, emulator: str, ledger_table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for module in (items, ledger_module):
        monkeypatch.setattr(module, "OPEN_SHARDS", 3)
    mark = uuid.uuid4().hex[:8]
    create_bucket(clients.s3, f"bronze-{mark}")
    queue_url = clients.sqs.create_queue(QueueName=f"units-{mark}")["QueueUrl"]
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator, "UNIT_BYTES": "1024"}).items():
        monkeypatch.setenv(name, value)
    for name in ("BRONZE_BUCKET", "LEDGER_TABLE", "QUEUE_URL", "INGEST_FUNCTION", "SILVER_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    yield World(clients, f"bronze-{mark}", queue_url, ledger_table)


@pytest.fixture
def half(world: World) -> BronzeObject:
    """Announced, in three units, of which the first is committed and the messages of the others are lost."""
    source = world.upload("half.jsonl")
    known = world.ingest(source)
    load(world.ledger, MemoryLake(), [known.plan.unit(0)])
    world.sent()
    return source


def window() -> list[str]:
    now = datetime.now(UTC)
    start, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    return ["--start", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--end", f"{end:%Y-%m-%dT%H:%M:%SZ}"]


def by_copy(world: World, *more: str) -> list[str]:
    """As in the users' guide."""
    names = ["--bucket", world.bucket, "--prefix", "bronze/shipments/", "--dest-prefix", RUN]
    return [*names, *window(), *more]


def by_sending(world: World, *more: str) -> list[str]:
    names = ["--bucket", world.bucket, "--prefix", "bronze/shipments/", "--queue-url", world.queue_url]
    return [*names, *window(), *more]


class TestCopies:
    def test_a_copy_names_its_origins_etag_and_has_its_bytes(self, world: World) -> None:
        source = world.upload("ä b+c.jsonl")
        Copier(world.clients.s3, RUN).copy(source, source.id)
        answer = world.clients.s3.get_object(Bucket=world.bucket, Key=f"{RUN}/{source.key}")
        assert (answer["Body"].read(), answer["Metadata"]) == (DATA, {ORIGIN_ETAG: source.etag})

    def test_a_large_object_is_copied_in_parts_and_still_names_its_origin(self, world: World) -> None:
        data = bytes(range(256)) * (11 * 4096)  # 11 MiB
        source = world.upload("large.jsonl", data)
        Copier(world.clients.s3, RUN, single_bytes=6 * MIB, least_part_bytes=5 * MIB).copy(source, source.id)
        copy = world.listed(f"{RUN}/{source.key}")
        assert copy.etag.endswith("-3")
        answer = world.clients.s3.get_object(Bucket=world.bucket, Key=copy.key)
        assert answer["Body"].read() == data
        assert S3Copies(world.clients.s3).origin_etag(copy) == source.etag

    def test_a_copy_in_parts_that_fails_leaves_no_parts_behind(self, world: World) -> None:
        source = world.upload("large.jsonl", b"x" * 7 * MIB)
        world.upload("large.jsonl", b"y" * 7 * MIB)
        with pytest.raises((SourceChanged, ClientError)):
            Copier(world.clients.s3, RUN, single_bytes=1, least_part_bytes=5 * MIB).copy(source, source.id)
        assert world.clients.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads", []) == []

    def test_what_was_overwritten_or_deleted_after_it_was_listed_is_not_copied(self, world: World) -> None:
        overwritten, deleted = world.upload("a.jsonl"), world.upload("b.jsonl")
        world.upload("a.jsonl", b"other")
        world.clients.s3.delete_object(Bucket=world.bucket, Key=deleted.key)
        for source in (overwritten, deleted):
            with pytest.raises(SourceChanged):
                Copier(world.clients.s3, RUN).copy(source, source.id)
        assert world.keys(RUN) == []

    def test_a_key_that_leaves_no_room_for_the_copys_is_told(self, world: World) -> None:
        source = BronzeObject(world.bucket, "bronze/shipments/" + "x" * 1000, 1, "e", None, datetime.now(UTC))
        with pytest.raises(KeyTooLong, match=r"1,0\d\d bytes; S3 takes 1,024"):
            Copier(world.clients.s3, RUN).copy(source, source.id)


class TestByCopy:
    def test_the_command_of_the_guide_copies_what_is_in_the_window_without_ledger_and_queue(
        self, world: World, half: BronzeObject, capsys: Output
    ) -> None:
        world.upload("new.jsonl")
        assert execute(replay_via_s3_copy, by_copy(world)) == 0
        assert world.keys("bronze/replay/") == [f"{RUN}/{half.key}", f"{RUN}/bronze/shipments/new.jsonl"]
        assert "ingest skips what is committed" in capsys.readouterr().out
        assert world.sent() == []

    def test_with_the_ledger_it_copies_only_what_is_not_committed_and_says_what_was_copied_before(
        self, world: World, half: BronzeObject, capsys: Output
    ) -> None:
        done = world.upload("done.jsonl")
        world.ingest(done)
        world.ledger.objects.mark_done([done.id])
        assert execute(replay_via_s3_copy, by_copy(world, "--table", world.table, "--json")) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["objects"] == {"committed": 1, "unfinished": 1}
        assert told["done"] == {"skipped": 1, "copied": 1}
        assert world.keys("bronze/replay/") == [f"{RUN}/{half.key}"]
        assert execute(replay_via_s3_copy, by_copy(world, "--table", world.table)) == 0
        assert "copied by an earlier run" in capsys.readouterr().out
        copy = world.listed(f"{RUN}/{half.key}")
        world.sent()
        planned = world.planner().plan(copy, Deadline(lambda: 60.0, 5.0))
        assert planned.units == 2
        assert world.known(half).source.copy is not None

    def test_what_was_never_announced_makes_it_end_with_1_and_says_what_to_do(
        self, world: World, capsys: Output
    ) -> None:
        world.upload("new.jsonl")
        assert execute(replay_via_s3_copy, by_copy(world, "--table", world.table)) == 1
        assert "pass --ingest <function>, or run `smelt reconcile`" in capsys.readouterr().out

    def test_a_dry_run_changes_nothing(self, world: World, half: BronzeObject, capsys: Output) -> None:
        world.upload("new.jsonl")
        before = sorted(map(repr, world.ledger.scan()))
        for command, arguments in ((replay_via_s3_copy, by_copy(world)), (replay_from_s3, by_sending(world))):
            assert execute(command, [*arguments, "--table", world.table, "--dry-run"]) == 0
            said = capsys.readouterr().out
            assert f"{half.id}: unfinished, 2 units missing: its missing units are sent" in said
            assert "never announced: announced" in said
        assert sorted(map(repr, world.ledger.scan())) == before
        assert world.keys("bronze/replay/") == []
        assert world.sent() == []


class TestDestination:
    def test_copies_of_copies_must_not_go_where_they_would_be_copied_again(self, capsys: Output) -> None:
        names = ["--bucket", "bronze-bucket", "--prefix", "bronze/replay/1/", "--dest-prefix", "bronze/replay/1/again"]
        assert execute(replay_via_s3_copy, names) == 2
        assert "the copies would be copied again and again" in " ".join(capsys.readouterr().err.split())


class TestBySending:
    def test_the_command_of_the_guide_plans_and_sends_what_is_missing(
        self, world: World, half: BronzeObject, capsys: Output
    ) -> None:
        new = world.upload("new.jsonl")
        assert execute(replay_from_s3, by_sending(world, "--table", world.table)) == 0
        assert [(one.object, one.start) for one in world.sent()] == [
            (half.id, 1024),
            (half.id, 2048),
            *((new.id, start) for start in (0, 1024, 2048)),
        ]
        assert world.known(new).source.version_id == new.version_id
        assert "5 units sent" in capsys.readouterr().out

    def test_what_was_overwritten_after_it_was_listed_is_left_to_its_own_event(self, world: World) -> None:
        source = world.upload("new.jsonl")
        world.clients.s3.delete_object(Bucket=world.bucket, Key=source.key, VersionId=str(source.version_id))
        way = BySending(world.planner(), world.bronze)
        listing = Stale(world.bronze, [source])
        summary, _ = Replay(listing, world.ledger, way).run(ReplayRequest("bronze/"))
        assert summary.objects == {(Verdict.NEVER_ANNOUNCED, Done.CHANGED): 1}

    def test_stopped_in_the_middle_the_same_command_goes_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        sources = [world.upload(f"{number}.jsonl") for number in range(4)]
        real = Planner.plan

        def interrupted(planner: Planner, source: BronzeObject, deadline: Deadline) -> Any:
            if source.key == sources[3].key:
                raise KeyboardInterrupt
            return real(planner, source, deadline)

        arguments = by_sending(world, "--table", world.table, "--jobs", "1")
        monkeypatch.setattr(Planner, "plan", interrupted)
        assert execute(replay_from_s3, arguments) == 130
        monkeypatch.setattr(Planner, "plan", real)
        capsys.readouterr()
        assert execute(replay_from_s3, arguments) == 0
        assert f"going on behind {sources[2].key}" in capsys.readouterr().err
        assert len(world.sent()) == 12
        assert execute(replay_from_s3, arguments) == 0  # from the beginning, and there is nothing new
        assert "going on" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("forced", "days", "goes_on"), [(False, 0.9, True), (False, 1.1, False), (True, 6.9, True), (True, 7.1, False)]
    )
    def test_a_place_is_forgotten_after_a_time(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Output,
        forced: bool,
        days: float,
        goes_on: bool,
    ) -> None:
        """Who asks for the same again after weeks means all of it."""
        sources = [world.upload(f"{number}.jsonl") for number in range(3)]
        home = world.clients.s3.list_buckets()["Buckets"][0]["Name"]
        force = ["--force", "--yes", "--reason", "once more", "--silver-bucket", home] if forced else []
        arguments = by_sending(world, "--table", world.table, "--jobs", "1", *force)
        real = Planner.plan

        def interrupted(planner: Planner, source: BronzeObject, deadline: Deadline) -> Any:
            if source.key == sources[2].key:
                raise KeyboardInterrupt
            return real(planner, source, deadline)

        monkeypatch.setattr(Planner, "plan", interrupted)
        assert execute(replay_from_s3, arguments) == 130
        monkeypatch.setattr(Planner, "plan", real)
        age_cursors(world, timedelta(days=days))
        capsys.readouterr()
        assert execute(replay_from_s3, arguments) == 0
        assert ("going on behind" in capsys.readouterr().err) is goes_on

    @pytest.mark.parametrize(
        ("url", "table"),
        [
            ("https://sqs.us-east-2.amazonaws.com/123456789012/smelt-dev-events", "smelt-dev-ledger"),
            ("http://localhost:4566/000000000000/smelt-events/", "smelt-ledger"),
            ("https://sqs.us-east-2.amazonaws.com/123456789012/mine", ""),
        ],
    )
    def test_the_ledger_of_a_queue_that_terraform_has_named_need_not_be_given(self, url: str, table: str) -> None:
        assert ledger_of(url) == table


def age_cursors(world: World, age: timedelta) -> None:
    """Let the ledger's places have been saved so long ago."""
    (found,) = [
        item
        for item in world.clients.dynamodb.scan(TableName=world.table)["Items"]
        if item["pk"]["S"].startswith("cursor#")
    ]
    saved = datetime.fromisoformat(found["saved_at"]["S"]) - age
    item = {**found, "saved_at": {"S": saved.isoformat(timespec="milliseconds")}}
    world.clients.dynamodb.put_item(TableName=world.table, Item=item)


class Stale:
    """A listing that is older than the bucket."""

    def __init__(self, bronze: S3Bronze, listed: list[BronzeObject]) -> None:
        self._bronze, self._listed = bronze, listed
        self.bucket = bronze.bucket

    def objects(self, prefix: str, after: str = "") -> Iterator[list[BronzeObject]]:
        yield self._listed

    def versions(self, prefix: str, after: str = "") -> Iterator[Versions]:
        for page in self.objects(prefix, after):
            yield Versions.of(page, [one.key for one in page])

    def pinned(self, source: BronzeObject) -> BronzeObject | None:
        return self._bronze.pinned(source)


class TestSmeltReplay:
    def test_it_is_both(self, world: World, half: BronzeObject) -> None:
        names = ["replay", "--bucket", world.bucket, "--prefix", "bronze/shipments/", "--table", world.table]
        assert execute(app, [*names, "--dest-prefix", RUN]) == 0
        assert world.keys("bronze/replay/") == [f"{RUN}/{half.key}"]
        assert execute(app, [*names, "--queue-url", world.queue_url]) == 0
        assert len(world.sent()) == 2

    def test_the_window_is_half_open(self, world: World, capsys: Output) -> None:
        source = world.upload("a.jsonl")
        names = ["replay", "--bucket", world.bucket, "--prefix", "bronze/", "--table", world.table, "--json"]
        at = source.created.isoformat()
        later = (source.created + timedelta(seconds=1)).isoformat()
        found = []
        for start, end in ((at, later), (later, (source.created + timedelta(hours=1)).isoformat())):
            arguments = [*names, "--dry-run", "--queue-url", world.queue_url, "--start", start, "--end", end]
            assert execute(app, arguments) == 0
            found.append(json.loads(capsys.readouterr().out)["objects"])
        assert found == [{"never announced": 1}, {}]


def test_a_chunk_ends_at_its_deadline_and_the_next_one_goes_on_behind_it(world: World) -> None:
    for number in range(10):
        world.upload(f"{number}.jsonl")
    replay = Replay(world.bronze, world.ledger, BySending(world.planner(), world.bronze), jobs=1)
    request = ReplayRequest("bronze/shipments/")
    place: Any = None
    handled, chunks = 0, 0
    while True:
        left = iter([60.0] * 40)
        summary, place = replay_chunk(replay, request, place, Deadline(lambda left=left: next(left, 0.0), 1.0))  # type: ignore[misc]
        handled += summary["done"].get("announced", 0) + summary["done"].get("sent", 0)
        chunks += 1
        if place is None:
            break
        assert json.loads(json.dumps(place)) == place
        assert chunks < 20
    assert chunks > 1
    assert handled == 10
    assert len({one.id for one in world.sent()}) == 30


class TestReconcile:
    def names(self, world: World, *more: str) -> list[str]:
        return [
            "reconcile",
            *("--table", world.table, "--bronze-bucket", world.bucket, "--queue-url", world.queue_url),
            *("--older-than-minutes", "0", *more),
        ]

    def test_overwritten_contents_whose_events_were_lost_are_planned_with_their_versions(
        self, world: World, capsys: Output
    ) -> None:
        first = world.upload("a.jsonl", b"first" * 10)
        second = world.upload("a.jsonl", b"second" * 10)
        world.clients.s3.delete_object(Bucket=world.bucket, Key=first.key)  # a marker; both contents are owed
        assert execute(app, self.names(world, "--dry-run")) == 0
        assert "2 objects need a push" in capsys.readouterr().out
        assert execute(app, self.names(world)) == 0
        assert "2 objects got a push; 2 units sent" in capsys.readouterr().out
        for source in (first, second):
            assert world.known(source).source.version_id == source.version_id
        assert execute(app, self.names(world, "--json")) == 0
        assert json.loads(capsys.readouterr().out)["objects"] == {"units lost": 2}

    def test_in_a_bucket_without_versions_none_is_pinned(self, world: World) -> None:
        plain = World(world.clients, f"{world.bucket}-plain", world.queue_url, world.table)
        world.clients.s3.create_bucket(Bucket=plain.bucket)
        source = plain.upload("a.jsonl")
        assert source.version_id is None
        assert execute(app, self.names(plain)) == 0
        assert plain.known(source).source.version_id is None

    def test_what_was_rejected_and_is_deleted_or_overwritten_is_not_judged_again(
        self, world: World, capsys: Output
    ) -> None:
        deleted, overwritten, there = (
            world.upload("a.jsonl"),
            world.upload("b.jsonl", b"bad" * 10),
            world.upload("c.jsonl"),
        )
        for source in (deleted, overwritten, there):
            Ledger(world.clients.dynamodb, world.table).objects.reject(source, "unsupported_format", "not yet")
        world.clients.s3.delete_object(Bucket=world.bucket, Key=deleted.key)
        world.upload("b.jsonl", b"good" * 10)
        assert execute(app, self.names(world, "--rejected", "--json")) == 0
        assert json.loads(capsys.readouterr().out)["objects"] == {"rejected": 1, "never announced": 1}
        states = [world.known(source).state for source in (deleted, overwritten, there)]
        assert states == [ObjectState.REJECTED, ObjectState.REJECTED, ObjectState.PLANNED]

    def test_copies_are_no_data_and_keys_that_are_not_taken_are_recorded(self, world: World, capsys: Output) -> None:
        source = world.upload("a.jsonl")
        Copier(world.clients.s3, RUN).copy(source, source.id)
        other = world.upload("a.csv")
        assert execute(app, self.names(world)) == 0
        assert "1 of the announced ones are not taken" in capsys.readouterr().out
        assert world.known(other).state is ObjectState.REJECTED
        assert len({one.object for one in world.sent()}) == 1

    def test_a_run_that_was_stopped_goes_on(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        world.upload("a.jsonl")

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr(Planner, "plan", interrupted)
            assert execute(app, self.names(world)) == 130
        assert execute(app, self.names(world)) == 0
        told = capsys.readouterr()
        assert "going on where it was" in told.err
        assert "run this again to look at everything" in told.out
        assert len(world.sent()) == 3

    def test_a_run_that_was_stopped_days_ago_is_forgotten_since_more_may_have_been_lost_before_its_place(
        self, world: World, capsys: Output
    ) -> None:
        first, last = world.upload("a.jsonl"), world.upload("b.jsonl")
        two_days_ago = Ledger(world.clients.dynamodb, world.table, lambda: time.time() - 2 * 86_400)
        walk = reconcile_command._walk(Scope(), world.bucket)
        two_days_ago.cursors.save(walk, {"walk": "bronze", "after": None, "key": first.key})
        assert execute(app, self.names(world)) == 0
        assert "going on" not in capsys.readouterr().err
        assert {one.object for one in world.sent()} == {first.id, last.id}
