"""Prints the pins of a lock that another lock does not have: what one image needs beyond the layer that all share.

    python3 docker/beyond.py requirements/runtime.txt requirements/lake.txt

Fails if both pin a package, and not the same version: then the shared layer is not what the lock was resolved with.
"""

import re
import sys
from pathlib import Path


def pins(file: str) -> dict[str, list[str]]:
    """The blocks of a lock (a pin and its hashes) by package; one that has several, for other platforms, has all."""
    found: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", Path(file).read_text(encoding="utf-8").strip()):
        found.setdefault(block.partition("==")[0], []).append(block)
    return found


def beyond(shared: str, wanted: str) -> str:
    """
    Raises:
        SystemExit: the locks do not fit.
    """
    there, asked = pins(shared), pins(wanted)
    for package in there.keys() & asked.keys():
        if there[package] != asked[package]:
            raise SystemExit(f"error: {shared} and {wanted} pin {package} differently: run `make lock`")
    return "\n".join(block for package, blocks in asked.items() if package not in there for block in blocks) + "\n"


if __name__ == "__main__":
    print(beyond(*sys.argv[1:]), end="")
