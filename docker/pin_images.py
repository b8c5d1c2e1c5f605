#!/usr/bin/env python3
"""Renews the digests of the images that ours are built from and run on, in every file that names them.

Asks the registry for each tag's digest through `docker buildx imagetools`. Where the registry cannot be reached, it
changes nothing, says so, and exits with 2. Then run `make e2e`, and commit.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("docker/Dockerfile", "docker/emulator/Dockerfile", ".devcontainer/Dockerfile", "compose.yaml")
FAILED = 2  # exit code, as services/ops/cli/console.py has it
PINNED = re.compile(r"(?P<tag>[a-z0-9./-]+:[A-Za-z0-9._-]+)@(?P<digest>sha256:[0-9a-f]{64})")


class RegistryUnreachable(Exception):
    """The registry gave no digest for an image."""


@cache
def digest_of(tag: str) -> str:
    """The digest of a tag's index, so that every platform is pinned."""
    if not shutil.which("docker"):
        raise RegistryUnreachable("docker is not installed")
    asked = subprocess.run(
        ["docker", "buildx", "imagetools", "inspect", tag, "--format", "{{.Manifest.Digest}}"],
        capture_output=True,
        text=True,
    )
    digest = asked.stdout.strip()
    if asked.returncode or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RegistryUnreachable(f"no digest for {tag}: {asked.stderr.strip() or digest or 'no answer'}")
    return digest


def renewed(text: str) -> str:
    """A file's text with every pinned image at its newest digest.

    Raises:
        RegistryUnreachable: one of them could not be resolved.
    """
    return PINNED.sub(lambda found: f"{found['tag']}@{digest_of(found['tag'])}", text)


def main() -> int:
    before = {ROOT / file: (ROOT / file).read_text() for file in FILES}
    try:
        after = {path: renewed(text) for path, text in before.items()}
    except RegistryUnreachable as error:
        print(f"error: {error}\nNothing was changed. Run this where the registry can be reached.", file=sys.stderr)
        return FAILED
    for path, text in after.items():
        path.write_text(text)
    for image in sorted({found[0] for text in after.values() for found in PINNED.finditer(text)}):
        print(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
