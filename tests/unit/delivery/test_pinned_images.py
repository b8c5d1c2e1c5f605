"""Base and emulator images are pinned by digest, the same wherever they are named."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from local.ministack import ROOT
from scripts import pin_images
from scripts.pin_images import FILES, PINNED, RegistryUnreachable, digest_of, renewed

NEW = "sha256:" + "b" * 64
# Every way to name an image in those files. A stage, a variable or one that is built here is none.
NAMED = re.compile(r"^\s*(?:ARG BASE_IMAGE=|image: \$\{\w+:-)(\S+?)\}?$", re.MULTILINE)


def named() -> list[str]:
    return [image for file in FILES for image in NAMED.findall((ROOT / file).read_text())]


def test_every_image_that_is_not_ours_is_pinned() -> None:
    assert len(named()) == 3
    assert [image for image in named() if not PINNED.fullmatch(image)] == []


def test_one_tag_has_one_digest() -> None:
    digests = defaultdict(set)
    for image in named():
        tag, digest = image.split("@")
        digests[tag].add(digest)
    assert {tag: len(found) for tag, found in digests.items()} == dict.fromkeys(digests, 1)


def test_the_documents_tell_the_digests_that_are_used() -> None:
    told = (ROOT / "docs/supply-chain.md").read_text()
    assert [image for image in named() for part in image.split("@") if part not in told] == []


def test_renewing_changes_digests_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_images, "digest_of", lambda tag: NEW)
    for file in FILES:
        text = (ROOT / file).read_text()
        assert re.sub(r"sha256:[0-9a-f]{64}", NEW, text) == renewed(text)


def test_without_a_registry_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_images.subprocess, "run", lambda *_, **__: _Refused)
    with pytest.raises(RegistryUnreachable, match="no digest for an/image:1"):
        digest_of("an/image:1")


class _Refused:
    returncode = 1
    stdout = ""
    stderr = "connection refused"
