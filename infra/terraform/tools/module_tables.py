#!/usr/bin/env python3
"""Writes the tables of variables and outputs into each module's README.md, as terraform-docs would.

.venv/bin/python infra/terraform/tools/module_tables.py [--check]

With --check it changes nothing, and ends with 1 if a table is not what the module says. A README without tables gets
them at its end; a module without a README gets one that begins with the comment on top of its main.tf. It reads files
as `terraform fmt` writes them: one attribute a line, a block's own closing brace in the first column.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TERRAFORM = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- tables: tools/module_tables.py -->\n", "<!-- end of tables -->\n"
_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"


class Block(NamedTuple):
    """A variable or an output."""

    kind: str
    name: str
    attributes: dict[str, str]


def blocks(text: str) -> Iterator[Block]:
    """The variables and outputs of a file, in its order."""
    for kind, name, body in _BLOCK.findall(text):
        yield Block(kind, name, _attributes(body))


def _attributes(body: str) -> dict[str, str]:
    """Attribute -> its expression, of several lines joined to one; blocks within are passed over."""
    found: dict[str, str] = {}
    lines = iter(body.splitlines())
    for line in lines:
        attribute = re.match(r"  (\w+) += (.+)", line)
        expression = attribute[2] if attribute else line
        while _depth(expression) > 0:
            more = next(lines).strip()
            same = expression[-1] in f"{_OPENING}," or more[0] in _CLOSING
            expression += (" " if same else ", ") + more
        if attribute:
            found[attribute[1]] = expression
    return found


def _depth(expression: str) -> int:
    """How many brackets are open; those in texts do not count."""
    code = re.sub(r'"(\\.|[^"\\])*"', "", expression)
    return sum(code.count(bracket) for bracket in _OPENING) - sum(code.count(bracket) for bracket in _CLOSING)


def tables(module: Path) -> str:
    """Both tables of a module, as Markdown."""
    found = [block for file in sorted(module.glob("*.tf")) for block in blocks(file.read_text())]
    variables = [block for block in found if block.kind == "variable"]
    outputs = [block for block in found if block.kind == "output"]
    lines = []
    if variables:
        lines += ["| variable | type | default | meaning |", "| --- | --- | --- | --- |"]
        for _, name, said in variables:
            default = _code(said["default"]) if "default" in said else "required"
            lines.append(f"| `{name}` | {_code(said['type'])} | {default} | {_text(said)} |")
    if outputs:
        lines += ["", "| output | meaning |", "| --- | --- |"]
        lines += [f"| `{name}` | {_text(said)} |" for _, name, said in outputs]
    return "\n".join(lines).strip() + "\n"


def _code(expression: str) -> str:
    inner = re.sub(r"\s+", " ", expression).replace("|", "\\|")
    return f"`{inner}`"


def _text(said: dict[str, str]) -> str:
    """The description; `<` outside of code would begin a tag."""
    parts = said["description"].strip('"').replace('\\"', '"').replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def readme(module: Path) -> str:
    """What the module's README.md should be."""
    file = module / "README.md"
    text = file.read_text() if file.exists() else _first(module)
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}{END}"
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{tables(module)}{END}{rest.partition(END)[2]}"


def _first(module: Path) -> str:
    """The beginning of a new README: the comment on top of main.tf."""
    lines = (module / "main.tf").read_text().splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return f"# {module.name}\n\n" + "\n".join(comment) + "\n"


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    differing = []
    for module in sorted((TERRAFORM / "modules").iterdir()):
        wanted, file = readme(module), module / "README.md"
        if not file.exists() or file.read_text() != wanted:
            differing.append(str(file.relative_to(TERRAFORM.parents[1])))
            if not check:
                file.write_text(wanted)
    if check and differing:
        print("error: the tables in these files are not what the modules say: " + ", ".join(differing), file=sys.stderr)
        print("Run: python3 infra/terraform/tools/module_tables.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
