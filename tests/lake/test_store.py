"""The lake's bucket: what S3 answers about a file that is not there depends on whether it thinks that we may list."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from services.ops.lake.store import S3Store
from tests.support.lake import CREATED


class Refusing:
    """S3 for a role that may list below a prefix only: it refuses every file, and lists those that it has."""

    def __init__(self, *keys: str) -> None:
        self.exceptions = boto3.client("s3", "us-east-2").exceptions
        self._keys = keys

    def get_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject")

    def get_paginator(self, _name: str) -> SimpleNamespace:
        entries = [{"Key": key, "Size": 1, "ETag": '"e"', "LastModified": CREATED} for key in self._keys]
        return SimpleNamespace(paginate=lambda **_: [{"Contents": entries}])


def test_a_file_that_is_refused_and_not_listed_is_missing() -> None:
    client: Any = Refusing("lake/shipments/runs/a.json.old")
    assert S3Store(client, "silver").read("lake/shipments/runs/a.json") is None


def test_a_file_that_is_refused_and_listed_is_forbidden() -> None:
    client: Any = Refusing("lake/shipments/runs/a.json")
    with pytest.raises(ClientError, match="Access Denied"):
        S3Store(client, "silver").read("lake/shipments/runs/a.json")
