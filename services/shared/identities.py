"""Names that are written and read in more than one place, each as one type with `parse` and `__str__`.

Nobody formats or splits an object id, a unit id, a lot id or an S3 key anywhere else. This module knows the
layout of Bronze, Silver and quarantine; it does no I/O and judges no row.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, date, datetime
from typing import NamedTuple, Self

from services.shared.errors import Terminal

SILVER_ROOT = "silver"
QUARANTINE_ROOT = "quarantine"
UNKNOWN_RECORD_TYPE = "_unknown"

_CODECS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_FORMATS = (".jsonl", ".ndjson", ".json", ".log", ".txt")
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,9}$")  # the dots in a version or a stream's name do not begin one
_MARKERS = ("_", ".")  # what names begin with that Spark, Hadoop and file managers write beside data
_REMEDIES = {
    (".csv", ".tsv", ".xml", ".html", ".xlsx"): "convert it to JSON lines",
    (
        ".parquet",
        ".avro",
        ".orc",
    ): "it has columns already: load it into a table of its own, or convert it to JSON lines",
    (".zip", ".tar", ".tgz", ".7z"): "unpack it, and upload the JSON files that are inside",
    (".xz", ".lz4", ".snappy", ".lzo", ".br"): "compress it with gzip, zstd or bzip2 instead",
}


class UnacceptableKey(Terminal):
    """A key that smelt does not turn into work. The ledger records `reason`, a code, and `advice`."""

    def __init__(self, key: str, reason: str, advice: str) -> None:
        super().__init__(f"{key!r}: {reason}: {advice}")
        self.reason = reason
        self.advice = advice


class ObjectId(NamedTuple):
    """One content of one Bronze key: `s3://bucket/key#etag`.

    Uploading the same bytes again gives the same etag, so it is the same object, on versioned buckets too. That holds
    for SSE-S3 and unencrypted uploads with equal part sizes; with SSE-KMS, or a multipart upload with other parts, S3
    gives another etag, and it is another object.
    """

    bucket: str
    key: str
    etag: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}#{self.etag}"

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"s3://([^/]+)/(.*)#([^#]*)", text, re.DOTALL)
        if match is None:
            raise ValueError(f"not an object id: {text!r} (expected s3://bucket/key#etag)")
        return cls(*match.groups())


class UnitId(NamedTuple):
    """A byte range `[start, end)` of one object."""

    object: ObjectId
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.object}@{self.start}-{self.end}"

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(.*)@(\d+)-(\d+)", text, re.DOTALL)
        if match is None:
            raise ValueError(f"not a unit id: {text!r} (expected <object id>@start-end)")
        return cls(ObjectId.parse(match[1]), int(match[2]), int(match[3]))


class LotId(NamedTuple):
    """A lot: the UTC second of its first claim, and 64 random bits."""

    claimed: str  # YYYYMMDDTHHMMSSZ
    token: str  # 16 hex digits

    def __str__(self) -> str:
        return f"{self.claimed}-{self.token}"

    @property
    def day(self) -> date:
        """The UTC day of the first claim: the partition of the lot's quarantine, whoever executes it."""
        return datetime.strptime(self.claimed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).date()

    @classmethod
    def new(cls, now: datetime) -> Self:
        return cls(now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), secrets.token_hex(8))

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{8}T\d{6}Z)-([0-9a-f]{16})", text)
        if match is None:
            raise ValueError(f"not a lot id: {text!r}")
        return cls(match[1], match[2])


class BronzeKey(NamedTuple):
    """A key that smelt accepts: `bronze/<dataset>/...`, or a replay's copy of one.

    `codec` is what the suffix says of compression (`gzip`, `zstd`, `bz2`) or None. What the object holds, compressed or
    not, is for its content to say; the suffix only decides whether it is cut into ranges. Names without any suffix are
    accepted, as Data Firehose writes them; those with another one are not: they are known to be something else.
    """

    dataset: str
    codec: str | None

    @classmethod
    def parse(cls, key: str) -> BronzeKey:
        path = re.sub(r"^(?:bronze/replay/[^/]+/)+(?=bronze/)", "", key)
        parts = path.split("/")
        if parts[0] != "bronze" or len(parts) < 3 or parts[1] in ("", "replay"):
            raise UnacceptableKey(key, "outside_bronze", "upload to bronze/<dataset>/<name>")
        name = parts[-1].lower()
        if not name:
            raise UnacceptableKey(key, "directory_marker", "nothing to do, it holds no rows")
        codec = next((codec for suffix, codec in _CODECS.items() if name.endswith(suffix)), None)
        if codec:
            name = name.rsplit(".", 1)[0]
        found = _SUFFIX.search(name)
        suffix = found[0] if found else ""
        if name.startswith(_MARKERS) or (suffix and not name.endswith(_FORMATS)):
            remedy = next((what for suffixes, what in _REMEDIES.items() if suffix in suffixes), "if it holds JSON")
            raise UnacceptableKey(
                key,
                "unsupported_format",
                f"{remedy}: upload .jsonl, .ndjson or .json, plain or with .gz, .zst or .bz2, or a name without suffix",
            )
        return cls(parts[1], codec)


class LakeKey(NamedTuple):
    """A Parquet file that a lot writes: `<root>/<record_type>/dt=YYYY-MM-DD/<lot>-<variant>[-<part>].parquet`.

    The variant, 8 hex digits, stands for what the contents depend on beside the lot: contract versions, the longest row
    that is allowed, and where the part begins and ends. So an execution with other settings, or one that had more or
    less time, never writes over a file of this one with other rows, however late it is.
    A lot whose rows do not fit in memory at once is written in parts; the first part carries no number.
    """

    root: str  # SILVER_ROOT or QUARANTINE_ROOT
    record_type: str
    dt: str
    lot: LotId
    variant: str
    part: int = 0

    def __str__(self) -> str:
        part = f"-{self.part:04d}" if self.part else ""
        return f"{self.root}/{self.record_type}/dt={self.dt}/{self.lot}-{self.variant}{part}.parquet"

    @classmethod
    def parse(cls, key: str) -> Self:
        match = re.fullmatch(
            r"(silver|quarantine)/([^/]+)/dt=(\d{4}-\d\d-\d\d)/"
            r"(\d{8}T\d{6}Z-[0-9a-f]{16})-([0-9a-f]{8})(?:-(\d{4,}))?\.parquet",
            key,
        )
        if match is None:
            raise ValueError(f"not a file that smelt writes: {key!r}")
        return cls(match[1], match[2], match[3], LotId.parse(match[4]), match[5], int(match[6] or 0))
