"""The rules that a partition is judged by: those of its contract, and one that every partition has."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.contract.model import Contract
from services.shared.contract.quality import QualityRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RowConservation:
    """Each file holds the rows that its lot committed. No contract can switch it off."""

    name: str = "row conservation"
    description: str = "Every row that was committed is in the files, and no other."


Rule = QualityRule | RowConservation


def rules_of(contract: Contract) -> tuple[Rule, ...]:
    """In the order of the report. A rule's place is its name among them: two rules may be called alike."""
    return (RowConservation(), *contract.quality)


def fields_of(rule: Rule) -> tuple[str, ...]:
    """The fields whose values a rule looks at; none where it counts rows."""
    fields: tuple[str, ...] = getattr(rule, "fields", ())
    field = getattr(rule, "field", None)
    return fields or ((field,) if field else ())
