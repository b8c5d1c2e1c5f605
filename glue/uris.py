"""Small documents at a URI: in S3, or in a folder. Rows are read by Spark itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def join(root: str, key: str) -> str:
    """The URI of a key below `s3://bucket` or a folder."""
    return f"{root.rstrip('/')}/{key}"


def read(uri: str) -> bytes:
    """
    Raises:
        OSError, ClientError: there is no such document, or it cannot be read.
    """
    bucket, key = _split(uri)
    if not bucket:
        return Path(key).read_bytes()
    data: bytes = _s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def write(uri: str, data: bytes, content_type: str = "application/json") -> None:
    """Write a document, whole or not at all.

    Raises:
        OSError, ClientError: it cannot be written.
    """
    bucket, key = _split(uri)
    if bucket:
        _s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)
        return
    path = Path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _split(uri: str) -> tuple[str, str]:
    if not uri.startswith("s3://"):
        return "", uri
    parts = urlsplit(uri)
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}/")


def _s3() -> Any:
    import boto3  # AWS Glue brings it; a run over folders needs none

    return boto3.client("s3")
