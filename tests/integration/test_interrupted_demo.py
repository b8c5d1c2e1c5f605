"""A demo that is stopped at any moment, in any way, leaves nothing running, and the next run finds all in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from local.demo.clean import clean
from local.demo.pipeline import Pipeline, Upload
from local.demo.runs import locked, new_run
from local.ministack import ROOT
from services.ops.errors import OperatorError
from services.shared.units import BronzeObject
from tests.support.running import await_true

ROWS = 300
NOBODY_LISTENS = "http://127.0.0.1:9"
EXPORT = f"""
from datetime import UTC, datetime, timedelta
from local.generator import Request, events
from services.shared.contract.loader import load_contracts

def write_jsonl(path):
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = Request({ROWS}, today - timedelta(days=2), today, int(datetime.now(UTC).timestamp() * 1000))
    rows = list(events(load_contracts("contracts")["shipments"], asked))
    path.write_bytes(b"\\n".join(rows))
    return len(rows)
"""


def _listen_to_signals() -> None:
    """As in a terminal; behind `nohup` or `&`, the tests' own process ignores them, and would pass that on."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Demo:
    """A small example, run as `make demo-flights` runs the flights."""

    def __init__(self, folder: Path) -> None:
        self.example = folder / "an example"
        self.state = folder / "state"
        self.home = self.state / "shipments"
        self.example.mkdir()
        (self.example / "shipments.yaml").write_text((ROOT / "contracts/shipments.yaml").read_text())
        (self.example / "export.py").write_text(EXPORT)
        (self.example / "queries.sql").write_text("-- All\nSELECT COUNT(*) AS n FROM silver;")

    def start(self, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "local.demo", str(self.example), "--state", str(self.state)]
        pipe, changed = subprocess.PIPE, os.environ | environment
        return subprocess.Popen(
            command, cwd=ROOT, env=changed, stdout=pipe, stderr=pipe, text=True, preexec_fn=_listen_to_signals
        )

    def run(self, **environment: str) -> str:
        """Run it to its end, in order; gives what it printed."""
        with self.start(**environment) as process:
            printed, told = process.communicate(timeout=120)
        assert process.returncode == 0, printed + told
        return printed

    def kept(self) -> int:
        """How many runs are in the account at the end of one more run; it must have no findings."""
        printed = self.run()
        found = re.search(r"(\d+) objects, 0 unfinished, 0 findings", printed)
        assert found, printed
        assert f"{int(found[1]) * ROWS:,} rows =" in printed
        assert "0 of them duplicates" in printed
        named = re.search(r"^The page: (.+)$", printed, re.MULTILINE)
        assert named, printed
        page = (ROOT / named[1]).read_text()
        assert f"{int(found[1]) * ROWS:,} = " in page
        assert "Every row is accounted for" in page
        return int(found[1])

    def written(self, pattern: str) -> bool:
        return any(self.home.glob(f"running/{pattern}"))

    def await_end_of_all_processes(self) -> None:
        """The lock is held until the emulator and its functions have ended."""
        with locked(self.home, seconds=15):
            await_true(lambda: processes_with(str(self.home)) == [], seconds=5)


def processes_with(text: str) -> list[str]:
    listed = subprocess.run(["ps", "axeww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"S3_DATA_DIR={text}" in line]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo with blanks"))


MOMENTS: dict[str, Callable[[Demo], bool]] = {
    "before the emulator is up": lambda demo: (demo.home / "emulator.log").exists(),
    "when the tables are being made": lambda demo: demo.written("s3/*/smelt-bronze"),
    "while files are written": lambda demo: demo.written("s3/*/smelt-bronze/bronze/shipments/*.jsonl"),
    "when Silver is written": lambda demo: demo.written("s3/*/smelt-silver/silver/*/*/*.parquet"),
}
STOPS = [(signal.SIGINT, moment) for moment in MOMENTS] + [
    (signal.SIGHUP, "while files are written"),
    (signal.SIGKILL, "before the emulator is up"),
    (signal.SIGKILL, "when Silver is written"),
]


@pytest.fixture
def emptied(demo: Demo) -> Iterator[Demo]:
    """The demo, as if nothing had run yet in this place: so that the moments can be seen in its files."""
    for folder in demo.home.glob("*"):
        if folder.is_dir():
            subprocess.run(["rm", "-rf", str(folder)], check=True)
        else:
            folder.unlink()
    yield demo


@pytest.mark.parametrize(("number", "moment"), STOPS, ids=lambda value: getattr(value, "name", value))
def test_the_first_run_can_be_stopped_at_any_moment_and_the_next_is_in_order(
    emptied: Demo, number: signal.Signals, moment: str
) -> None:
    with emptied.start() as process:
        await_true(lambda: MOMENTS[moment](emptied) or process.poll() is not None)
        process.send_signal(number)
        printed, told = process.communicate(timeout=60)
    if number is signal.SIGINT:
        assert process.returncode == 130, printed + told
        assert "This run is not kept" in told
        assert "Traceback" not in told
    else:
        assert process.returncode == -number
    emptied.await_end_of_all_processes()
    assert emptied.kept() == 1


