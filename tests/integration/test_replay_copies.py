"""A copy under bronze/replay/ is a request to finish its origin: ingest and the ledger say which object that is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.stack import Clients, create_bucket
from services.ingest import app
from services.shared.identities import LotId
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import LedgerObject, ObjectState
from services.shared.planning.copies import ORIGIN_ETAG, S3Copies
from services.shared.planning.planner import Outcome
from services.shared.settings import IngestSettings
from services.shared.units import BronzeObject, Copy
from tests.support.ingest import BUCKET, Context, events_of, grid, messages, ranges
from tests.support.lake import CREATED

RUN = "bronze/replay/2026-01-01T00-00-00Z"
KEY = "bronze/shipments/dt=2026-01-01/ä b.jsonl"
DATA = b"x" * 3000
GRID = [(0, 1024), (1024, 2048), (2048, 3000)]
LATER = CREATED + timedelta(hours=5)


@pytest.fixture(autouse=True)
def bucket(clients: Clients) -> None:
    create_bucket(clients.s3, BUCKET)


@pytest.fixture
def origin(clients: Clients) -> BronzeObject:
    stored = clients.s3.put_object(Bucket=BUCKET, Key=KEY, Body=DATA)
    return BronzeObject(BUCKET, KEY, len(DATA), stored["ETag"].strip('"'), stored["VersionId"], CREATED)


def copied(clients: Clients, key: str, data: bytes = DATA, origin_etag: str = "") -> BronzeObject:
    """A copy in the bucket, and what S3 tells of it."""
    metadata = {ORIGIN_ETAG: origin_etag} if origin_etag else {}
    stored = clients.s3.put_object(Bucket=BUCKET, Key=key, Body=data, Metadata=metadata)
    return BronzeObject(BUCKET, key, len(data), stored["ETag"].strip('"'), stored["VersionId"], LATER)


@pytest.fixture
def ingest(handler: Any, clients: Clients, queue_url: str) -> Any:
    """Hands events to ingest; gives the one outcome and the ranges that came on the queue."""

    def ingest(*announced: BronzeObject) -> tuple[str, list[tuple[int, int]]]:
        outcomes = handler(events_of(*announced), Context())
        (outcome,) = (name for name, number in outcomes.items() if number)
        return outcome, ranges(messages(clients, queue_url))

    return ingest


def bind(ledger: Ledger, known: LedgerObject, *numbers: int) -> None:
    """As transform does: these units are in a lot of a living worker."""
    ledger.lots.claim(LotId.new(datetime.now(UTC)), [known.plan.unit(n).id for n in numbers], [], {}, 60)


def only(ledger: Ledger) -> LedgerObject:
    """The one object that the ledger knows."""
    (found,) = (record for record in ledger.scan() if isinstance(record, LedgerObject))
    return found


@pytest.mark.parametrize(
    "key",
    [
        f"{RUN}/{KEY}",
        f"{RUN}/{KEY.removeprefix('bronze/')}",
        f"bronze/replay/manual/1/{KEY}",
        f"bronze/replay/2/{RUN}/{KEY}",
        f"bronze/replay/2/{RUN.removeprefix('bronze/')}/{KEY.removeprefix('bronze/')}",
    ],
)
def test_a_copy_sends_the_missing_units_of_its_origin_and_becomes_no_object(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject, key: str
) -> None:
    assert ingest(origin) == ("planned", GRID)
    bind(ledger, only(ledger), 1)
    copy = copied(clients, key)
    assert ingest(copy) == ("resumed", [GRID[0], GRID[2]])
    known = only(ledger)
    assert known.source == replace(origin, copy=Copy(key, copy.etag, copy.version_id))


def test_the_newest_copy_is_the_one_that_is_read(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    ingest(origin)
    new, old = (copied(clients, f"bronze/replay/{run}/{KEY}") for run in ("new", "old"))
    ingest(new)
    ingest(replace(old, created=LATER - timedelta(minutes=1)))
    assert only(ledger).source.copy == Copy(new.key, new.etag, new.version_id)


def test_a_copy_of_a_multipart_upload_says_which_content_it_is(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    multipart = replace(origin, etag="0123456789abcdef0123456789abcdef-3")
    ingest(multipart)
    assert ingest(copied(clients, f"{RUN}/{KEY}", origin_etag=multipart.etag)) == ("resumed", GRID)
    assert only(ledger).id == multipart.id


def test_metadata_that_an_origin_has_from_an_earlier_life_does_not_hide_it(
    ingest: Any, clients: Clients, origin: BronzeObject
) -> None:
    """As when a copy was itself copied to a dataset by hand, and that object is replayed by hand."""
    ingest(origin)
    assert ingest(copied(clients, f"{RUN}/{KEY}", origin_etag="of-another")) == ("resumed", GRID)


def test_a_copy_goes_on_where_a_planning_stopped(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    ledger.objects.give_back(ledger.objects.begin(origin, 1024, 60), 2)
    assert ingest(copied(clients, f"{RUN}/{KEY}")) == ("planned", GRID[2:])
    assert only(ledger).state is ObjectState.PLANNED


def test_a_copy_of_what_is_done_is_a_duplicate(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    ingest(origin)
    ledger.objects.mark_done([origin.id])
    assert ingest(copied(clients, f"{RUN}/{KEY}")) == ("duplicate", [])
    assert only(ledger).state is ObjectState.DONE
    assert only(ledger).source.copy is None


def test_what_was_rejected_is_judged_again_from_zero(
    handler: Any, ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_settings", lambda: replace(IngestSettings.from_env(), unit_bytes=1 << 20))
    ingest(origin)
    unit = only(ledger).plan.unit(0)
    ledger.units.count_stall(unit.id, ledger.units.notes(unit.id))
    assert ledger.objects.reject_known(unit.id, "too_large", "upload it in parts")
    assert ingest(copied(clients, f"{RUN}/{KEY}")) == ("planned", [(0, 3000)])
    known = only(ledger)
    assert (known.state, known.reason, known.advice) == (ObjectState.PLANNED, "", "")
    assert ledger.units.notes(unit.id).stalls == 0
    assert origin.id in set(ledger.open_objects())
    bind(ledger, known, 0)  # its unit is free again


def test_a_key_that_is_still_not_taken_stays_rejected(ingest: Any, ledger: Ledger, clients: Clients) -> None:
    stored = copied(clients, "bronze/shipments/a.csv")
    ingest(stored)
    assert ingest(copied(clients, f"{RUN}/{stored.key}")) == ("duplicate", [])
    assert (only(ledger).state, only(ledger).reason) == (ObjectState.REJECTED, "unsupported_format")


def test_what_was_retracted_stays_retracted_whether_copied_or_uploaded_again(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    ingest(origin)
    ledger.releases.finish(ledger.releases.begin(origin.id, "somebody", "sent twice"))
    assert ingest(copied(clients, f"{RUN}/{KEY}")) == (Outcome.REFUSED, [])
    assert ingest(replace(origin, created=datetime.now(UTC) + timedelta(hours=1))) == (Outcome.REFUSED, [])
    assert ingest(origin) == (Outcome.DUPLICATE, [])  # an old event, delivered again


@pytest.mark.parametrize("wrong", ["content", "size", "key"])
def test_a_copy_of_nothing_that_the_ledger_knows_is_rejected_with_advice(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject, wrong: str
) -> None:
    ingest(replace(origin, size=5000) if wrong == "size" else origin)
    data = b"y" * len(DATA) if wrong == "content" else DATA
    copy = copied(clients, f"{RUN}/{KEY}" + (".jsonl" if wrong == "key" else ""), data)
    assert ingest(copy) == ("rejected", [])
    assert ingest(copy) == ("duplicate", [])
    (rejected,) = ledger.find_objects([copy.id])
    assert (rejected.state, rejected.reason) == (ObjectState.REJECTED, "unknown_origin")
    assert "smelt reconcile" in rejected.advice
    assert f"--metadata {ORIGIN_ETAG}=" in rejected.advice


def test_a_copy_that_was_rejected_works_once_its_origin_is_known(
    ingest: Any, clients: Clients, origin: BronzeObject
) -> None:
    copy = copied(clients, f"{RUN}/{KEY}")
    assert ingest(copy) == ("rejected", [])
    ingest(origin)
    assert ingest(copy) == ("resumed", GRID)


def test_a_copy_that_is_deleted_before_ingest_sees_it_still_asks_for_its_origin(
    ingest: Any, ledger: Ledger, clients: Clients, origin: BronzeObject
) -> None:
    ingest(origin)
    copy = copied(clients, f"{RUN}/{KEY}")
    clients.s3.delete_object(Bucket=BUCKET, Key=copy.key, VersionId=str(copy.version_id))
    assert ingest(copy) == ("resumed", GRID)
    assert only(ledger).source.copy is None


@pytest.mark.parametrize("forged", ["x" * 1900, "a#b", " "], ids=["longer than a key of the ledger", "#", "space"])
def test_metadata_that_is_not_an_etag_is_not_asked_for(clients: Clients, forged: str) -> None:
    class ForgedHeads:
        def head_object(self, **_: Any) -> Any:
            return {"Metadata": {ORIGIN_ETAG: forged}}

    copy = copied(clients, f"{RUN}/{KEY}")
    assert S3Copies(ForgedHeads()).origin_etag(copy) == copy.etag  # type: ignore[arg-type]


class ForbiddenHeads:
    def head_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")


def test_without_the_permission_a_copy_with_the_origins_etag_still_works(
    ingest: Any, clients: Clients, origin: BronzeObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(origin)
    monkeypatch.setattr(app, "_copies", lambda: S3Copies(ForbiddenHeads()))  # type: ignore[arg-type]
    assert ingest(copied(clients, f"{RUN}/{KEY}")) == ("resumed", GRID)


def test_without_the_permission_any_other_copy_comes_again_and_is_not_rejected(
    handler: Any, ledger: Ledger, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_copies", lambda: S3Copies(ForbiddenHeads()))  # type: ignore[arg-type]
    with pytest.raises(app.PlanningIncomplete, match=r"s3:GetObject and s3:GetObjectVersion on bronze/replay/\*"):
        handler(events_of(copied(clients, f"{RUN}/{KEY}")), Context())
    assert list(ledger.scan()) == []


def test_copies_of_large_objects_send_only_what_is_missing(ingest: Any, ledger: Ledger, clients: Clients) -> None:
    large = BronzeObject(BUCKET, KEY, 250 * 1024, "of-the-origin", None, CREATED)
    ingest(large)
    bind(ledger, only(ledger), *range(99))
    bind(ledger, only(ledger), *range(110, 200))
    copy = copied(clients, f"{RUN}/{KEY}", b"x" * large.size, origin_etag=large.etag)
    assert ingest(copy) == ("resumed", grid(250)[99:110] + grid(250)[200:])
