"""From what was measured to a verdict: passed, failed, and error, which says that nobody knows.

passed   every rule was measured, and each number is as it must be
failed   every rule was measured, and a number is not as it must be
error    a rule was not measured, there is nothing to measure, or something broke
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from services.shared.contract.model import Contract
from services.shared.contract.quality import Freshness, Limit, Unit
from services.shared.errors import Terminal
from services.shared.gate.plan import GatePlan
from services.shared.gate.rules import RowConservation, Rule, fields_of, rules_of
from services.shared.gate.words import limit_in_words, number_in_words, span_in_words, what_is_counted
from services.shared.identities import GateRun

FORMAT = 1
SAMPLES = 20  # at most, of a rule
_LONGEST_SAMPLE = 200  # characters


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


class ResultError(Terminal):
    """A result that cannot be used."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The number of one rule: rows, or for freshness the age in seconds. `samples` are values that are not as they
    should be, as text; whoever measures leaves out those of sensitive fields."""

    number: float
    samples: tuple[str, ...] = ()
    note: str = ""  # what else a person wants to know, such as which file has lost rows


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """Why a rule has no number."""

    why: str


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule, judged, in words."""

    name: str
    counted: str
    expected: str
    observed: str
    verdict: Verdict
    description: str = ""
    fields: tuple[str, ...] = ()
    note: str = ""
    samples: tuple[str, ...] = ()
    withheld: bool = False  # samples are not shown, because a field is sensitive


