"""A test double of AWS Glue for the gate workflow: a Lambda function in place of `glue:startJobRun.sync`.

No emulator runs Glue jobs: they report success without work. This runs the real job, glue/validate_silver.py, on local
Spark. Local Spark cannot read s3://, so the double brings the plan and its files into a folder, and the result back. As
on Glue, a run that is not passed is a run that has failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[2]
SAYS = "test double of AWS Glue"


class JobRunFailed(Exception):
    """As Step Functions tells of a job run that failed."""


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    bucket, plan_key = event["--lake"].removeprefix("s3://"), event["--plan"]
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def read(key: str) -> bytes:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    plan = json.loads(read(plan_key))
    with tempfile.TemporaryDirectory() as folder:
        for key in {file for listed in (plan["files"], plan["newest"]) for file, _ in listed}:
            file = Path(folder, key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(read(key))
        here = Path(folder, plan_key)
        here.parent.mkdir(parents=True)
        here.write_text(json.dumps(plan | {"root": folder}))
        done = subprocess.run(
            [ROOT / ".venv-spark/bin/python", ROOT / "glue/validate_silver.py", "--lake", folder, "--plan", plan_key],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        result = here.with_name("result.json")
        if result.exists():
            s3.put_object(Bucket=bucket, Key=plan["run"] + "result.json", Body=result.read_bytes())
    print(SAYS, done.returncode, done.stdout[-500:])
    if done.returncode:
        raise JobRunFailed(f"{SAYS}: exit code {done.returncode}")
    return {"JobRunState": "SUCCEEDED", "says": SAYS}
