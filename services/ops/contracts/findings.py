"""What a check of contracts finds, and the error that says that it cannot be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.ops.errors import OperatorError
from services.shared.contract.model import Contract


class CheckError(OperatorError):
    """The check itself cannot be done; the message says what to do."""


class Level(StrEnum):
    """What a finding means. PROBLEM and BREAKING refuse the contracts."""

    PROBLEM = "problem"
    BREAKING = "breaking"  # a breaking change without the version that announces it
    ANNOUNCED = "announced"  # a breaking change under a new major version
    COMPATIBLE = "compatible"
    NOTICE = "notice"  # what the file says and nothing acts on


REFUSED = {Level.PROBLEM, Level.BREAKING}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about one contract. `where` is its dataset, or its file where it could not be read.

    `file` and `line` (from 1) say where it is written, if it is about one place.
    """

    where: str
    level: Level
    what: str
    file: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = (self.file or self.where) + (f":{self.line}" if self.line else "")
        return f"{place}: {self.level.value}: {' '.join(self.what.split())}"  # one line, whatever YAML's errors are


@dataclass(frozen=True, slots=True)
class Report:
    """`datasets` are the contracts that could be read."""

    datasets: tuple[Contract, ...]
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        return not any(finding.level in REFUSED for finding in self.findings)
