"""What one run of the gate judges: the committed files of a partition, the rows that the ledger counts, the contract.

A plan names its files, because a listing would be wrong in both ways: a lot that is being written has files that no
commit counts yet, one that was dissolved may still have some, and a file that was deleted is in no listing at all.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from services.shared.contract.loader import load_contract
from services.shared.contract.model import Contract
from services.shared.errors import Terminal
from services.shared.identities import GateRun

FORMAT = 1


class PlanError(Terminal):
    """A plan that cannot be used."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One committed file: its key, and its rows as the ledger counts them."""

    key: str
    rows: int


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a run judges.

    `root` is where the keys are: `s3://bucket`, or a folder. `newest` are the files of the dataset's newest partition,
    which say how fresh the dataset is. `missing` are files that the ledger counts and nobody finds.
    """

    run: GateRun
    root: str
    contract_text: str  # the contract file, so that the job judges by the contract of whoever planned
    planned: datetime
    files: tuple[PlannedFile, ...]
    newest: tuple[PlannedFile, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of the partition, as the ledger counts them."""
        return sum(file.rows for file in self.files)

    def contract(self) -> Contract:
        """The contract, through the one loader.

        Raises:
            ContractError: it cannot be used.
            PlanError: it is the contract of another dataset.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{self.run.record_type}.yaml")
            file.write_text(self.contract_text, "utf-8")
            contract = load_contract(file)
        if contract.dataset != self.run.record_type:
            raise PlanError(f"{self.run.plan}: its contract describes {contract.dataset}, not {self.run.record_type}")
        return contract

    def to_json(self) -> str:
        listed = {name: [[file.key, file.rows] for file in getattr(self, name)] for name in ("files", "newest")}
        document = asdict(self) | {
            "format": FORMAT,
            "run": str(self.run),
            "planned": self.planned.isoformat(),
            "rows": self.rows,
            **listed,
        }
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """
        Raises:
            PlanError: it is not a plan, or one of another version of smelt.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != FORMAT:
                raise PlanError(f"The plan has format {document['format']!r}; this job reads {FORMAT}. Plan again.")
            return cls(
                run=GateRun.parse(document["run"]),
                root=document["root"],
                contract_text=document["contract_text"],
                planned=datetime.fromisoformat(document["planned"]),
                files=tuple(PlannedFile(key, int(rows)) for key, rows in document["files"]),
                newest=tuple(PlannedFile(key, int(rows)) for key, rows in document["newest"]),
                missing=tuple(document["missing"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PlanError(f"This is not a plan of the gate: {error!r}. Plan again.") from error