@dataclass(frozen=True, slots=True)
class GateResult:
    """One run, judged. `rows` were read; `cause` says in a sentence why it is not passed.

    `vacant`: no lot has committed a row in the partition, or all were retracted. It has not passed, but there is
    nothing that anybody could hold back, or judge again.
    """

    run: GateRun
    verdict: Verdict
    cause: str
    contract_version: str
    rows: int | None
    rows_expected: int
    files: int
    ended: datetime
    rules: tuple[RuleResult, ...] = ()
    engine: str = ""
    vacant: bool = False

    @property
    def holds_back(self) -> bool:
        """Whether the partition has rows that have not passed, as far as anybody knows."""
        return self.verdict is not Verdict.PASSED and not self.vacant

    def to_json(self) -> str:
        document = asdict(self) | {"format": FORMAT, "run": str(self.run), "ended": self.ended.isoformat()}
        document |= {"record_type": self.run.record_type, "dt": self.run.dt}
        return json.dumps(document, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            ResultError: it is not a result, or one of another version of smelt.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document.pop("format") != FORMAT:
                raise ResultError("The result was written by another version of smelt.")
            for name in ("record_type", "dt"):
                document.pop(name)
            document["run"] = GateRun.parse(document["run"])
            document["verdict"] = Verdict(document["verdict"])
            document["ended"] = datetime.fromisoformat(document["ended"])
            document["rules"] = tuple(_rule_from(rule) for rule in document["rules"])
            return cls(**document)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultError(f"This is not a result of the gate: {error!r}.") from error


def _rule_from(stored: Mapping[str, Any]) -> RuleResult:
    lists = {name: tuple(stored[name]) for name in ("fields", "samples")}
    return RuleResult(**{**stored, **lists, "verdict": Verdict(stored["verdict"])})


def judge(
    plan: GatePlan,
    contract: Contract,
    rows: int,
    measured: Mapping[int, Measured | NotMeasured],
    ended: datetime,
    engine: str = "",
) -> GateResult:
    """The verdict over what was measured.

    Args:
        rows: of the partition, as they were read.
        measured: by the place of the rule among `rules_of(contract)`. A rule without an entry is an error.
    """
    sensitive = frozenset(field.name for field in contract.fields if field.is_sensitive)
    unknown = NotMeasured("nobody measured it: whoever builds the suite does not know this rule, or has dropped it")
    rules = rules_of(contract)
    results = tuple(_judged(rule, measured.get(at, unknown), rows, sensitive) for at, rule in enumerate(rules))
    surplus = sorted(measured.keys() - set(range(len(rules))))
    verdict, cause = _overall(results)
    if surplus:
        verdict, cause = Verdict.ERROR, f"Numbers came for rules that the contract does not have: {surplus}."
    if plan.missing:
        verdict, cause = Verdict.ERROR, _missed(plan)
    elif not rows:
        verdict, cause = Verdict.ERROR, _nothing(plan.run)
    return GateResult(
        plan.run, verdict, cause, contract.version, rows, plan.rows, len(plan.files), ended, results, engine
    )


def not_judged(plan: GatePlan, why: str, ended: datetime, contract_version: str = "", engine: str = "") -> GateResult:
    """The result of a run that broke."""
    files, why = len(plan.files), " ".join(why.split())
    return GateResult(plan.run, Verdict.ERROR, why, contract_version, None, plan.rows, files, ended, (), engine)


def nothing_to_judge(plan: GatePlan, ended: datetime) -> GateResult:
    """The result for a partition without a committed file, or whose files are all missing."""
    result = not_judged(plan, _missed(plan) if plan.missing else _nothing(plan.run), ended)
    return replace(result, vacant=not plan.missing)


def _missed(plan: GatePlan) -> str:
    named = ", ".join(plan.missing[:3])
    more = f" and {len(plan.missing) - 3:,} more" if len(plan.missing) > 3 else ""
    return f"Files that the ledger counts are not in the bucket: {named}{more}. `smelt audit` explains each."


def _nothing(run: GateRun) -> str:
    return (
        f"There is no committed row in the partition {run.record_type}, dt={run.dt}. Nothing was judged, so it has not "
        "passed. If rows should be there, `make status` and `smelt audit` say where they are."
    )


def _overall(results: Sequence[RuleResult]) -> tuple[Verdict, str]:
    for verdict, told in ((Verdict.ERROR, "could not be judged"), (Verdict.FAILED, "failed")):
        found = [one for one in results if one.verdict is verdict]
        if found:
            first = "; ".join(_told(one) for one in found[:3])
            more = f"; and {len(found) - 3:,} more" if len(found) > 3 else ""
            return verdict, f"{len(found):,} of {len(results):,} rules {told}: {first}{more}."
    return Verdict.PASSED, ""


def _told(one: RuleResult) -> str:
    if one.verdict is Verdict.ERROR:
        return f"{one.name}: {one.note}"
    return f"{one.name}: {one.counted}: {one.observed}, expected {one.expected}"


def _judged(rule: Rule, found: Measured | NotMeasured, rows: int, sensitive: frozenset[str]) -> RuleResult:
    fields = fields_of(rule)
    expected = _expected(rule)
    counted = what_is_counted(rule)
    if isinstance(found, NotMeasured):
        note = " ".join(found.why.split())
        return RuleResult(rule.name, counted, expected, "-", Verdict.ERROR, rule.description, fields, note)
    withheld = not sensitive.isdisjoint(fields)
    holds, observed = _held(rule, found.number, rows)
    if withheld and isinstance(rule, Freshness):  # the age tells the value
        observed = f"{'at most' if holds else 'more than'} {span_in_words(rule.at_most)}"
    samples = () if holds or withheld else tuple(_short(text) for text in found.samples[:SAMPLES])
    return RuleResult(
        rule.name,
        counted,
        expected,
        observed,
        Verdict.PASSED if holds else Verdict.FAILED,
        rule.description,
        fields,
        "" if withheld else found.note,
        samples,
        withheld=withheld and not holds,
    )


def _expected(rule: Rule) -> str:
    match rule:
        case RowConservation():
            return "0"
        case Freshness(at_most=at_most):
            return f"at most {span_in_words(at_most)}"
        case _:
            return limit_in_words(rule.limit)


def _held(rule: Rule, number: float, rows: int) -> tuple[bool, str]:
    """Whether the number is as it must be, and the number in words."""
    match rule:
        case RowConservation():
            return number == 0, number_in_words(number, Unit.ROWS)
        case Freshness(at_most=at_most):
            age = timedelta(seconds=number)
            told, most = span_in_words(age), span_in_words(at_most)
            return age <= at_most, f"more than {most}" if age > at_most and told == most else told
        case _:
            limit: Limit = rule.limit
            if limit.unit is Unit.PERCENT:
                number = 100 * number / rows if rows else 0.0
            return limit.holds(number), number_in_words(number, limit.unit, limit)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SAMPLE else f"{text[:_LONGEST_SAMPLE]}..."
