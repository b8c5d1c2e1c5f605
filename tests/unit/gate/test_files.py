"""A file that is not there is told apart from one that may not be read, whatever S3 answers to a role like ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from services.ops.gate.files import S3GateFiles
from services.ops.history.files import S3HistoryFiles


class Bucket:
    """S3 as a role meets it that may list below prefixes only: a missing object is forbidden, unless listings count."""

    def __init__(self, keys: set[str], answer: str, lists: bool = True) -> None:
        self._keys, self._answer, self._lists = keys, answer, lists

    def head_object(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._answer, "Message": ""}}, "HeadObject")

    get_object = head_object

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:  # noqa: N803
        if not self._lists:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "ListObjectsV2")
        return {"Contents": [{"Key": key} for key in sorted(self._keys) if key.startswith(Prefix)][:1]}


LOOKS: list[Callable[[Any, str], object]] = [
    lambda bucket, key: S3GateFiles(bucket, "b").has(key) or None,
    lambda bucket, key: S3GateFiles(bucket, "b").read(key),
    lambda bucket, key: S3HistoryFiles(bucket, "b").read(key),
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("answer", ["404", "NoSuchKey", "403", "AccessDenied"])
def test_what_is_not_there_is_not_there(look: Callable[[Any, str], object], answer: str) -> None:
    assert look(Bucket({"ge/a.json.tmp"}, answer), "ge/a.json") is None


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("bucket", [Bucket({"ge/a.json"}, "AccessDenied"), Bucket(set(), "AccessDenied", lists=False)])
def test_what_may_not_be_read_is_not_missing(look: Callable[[Any, str], object], bucket: Bucket) -> None:
    with pytest.raises(ClientError):
        look(bucket, "ge/a.json")
