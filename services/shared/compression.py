"""How an object is compressed: its first bytes say it, and its key only where they do not."""

from __future__ import annotations

import codecs
import re

from services.shared.judge.verdicts import JSON_BLANKS

HEAD_BYTES = 4096  # of an object, which are looked at

_COMPRESSED = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL),
    "bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
}


def codec_of(head: bytes) -> str | None:
    """How content is compressed, in a way that is read, by its first bytes."""
    return next((codec for codec, pattern in _COMPRESSED.items() if pattern.match(head)), None)


def codec_to_read(head: bytes, named: str | None) -> str | None:
    """How an object is to be decompressed that begins with these bytes; `named` is what its key says."""
    return codec_of(head) or (None if looks_like_json(head) else named)


def looks_like_json(head: bytes) -> bool:
    """Whether content begins as an object or an array does."""
    return first_text(head)[:1] in (b"{", b"[")


def first_text(head: bytes) -> bytes:
    """The first bytes without what may be before a value: a byte order mark, blanks, record separators."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip(JSON_BLANKS + b"\x1e")
