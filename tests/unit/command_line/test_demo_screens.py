"""What the demos print in the end is read by people, line by line."""

from __future__ import annotations

import shutil

import pytest

from local.demo import lake
from local.demo.screens import show_next


def test_what_to_try_next_is_one_line_for_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    show_next()
    printed = capsys.readouterr().out
    assert "\\n" not in printed
    assert [line.split()[:2] for line in printed.splitlines()[2:4]] == [["make", "demo"], ["make", "demo-flights"]]


def test_how_to_get_java_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "such as apt-get install" in lake._missing()
