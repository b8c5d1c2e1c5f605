"""Names survive being written and read back, and keys that smelt does not take say why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identities import BronzeKey, CopyKey, LakeKey, LotId, ObjectId, UnacceptableKey, UnitId

buckets = st.from_regex(r"[a-z0-9.-]{3,63}", fullmatch=True)
keys = st.text(min_size=1, max_size=60)
versions = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)


@given(buckets, keys, versions, st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_a_unit_id_reads_back_whatever_the_key_holds(bucket: str, key: str, version: str, start: int, end: int) -> None:
    unit = UnitId(ObjectId(bucket, key, version), start, end)
    assert UnitId.parse(str(unit)) == unit
    assert ObjectId.parse(str(unit.object)) == unit.object


@pytest.mark.parametrize("text", ["", "s3://bucket", "bucket/key#v", "s3://bucket/key"])
def test_a_text_that_is_no_object_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an object id"):
        ObjectId.parse(text)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("bronze/shipments/a.jsonl", BronzeKey("shipments", None)),
        ("bronze/shipments/dt=2025-01-01/a.json", BronzeKey("shipments", None)),
        ("bronze/shipments/A.NDJSON.GZ", BronzeKey("shipments", "gzip")),
        ("bronze/shipments/x/a.jsonl.zst", BronzeKey("shipments", "zstd")),
        ("bronze/shipments/a.json.bz2", BronzeKey("shipments", "bz2")),
        ("bronze/shipments/a.gz", BronzeKey("shipments", "gzip")),
        ("bronze/shipments/a.json.gzip", BronzeKey("shipments", "gzip")),
        ("bronze/shipments/a.log", BronzeKey("shipments", None)),
        ("bronze/shipments/a.txt.gz", BronzeKey("shipments", "gzip")),
        ("bronze/quakes/all_day.geojson", BronzeKey("quakes", None)),
        ("bronze/shipments/2026/01/31/12/stream-1-2026-01-31-12-00-00-0a1b2c3d", BronzeKey("shipments", None)),
        ("bronze/shipments/my.stream-1-2026-01-31", BronzeKey("shipments", None)),
    ],
)
def test_a_key_names_its_dataset_and_codec(key: str, expected: BronzeKey) -> None:
    assert BronzeKey.parse(key) == expected


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("raw/shipments/a.jsonl", "outside_bronze"),
        ("bronze/a.jsonl", "outside_bronze"),
        ("bronze//a.jsonl", "outside_bronze"),
        ("bronze/replay/run/a.jsonl", "unknown_origin"),
        ("bronze/replay/run/bronze/shipments/a.jsonl", "unknown_origin"),
        ("bronze/replay/a.jsonl", "unknown_origin"),
        ("bronze/shipments/", "directory_marker"),
        ("bronze/shipments/a.csv", "unsupported_format"),
        ("bronze/shipments/a.parquet.gz", "unsupported_format"),
        ("bronze/shipments/_SUCCESS", "unsupported_format"),
        ("bronze/shipments/.a.json.crc", "unsupported_format"),
        ("bronze/shipments/a.jsonl.zip", "unsupported_format"),
    ],
)
def test_a_key_that_is_not_taken_says_why(key: str, reason: str) -> None:
    with pytest.raises(UnacceptableKey) as caught:
        BronzeKey.parse(key)
    assert caught.value.reason == reason
    assert key in str(caught.value)


@pytest.mark.parametrize("name", ["_orders.jsonl", ".orders.json", "_SUCCESS"])
def test_a_name_that_marks_something_else_is_told_to_be_changed(name: str) -> None:
    with pytest.raises(UnacceptableKey, match="begin with _ or ") as caught:
        BronzeKey.parse(f"bronze/shipments/{name}")
    assert "give it another name" in str(caught.value)


@pytest.mark.parametrize(
    "copy",
    [
        "bronze/replay/2026-01-01T00-00-00Z/bronze/shipments/dt=1/a.jsonl",
        "bronze/replay/2026-01-01T00-00-00Z/shipments/dt=1/a.jsonl",
        "bronze/replay/manual/2026-01-01T00-00-00Z/bronze/shipments/dt=1/a.jsonl",
        "bronze/replay/2/bronze/replay/1/bronze/shipments/dt=1/a.jsonl",
        "bronze/replay/2/replay/1/shipments/dt=1/a.jsonl",
    ],
)
def test_the_key_of_a_copy_tells_the_key_of_its_origin(copy: str) -> None:
    assert CopyKey.is_copy(copy)
    assert CopyKey.origins(copy)[0] == "bronze/shipments/dt=1/a.jsonl"


def test_where_the_key_of_a_copy_has_two_meanings_both_are_told() -> None:
    assert CopyKey.origins("bronze/replay/2/bronze/replay/1/shipments/a.jsonl") == [
        "bronze/bronze/replay/1/shipments/a.jsonl",
        "bronze/shipments/a.jsonl",
    ]
    assert CopyKey.origins("bronze/replay/1/shipments/bronze/a.jsonl") == [
        "bronze/a.jsonl",
        "bronze/shipments/bronze/a.jsonl",
    ]


def test_no_key_is_so_nested_that_its_origins_are_many() -> None:
    assert 1 < len(CopyKey.origins("bronze/replay/" + "x/bronze/replay/" * 63)) <= 100


@given(
    prefix=st.sampled_from(["bronze/replay/1", "bronze/replay/a/b/", "bronze/replay/bronze"]), name=st.text(max_size=20)
)
def test_a_copy_that_is_made_is_read_back(prefix: str, name: str) -> None:
    origin = f"bronze/shipments/{name}"
    assert origin in CopyKey.origins(str(CopyKey(prefix, origin)))


def test_a_lot_id_reads_back_and_knows_the_utc_day_of_its_claim() -> None:
    lot = LotId.new(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))))
    assert LotId.parse(str(lot)) == lot
    assert lot.day == date(2025, 12, 31)
    assert LotId.new(datetime.now(UTC)) != LotId.new(datetime.now(UTC))


@pytest.mark.parametrize("part", [0, 1, 9999, 12345])
@pytest.mark.parametrize("generation", [1, 2, 10, 11, 200])
def test_a_lake_key_reads_back(part: int, generation: int) -> None:
    lot = LotId("20260131T000000Z", "0123456789abcdef")
    key = LakeKey("silver", "shipments", "2026-01-31", lot, "89abcdef", part, generation)
    assert LakeKey.parse(str(key)) == key


def test_a_file_of_a_rewrite_carries_its_generation() -> None:
    lot = LotId("20260131T000000Z", "0123456789abcdef")
    key = LakeKey("silver", "shipments", "2026-01-31", lot, "89abcdef", generation=2)
    assert str(key) == "silver/shipments/dt=2026-01-31/20260131T000000Z-0123456789abcdef-g2-89abcdef.parquet"


@pytest.mark.parametrize("generation", ["g0", "g1", "g02", "g"])
def test_a_generation_has_one_way_to_be_written(generation: str) -> None:
    with pytest.raises(ValueError, match="not a file that smelt writes"):
        LakeKey.parse(f"silver/a/dt=2026-01-31/20260131T000000Z-0123456789abcdef-{generation}-89abcdef.parquet")


def test_the_first_part_of_a_lot_carries_no_number() -> None:
    key = LakeKey("quarantine", "_unknown", "2026-01-31", LotId("20260131T000000Z", "0123456789abcdef"), "89abcdef")
    assert str(key) == "quarantine/_unknown/dt=2026-01-31/20260131T000000Z-0123456789abcdef-89abcdef.parquet"


@pytest.mark.parametrize("key", ["silver/a/dt=2026-1-1/x.parquet", "bronze/a.jsonl", "silver/a/dt=2026-01-01/b.csv"])
def test_a_key_that_smelt_did_not_write_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a file that smelt writes"):
        LakeKey.parse(key)
