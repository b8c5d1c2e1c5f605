"""A person with files, the documents and the `smelt` program."""

from __future__ import annotations

from tests.unit.workbench.conftest import smelt  # noqa: F401 (a fixture)
