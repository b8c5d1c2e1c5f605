"""Names survive being written and read back, and keys that smelt does not take say why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identities import BronzeKey, LakeKey, LotId, ObjectId, UnacceptableKey, UnitId

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
        ("bronze/shipments/2026/01/31/12/stream-1-2026-01-31-12-00-00-0a1b2c3d", BronzeKey("shipments", None)),
        ("bronze/shipments/my.stream-1-2026-01-31", BronzeKey("shipments", None)),
        ("bronze/replay/2026-01-01T00-00-00Z/bronze/shipments/a.jsonl", BronzeKey("shipments", None)),
        ("bronze/replay/2/bronze/replay/1/bronze/shipments/a.jsonl", BronzeKey("shipments", None)),
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
        ("bronze/replay/run/a.jsonl", "outside_bronze"),
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


def test_a_lot_id_reads_back_and_knows_the_utc_day_of_its_claim() -> None:
    lot = LotId.new(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))))
    assert LotId.parse(str(lot)) == lot
    assert lot.day == date(2025, 12, 31)
    assert LotId.new(datetime.now(UTC)) != LotId.new(datetime.now(UTC))


@pytest.mark.parametrize("part", [0, 1, 9999, 12345])
def test_a_lake_key_reads_back(part: int) -> None:
    key = LakeKey("silver", "shipments", "2026-01-31", LotId("20260131T000000Z", "0123456789abcdef"), "89abcdef", part)
    assert LakeKey.parse(str(key)) == key


def test_the_first_part_of_a_lot_carries_no_number() -> None:
    key = LakeKey("quarantine", "_unknown", "2026-01-31", LotId("20260131T000000Z", "0123456789abcdef"), "89abcdef")
    assert str(key) == "quarantine/_unknown/dt=2026-01-31/20260131T000000Z-0123456789abcdef-89abcdef.parquet"


@pytest.mark.parametrize("key", ["silver/a/dt=2026-1-1/x.parquet", "bronze/a.jsonl", "silver/a/dt=2026-01-01/b.csv"])
def test_a_key_that_smelt_did_not_write_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a file that smelt writes"):
        LakeKey.parse(key)
