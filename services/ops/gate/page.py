"""The page of one run for people: the verdict first, then each rule, then the runs before it as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.ops.pages.charts import Picture, bars, lines
from services.ops.pages.page import render
from services.shared.gate.verdict import GateResult, Verdict

RUNS = 20  # in the pictures
_TEMPLATE = Path(__file__).parent / "templates" / "gate.html"
_ORDER = (Verdict.ERROR, Verdict.FAILED, Verdict.PASSED)


def gate_page(result: GateResult, before: Sequence[GateResult]) -> str:
    """One self-contained page.

    Args:
        before: earlier runs over the partition, the oldest first.
    """
    rules = sorted(result.rules, key=lambda rule: _ORDER.index(rule.verdict))
    columns = ["verdict", "rule", "what is counted", "expected", "observed"]
    rows = [[rule.verdict, rule.name, rule.counted, rule.expected, rule.observed] for rule in rules]
    found = [rule for rule in rules if rule.verdict is not Verdict.PASSED]
    return render(
        _TEMPLATE,
        {"result": result, "columns": columns, "rows": rows, "found": found, "pictures": _trend(result, before)},
    )


def _trend(result: GateResult, before: Sequence[GateResult]) -> list[Picture]:
    runs = [*before, result][-RUNS:]
    if len(runs) < 2:
        return []
    same_day, same_year = len({run.ended.date() for run in runs}) == 1, len({run.ended.year for run in runs}) == 1
    label = "%H:%M" if same_day else "%m-%d" if same_year else "%Y-%m-%d"
    labels = [run.ended.strftime(label) for run in runs]
    kinds = [
        (verdict.value, [sum(rule.verdict is verdict for rule in run.rules) for run in runs])
        for verdict in _ORDER  # the third colour is green
    ]
    return [
        bars("Rules of each run over this partition, by verdict", labels, kinds),
        lines("Rows of the partition", labels, [("rows read", [run.rows for run in runs])]),
    ]
