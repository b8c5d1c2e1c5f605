"""Runs Terraform as people do: through infra/terraform/tools/terraform.sh, which finds the provider."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from services.ops.errors import OperatorError

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = ROOT / "infra/terraform/tools/terraform.sh"


def terraform(directory: Path, *arguments: str, text_in: str = "") -> subprocess.CompletedProcess[str]:
    """Run Terraform in a directory: absolute, or below the repository's root.

    Raises:
        OperatorError: there is no such directory.
    """
    if not (ROOT / directory).is_dir():
        raise OperatorError(f"{directory}: no such folder. ENV names a folder of infra/terraform/envs.")
    command = [str(_SCRIPT), str(directory), *arguments]
    return subprocess.run(command, input=text_in, capture_output=True, text=True)


def complaint(done: subprocess.CompletedProcess[str], prepared_by: str) -> str:
    """What Terraform said was wrong, without its colours and frames; `prepared_by` is what initialises the folder."""
    plain = re.sub(r"\x1b\[[0-9;]*m|[╷│╵]", "", done.stderr)
    said = " ".join(plain.split())
    if "terraform init" in said:
        return f"this folder is not initialised, or its provider changed. Run `{prepared_by}`"
    return said
