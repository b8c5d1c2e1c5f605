"""What is refused before an image is built or used. Pushing and running images: tests/terraform."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.deploy import images
from infra.deploy.images import PushFailed, log_in, pushed_digest, revision, without_credentials, write_images

DIGEST = "sha256:" + "a" * 64
REPOSITORY = "000000000000.dkr.ecr.us-east-2.amazonaws.com/smelt-dev/ingest"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of what goes into images."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services/app.py").write_text("1\n")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=n", "-c", "user.email=e@localhost", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    return tmp_path


class Registry:
    """The part of ECR that is used: one image, or none."""

    class exceptions:  # noqa: N801 (botocore's name)
        class ImageNotFoundException(Exception):
            pass

    def __init__(self, media_type: str | None) -> None:
        self._media_type = media_type

    def describe_images(self, **_: Any) -> Any:
        if self._media_type is None:
            raise self.exceptions.ImageNotFoundException
        return {"imageDetails": [{"imageDigest": DIGEST, "imageManifestMediaType": self._media_type}]}


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True).stdout.strip()
    assert revision(emulated=False).sha == head


def test_uncommitted_changes_are_refused_by_name(checkout: Path) -> None:
    (checkout / "services/app.py").write_text("2\n")
    with pytest.raises(PushFailed, match=r"services/app\.py\nCommit them first"):
        revision(emulated=False)


def test_other_changes_do_not_matter(checkout: Path) -> None:
    (checkout / "README.md").write_text("new\n")
    assert revision(emulated=False).sha


def test_for_an_emulator_uncommitted_changes_get_a_revision_of_their_own_and_stay(checkout: Path) -> None:
    committed = revision(emulated=True).sha
    (checkout / "services/app.py").write_text("2\n")
    assert revision(emulated=True).sha != committed
    assert (checkout / "services/app.py").read_text() == "2\n"


def test_an_image_is_named_by_its_digest() -> None:
    assert pushed_digest(Registry("application/vnd.oci.image.manifest.v1+json"), REPOSITORY, "tag") == DIGEST


def test_an_index_of_images_is_refused_because_lambda_refuses_it() -> None:
    with pytest.raises(PushFailed, match="Lambda refuses"):
        pushed_digest(Registry("application/vnd.oci.image.index.v1+json"), REPOSITORY, "tag")


def test_an_image_that_is_not_there_has_no_digest() -> None:
    assert pushed_digest(Registry(None), REPOSITORY, "tag") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:token@example.com/a/b.git", "https://example.com/a/b.git"),
        ("https://example.com/a/b.git", "https://example.com/a/b.git"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
    ],
)
def test_a_label_shows_no_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_the_digests_are_written_as_terraform_reads_them(checkout: Path) -> None:
    (checkout / "infra/terraform/envs/dev").mkdir(parents=True)
    path = write_images("dev", {"ingest": f"{REPOSITORY}@{DIGEST}"})
    assert path.name == "images.auto.tfvars.json"
    assert json.loads(path.read_text()) == {"images": {"ingest": f"{REPOSITORY}@{DIGEST}"}}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# What docker says behind amazon-ecr-credential-helper, after the registry has taken the password.
NOT_STORED = "Error saving credentials: error storing credentials - err: exit status 1, out: `not implemented`"
REFUSED = "Error response from daemon: login attempt to https://here/v2/ failed with status: 401 Unauthorized"


@pytest.mark.parametrize(("said", "code", "goes_on"), [("", 0, True), (NOT_STORED, 1, True), (REFUSED, 1, False)])
def test_a_helper_that_stores_no_password_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, goes_on: bool
) -> None:
    class Ecr:
        def get_authorization_token(self) -> Any:
            return {"authorizationData": [{"authorizationToken": base64.b64encode(b"AWS:secret").decode()}]}

    (tmp_path / "said").write_text(said)
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\ncat > {tmp_path}/password\ncat {tmp_path}/said >&2\nexit {code}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with contextlib.nullcontext() if goes_on else pytest.raises(PushFailed, match="401 Unauthorized"):
        log_in(Ecr(), "here")
    assert (tmp_path / "password").read_text() == "secret"
