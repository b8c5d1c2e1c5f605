"""Virtual environments that were left half-made, moved or broken are made again; those that are sound stay."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from local.ministack import ROOT
from tests.support.running import await_true

METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class Checkout:
    """A folder with the installer, and a lock of one package that is a file here: no network is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        (folder / "requirements").mkdir(parents=True)
        (folder / "local").mkdir()
        for file in ("requirements/install.py", "local/supervise.py"):
            shutil.copy(ROOT / file, folder / file)
        self.package = folder / "tiny-1-py3-none-any.whl"
        with zipfile.ZipFile(self.package, "w") as wheel:
            wheel.writestr("tiny.py", "")
            wheel.writestr("tiny-1.dist-info/METADATA", METADATA)
            wheel.writestr("tiny-1.dist-info/WHEEL", WHEEL)
            wheel.writestr("tiny-1.dist-info/RECORD", "tiny.py,,\n")
        self.lock = folder / "requirements/app.txt"
        digest = hashlib.sha256(self.package.read_bytes()).hexdigest()
        self.lock.write_text(f"tiny @ {self.package.as_uri()} --hash=sha256:{digest}\n")

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.folder / "requirements/install.py"), ".venv", "requirements/app.txt"]
        pipe, offline = subprocess.PIPE, os.environ | {"PIP_NO_INDEX": "1"}
        return subprocess.Popen(command, env=offline, stdout=pipe, stderr=pipe, text=True)

    def install(self) -> tuple[int, str]:
        with self.start() as process:
            printed, told = process.communicate(timeout=120)
        return process.returncode, printed + told

    def works(self) -> bool:
        return subprocess.run([self.venv / "bin/python", "-c", "import tiny"]).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def installed_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("once") / "a checkout")
    code, told = checkout.install()
    assert (code, checkout.works()) == (0, True), told
    return checkout


@pytest.mark.parametrize("arguments", [["--help"], [], [".venv"], [".venv", "--upgrade"]])
def test_wrong_usage_is_told_and_makes_no_environment(arguments: list[str], checkout: Checkout) -> None:
    command = [sys.executable, str(checkout.folder / "requirements/install.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "usage: install.py VENV LOCK" in done.stderr) == (2, True)
    assert sorted(path.name for path in checkout.folder.iterdir() if path.is_dir()) == ["local", "requirements"]


def test_what_is_installed_is_not_installed_again_and_needs_no_network(installed_once: Checkout) -> None:
    away = installed_once.package.rename(installed_once.package.with_suffix(".away"))
    assert installed_once.install() == (0, "")
    away.rename(installed_once.package)


def without_pip(venv: Path) -> None:
    for folder in venv.glob("lib/python3*/site-packages/pip"):
        shutil.rmtree(folder)


def without_python(venv: Path) -> None:
    (venv / "bin/python").unlink()
    (venv / "bin/python").symlink_to("/nonexistent/python3")


def with_an_unfinished_package(venv: Path) -> None:
    for folder in venv.glob("lib/python3*/site-packages"):
        (folder / "tiny.py").unlink()
    (venv / ".unfinished").touch()


def without_a_package(venv: Path) -> None:
    """Python then says ModuleNotFoundError; pip goes by what is beside the package, and misses nothing."""
    for folder in venv.glob("lib/python3*/site-packages"):
        (folder / "tiny.py").unlink()


@pytest.mark.parametrize("damage", [without_pip, without_python, with_an_unfinished_package, without_a_package])
def test_an_environment_that_is_not_sound_is_made_again(
    installed_once: Checkout, damage: Callable[[Path], None]
) -> None:
    damage(installed_once.venv)
    code, told = installed_once.install()
    assert (code, installed_once.works()) == (0, True), told
    assert "making it again" in told


def test_an_environment_that_was_moved_with_its_checkout_is_made_again(
    installed_once: Checkout, checkout: Checkout
) -> None:
    shutil.copytree(installed_once.venv, checkout.venv, symlinks=True)  # its programs name the other place
    code, told = checkout.install()
    assert (code, "making it again" in told, checkout.works()) == (0, True, True), told


def test_what_is_stopped_at_any_moment_is_repaired_by_the_next_run(checkout: Checkout) -> None:
    moments = {".unfinished": signal.SIGINT, "bin/python": signal.SIGKILL, "bin/pip": signal.SIGINT}
    for moment, number in moments.items():
        with checkout.start() as process:
            await_true(lambda seen=checkout.venv / moment: seen.exists() or process.poll() is not None)
            process.send_signal(number)
            _, told = process.communicate(timeout=60)
        assert process.returncode in (130, -signal.SIGKILL, 0), told
        assert "Traceback" not in told
    code, told = checkout.install()
    assert (code, checkout.works()) == (0, True), told


def test_two_at_once_wait_for_each_other(checkout: Checkout) -> None:
    with checkout.start() as one, checkout.start() as other:
        told = [process.communicate(timeout=120) for process in (one, other)]
    assert (one.returncode, other.returncode, checkout.works()) == (0, 0, True), told
    assert sum("waiting for another installation" in printed for printed, _ in told) == 1


def test_an_index_that_does_not_answer_is_told_and_the_environment_stays(installed_once: Checkout) -> None:
    known = installed_once.lock.read_text()
    installed_once.lock.write_text("other==1 --hash=sha256:" + "0" * 64 + "\n")
    code, told = installed_once.install()
    assert (code, "Check the network" in told, "Traceback" in told) == (2, True, False)
    assert installed_once.works()
    installed_once.lock.write_text(known)
    code, told = installed_once.install()
    assert (code, "making it again" in told) == (0, False)
