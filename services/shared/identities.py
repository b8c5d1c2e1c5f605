"""Names that are written and read in more than one place, each as one type with `parse` and `__str__`.

Nobody formats or splits an object id, a unit id, a lot id or an S3 key anywhere else. This module knows the
layout of Bronze, Silver and quarantine; it does no I/O and judges no row.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Self

from services.shared.errors import Terminal

BRONZE_ROOT = "bronze/"
REPLAY_ROOT = "bronze/replay/"
SILVER_ROOT = "silver"
QUARANTINE_ROOT = "quarantine"
LAKE_ROOT = "lake"  # of the metadata of the lake's tables
COMPACTED_ROOT = "silver_compacted"
HISTORY_ROOT = "history"
HISTORY_OBJECTS, HISTORY_LOTS = "objects", "lots"
UNKNOWN_RECORD_TYPE = "_unknown"

_CODECS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_FORMATS = (".jsonl", ".ndjson", ".json", ".geojson", ".log", ".txt")
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,9}$")  # the dots in a version or a stream's name do not begin one
_MARKERS = ("_", ".")  # what names begin with that Spark, Hadoop and file managers write beside data
_REMEDIES: dict[tuple[str, ...], str] = {  # what each suffix needs instead
    (".csv", ".tsv", ".xml", ".html", ".xlsx"): "convert it to JSON lines",
    (".parquet", ".avro", ".orc"): "it is a table already: load it as one, or convert it to JSON lines",
    (".zip", ".tar", ".tgz", ".7z"): "unpack it, and upload the JSON files that are inside",
    (".xz", ".lz4", ".snappy", ".lzo", ".br"): "compress it with gzip, zstd or bzip2 instead",
}
_MOST_ORIGINS = 40
_UNKNOWN_ORIGIN = (
    "a copy under bronze/replay/ asks to finish its origin, and the ledger knows no object of this key, ETag and size. "
    "If the origin was never announced, run `smelt reconcile`, then copy again. If it was a multipart upload, its copy "
    "has another ETag: copy it with scripts/replay_via_s3_copy.py, or with "
    "`aws s3 cp --metadata smelt-origin-etag=<ETag of the origin>`. New data belongs in bronze/<dataset>/"
)


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

    @property
    def claimed_ms(self) -> int:
        """The time of the first claim, in epoch milliseconds; no commit of the lot is earlier."""
        return milliseconds(datetime.strptime(self.claimed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))

    @classmethod
    def new(cls, now: datetime) -> Self:
        return cls(now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), secrets.token_hex(8))

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d{8}T\d{6}Z)-([0-9a-f]{16})", text)
        if match is None:
            raise ValueError(f"not a lot id: {text!r}")
        return cls(match[1], match[2])


class CopyKey(NamedTuple):
    """A replay's copy of an object: `<prefix>/<key of the origin>`, with a prefix such as `bronze/replay/<run>`.

    A copy is a request to finish its origin and never data of its own. Copies made by hand may leave out `bronze/` in
    the middle, and may be copies of copies: `origins` knows those forms too.
    """

    prefix: str
    origin: str

    def __str__(self) -> str:
        return f"{self.prefix.rstrip('/')}/{self.origin}"

    @staticmethod
    def is_copy(key: str) -> bool:
        return key.startswith(REPLAY_ROOT)

    @staticmethod
    def origins(key: str) -> list[str]:
        """The keys that the origin of a copy may have, the likeliest first; only one of them is, as the ledger knows.

        `bronze/replay/<run>/bronze/<dataset>/...` and `bronze/replay/<run>/<dataset>/...`; the run may have slashes in
        the first form.
        """
        found: dict[str, None] = {}
        copies, seen = deque([key]), {key}
        while copies and len(found) < _MOST_ORIGINS:
            parts = copies.popleft().removeprefix(REPLAY_ROOT).split("/")
            whole = ["/".join(parts[at:]) for at in range(1, len(parts)) if parts[at] == "bronze"]
            for origin in (*whole, BRONZE_ROOT + "/".join(parts[1:])):
                if not CopyKey.is_copy(origin):
                    found.setdefault(origin)
                elif origin not in seen:
                    seen.add(origin)
                    copies.append(origin)
        return list(found)[:_MOST_ORIGINS]


class BronzeKey(NamedTuple):
    """A key that smelt accepts: `bronze/<dataset>/...`.

    `codec` is what the suffix says of compression (`gzip`, `zstd`, `bz2`) or None. What the object holds, compressed or
    not, is for its content to say; the suffix only decides whether it is cut into ranges. Names without any suffix are
    accepted, as Data Firehose writes them; those with another one are not: they are known to be something else.
    """

    dataset: str
    codec: str | None

    @classmethod
    def parse(cls, key: str) -> BronzeKey:
        if CopyKey.is_copy(key):
            raise UnacceptableKey(key, "unknown_origin", _UNKNOWN_ORIGIN)
        parts = key.split("/")
        if parts[0] != "bronze" or len(parts) < 3 or not parts[1]:
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
            if name.startswith(_MARKERS):
                remedy = "names that begin with _ or . are left out; if it holds JSON, give it another name"
            raise UnacceptableKey(
                key,
                "unsupported_format",
                f"{remedy}: upload .jsonl, .ndjson or .json, plain or with .gz, .zst or .bz2, or a name without suffix",
            )
        return cls(parts[1], codec)


class LakeKey(NamedTuple):
    """A Parquet file that a lot writes.

    `<root>/<record_type>/dt=YYYY-MM-DD/<lot>[-g<generation>]-<variant>[-<part>].parquet`

    The variant, 8 hex digits, stands for what the contents depend on beside the lot: contract versions, the version of
    the code that makes rows, the longest row that is allowed, and where the part begins and ends. So an execution with
    other settings, or one that had more or less time, never writes over a file of this one with other rows, however
    late it is.
    A lot whose rows do not fit in memory at once is written in parts; the first part carries no number. Rewriting a lot
    (retract, retry) makes files of its next generation; those of its first commit carry no number. Their variant is a
    hash of their bytes.
    """

    root: str  # SILVER_ROOT or QUARANTINE_ROOT
    record_type: str
    dt: str
    lot: LotId
    variant: str
    part: int = 0
    generation: int = 1

    def __str__(self) -> str:
        generation = f"-g{self.generation}" if self.generation > 1 else ""
        part = f"-{self.part:04d}" if self.part else ""
        return f"{self.root}/{self.record_type}/dt={self.dt}/{self.lot}{generation}-{self.variant}{part}.parquet"

    @classmethod
    def parse(cls, key: str) -> Self:
        match = re.fullmatch(
            r"(silver|quarantine)/([^/]+)/dt=(\d{4}-\d\d-\d\d)/"
            r"(\d{8}T\d{6}Z-[0-9a-f]{16})(?:-g([2-9]|[1-9]\d+))?-([0-9a-f]{8})(?:-(\d{4,}))?\.parquet",
            key,
        )
        if match is None:
            raise ValueError(f"not a file that smelt writes: {key!r}")
        lot, generation, variant, part = LotId.parse(match[4]), int(match[5] or 1), match[6], int(match[7] or 0)
        return cls(match[1], match[2], match[3], lot, variant, part, generation)


class HistoryKey(NamedTuple):
    """A Parquet file of the history: `history/<table>/dt=YYYY-MM-DD/HHMMSSmmm-HHMMSSmmm-<token>[-rewritten].parquet`.

    The day and the two times are those, in UTC, at which its first and its last row were finished: so names tell which
    file may hold what. Lots of a later generation than the first have files of their own.
    """

    table: str  # HISTORY_OBJECTS or HISTORY_LOTS
    first_ms: int  # epoch milliseconds
    last_ms: int  # of the same UTC day
    token: str  # 8 hex digits
    rewritten: bool = False

    @property
    def day(self) -> date:
        return _moment(self.first_ms).date()

    def __str__(self) -> str:
        times = "-".join(f"{_moment(at):%H%M%S}{at % 1000:03d}" for at in (self.first_ms, self.last_ms))
        end = "-rewritten" if self.rewritten else ""
        return f"{HISTORY_ROOT}/{self.table}/dt={self.day.isoformat()}/{times}-{self.token}{end}.parquet"

    @classmethod
    def parse(cls, key: str) -> Self:
        match = re.fullmatch(
            r"history/(objects|lots)/dt=(\d{4}-\d\d-\d\d)/(\d{9})-(\d{9})-([0-9a-f]{8})(-rewritten)?\.parquet", key
        )
        if match is None:
            raise ValueError(f"not a file of the history: {key!r}")
        first, last = (
            datetime.strptime(f"{match[2]} {time}000", "%Y-%m-%d %H%M%S%f").replace(tzinfo=UTC)
            for time in (match[3], match[4])
        )
        return cls(match[1], milliseconds(first), milliseconds(last), match[5], bool(match[6]))


class GateRun(NamedTuple):
    """One run of the quality gate over a partition, whose files are in a folder of its own:

    `<prefix>/<record_type>/dt=YYYY-MM-DD/<YYYYMMDDTHHMMSSZ>-<token>/`

    The time is the UTC second at which its plan was made, so names are in the order of the runs.
    """

    prefix: str  # such as ge/results
    record_type: str
    dt: str
    planned: str  # YYYYMMDDTHHMMSSZ
    token: str  # 16 hex digits

    def __str__(self) -> str:
        return f"{self.partition}{self.planned}-{self.token}/"

    @property
    def partition(self) -> str:
        """The folder of all runs over this partition."""
        return f"{self.prefix}/{self.record_type}/dt={self.dt}/"

    @property
    def plan(self) -> str:
        """The key of what is to be judged."""
        return f"{self}plan.json"

    @property
    def result(self) -> str:
        """The key of the verdict with its numbers."""
        return f"{self}result.json"

    @property
    def page(self) -> str:
        """The key of the page for people."""
        return f"{self}index.html"

    @classmethod
    def parse(cls, key: str) -> Self:
        """From the key of its folder, or of anything in it."""
        match = re.match(r"(.+)/([^/]+)/dt=(\d{4}-\d\d-\d\d)/(\d{8}T\d{6}Z)-([0-9a-f]{16})/", key)
        if match is None:
            raise ValueError(f"not a file of a gate's run: {key!r}")
        return cls(*match.groups())


class CompactionRun(NamedTuple):
    """The folder of one compaction of one partition: `<root>/<record_type>/dt=YYYY-MM-DD/run=<run>/`.

    The plan says what it reads; the manifest, written last, what came of it. Their names begin with `_`, so Spark,
    Athena and crawlers pass over them. Outputs are Parquet files anywhere below the folder. A folder without a manifest
    is a run that never ended: nothing reads its outputs.
    """

    root: str  # COMPACTED_ROOT, or another prefix that is no root of the pipeline's own
    record_type: str
    dt: str
    run: str

    def __str__(self) -> str:
        return f"{self.root}/{self.record_type}/dt={self.dt}/run={self.run}/"

    @property
    def plan_key(self) -> str:
        return f"{self}_plan.json"

    @property
    def manifest_key(self) -> str:
        return f"{self}_manifest.json"

    @classmethod
    def new(cls, root: str, record_type: str, dt: str, now: datetime) -> Self:
        """A run that nobody else has. Its name sorts by its time."""
        return cls.parse(str(cls(root.strip("/"), record_type, dt, str(LotId.new(now)))))

    @classmethod
    def parse(cls, key: str) -> Self:
        """The run of a key: of its folder, or of anything in it."""
        match = re.match(
            r"([A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*)/([^/]+)/dt=(\d{4}-\d\d-\d\d)/run=([A-Za-z0-9][A-Za-z0-9_-]*)/",
            key,
        )
        if match is None:
            raise ValueError(
                f"not a compaction's key: {key!r} (expected <root>/<record_type>/dt=YYYY-MM-DD/run=<run>/)"
            )
        if match[1].split("/")[0] in _ROOTS:
            raise ValueError(
                f"{match[1]!r} belongs to the pipeline: compact into another prefix, such as {COMPACTED_ROOT}"
            )
        return cls(*match.groups())


_ROOTS = {"bronze", LAKE_ROOT, SILVER_ROOT, QUARANTINE_ROOT, HISTORY_ROOT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds, exact."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
