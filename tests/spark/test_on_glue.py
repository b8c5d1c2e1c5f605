"""The jobs as AWS Glue starts them: what it says of a job's arguments and files holds, and nothing more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from infra.deploy.glue_assets import core_zip
from tests.support.partition import parcel, planned, put
from tests.support.spark import PYTHON, ROOT

pytestmark = pytest.mark.spark

START = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SMALL = "--master local[1] --conf spark.sql.shuffle.partitions=2 --conf spark.ui.enabled=false pyspark-shell"


def test_the_workers_have_the_package_that_is_on_the_drivers_path_alone(tmp_path: Path) -> None:
    core = tmp_path / "core.zip"
    core.write_bytes(core_zip())
    script = tmp_path / "compact_silver.py"
    script.write_bytes((ROOT / "glue/compact_silver.py").read_bytes())
    plan = planned(tmp_path, [put(tmp_path, [parcel(lot, "p1", 1, lot)], lot=lot) for lot in range(3)])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, "-c", START, core, script, "--runtime", "glue", "--lake", tmp_path, "--plan", plan.run.plan_key],
        cwd=tmp_path,
        env=environment | {"PYSPARK_PYTHON": str(PYTHON), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": SMALL},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"rows": 1, "superseded": 2' in done.stdout
