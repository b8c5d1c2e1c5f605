"""Each module's README has a table of its variables and outputs, which cannot differ from the module unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.terraform.tools import module_tables

VARIABLES = """# A comment.
variable "statements" {
  description = "Id -> \\"what\\" | `a|b`, such as <this> and `<that>`."
  type = map(object({
    actions   = list(string)
    condition = optional(map(string), {})
  }))
  default = {}

  validation {
    condition     = length(var.statements) < 5
    error_message = "At most 4: {."
  }
}

variable "name" {
  description = "The name."
  type        = string
}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "infra/terraform/modules/thing"
    folder.mkdir(parents=True)
    monkeypatch.setattr(module_tables, "TERRAFORM", tmp_path / "infra/terraform")
    (folder / "main.tf").write_text("# A thing that\n# does something.\n\nlocals {}\n")
    (folder / "variables.tf").write_text(VARIABLES)
    (folder / "outputs.tf").write_text('output "arn" {\n  description = "Its ARN."\n  value       = ""\n}\n')
    return folder


def test_the_tables_in_this_repository_are_what_the_modules_say() -> None:
    assert module_tables.main(["--check"]) == 0


def test_a_module_without_a_readme_gets_one(module: Path) -> None:
    assert module_tables.main([]) == 0
    assert (module / "README.md").read_text() == (
        "# thing\n\nA thing that\ndoes something.\n\n<!-- tables: tools/module_tables.py -->\n"
        "| variable | type | default | meaning |\n| --- | --- | --- | --- |\n"
        "| `statements` | `map(object({ actions = list(string), condition = optional(map(string), {}) }))` | `{}` | "
        'Id -> "what" \\| `a\\|b`, such as &lt;this> and `<that>`. |\n'
        "| `name` | `string` | required | The name. |\n\n"
        "| output | meaning |\n| --- | --- |\n| `arn` | Its ARN. |\n<!-- end of tables -->\n"
    )


def test_what_people_wrote_stays(module: Path) -> None:
    (module / "README.md").write_text(f"# Thing\n\nOurs.\n\n{module_tables.BEGIN}old\n{module_tables.END}\nMore.\n")
    assert module_tables.main([]) == 0
    text = (module / "README.md").read_text()
    assert text.startswith("# Thing\n\nOurs.\n") and text.endswith("\nMore.\n") and "old" not in text


def test_a_table_that_differs_fails_the_check_and_is_left(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module_tables.main([])
    (module / "variables.tf").write_text(VARIABLES.replace("The name.", "Another name."))
    before = (module / "README.md").read_text()
    assert module_tables.main(["--check"]) == 1
    assert (module / "README.md").read_text() == before
    assert "modules/thing/README.md" in capsys.readouterr().err
