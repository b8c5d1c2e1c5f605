"""What the scripts make of a scanner's answers.

The scanners here are stand-ins that record how they are called; what real ones find is for CI to see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.ministack import ROOT


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with nothing but stand-ins."""
    (tmp_path / "bin").mkdir()
    stand_in(tmp_path / "bin", "docker", status=0)
    return tmp_path / "bin"


def stand_in(tools: Path, name: str, status: int = 0, output: str = "", errors: str = "", when: str = "") -> Path:
    """A program that records its arguments and prints; it exits with `status` where `when` is among its arguments."""
    log = tools / f"{name}.log"
    program = tools / name
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"print({output!r})\n"
        f"print({errors!r}, file=sys.stderr)\n"
        f"sys.exit({status} if {when!r} in ['', *sys.argv] else 0)\n"
    )
    program.chmod(0o755)
    return log


def scan(tools: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/scan_images.py")]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True)


def test_without_a_scanner_it_says_so(tools: Path) -> None:
    done = scan(tools)
    assert (done.returncode, "NOT SCANNED" in done.stderr) == (2, True)


def test_without_images_it_says_so(tools: Path) -> None:
    stand_in(tools, "trivy", status=0)
    stand_in(tools, "docker", status=1)
    done = scan(tools)
    assert (done.returncode, "not built: smelt-ingest, smelt-transform" in done.stderr) == (2, True)


@pytest.mark.parametrize(("scanner", "verdict"), [("trivy", "--exit-code"), ("grype", "--fail-on")])
@pytest.mark.parametrize(("found", "status"), [(0, 0), (1, 1)])
def test_a_scanner_s_verdict_is_ours(tools: Path, scanner: str, verdict: str, found: int, status: int) -> None:
    log = stand_in(tools, scanner, status=found, when=verdict)
    done = scan(tools)
    assert done.returncode == status
    assert ("SEVERE" in done.stdout) == bool(found)
    assert {"smelt-ingest", "smelt-transform"} <= set(log.read_text().split())


def test_trivy_fails_on_what_is_severe_and_can_be_mended(tools: Path) -> None:
    log = stand_in(tools, "trivy")
    scan(tools)
    calls = log.read_text().splitlines()
    verdict = [call for call in calls if "--exit-code" in call]
    assert len(verdict) == 2
    assert all("--severity HIGH,CRITICAL --ignore-unfixed" in call for call in verdict)
    assert sum("--format cyclonedx" in call for call in calls) == 2


def check_locks(tools: Path) -> subprocess.CompletedProcess[str]:
    """As `make check-locks`, with an interpreter that has the stand-ins beside it."""
    python = tools / "python"
    if not python.exists():
        python.symlink_to(sys.executable)
    stand_in(tools, "cyclonedx-py", status=0)
    return subprocess.run(
        [str(python), str(ROOT / "scripts/check_locks.py")],
        env=os.environ | {"PATH": str(tools)},
        capture_output=True,
        text=True,
    )


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": list(dependencies)})


def test_locks_without_known_holes_are_fine(tools: Path) -> None:
    stand_in(tools, "pip-audit", status=0, output=answer({"name": "six", "version": "1", "vulns": []}))
    done = check_locks(tools)
    assert (done.returncode, "runtime.txt: 0 known vulnerabilities" in done.stdout) == (0, True)


def test_a_known_hole_in_what_ships_fails_and_names_the_version_that_mends_it(tools: Path) -> None:
    hole = {"id": "CVE-1", "fix_versions": ["1.2"], "aliases": [], "description": ""}
    stand_in(tools, "pip-audit", status=1, output=answer({"name": "six", "version": "1", "vulns": [hole]}))
    done = check_locks(tools)
    assert (done.returncode, "six 1: CVE-1, mended in 1.2" in done.stdout) == (1, True)


def test_data_that_does_not_know_the_packages_has_checked_nothing(tools: Path) -> None:
    stand_in(tools, "pip-audit", status=0, output=answer({"name": "six", "skip_reason": "Dependency not found"}))
    done = check_locks(tools)
    assert (done.returncode, "runtime.txt: known vulnerabilities: NOT CHECKED" in done.stdout) == (0, True)


def test_a_network_error_has_checked_nothing(tools: Path) -> None:
    stand_in(tools, "pip-audit", status=1, errors="ConnectionError: no such host")
    done = check_locks(tools)
    assert (done.returncode, "NOT CHECKED, ConnectionError: no such host" in done.stdout) == (0, True)
