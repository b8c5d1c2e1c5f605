"""What infra/terraform/README.md tells people to type for another environment takes nothing of the first one along."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from local.ministack import ROOT

ENVIRONMENTS = Path("infra/terraform/envs")
OF_DEV_ALONE = (
    ".terraform/terraform.tfstate",
    "terraform.tfstate",
    "terraform.tfstate.backup",
    "backend_override.tf",
    "images.auto.tfvars.json",
    "queue.auto.tfvars.json",
    "dev.tfplan",
)


def test_another_environment_has_the_code_and_the_values_but_no_state_image_or_queue_of_dev(tmp_path: Path) -> None:
    page = (ROOT / "infra/terraform/README.md").read_text()
    (block,) = re.findall(r"^## Another environment\n.*?```sh\n(.*?)```", page, flags=re.DOTALL | re.MULTILINE)
    listed = ["git", "ls-files", "--", str(ENVIRONMENTS / "dev")]
    committed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in committed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in OF_DEV_ALONE:
        file = tmp_path / ENVIRONMENTS / "dev" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("of dev")

    subprocess.run(["sh", "-eu"], input=block, cwd=tmp_path, text=True, check=True)

    made = {file.name: file for file in (tmp_path / ENVIRONMENTS / "prod").iterdir()}
    wanted = {Path(name).name for name in committed if name.endswith(".tf")}
    assert set(made) == wanted | {"prod.tfvars"}
    assert made["prod.tfvars"].read_bytes() == (ROOT / ENVIRONMENTS / "dev/dev.tfvars").read_bytes()
