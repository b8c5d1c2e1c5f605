"""What a person reads when Terraform refuses."""

from __future__ import annotations

import subprocess

from infra.deploy.terraform import complaint

COLOURED = "\x1b[31m╷\x1b[0m\n\x1b[31m│\x1b[0m \x1b[1mError: \x1b[0m{}\n\x1b[31m╵\x1b[0m\n"


def told(text: str) -> str:
    failed = subprocess.CompletedProcess([], 1, "", COLOURED.format(text))
    return complaint(failed, prepared_by="make tf-init")


def test_its_error_has_no_colours_and_no_frame() -> None:
    assert told("Unsupported argument") == "Error: Unsupported argument"


def test_a_folder_that_is_not_initialised_names_the_command() -> None:
    assert told("Required plugins are not installed\n│ run:\n│   terraform init").endswith("Run `make tf-init`")
