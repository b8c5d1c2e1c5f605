"""How the tools interpret a scanner's answers.

The scanners here are stand-ins that record how they are called. Real ones run in CI.
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
    """A program that records its arguments; where `when` is among them, it prints and exits with `status`.

    `when` may also be the end of an argument, such as a file's name.
    """
    log = tools / f"{name}.log"
    program = tools / name
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"if not any(argument.endswith({when!r}) for argument in sys.argv):\n"
        "    print('{\"dependencies\": []}')\n"
        "    sys.exit(0)\n"
        f"print({output!r})\n"
        f"print({errors!r}, file=sys.stderr)\n"
        f"sys.exit({status})\n"
    )
    program.chmod(0o755)
    return log


def scan(tools: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docker/scan_images.py")]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True)


def test_without_a_scanner_it_says_so(tools: Path) -> None:
    done = scan(tools)
    assert (done.returncode, "NOT SCANNED" in done.stderr) == (2, True)


def test_without_images_it_says_so(tools: Path) -> None:
    stand_in(tools, "trivy", status=0)
    stand_in(tools, "docker", status=1)
    done = scan(tools)
    assert (done.returncode, "not built: smelt-ingest, smelt-transform, smelt-ops" in done.stderr) == (2, True)


VERDICTS = pytest.mark.parametrize(
    ("scanner", "verdict", "finding"), [("trivy", "--exit-code", 3), ("grype", "--fail-on", 2)]
)


@VERDICTS
def test_a_scanner_that_finds_nothing_severe_passes(tools: Path, scanner: str, verdict: str, finding: int) -> None:
    log = stand_in(tools, scanner, status=0, when=verdict)
    assert scan(tools).returncode == 0
    assert {"smelt-ingest", "smelt-transform", "smelt-ops"} <= set(log.read_text().split())


@VERDICTS
def test_what_a_scanner_finds_fails(tools: Path, scanner: str, verdict: str, finding: int) -> None:
    stand_in(tools, scanner, status=finding, when=verdict)
    done = scan(tools)
    assert (done.returncode, done.stdout.count("SEVERE")) == (1, 3)


@VERDICTS
def test_a_scanner_without_data_counts_as_failed(tools: Path, scanner: str, verdict: str, finding: int) -> None:
    stand_in(tools, scanner, status=1, when=verdict, errors="failed to download vulnerability DB")
    done = scan(tools)
    assert (done.returncode, done.stdout.count("NOT SCANNED"), "SEVERE" in done.stdout) == (2, 3, False)


def test_grype_fails_on_what_is_severe_and_has_a_fix(tools: Path) -> None:
    log = stand_in(tools, "grype")
    scan(tools)
    assert [call.rsplit(" ", 1)[0] for call in log.read_text().splitlines()] == [
        "--quiet --only-fixed --fail-on high"
    ] * 3


def test_trivy_fails_on_what_is_severe_and_has_a_fix(tools: Path) -> None:
    log = stand_in(tools, "trivy")
    scan(tools)
    calls = log.read_text().splitlines()
    verdict = [call for call in calls if "--exit-code" in call]
    assert len(verdict) == 3
    assert all("--severity HIGH,CRITICAL --ignore-unfixed" in call for call in verdict)
    assert sum("--format cyclonedx" in call for call in calls) == 3


def check_locks(tools: Path) -> subprocess.CompletedProcess[str]:
    """As `make check-locks`, with an interpreter that has the stand-ins beside it."""
    python = tools / "python"
    if not python.exists():
        python.symlink_to(sys.executable)
    stand_in(tools, "cyclonedx-py", status=0)
    return subprocess.run(
        [str(python), str(ROOT / "requirements/check_locks.py")],
        env=os.environ | {"PATH": str(tools)},
        capture_output=True,
        text=True,
    )


def answer(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": list(dependencies)})


def test_locks_without_known_vulnerabilities_pass(tools: Path) -> None:
    stand_in(tools, "pip-audit", status=0, output=answer({"name": "six", "version": "1", "vulns": []}))
    done = check_locks(tools)
    assert (done.returncode, "runtime.txt: 0 known vulnerabilities" in done.stdout) == (0, True)


def test_a_known_vulnerability_in_what_ships_fails_and_names_the_version_that_fixes_it(tools: Path) -> None:
    hole = {"id": "CVE-1", "fix_versions": ["1.2"], "aliases": [], "description": ""}
    stand_in(tools, "pip-audit", status=1, output=answer({"name": "six", "version": "1", "vulns": [hole]}))
    done = check_locks(tools)
    assert (done.returncode, "six 1: CVE-1, fixed in 1.2" in done.stdout) == (1, True)


def test_data_that_does_not_know_the_packages_counts_as_not_checked(tools: Path) -> None:
    stand_in(tools, "pip-audit", status=0, output=answer({"name": "six", "skip_reason": "Dependency not found"}))
    done = check_locks(tools)
    assert (done.returncode, "runtime.txt: known vulnerabilities: NOT CHECKED" in done.stdout) == (0, True)


HOLE = {"id": "CVE-1", "fix_versions": ["1.2"], "aliases": [], "description": ""}


@pytest.mark.parametrize(("lock", "status"), [("runtime", 1), ("app", 1), ("dev", 0), ("emulator", 0)])
def test_a_known_vulnerability_fails_where_it_ships_and_is_only_reported_elsewhere(
    tools: Path, lock: str, status: int
) -> None:
    found = answer({"name": "six", "version": "1", "vulns": [HOLE]})
    stand_in(tools, "pip-audit", status=1, output=found, when=f"requirements/{lock}.txt")
    done = check_locks(tools)
    assert (done.returncode, f"{lock}.txt: 1 known vulnerabilities" in done.stdout) == (status, True)


def test_a_vulnerability_is_reported_although_another_package_is_unknown(tools: Path) -> None:
    skipped = {"name": "ours", "skip_reason": "Dependency not found"}
    found = answer(skipped, {"name": "six", "version": "1", "vulns": [HOLE]})
    stand_in(tools, "pip-audit", status=1, output=found)
    assert check_locks(tools).returncode == 1


def test_locks_are_audited_with_their_hashes_and_without_being_installed(tools: Path) -> None:
    log = stand_in(tools, "pip-audit", output=answer())
    check_locks(tools)
    assert all("--disable-pip --require-hashes" in call for call in log.read_text().splitlines())


@pytest.mark.parametrize(
    "reason",
    [
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='data'): Max retries exceeded",
        "pip_audit._service.interface.ServiceError",
    ],
)
def test_data_that_does_not_answer_counts_as_not_checked(tools: Path, reason: str) -> None:
    stand_in(tools, "pip-audit", status=1, errors=reason)
    done = check_locks(tools)
    assert (done.returncode, f"NOT CHECKED, {reason}" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    "reason", ["ERROR:pip_audit._cli:requirement six==1.16.0 does not contain a hash", "KeyError: 'name'", ""]
)
def test_a_lock_that_cannot_be_audited_does_not_pass(tools: Path, reason: str) -> None:
    stand_in(tools, "pip-audit", status=1, errors=reason)
    done = check_locks(tools)
    assert (done.returncode, "runtime.txt: pip-audit FAILED" in done.stdout) == (2, True)
