#!/usr/bin/env python3
"""Pins the images in docker/images.env to the digests that their tags have in the registry right now.

Asks the registry through `docker buildx imagetools`; where it cannot be reached, nothing is changed and it says so.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "docker" / "images.env"
_SETTING = re.compile(r"(?P<name>[A-Z_]+)=(?P<tag>[^@\s]+)(?:@sha256:[0-9a-f]{64})?")


class RegistryUnreachable(Exception):
    """The registry gave no digest for an image."""


def digest_of(tag: str) -> str:
    """The digest of a tag's manifest list, so that every platform is pinned."""
    asked = subprocess.run(
        ["docker", "buildx", "imagetools", "inspect", tag, "--format", "{{.Manifest.Digest}}"],
        capture_output=True,
        text=True,
    )
    digest = asked.stdout.strip()
    if asked.returncode or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RegistryUnreachable(f"no digest for {tag}: {asked.stderr.strip() or digest or 'no answer'}")
    return digest


def pinned(text: str) -> str:
    """The file's text with every image pinned.

    Raises:
        RegistryUnreachable: one of them could not be resolved.
    """
    return _SETTING.sub(lambda found: f"{found['name']}={found['tag']}@{digest_of(found['tag'])}", text)


def main() -> int:
    try:
        text = pinned(IMAGES.read_text())
    except RegistryUnreachable as error:
        print(f"{error}\nnothing was changed; run it again where the registry can be reached", file=sys.stderr)
        return 1
    IMAGES.write_text(text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
