"""Runs Terraform as people do: through infra/terraform/tools/terraform.sh, which finds the provider."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = ROOT / "infra/terraform/tools/terraform.sh"


def terraform(directory: Path, *arguments: str, text_in: str = "") -> subprocess.CompletedProcess[str]:
    """Run Terraform in a directory: absolute, or below the repository's root."""
    command = [str(_SCRIPT), str(directory), *arguments]
    return subprocess.run(command, input=text_in, capture_output=True, text=True)
