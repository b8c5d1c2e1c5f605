#!/usr/bin/env python3
"""Checks what the locks pin for known vulnerabilities (pip-audit), and writes an SBOM of what the images contain.

Exits with 1 if a lock that ships pins something with a known vulnerability, with 2 if pip-audit cannot read a lock.
Where the vulnerability data cannot be reached, it says NOT CHECKED and exits with 0: a machine without that data cannot
decide. Run by `make check-locks`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SBOM = ROOT / "build/sbom/runtime.cdx.json"
# runtime and lake go into the images, app onto an operator's machine. The others are our own tools, or
# (glue) pinned to what AWS Glue brings: reported only.
SHIPPED = ("runtime", "lake", "app")
OURS = ("flights", "dev", "emulator", "localstack", "rie", "checks", "uv", "glue", "spark", "readers")
FOUND, FAILED = 1, 2  # exit codes, as services/ops/cli/console.py has them
# How pip-audit's last line begins when its data did not answer: its own two sentences, or an exception's name.
UNREACHABLE = re.compile(
    r"ERROR:pip_audit\._cli:(Could not connect to|PyPI is not redirecting)"
    r"|(requests\.exceptions|urllib3\.exceptions|pip_audit\._service\.interface)\.\w+"
)


@dataclass(frozen=True)
class Audit:
    """What is known of one lock: `found` lists what is vulnerable, unless one of the others says why nothing is known.

    `unchecked`: the data cannot be reached. `broken`: pip-audit failed, and would fail on any other machine.
    """

    unchecked: str = ""
    broken: str = ""
    found: list[str] = field(default_factory=list)


def audit(lock: Path) -> Audit:
    """Ask pip-audit about a lock. Nothing is installed."""
    command = [_tool("pip-audit"), "--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    done = subprocess.run([*command, "--requirement", str(lock)], capture_output=True, text=True)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said else f"pip-audit printed nothing and exited with {done.returncode}"
        return Audit(unchecked=reason) if UNREACHABLE.match(reason) else Audit(broken=reason)
    skipped = [dependency["skip_reason"] for dependency in dependencies if "skip_reason" in dependency]
    found = [
        f"{one['name']} {one['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'no version'}"
        for one in dependencies
        for hole in one.get("vulns", [])
    ]
    if skipped and not found:
        return Audit(unchecked=f"{len(skipped)} of {len(dependencies)} packages are unknown to the data: {skipped[0]}")
    return Audit(found=found)


def write_sbom() -> None:
    """A CycloneDX SBOM of the images' Python packages."""
    SBOM.parent.mkdir(parents=True, exist_ok=True)
    lock = str(ROOT / "requirements/runtime.txt")
    options = ["--output-reproducible", "--of", "JSON", "-o", str(SBOM)]
    subprocess.run([_tool("cyclonedx-py"), "requirements", *options, lock], check=True)


def _tool(name: str) -> str:
    """A tool in the environment of this Python."""
    return str(Path(sys.executable).with_name(name))


def main() -> int:
    write_sbom()
    print(f"SBOM of the images' packages: {SBOM.relative_to(ROOT)}")
    status, vulnerable = 0, False
    for name in (*SHIPPED, *OURS):
        result = audit(ROOT / "requirements" / f"{name}.txt")
        if result.broken:
            print(f"{name}.txt: pip-audit FAILED, {result.broken}")
        elif result.unchecked:
            warning = "::warning::" if os.environ.get("GITHUB_ACTIONS") else ""
            print(f"{warning}{name}.txt: known vulnerabilities: NOT CHECKED, {result.unchecked}")
        else:
            print(f"{name}.txt: {len(result.found)} known vulnerabilities")
        for line in result.found:
            print(f"  {line}")
        if result.found and name in SHIPPED:
            status = FOUND
        elif result.broken and not status:
            status = FAILED
        vulnerable = vulnerable or bool(result.found)
    if vulnerable:
        print("Renew the locks: make lock UPGRADE=--upgrade")
    return status


if __name__ == "__main__":
    sys.exit(main())
