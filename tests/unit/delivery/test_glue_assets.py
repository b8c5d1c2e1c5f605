"""What the Glue jobs run is the same bytes for the same sources, whole, and nothing that Glue brings."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.deploy import glue_assets
from infra.deploy.cli.glue_assets import upload_assets
from infra.deploy.glue_assets import core_zip, make_assets, missing_requirements, upload, wheels_zip, zipped
from local.ministack import ROOT


def test_the_package_is_the_same_bytes_whatever_the_files_dates_and_order() -> None:
    first = core_zip()
    for file in sorted((ROOT / "glue").glob("*.py"), reverse=True):
        os.utime(file)

    assert core_zip() == first
    entries = [("b", b"2"), ("a", b"1")]
    assert zipped(entries) == zipped(reversed(entries))


def test_a_job_imports_all_that_it_needs_from_the_package(tmp_path: Path) -> None:
    package = tmp_path / "core.zip"
    package.write_bytes(core_zip())
    names = zipfile.ZipFile(package).namelist()
    modules = "services.shared.compaction, services.shared.judge.judge, services.shared.parquet.tables, glue"
    code = f"import {modules}; print(glue.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(package)}, cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(package))
    assert not [name for name in names if name.startswith(("services/ops", "services/transform", "tests"))]
    assert {"glue/compact_silver.py", "services/__init__.py", "services/shared/lake.py"} <= set(names)


def test_wheels_are_in_the_form_that_glue_takes(tmp_path: Path) -> None:
    for name in ("b_b-2.0-py3-none-any.whl", "a-1.5-cp311-cp311-manylinux_2_28_x86_64.whl"):
        (tmp_path / name).write_bytes(name.encode())
    made = wheels_zip(tmp_path)
    archive = zipfile.ZipFile(io.BytesIO(made))

    assert archive.namelist() == [
        "wheels/a-1.5-cp311-cp311-manylinux_2_28_x86_64.whl",
        "wheels/b_b-2.0-py3-none-any.whl",
        "wheels/requirements.txt",
    ]
    assert archive.read("wheels/requirements.txt") == b"a==1.5\nb_b==2.0\n"
    assert wheels_zip(tmp_path) == made


def test_what_glue_brings_in_the_same_version_is_left_out_and_hashes_stay() -> None:
    lock = (
        "same==1.0 \\\n    --hash=sha256:aa\nother_one==2.0 \\\n    --hash=sha256:bb\n"
        "windows==1.0 ; sys_platform == 'win32' \\\n"
        "    --hash=sha256:cc\nnewer==3.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:dd\n"
        "newer==2.0 ; python_full_version < '3.12' \\\n    --hash=sha256:ee\n"
    )

    assert missing_requirements(lock, "# table\nSame==1.0\nother-one==1.9\n") == (
        "other_one==2.0 \\\n    --hash=sha256:bb\nnewer==2.0 \\\n    --hash=sha256:ee\n"
    )


def test_the_real_lock_needs_the_wheels_of_what_the_jobs_import() -> None:
    lines = missing_requirements(glue_assets.REQUIREMENTS.read_text(), glue_assets.BROUGHT_BY_GLUE.read_text())
    names = {line.split("==")[0] for line in lines.splitlines() if "==" in line}

    assert {"great-expectations", "msgspec", "pyyaml"} <= names
    assert names.isdisjoint({"pandas", "numpy", "boto3", "pyarrow", "urllib3"})


class Bucket:
    """Objects with their metadata."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}

    def head_object(self, Bucket: str, Key: str) -> Any:  # noqa: N803 (boto3's names)
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject")
        return {"Metadata": self.objects[Key][1]}

    def put_object(self, Bucket: str, Key: str, Body: bytes, Metadata: dict[str, str]) -> None:  # noqa: N803
        self.objects[Key] = (Body, Metadata)


def test_only_what_is_new_is_uploaded_and_old_revisions_stay() -> None:
    bucket, wheels = Bucket(), b"wheels"
    first = make_assets("a" * 40, wheels)

    assert sorted(upload(bucket, "artifacts", first)) == sorted(first.files)
    assert upload(bucket, "artifacts", first) == []
    second = make_assets("b" * 40, wheels)
    assert upload(bucket, "artifacts", second) == [second.core, *second.scripts.values()]
    assert first.core in bucket.objects
    assert bucket.objects["glue/scripts/compact_silver.py"][0] == (ROOT / "glue/compact_silver.py").read_bytes()


def test_terraform_reads_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glue_assets, "ROOT", tmp_path)
    (tmp_path / "infra/terraform/envs/dev").mkdir(parents=True)
    assets = glue_assets.Assets({}, "core.zip", "w.gluewheels.zip", {"compact_silver": "s.py"})
    written = glue_assets.write_variable("dev", assets)

    assert json.loads(written.read_text()) == {
        "glue_assets": {"core": "core.zip", "wheels": "w.gluewheels.zip", "compact_silver": "s.py"}
    }


class TestWithoutABucketForThem:
    @pytest.fixture(autouse=True)
    def nothing_created(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(glue_assets, "artifacts_bucket", lambda _: None)
        monkeypatch.setattr(glue_assets, "made_wheels", lambda: pytest.fail("nothing is to be fetched"))

    def test_the_command_says_what_to_do_first(self) -> None:
        with pytest.raises(glue_assets.AssetsFailed, match="set glue_job_enabled = true"):
            upload_assets("prod")

    def test_a_deployment_that_asks_for_no_jobs_goes_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        upload_assets("prod", if_enabled=True)
        assert "nothing uploaded" in capsys.readouterr().out
