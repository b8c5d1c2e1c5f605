"""`smelt status --watch` while AWS does not answer: who looks at the screen sees that its figures are old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.parsers import ResponseParserError

from services.ops.cli import status as command
from services.ops.status.status import Status


class _CtrlC(Exception):
    """Ends the watch."""


def test_an_answer_that_does_not_come_is_told_below_the_old_figures_until_one_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screens: list[str] = []
    answers: list[Callable[[], Status]] = [_no_answer, _no_answer, _answer]

    def sleep(_seconds: float) -> None:  # so long the screen stays
        told = capsys.readouterr()
        screens.append(told.out + told.err)
        if not answers:
            raise _CtrlC

    terminal = SimpleNamespace(is_terminal=True, clear=capsys.readouterr)
    monkeypatch.setattr(command, "results", terminal)
    monkeypatch.setattr(command.time, "sleep", sleep)
    with pytest.raises(_CtrlC):
        command._watch("a-ledger", _answer(), lambda: answers.pop(0)(), 1)
    assert all("a-ledger, 2026-01-31" in screen for screen in screens)
    assert ["no answer" in screen for screen in screens] == [False, True, True, False]
    assert "Could not connect to the endpoint" in screens[1]


def _answer() -> Status:
    return Status(datetime(2026, 1, 31, tzinfo=UTC))


def _no_answer() -> Status:
    raise EndpointConnectionError(endpoint_url="https://example.com")


@pytest.mark.parametrize(
    ("error", "ends"), [(ResponseParserError("invalid XML: <html>"), _CtrlC), (ZeroDivisionError(), ZeroDivisionError)]
)
def test_the_page_of_a_proxy_is_told_and_a_bug_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, ends: type[Exception]
) -> None:
    looks = [error, _CtrlC()]

    def look() -> Status:
        raise looks.pop(0)

    monkeypatch.setattr(command.time, "sleep", lambda _seconds: None)
    with pytest.raises(ends):
        command._watch("a-ledger", _answer(), look, 1)
    assert ("it is not AWS's" in capsys.readouterr().err) == (ends is _CtrlC)
