"""What Terraform has created, by its own state: names alone tell no resource of ours from others."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


class NoOutputs(Exception):
    """Terraform says nothing of what it has created; the message says why."""


def outputs(directory: Path) -> dict[str, Any]:
    """The outputs of a Terraform directory below the repository's root; none if nothing is created there.

    Raises:
        NoOutputs: Terraform failed, such as before `make tf-init`.
    """
    command = [str(_ROOT / "scripts/terraform.sh"), str(directory), "output", "-no-color", "-json"]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 (our own script)
    if done.returncode:
        raise NoOutputs(f"Terraform gives no outputs in {directory}: {done.stderr.strip()}")
    return {name: output["value"] for name, output in json.loads(done.stdout).items()}
