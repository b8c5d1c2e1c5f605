"""How a job looks at a file before it reads it: what is gone is told from what is forbidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from glue.store import FolderStore, S3Store
from services.shared.lake import LakeUnavailable, ObjectGone

KEY = "bronze/shipments/a.jsonl"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return S3Store("bucket")


def test_a_file_is_weighed_without_reading_it(store: S3Store, tmp_path: Path) -> None:
    with Stubber(store._finder) as stub:
        stub.add_response("head_object", {"ContentLength": 5 << 40}, {"Bucket": "bucket", "Key": KEY})
        assert store.size(KEY) == 5 << 40
    (tmp_path / "a").write_bytes(b"abc")
    assert FolderStore(tmp_path).size("a") == 3


@pytest.mark.parametrize(("listed", "kind"), [([], ObjectGone), ([KEY], LakeUnavailable)])
def test_a_forbidden_file_is_gone_where_a_listing_does_not_have_it(store: S3Store, listed: Any, kind: Any) -> None:
    with Stubber(store._finder) as stub:
        stub.add_client_error("head_object", "403", http_status_code=403)
        stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in listed]})
        with pytest.raises(kind, match=KEY):
            store.size(KEY)


def test_a_missing_file_is_gone(store: S3Store, tmp_path: Path) -> None:
    with Stubber(store._finder) as stub:
        stub.add_client_error("head_object", "404", http_status_code=404)
        with pytest.raises(ObjectGone, match=KEY):
            store.size(KEY)
    with pytest.raises(ObjectGone, match=KEY):
        FolderStore(tmp_path).size(KEY)
