"""What the jobs are run with here, and what is uploaded for them, fits what AWS Glue 5.1 brings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[3] / "requirements"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(.*)", re.MULTILINE)


def _pins(name: str) -> dict[str, str]:
    """The pinned versions for Python 3.11 on Linux, by normalized name."""
    pins = {}
    for package, version, rest in PIN.findall((REQUIREMENTS / name).read_text()):
        if ">= '3.12'" not in rest:
            pins[re.sub(r"[-_.]+", "-", package).lower()] = version
    return pins


GLUE = _pins("glue51.constraints.txt")


def test_the_table_is_the_whole_one() -> None:
    assert len(GLUE) == 60
    assert (GLUE["pandas"], GLUE["numpy"], GLUE["pyarrow"], GLUE["boto3"]) == ("2.3.3", "2.3.4", "22.0.0", "1.40.61")


@pytest.mark.parametrize("lock", ["spark.txt", "glue.txt"])
def test_nothing_that_glue_brings_is_replaced(lock: str) -> None:
    pins = _pins(lock)
    replaced = {name: (version, GLUE[name]) for name, version in pins.items() if GLUE.get(name, version) != version}

    assert len(pins) > 10
    assert not replaced


def test_spark_is_the_one_of_glue_5_1() -> None:
    assert _pins("spark.txt")["pyspark"] == "3.5.6"


def test_what_runs_here_is_what_is_uploaded() -> None:
    here, uploaded = _pins("spark.txt"), _pins("glue.txt")

    assert {name: here.get(name) for name in uploaded} == uploaded


@pytest.mark.parametrize("lock", ["spark.txt", "glue.txt"])
def test_every_pin_has_hashes(lock: str) -> None:
    text = (REQUIREMENTS / lock).read_text()

    for pinned in re.split(r"\n(?=[a-z])", text.strip()):
        if "==" in pinned:
            assert "--hash=sha256:" in pinned, pinned


def test_the_jobs_read_contracts_and_documents_with_what_the_functions_have() -> None:
    functions, jobs = _pins("runtime.txt"), _pins("glue.txt")
    assert {name: jobs[name] for name in ("msgspec", "pyyaml")} == {
        name: functions[name] for name in ("msgspec", "pyyaml")
    }
