#!/usr/bin/env python3
"""Draws a state machine as a Mermaid flow chart, from its definition.

python infra/terraform/tools/draw_workflow.py infra/terraform/modules/workflow_ops/ops.asl.json

docs/workflow.md holds the result; tests/unit/delivery/test_drawn_workflow.py compares them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SHAPES = {"Task": '["{}"]', "Choice": "{{{{{}}}}}", "Wait": '(["{}"])', "Succeed": '(("{}"))', "Fail": '(("{}"))'}


def draw(definition: Mapping[str, Any]) -> str:
    """The flow chart's text."""
    states = definition["States"]
    lines = ["flowchart TD", f"    start(( )) --> {definition['StartAt']}"]
    lines += [f"    {name}{SHAPES[state['Type']].format(name)}" for name, state in states.items()]
    for name, state in states.items():
        lines += [f"    {name} {arrow} {target}" for arrow, target in _arrows(state)]
    return "\n".join(lines) + "\n"


def _arrows(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for choice in state.get("Choices", []):
        yield f"-- {choice['StringEquals']} -->", choice["Next"]
    if "Default" in state:
        yield "-- failed -->", state["Default"]
    if "Next" in state:
        yield "-->", state["Next"]
    for caught in state.get("Catch", []):
        yield "-. fails .->", caught["Next"]


if __name__ == "__main__":
    sys.stdout.write(draw(json.loads(Path(sys.argv[1]).read_text())))
