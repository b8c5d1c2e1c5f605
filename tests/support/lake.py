"""A lake in memory, and a clock that stands still."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from services.shared.lake import ByteStream, ObjectGone
from services.shared.units import BronzeObject

BRONZE = "bronze-bucket"
SILVER = "silver"
CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)


class MemoryLake:
    """Objects and files in dictionaries. Implements `services.shared.lake.Lake`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}

    def upload(self, key: str, data: bytes, created: datetime = CREATED) -> BronzeObject:
        source = BronzeObject(BRONZE, key, len(data), hashlib.md5(data).hexdigest(), None, created)  # noqa: S324 (an etag)
        self.objects[str(source.id)] = data
        return source

    def open(self, source: BronzeObject, start: int, end: int) -> ByteStream:
        data = self.objects.get(str(source.id))
        if data is None:
            raise ObjectGone(f"{source.id} was deleted")
        assert 0 <= start < end <= len(data), (start, end, len(data))
        return io.BytesIO(data[start:end])

    def read(self, key: str, etag: str) -> bytes:
        if key not in self.files or self.etag(key) != etag:
            raise ObjectGone(f"{key} is not there with etag {etag}")
        return self.files[key]

    def put(self, key: str, data: bytes) -> str:
        self.files[key] = bytes(data)
        return self.etag(key)

    def etag(self, key: str) -> str:
        """The etag that S3 would have for a file."""
        return hashlib.md5(self.files[key]).hexdigest()  # noqa: S324 (an etag)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.files.pop(key, None)

    def holds(self, key: str, etag: str) -> bool:
        return key in self.files and self.etag(key) == etag

    def rows(self, root: str) -> list[dict[str, Any]]:
        """All rows under `silver` or `quarantine`, each with its `_file`."""
        return [
            row | {"_file": key}
            for key, data in sorted(self.files.items())
            if key.startswith(root + "/")
            for row in pq.read_table(io.BytesIO(data)).to_pylist()
        ]

    def positions(self) -> Counter[tuple[str, int]]:
        """How often each row, by source and offset, stands in Silver and quarantine together."""
        rows = self.rows("silver") + self.rows("quarantine")
        return Counter((row["_source"], row["_offset"]) for row in rows)


@dataclass
class Clock:
    """Time that passes only when a test says so. Epoch seconds."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
