"""What an object holds by its first bytes, whatever its key says: JSON text, compressed text, or something else.

Text under a compression suffix, and compressed text under another suffix or none, are read. What is not JSON at all is
refused as an object, with one reason code for each kind, what it is and what to do.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from services.shared.compression import HEAD_BYTES, first_text
from services.shared.errors import Terminal
from services.shared.identities import ObjectId
from services.transform.reading.strict import is_json
from services.transform.reading.window import BLANKS


class Foreign(NamedTuple):
    """A kind of content that is not read: its reason code, what it is, and what to do."""

    reason: str
    name: str
    remedy: str


class RefusedContent(Terminal):
    """The object is not JSON: reading it again gives the same. `reason` is its code in the ledger."""

    def __init__(self, source: ObjectId, kind: Foreign) -> None:
        super().__init__(f"{source}: the object holds {kind.name}. Nothing of it is in Silver. {kind.remedy}")
        self.reason = kind.reason


_WRITE_JSON = "Let the producer write JSON (.jsonl, .ndjson or .json, plain or as .gz, .zst or .bz2), and upload that."
_COMPRESS = "Compress the JSON with gzip, zstd or bzip2 instead, or upload it plain."
_UNPACK = "Unpack it, and upload the JSON files that are inside one by one."
_LOADED_ELSEWHERE = "It has columns already: load it into a table of its own, or convert it to JSON lines first."
_TO_UTF8 = "Convert it to UTF-8 (`iconv -f {0} -t UTF-8 IN > OUT`), and upload the result."

COMPRESSED_TWICE = Foreign(
    "compressed_twice", "compressed data inside of compressed data", "Decompress it once, and upload the result."
)
_UTF16 = Foreign("utf16", "text in UTF-16", _TO_UTF8.format("UTF-16"))
_UTF32 = Foreign("utf32", "text in UTF-32", _TO_UTF8.format("UTF-32"))
_CSV = Foreign("csv", "CSV, or other text in columns", _WRITE_JSON)
_XML = Foreign("xml", "XML or HTML", _WRITE_JSON + " (An HTML page is often an error message that was saved as data.)")

_KINDS: tuple[tuple[re.Pattern[bytes], Foreign], ...] = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", Foreign("zip", "a ZIP archive (or an Excel workbook)", _UNPACK)),
        (rb"\xfd7zXZ\x00", Foreign("xz", "data compressed with xz", _COMPRESS)),
        (rb"\x04\x22\x4d\x18", Foreign("lz4", "data compressed with LZ4", _COMPRESS)),
        (rb"\xff\x06\x00\x00sNaPpY", Foreign("snappy", "data compressed with Snappy", _COMPRESS)),
        (rb"7z\xbc\xaf\x27\x1c", Foreign("7z", "a 7-Zip archive", _UNPACK)),
        (rb".{257}ustar", Foreign("tar", "a tar archive", _UNPACK)),
        (rb"PAR1", Foreign("parquet", "a Parquet file", _LOADED_ELSEWHERE)),
        (rb"Obj\x01", Foreign("avro", "an Avro file", _LOADED_ELSEWHERE)),
        (rb"ORC[\x00-\x1f]", Foreign("orc", "an ORC file", _LOADED_ELSEWHERE)),
        (rb"SQLite format 3\x00", Foreign("sqlite", "a SQLite database", _WRITE_JSON)),
        (rb"%PDF-", Foreign("pdf", "a PDF document", _WRITE_JSON)),
        (
            rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|(?:[{\[]\x00\x00\x00[^\x00]\x00\x00\x00|\x00\x00\x00[{\[]\x00\x00\x00[^\x00])",
            _UTF32,
        ),
        (rb"\xff\xfe|\xfe\xff|[{\[]\x00[^\x00]\x00|\x00[{\[]\x00[^\x00]", _UTF16),
    )
)
_MARKUP = re.compile(rb"<(?:\?xml|!DOCTYPE|!--|html|[A-Za-z_][\w.:-]*[\s/>])", re.IGNORECASE)
_LIKE_JSON = re.compile(rb'\{[ \t]*(?:"[^"]|\})|"[ \t]*:')
_DELIMITERS = (b",", b";", b"\t", b"|")


def foreign_kind(head: bytes) -> Foreign | None:
    """What the content is, if it is known not to be JSON in UTF-8."""
    for pattern, kind in _KINDS:
        if pattern.match(head):
            return kind
    text = first_text(head)
    if _MARKUP.match(text) and not any(line.lstrip(BLANKS).startswith(b"{") for line in text.split(b"\n")):
        return _XML
    return _CSV if _is_csv(text, len(head) < HEAD_BYTES) else None


def _is_csv(text: bytes, is_whole: bool) -> bool:
    """Whether all lines have the same number of columns, more than one, and none of them is JSON or begins like it."""
    lines = [line.strip(b"\r") for line in text.split(b"\n")]
    lines = [line for line in (lines if is_whole else lines[:-1]) if line.strip(BLANKS)]
    if len(lines) < 2 or any(
        line.lstrip(BLANKS)[:1] in (b"{", b"[") or _LIKE_JSON.search(line) or is_json(line) for line in lines
    ):
        return False
    columns = [{line.count(delimiter) for line in lines} for delimiter in _DELIMITERS]
    return any(len(counts) == 1 and counts != {0} for counts in columns)
