"""What a trial found: plain values, and the JSON of them. Counts are rows unless they say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from services.ops.report.model import Refusal


@dataclass(slots=True)
class DatasetAccount:
    """What became of the rows of one dataset, by the record type of each row; `_unknown` where no contract has it."""

    silver: int = 0
    quarantined: int = 0
    rescued: int = 0  # of Silver's: rows with fields that the contract does not know
    files: int = 0  # of Silver
    bytes: int = 0  # of Silver's files


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was refused as a whole, or of which a part cannot be read."""

    file: str
    reason: str
    advice: str


@dataclass(slots=True)
class Account:
    """The whole trial. `complete` says that the rows that were read are those in Silver and quarantine."""

    out: str
    contracts: Mapping[str, str]  # dataset -> version, of the contracts that judged
    files: int = 0
    bytes: int = 0  # of the files, as they are stored
    rows: int = 0
    datasets: dict[str, DatasetAccount] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    refused_files: list[RefusedFile] = field(default_factory=list)
    unknown_fields: dict[str, dict[str, int]] = field(default_factory=dict)  # dataset -> key -> rows, of a sample
    seconds: float = 0.0
    jobs: int = 1
    complete: bool = True

    @property
    def silver(self) -> int:
        return sum(one.silver for one in self.datasets.values())

    @property
    def quarantined(self) -> int:
        return sum(one.quarantined for one in self.datasets.values())

    @property
    def all_right(self) -> bool:
        """Whether nothing was refused."""
        return self.complete and not self.quarantined and not self.refused_files

    def dataset(self, name: str) -> DatasetAccount:
        return self.datasets.setdefault(name, DatasetAccount())

    def as_document(self) -> dict[str, Any]:
        """The JSON that docs/workbench.md describes."""
        return {
            "all_right": self.all_right,
            "complete": self.complete,
            "out": self.out,
            "contracts": dict(self.contracts),
            "files": self.files,
            "bytes": self.bytes,
            "rows": {"read": self.rows, "silver": self.silver, "quarantined": self.quarantined},
            "seconds": round(self.seconds, 3),
            "jobs": self.jobs,
            "datasets": {name: asdict(one) for name, one in sorted(self.datasets.items())},
            "unknown_fields": self.unknown_fields,
            "refusals": [asdict(one) for one in self.refusals],
            "refused_files": [asdict(one) for one in self.refused_files],
        }
