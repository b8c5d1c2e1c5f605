"""Where the compaction job runs: on this machine's Spark, or on AWS Glue. Neither knows what a plan is for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.ops.errors import OperatorError

ROOT = Path(__file__).parents[3]
RUNNING = {"STARTING", "RUNNING", "STOPPING", "WAITING"}
_POLL_SECONDS = 10
_STANDARD_ERROR = 2  # its file, whatever stands in for it in Python


def run_here(lake: str, plan_key: str, work: str = "compact") -> None:
    """Run the job on this machine, with its output on standard error.

    Raises:
        OperatorError: Java, Spark or the job's code is missing, or the job failed.
    """
    code = run_script("compact_silver", ["--lake", lake, "--plan", plan_key, "--work", work])
    if code:
        raise OperatorError(
            f"The job ended with exit code {code}; its words are above. Nothing was replaced: run it again."
        )


def run_script(name: str, arguments: Sequence[str]) -> int:
    """Run a script of glue/ on this machine's Spark, with its output on standard error; its exit code.

    Raises:
        OperatorError: Java, Spark or the job's code is missing.
    """
    script = ROOT / f"glue/{name}.py"
    if not script.exists():
        raise OperatorError(f"{script} is not there: run this in a checkout of the repository, or on AWS Glue.")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise OperatorError(
            "Spark needs Java 17, and there is no java here. Install a JRE, such as "
            "`apt-get install --no-install-recommends openjdk-17-jre-headless`, or run it on AWS Glue."
        )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [_python(), str(script), "--runtime", "local", *arguments]
    return subprocess.run(command, stdout=_STANDARD_ERROR, env=environment, check=False).returncode  # noqa: S603 (ours)


def _python() -> str:
    """A Python that has Spark.

    Raises:
        OperatorError: there is none.
    """
    own = ROOT / ".venv-spark/bin/python"
    for python in (os.environ.get("SMELT_SPARK_PYTHON", ""), str(own), sys.executable):
        if python and Path(python).exists():
            probe = [python, "-c", "import pyspark, pyarrow, boto3"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:  # noqa: S603 (as above)
                return python
    raise OperatorError(
        "Spark is not installed here. Run `make setup-spark`, or set SMELT_SPARK_PYTHON to a Python that has pyspark, "
        "pyarrow and boto3, or run it on AWS Glue."
    )


def start_on_glue(glue: Any, job: str, lake: str, plan_key: str, work: str = "compact") -> str:
    """Start a run of the job; its id.

    Raises:
        ClientError, BotoCoreError: Glue refuses, or does not answer.
    """
    arguments = {"--lake": lake, "--plan": plan_key, "--work": work}
    return str(glue.start_job_run(JobName=job, Arguments=arguments)["JobRunId"])


def wait_for_glue(
    glue: Any, job: str, run_id: str, tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until a run of the job has ended well.

    Raises:
        OperatorError: it failed; the message is Glue's.
        ClientError, BotoCoreError: Glue refuses, or does not answer.
    """
    while True:
        found = glue.get_job_run(JobName=job, RunId=run_id)["JobRun"]
        state = found["JobRunState"]
        if state == "SUCCEEDED":
            return
        if state not in RUNNING:
            raise OperatorError(
                f"The run {run_id} of the Glue job {job} is {state}: {found.get('ErrorMessage', 'it says no reason')}. "
                "Nothing was replaced: run this again."
            )
        tell(f"{job} is {state.lower()}")
        sleep(_POLL_SECONDS)


def latest_on_glue(glue: Any, job: str) -> dict[str, Any] | None:
    """The run of the job that was started last."""
    runs = glue.get_job_runs(JobName=job, MaxResults=1)["JobRuns"]
    return dict(runs[0]) if runs else None
