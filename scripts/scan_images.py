#!/usr/bin/env python3
"""Scans the built images with the scanner that is installed: trivy, or grype (with syft for the SBOM).

Exits with 1 for something severe that has a fix, with 2 if there is nothing to scan with, or nothing to scan. Run by
`make scan-images`; .github/workflows/scan.yml does the same with Trivy at each push.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SBOMS = ROOT / "build/sbom"
IMAGES = ("smelt-ingest", "smelt-transform")
NOTHING_TO_DO = 2
FINE = "nothing severe that has a fix"
SEVERE = "SEVERE, see above; renew the base image or the locks"


def with_trivy(image: str) -> bool:
    """Whether the image is fine."""
    subprocess.run(
        ["trivy", "image", "--quiet", "--format", "cyclonedx", "--output", str(_sbom(image)), image], check=True
    )
    severe = ["--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", "1"]
    return subprocess.run(["trivy", "image", "--quiet", *severe, image]).returncode == 0


def with_grype(image: str) -> bool:
    """Whether the image is fine."""
    if shutil.which("syft"):
        subprocess.run(["syft", "--quiet", image, "--output", f"cyclonedx-json={_sbom(image)}"], check=True)
    else:
        print(f"{image}: no SBOM, syft is not installed")
    return subprocess.run(["grype", "--quiet", "--only-fixed", "--fail-on", "high", image]).returncode == 0


SCANNERS: dict[str, Callable[[str], bool]] = {"trivy": with_trivy, "grype": with_grype}


def _sbom(image: str) -> Path:
    SBOMS.mkdir(parents=True, exist_ok=True)
    return SBOMS / f"{image}.cdx.json"


def main() -> int:
    installed = [name for name in SCANNERS if shutil.which(name)]
    if not installed:
        print(
            "no scanner is installed: NOT SCANNED. Get trivy, or grype and syft, from their projects' pages",
            file=sys.stderr,
        )
        return NOTHING_TO_DO
    inspected = {image: subprocess.run(["docker", "image", "inspect", image], capture_output=True) for image in IMAGES}
    missing = [image for image, done in inspected.items() if done.returncode]
    if missing:
        print(f"not built: {', '.join(missing)}. `docker compose build` builds them", file=sys.stderr)
        return NOTHING_TO_DO
    print(f"scanning with {installed[0]}: fixable HIGH and CRITICAL")
    fine = {image: SCANNERS[installed[0]](image) for image in IMAGES}
    for image, is_fine in fine.items():
        print(f"{image}: {FINE if is_fine else SEVERE}")
    return 0 if all(fine.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
