"""One Spark session for a module's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.spark import PYTHON, Spark, running


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    if not PYTHON.exists() or shutil.which("java") is None:
        pytest.fail("Spark is not installed: run make test-spark, which says what is missing")
    with running(tmp_path_factory.mktemp("spark")) as session:
        yield session
