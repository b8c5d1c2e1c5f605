"""The jobs on Spark, driven from here: a process of .venv-spark that keeps one session for many requests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-spark/bin/python"


class JobFailed(Exception):
    """What a job raised, by its name and words."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(f"{name}: {says}")
        self.name, self.says = name, says


class Spark:
    """Requests to `tests.support.spark_worker`."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        answers = folder / "answers"
        os.mkfifo(answers)
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "tests.support.spark_worker", answers],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
        self._answers = answers.open()

    def ask(self, call: str, **arguments: Any) -> Any:
        self.begin(call, **arguments)
        line = self._answers.readline()
        assert line, "Spark's process is gone"
        answer = json.loads(line)
        if "error" in answer:
            raise JobFailed(answer["error"], answer["says"])
        return answer["value"]

    def begin(self, call: str, **arguments: Any) -> None:
        """Send a request without waiting for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """As if the machine were gone: every process at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(folder: Path) -> Iterator[Spark]:
    spark = Spark(folder)
    try:
        yield spark
    finally:
        spark.kill()