def test_a_stopped_run_leaves_earlier_runs_as_they_were(emptied: Demo) -> None:
    assert [emptied.kept(), emptied.kept()] == [1, 2]
    with emptied.start() as process:
        await_true(lambda: emptied.written("s3/*/smelt-bronze"))
        process.send_signal(signal.SIGKILL)
    assert emptied.kept() == 3


def test_an_emulator_that_is_killed_ends_the_run_with_a_sentence(emptied: Demo) -> None:
    with emptied.start() as process:
        await_true(lambda: emptied.written("s3/*/smelt-bronze"))
        (emulator,) = (line for line in processes_with(str(emptied.home)) if line.split()[2:4] == ["-m", "ministack"])
        os.kill(int(emulator.split()[0]), signal.SIGKILL)
        printed, told = process.communicate(timeout=60)
    assert (process.returncode, "The emulator ended by itself" in told) == (2, True), printed + told
    assert "Traceback" not in told
    assert emptied.kept() == 1


def test_a_run_whose_uploads_the_emulator_could_not_write_is_not_kept(emptied: Demo) -> None:
    in_the_way = emptied.home / "current/s3/000000000000/smelt-bronze"  # a file, where it wants a folder
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with emptied.start() as process:
        printed, told = process.communicate(timeout=120)
    assert (process.returncode, "did not save 1 of " in told) == (2, True), printed + told
    assert "Traceback" not in told
    in_the_way.unlink()
    assert emptied.kept() == 1


def test_a_function_that_fails_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    class Functions:
        def invoke(self, **_: object) -> dict[str, str]:
            return {"FunctionError": "Unhandled"}

    class EmptyLedger:
        def find_objects(self, _: object) -> Iterator[object]:
            return iter(())

    pipe: Any = Pipeline(
        "", tmp_path / "emulator.log", cast(Any, SimpleNamespace(functions=Functions(), dynamodb=None)), cast(Any, None)
    )
    pipe.ledger = EmptyLedger()
    source = BronzeObject("smelt-bronze", "bronze/shipments/a.jsonl", 1, "e" * 32, None, datetime.now(UTC))
    with pytest.raises(OperatorError, match=r"The function ingest failed for .*a.jsonl.*: read .*emulator.log"):
        pipe.deliver_again(Upload(source, 1))


def test_a_second_demo_at_the_same_time_is_refused_and_the_first_goes_on(emptied: Demo) -> None:
    with new_run(emptied.home):
        with emptied.start() as second:
            _, told = second.communicate(timeout=60)
        assert (second.returncode, "Another demo is running" in told) == (2, True)
        with pytest.raises(OperatorError, match="Another demo is running"):
            clean(emptied.state)
    clean(emptied.state)
    assert not emptied.state.exists()
    assert emptied.kept() == 1


def test_neither_a_proxy_nor_an_unwritable_folder_for_temporary_files_disturbs_it(emptied: Demo) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), NOBODY_LISTENS)
    emptied.run(**proxies, NO_PROXY="", no_proxy="", TMPDIR="/nonexistent")


def test_neither_an_account_nor_another_emulator_of_this_shell_disturbs_it(emptied: Demo) -> None:
    broken = emptied.home.parent.parent / "broken"
    broken.write_text("[profile company\nendpoint_url")
    account = {"AWS_PROFILE": "company", "AWS_CONFIG_FILE": str(broken), "AWS_DEFAULT_REGION": "mars"}
    emptied.run(**account, AWS_ENDPOINT_URL=NOBODY_LISTENS, SERVICES="s3", USE_SSL="1", MINISTACK_ACCOUNT_ID="1" * 12)


class TestARun:
    """Of its files: without an emulator."""

    def test_that_stops_while_it_takes_the_place_of_the_earlier_ones_is_not_kept(self, tmp_path: Path) -> None:
        with new_run(tmp_path) as first:
            (first.folder / "first").touch()
            first.keep()
        (tmp_path / "current").rename(tmp_path / "previous")  # the first step of `keep`
        (tmp_path / "running").mkdir()
        with new_run(tmp_path) as next_run:
            assert [file.name for file in next_run.folder.iterdir()] == ["first"]

    def test_that_stops_while_it_deletes_what_it_replaced_is_kept(self, tmp_path: Path) -> None:
        with new_run(tmp_path) as first:
            first.keep()
        (tmp_path / "previous").mkdir()
        (tmp_path / "current" / "kept").touch()
        with new_run(tmp_path) as next_run:
            assert [file.name for file in next_run.folder.iterdir()] == ["kept"]
        assert not (tmp_path / "previous").exists()
