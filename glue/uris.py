"""Small documents at a URI, or in a folder. URIs are read by Spark's own file systems: the job needs no AWS client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def join(root: str, key: str) -> str:
    """The place of a key below a root, such as `s3://bucket` or a folder."""
    return f"{root.rstrip('/')}/{key}"


def read(spark: SparkSession, place: str) -> bytes:
    """
    Raises:
        OSError, Py4JJavaError: there is no such document, or it cannot be read.
    """
    if "://" not in place:
        return Path(place).read_bytes()
    system, path = _located(spark, place)
    stream = system.open(path)
    try:
        return bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
    finally:
        stream.close()


def write(spark: SparkSession, place: str, data: bytes) -> None:
    """Write a document, over the one that is there.

    Raises:
        OSError, Py4JJavaError: it cannot be written.
    """
    if "://" not in place:
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.tmp")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        return
    system, path = _located(spark, place)
    stream = system.create(path, True)
    try:
        stream.write(bytearray(data))
    finally:
        stream.close()


def _located(spark: SparkSession, place: str) -> tuple[Any, Any]:
    path = spark._jvm.org.apache.hadoop.fs.Path(place)
    return path.getFileSystem(spark._jsc.hadoopConfiguration()), path
