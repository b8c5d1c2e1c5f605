"""`smelt dlq` and `smelt redrive` on a running pipeline: what failed is explained, sent back, and loaded once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from local.stack import CREDENTIALS
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.dead_letters import looking
from services.shared.units import Plan
from tests.integration.test_runbook import keep_failed_events, set_ledger, waiting
from tests.support.running import UNIT_BYTES, Running, await_true, deployed, json_lines, request

ROWS = 50


@dataclass
class Shell:
    """A shell whose environment names a pipeline."""

    pipeline: Running
    failures: str

    def smelt(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    def told(self, *arguments: str) -> tuple[int, Any]:
        result = self.smelt(*arguments, "--json")
        return result.exit_code, json.loads(result.stdout)

    @property
    def dead(self) -> str:
        return self.pipeline.queue_url(self.pipeline.names.dlq)


@pytest.fixture(scope="module")
def pipeline(emulator: str) -> Running:
    return deployed(emulator)


@pytest.fixture(scope="module")
def failures(pipeline: Running) -> str:
    return keep_failed_events(pipeline)


@pytest.fixture
def shell(pipeline: Running, failures: str, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    names = {
        "LEDGER_TABLE": pipeline.names.ledger_table,
        "QUEUE_URL": pipeline.queue_url(pipeline.names.queue),
        "DEAD_LETTER_QUEUE_URL": pipeline.queue_url(pipeline.names.dlq),
        "INGEST_FAILURES_QUEUE_URL": failures,
        "INGEST_FUNCTION": pipeline.names.ingest,
        "AWS_ENDPOINT_URL": emulator,
        "COLUMNS": "200",
    }
    for name, value in (CREDENTIALS | names).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(looking, "WAIT_SECONDS", 0)  # this emulator has one server to ask
    yield Shell(pipeline, failures)
    for url in (names["DEAD_LETTER_QUEUE_URL"], failures):
        pipeline.clients.sqs.purge_queue(QueueUrl=url)


def rows(contracts: dict[str, Any]) -> bytes:
    return json_lines(contracts["shipments"], request(ROWS, bad_rate=0.1))


def test_an_event_that_ingest_failed_on_is_explained_and_redriven(shell: Shell, contracts: dict[str, Any]) -> None:
    pipeline = shell.pipeline
    set_ledger(pipeline, "gone")
    source = pipeline.upload("bronze/shipments/a file+.jsonl", rows(contracts))
    await_true(lambda: waiting(pipeline.clients, shell.failures) == 1)
    set_ledger(pipeline, pipeline.names.ledger_table)

    code, shown = shell.told("dlq", "show", "--only", "events")
    (letter,) = shown["letters"]
    assert (code, letter["state"], letter["subject"], letter["datasets"]) == (1, "open", str(source.id), ["shipments"])
    assert "ResourceNotFoundException" in letter["error"]
    assert letter["detail"] == "the ledger does not know its object: the event was never planned"

    code, _ = shell.told("redrive", "--only", "events", "--dataset", "tracking_events")
    assert (code, waiting(pipeline.clients, shell.failures)) == (0, 1)
    code, redriven = shell.told("redrive", "--only", "events", "--error", "resourcenotfound")
    assert (code, redriven["queues"][0]["sent"]) == (0, {"open": 1})
    assert waiting(pipeline.clients, shell.failures) == 0
    await_true(lambda: bool(pipeline.lots_of(source)))
    landed = pipeline.rows_of(source)
    assert len(landed) == len({row["_offset"] for row in landed}) == ROWS


def test_a_dead_letter_is_explained_redriven_and_loaded_once(shell: Shell, contracts: dict[str, Any]) -> None:
    pipeline = shell.pipeline
    source = pipeline.upload("bronze/shipments/late.jsonl", rows(contracts))
    await_true(lambda: bool(pipeline.lots_of(source)))
    (known,) = Plan.of(source, UNIT_BYTES)
    # What transform sends: here for a unit that is committed meanwhile, beside one that is not a unit.
    reason = {"DataType": "String", "StringValue": "attempts_exhausted"}
    body = _message(shell, source.key, known.start, known.end)
    pipeline.clients.sqs.send_message(QueueUrl=shell.dead, MessageBody=body, MessageAttributes={"reason": reason})
    pipeline.clients.sqs.send_message(QueueUrl=shell.dead, MessageBody="not a unit")

    result = shell.smelt("dlq", "show")
    assert result.exit_code == 1  # one of them can never be work
    assert f"{known.id}\n" in result.stdout
    assert "committed: its rows were committed with lot" in result.stdout
    assert "2 dead letters: 1 committed, 1 malformed" in result.stdout
    assert "smelt dlq drop --committed" in result.stdout

    result = shell.smelt("redrive")
    assert result.exit_code == 1
    assert "InvalidAction" in result.stderr  # this emulator has no move task
    assert "dead letters: 2 looked at, 1 sent back to work (1 committed)" in result.stdout
    assert "1 stay (1 malformed)" in result.stdout
    await_true(pipeline.is_queue_empty)
    landed = pipeline.rows_of(source)
    assert len(landed) == len({row["_offset"] for row in landed}) == ROWS
    assert waiting(pipeline.clients, shell.dead) == 1


def _message(shell: Shell, key: str, start: int, end: int) -> str:
    """A unit's body as ingest sent it: with the event time that the ledger has."""
    from services.shared.ledger.ledger import Ledger

    ledger = Ledger(shell.pipeline.clients.dynamodb, shell.pipeline.names.ledger_table)
    (found,) = (one for one in ledger.scan() if hasattr(one, "plan") and one.source.key == key)  # type: ignore[union-attr]
    return found.plan.unit(0).to_message()  # type: ignore[union-attr]


