"""What an object holds decides how it is read, and not its key; what is not JSON is refused with the true cause."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from services.shared.compression import HEAD_BYTES
from services.shared.units import Plan
from services.transform.reading.reader import UnitReader
from services.transform.reading.signatures import RefusedContent, foreign_kind
from tests.support.lake import MemoryLake
from tests.support.reading import MAX_ROW, pieces_of, read_on, rows_in, rows_of


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


LINES = b"".join(b'{"id": %d}\n' % number for number in range(2000))
PACKED = {"plain": bytes, "gzip": gzip.compress, "zstd": zstd, "bzip2": bz2.compress}
NAMES = ["a.jsonl", "a.json.gz", "a.json.zst", "a.ndjson.bz2"]


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit_bytes", [500, 1 << 30])
def test_right_content_under_a_wrong_suffix_is_read(packing: str, name: str, unit_bytes: int) -> None:
    rows = rows_of(f"bronze/a/{name}", PACKED[packing](LINES), unit_bytes, 1000)
    assert rows == rows_of("bronze/a/a.jsonl", LINES)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("name", NAMES)
def test_reading_goes_on_in_content_under_a_wrong_suffix(packing: str, name: str) -> None:
    reader, unit, pieces = pieces_of(f"bronze/a/{name}", PACKED[packing](LINES), 4096)
    rows = rows_in(pieces)
    for number, piece in enumerate(pieces):
        assert piece.after is not None
        assert rows_in(pieces[: number + 1]) + read_on(reader, unit, piece.after) == rows


def made(write: object) -> bytes:
    out = io.BytesIO()
    write(out)  # type: ignore[operator]
    return out.getvalue()


def archive(out: io.BytesIO) -> None:
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(LINES)
        tar.addfile(info, io.BytesIO(LINES))


def zipped(out: io.BytesIO) -> None:
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.jsonl", LINES)


TABLE = pa.table({"id": [1, 2]})
FOREIGN = {
    "zip": made(zipped),
    "xz": lzma.compress(LINES),
    "tar": made(archive),
    "parquet": made(lambda out: pq.write_table(TABLE, out)),
    "orc": made(lambda out: orc.write_table(TABLE, out)),
    "avro": b"Obj\x01\x04\x14avro.codec\x08null",
    "lz4": bytes(pa.compress(LINES, "lz4", asbytes=True)),
    "csv": b"id,name\n1,a\n2,b\n",
    "xml": b'<?xml version="1.0"?>\n<rows><row id="1"/></rows>\n',
    "utf16": LINES.decode().encode("utf-16"),
    "utf32": LINES.decode().encode("utf-32"),
    "pdf": b"%PDF-1.7\n",
    "sqlite": b"SQLite format 3\x00",
}


@pytest.mark.parametrize("reason", FOREIGN)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_json_is_refused_as_an_object_by_each_of_its_units(reason: str, name: str) -> None:
    lake = MemoryLake()
    source = lake.upload(f"bronze/a/{name}", FOREIGN[reason])
    for unit in Plan.of(source, 10):
        with pytest.raises(RefusedContent, match="Nothing of it is in Silver") as caught:
            list(UnitReader(lake, MAX_ROW).read(unit))
        assert caught.value.reason == reason
        assert str(source.id) in str(caught.value)


@pytest.mark.parametrize("reason", FOREIGN)
@pytest.mark.parametrize("packing", ["gzip", "zstd", "bzip2"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_json_is_refused_inside_of_compressed_content_too(reason: str, packing: str, name: str) -> None:
    lake = MemoryLake()
    for unit in Plan.of(lake.upload(f"bronze/a/{name}", PACKED[packing](FOREIGN[reason])), 10):
        with pytest.raises(RefusedContent) as caught:
            list(UnitReader(lake, MAX_ROW).read(unit))
        assert caught.value.reason == reason


def test_what_is_compressed_twice_is_refused() -> None:
    with pytest.raises(RefusedContent, match="Decompress it once") as caught:
        rows_of("bronze/a/a.json.gz", gzip.compress(zstd(LINES)))
    assert caught.value.reason == "compressed_twice"


MARKS = {"utf-16-le": "utf16", "utf-16-be": "utf16", "utf-32-le": "utf32", "utf-32-be": "utf32"}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("text", ['{"a": 1}\n', '[{"a": 1}]', '\ufeff{"a": 1}', "\ufeff1,2"])
def test_utf16_and_utf32_are_told_with_and_without_a_byte_order_mark(encoding: str, text: str) -> None:
    kind = foreign_kind(text.encode(encoding))
    assert kind is not None and kind.reason == MARKS[encoding]
    assert "iconv" in kind.remedy


CSV = [b"a;b\n1;2", b"a\tb\r\n1\t2\r\n", b'"a","b"\n"1","2"\n', b"1,2\n3,4\n", b"a|b|c\n1|2|3\n"]


@pytest.mark.parametrize("text", CSV)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_text_in_columns_is_told(text: bytes, before: bytes) -> None:
    kind = foreign_kind(before + text)
    assert kind is not None and kind.reason == "csv"


JSON = [
    b"",
    b"{}",
    b'{"a": 1, "b": 2}\n{"a": 1, "b": 2}\n',
    b'"a": 1, "b": 2}\n{"a": 1, "b": 2}\n',
    b"[1, 2]\n[3, 4]\n",
    b',{"a": 1}\n,{"a": 2}\n',
    b'"a": 1,\n"b": 2,\n',
    b"[\0",
    b"[\0\0\0\0\0\0\0",
    b"1\n2\n3\n",
    b'"a,b"\n"c,d"\n',
    b"a,b\n",
    b"a,b\n1,2,3\n",
    b"[INFO] a, b\n[INFO] c, d\n",
    b"< 1\n< 2\n",
    b'<broken>\n{"a": 1}\n',
    b"\0" * 100,
    b"oops\n",
    b"x" * HEAD_BYTES,
    b"a,b\n" + b"1,2," * HEAD_BYTES,
]


@pytest.mark.parametrize("text", JSON)
def test_text_that_may_hold_rows_is_not_refused_as_an_object(text: bytes) -> None:
    assert foreign_kind(text[:HEAD_BYTES]) is None
