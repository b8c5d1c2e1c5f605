"""The picture of the ops workflow is the definition's."""

from __future__ import annotations

import json

from infra.terraform.tools.draw_workflow import draw
from local.ministack import ROOT
from tests.support.workflow import DEFINITION


def test_the_page_draws_the_definition_that_is_deployed() -> None:
    drawn = draw(json.loads(DEFINITION.read_text()))
    assert f"```mermaid\n{drawn}```\n" in (ROOT / "docs/workflow.md").read_text()
