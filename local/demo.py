"""The demo: the whole pipeline on the embedded emulator, from generated files to answered queries.

Every run adds its own events to what earlier runs left under `.smelt/`, and ends with the account of every row.
"""

from __future__ import annotations

import bz2
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.athena import LocalAthena
from local.ministack import ROOT, deploy, ministack
from local.stack import Clients, Names, Resources
from services.shared.contract import Contract, load_contracts
from services.shared.ledger import Ledger, Lot, LotState, Lookup
from services.shared.units import BronzeObject, Unit, plan

STATE = ROOT / ".smelt"
UNIT_BYTES = 4 * 1024 * 1024  # small, so that the demo shows an object being cut; the default is 64 MiB
console = Console()
app = typer.Typer(add_completion=False, help=__doc__)


@dataclass(frozen=True)
class Upload:
    """A Bronze file of this run: where it goes, its bytes, and how many rows it holds."""

    key: str
    data: bytes
    rows: int
    note: str


@contextmanager
def pipeline(state: Path) -> Iterator[tuple[Clients, Resources]]:
    """The pipeline on an emulator whose buckets and ledger live in `state`."""
    state.mkdir(parents=True, exist_ok=True)
    with console.status("starting the emulator and deploying the pipeline ..."), ministack(
        state, state / "emulator.log"
    ) as endpoint:
        clients, resources = deploy(endpoint, environment={"UNIT_BYTES": str(UNIT_BYTES)})
        console.print(f"pipeline up on {endpoint}", style="dim")
        yield clients, resources