class TestDropping:
    @pytest.fixture
    def poisoned(self, shell: Shell) -> Shell:
        for n in range(3):
            shell.pipeline.clients.sqs.send_message(QueueUrl=shell.dead, MessageBody=f"not a unit {n}")
        return shell

    def test_without_anybody_to_ask_it_refuses(self, poisoned: Shell, capsys: pytest.CaptureFixture[str]) -> None:
        assert execute(app, ["dlq", "drop", "--refused"]) == 2
        assert "Pass --yes to delete without asking. Nothing was deleted." in capsys.readouterr().err
        assert waiting(poisoned.pipeline.clients, poisoned.dead) == 3

    @pytest.mark.parametrize("more", [[], ["--yes"]], ids=["alone", "with --yes"])
    def test_a_dry_run_deletes_nothing(self, poisoned: Shell, more: list[str]) -> None:
        code, told = poisoned.told("dlq", "drop", "--refused", "--dry-run", *more)
        assert (code, told["queues"][0]["deleted"]) == (0, {"malformed": 3})
        assert waiting(poisoned.pipeline.clients, poisoned.dead) == 3

    def test_only_what_is_asked_for_is_deleted(self, poisoned: Shell) -> None:
        code, told = poisoned.told("dlq", "drop", "--committed", "--yes")
        assert (code, told["queues"][0]["deleted"]) == (0, {})
        code, told = poisoned.told("dlq", "drop", "--refused", "--yes")
        assert (code, told["queues"][0]["deleted"]) == (0, {"malformed": 3})
        assert waiting(poisoned.pipeline.clients, poisoned.dead) == 0


def test_looking_leaves_every_letter_visible(shell: Shell) -> None:
    for n in range(23):
        shell.pipeline.clients.sqs.send_message(QueueUrl=shell.dead, MessageBody=f"letter {n}")
    for _ in range(2):
        code, shown = shell.told("dlq", "show", "--limit", "3")
        assert (code, shown["queues"][0]["looked_at"], shown["letters_not_listed"]) == (1, 23, 20)
        found = shell.pipeline.clients.sqs.get_queue_attributes(
            QueueUrl=shell.dead, AttributeNames=["ApproximateNumberOfMessages"]
        )
        assert found["Attributes"]["ApproximateNumberOfMessages"] == "23"
    code, shown = shell.told("dlq", "show", "--max", "7")
    assert (shown["queues"][0]["looked_at"], shown["queues"][0]["complete"]) == (7, False)
