"""A lake of its own for each test, or for each try within a test."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from services.shared.contract.model import Contract
from tests.lake.rig import LakeRig, Make


@pytest.fixture
def make(tmp_path: Path, contracts: dict[str, Contract]) -> Make:
    numbers = count()
    return lambda: LakeRig(tmp_path / f"lake-{next(numbers)}", contracts)


@pytest.fixture
def lake(make: Make) -> LakeRig:
    return make()
