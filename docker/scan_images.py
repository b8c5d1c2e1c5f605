#!/usr/bin/env python3
"""Scans the built images with the scanner that is installed: trivy, or grype (with syft for the SBOM).

Exits with 1 if it finds something severe that has a fix, with 2 if it could not scan: no scanner, no images, or a
scanner that failed, for example without vulnerability data. Run by `make scan-images`; .github/workflows/scan.yml does
the same with Trivy at each push.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SBOMS = ROOT / "build/sbom"
IMAGES = ("smelt-ingest", "smelt-transform", "smelt-ops")
FOUND, FAILED = 1, 2  # exit codes, as services/ops/cli/console.py has them
FINE = "nothing severe that has a fix"
SEVERE = "SEVERE, see above: renew the base image or the locks"
UNKNOWN = "NOT SCANNED: the scanner failed, see above"
# Both scanners exit with 1 when they fail themselves. We choose Trivy's exit code for a finding; Grype's is 2
# since 2025, and a finding of an older Grype is reported as a failure, never as clean.
TRIVY_FOUND = 3
GRYPE_FOUND = 2


def with_trivy(image: str) -> str:
    """The result of the scan: FINE, SEVERE or UNKNOWN."""
    subprocess.run(
        ["trivy", "image", "--quiet", "--format", "cyclonedx", "--output", str(_sbom(image)), image], check=True
    )
    severe = ["--severity", "HIGH,CRITICAL", "--ignore-unfixed", "--exit-code", str(TRIVY_FOUND)]
    done = subprocess.run(["trivy", "image", "--quiet", *severe, image])
    return {0: FINE, TRIVY_FOUND: SEVERE}.get(done.returncode, UNKNOWN)


def with_grype(image: str) -> str:
    """The result of the scan: FINE, SEVERE or UNKNOWN."""
    if shutil.which("syft"):
        subprocess.run(["syft", "--quiet", image, "--output", f"cyclonedx-json={_sbom(image)}"], check=True)
    else:
        print(f"{image}: no SBOM, because syft is not installed")
    done = subprocess.run(["grype", "--quiet", "--only-fixed", "--fail-on", "high", image])
    return {0: FINE, GRYPE_FOUND: SEVERE}.get(done.returncode, UNKNOWN)


SCANNERS: dict[str, Callable[[str], str]] = {"trivy": with_trivy, "grype": with_grype}


def _sbom(image: str) -> Path:
    SBOMS.mkdir(parents=True, exist_ok=True)
    return SBOMS / f"{image}.cdx.json"


def main() -> int:
    installed = [name for name in SCANNERS if shutil.which(name)]
    if not installed:
        print(
            "error: NOT SCANNED: no scanner is installed. Get trivy, or grype and syft, from their projects' pages.",
            file=sys.stderr,
        )
        return FAILED
    if not shutil.which("docker"):
        print("error: NOT SCANNED: docker is not installed", file=sys.stderr)
        return FAILED
    inspected = {image: subprocess.run(["docker", "image", "inspect", image], capture_output=True) for image in IMAGES}
    missing = [image for image, done in inspected.items() if done.returncode]
    if missing:
        print(f"error: not built: {', '.join(missing)}. Run `make build`.", file=sys.stderr)
        return FAILED
    print(f"scanning with {installed[0]} for HIGH and CRITICAL vulnerabilities that have a fix")
    outcomes = {image: SCANNERS[installed[0]](image) for image in IMAGES}
    for image, outcome in outcomes.items():
        print(f"{image}: {outcome}")
    if SEVERE in outcomes.values():
        return FOUND
    return FAILED if UNKNOWN in outcomes.values() else 0


if __name__ == "__main__":
    sys.exit(main())
