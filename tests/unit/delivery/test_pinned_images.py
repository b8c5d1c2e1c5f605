"""Base and emulator images are pinned by digest, the same wherever they are named."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict

import pytest

from local.ministack import ROOT
from tests.unit.delivery.tools import load

pin_images = load(ROOT / "docker/pin_images.py")
FILES, PINNED = pin_images.FILES, pin_images.PINNED

NEW = "sha256:" + "b" * 64
# Every way in which those files name an image. Stages, variables and images that are built here do not match.
NAMED = re.compile(r"^\s*(?:ARG BASE_IMAGE=|image: \$\{\w+:-)(\S+?)\}?$", re.MULTILINE)


def named() -> list[str]:
    return [image for file in FILES for image in NAMED.findall((ROOT / file).read_text())]


def test_every_image_that_we_do_not_build_is_pinned() -> None:
    assert len(named()) == 4
    assert [image for image in named() if not PINNED.fullmatch(image)] == []


def test_one_tag_has_one_digest() -> None:
    digests = defaultdict(set)
    for image in named():
        tag, digest = image.split("@")
        digests[tag].add(digest)
    assert {tag: len(found) for tag, found in digests.items()} == dict.fromkeys(digests, 1)


def test_the_documentation_lists_the_digests_that_are_used() -> None:
    told = (ROOT / "docs/supply-chain.md").read_text()
    assert [image for image in named() for part in image.split("@") if part not in told] == []


def test_renewing_changes_digests_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_images, "digest_of", lambda tag: NEW)
    for file in FILES:
        text = (ROOT / file).read_text()
        assert re.sub(r"sha256:[0-9a-f]{64}", NEW, text) == pin_images.renewed(text)


def test_without_a_registry_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "docker")
    monkeypatch.setattr(pin_images.subprocess, "run", lambda *_, **__: _Refused)
    with pytest.raises(pin_images.RegistryUnreachable, match="no digest for an/image:1"):
        pin_images.digest_of("an/image:1")


def test_without_docker_nothing_is_changed_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    before = [(ROOT / file).read_text() for file in FILES]
    assert pin_images.main() == 2
    assert "docker is not installed" in capsys.readouterr().err
    assert [(ROOT / file).read_text() for file in FILES] == before


class _Refused:
    returncode = 1
    stdout = ""
    stderr = "connection refused"
