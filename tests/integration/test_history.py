"""`smelt history` over a real ledger and bucket: the same before and after the ledger has let go of its items."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.stack import CREDENTIALS, Clients, create_bucket
from services.ops.cli.app import app
from services.ops.cli.console import execute
from services.ops.history.files import S3HistoryFiles
from services.ops.history.loads import Choice, LoadState, loads
from services.ops.history.reader import History
from services.ops.rewrite.retraction import Retraction
from services.shared.contract.model import Contract
from services.shared.units import BronzeObject
from tests.faults.rig import Rig, shipment
from tests.support.archive import NoArchive
from tests.support.history import DAY, MemoryHistory, let_expire, load_everything, run_archive
from tests.support.lake import BRONZE, Clock
from tests.support.rewriting import ENDLESS


@dataclass
class Loaded:
    """Two days ago: a file with bad rows, a large one, one of another dataset, a refused and an unfinished one."""

    rig: Rig
    silver: str
    small: BronzeObject
    large: BronzeObject
    other: BronzeObject
    refused: BronzeObject
    unfinished: BronzeObject


@pytest.fixture
def loaded(clients: Clients, ledger_table: str, contracts: dict[str, Contract]) -> Loaded:
    bucket = f"silver-{uuid.uuid4().hex[:12]}"
    create_bucket(clients.s3, bucket)
    rig = Rig(clients.dynamodb, ledger_table, contracts, clock=Clock(time.time() - 2 * DAY), silver=bucket)
    small = rig.upload("shipments", [shipment(1), b"{", b'{"event_time": 5}'])
    large = rig.upload("shipments", [shipment(n) for n in range(40)])
    other = rig.upload("nonsense", [shipment(2)])
    load_everything(rig)
    unfinished = rig.upload("shipments", [shipment(3)])
    refused = replace(small, key=f"bronze/shipments/{rig.name}.csv", etag="csv")
    rig.ledger.objects.reject(refused, "unsupported_format", "upload .jsonl")
    return Loaded(rig, bucket, small, large, other, refused, unfinished)


@dataclass
class Told:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Told]


@pytest.fixture
def smelt(
    loaded: Loaded, emulator: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": emulator}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LEDGER_TABLE", loaded.rig.table)
    monkeypatch.setenv("SILVER_BUCKET", loaded.silver)

    def command(*words: str) -> Told:
        code = execute(app, list(words))
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return command


def test_it_says_the_same_before_and_after_expiry(loaded: Loaded, smelt: Command) -> None:
    before = smelt("history", "--json")
    assert before.code == 0
    assert before.document["loads"] == {"total": 5, "done": 3, "rejected": 1, "retracted": 0, "in_progress": 1}
    assert before.document["rows"] == {"read": 44, "silver": 41, "quarantined": 3}
    reasons = Counter(row["reason"] for row in loaded.rig.lake.rows("quarantine"))
    assert before.document["refused"] == reasons
    archived = smelt("history", "archive", "--json")
    assert (archived.code, archived.document["objects"], archived.document["complete"]) == (0, 4, True)
    after = smelt("history", "--json")
    assert _by_object(after) == _by_object(before)
    assert let_expire(loaded.rig)
    gone = smelt("history", "--json", "--since", "2026-01-01")
    assert _by_object(gone) == _by_object(before)


def _by_object(told: Told) -> dict[str, Any]:
    listed = told.document["listed"]
    assert len({load["object"] for load in listed}) == len(listed)
    return {load["object"]: load for load in listed}


def test_a_load_tells_its_rows_reasons_and_files(loaded: Loaded, smelt: Command) -> None:
    smelt("history", "archive")
    let_expire(loaded.rig)
    (load,) = smelt("history", "--json", "--object", str(loaded.small.id)).document["listed"]
    assert (load["rows_read"], load["rows_silver"], load["rows_quarantined"]) == (3, 1, 2)
    reasons = {row["reason"] for row in loaded.rig.lake.rows("quarantine") if row["_source"] == str(loaded.small.id)}
    assert load["refused"] == dict.fromkeys(reasons, 1)
    holding = {row["_file"] for root in ("silver", "quarantine") for row in loaded.rig.lake.rows(root)
               if row["_source"] == str(loaded.small.id)}  # fmt: skip
    assert holding <= set(load["files"]) <= set(loaded.rig.lake.files)
    text = smelt("history", "--object", f"s3://{BRONZE}/{loaded.small.key}", "--files")
    assert f"  {load['files'][0]}" in text.out.splitlines()
    assert "3 rows = 1 Silver + 2 quarantined (" in text.out


@pytest.mark.parametrize("archived", [False, True])
def test_loads_are_chosen_by_dataset_state_time_and_name(loaded: Loaded, smelt: Command, archived: bool) -> None:
    if archived:
        smelt("history", "archive")

    def chosen(*words: str) -> set[str]:
        return {load["object"] for load in smelt("history", "--json", *words).document["listed"]}

    assert chosen("--dataset", "nonsense") == {str(loaded.other.id)}
    assert chosen("--state", "rejected") == {str(loaded.refused.id)}
    assert chosen("--state", "in_progress") == {str(loaded.unfinished.id)}
    assert chosen("--prefix", loaded.large.key) == {str(loaded.large.id)}
    assert chosen("--since", "2100-01-01") == {str(loaded.unfinished.id)}
    assert chosen("--until", "2020-01-01") == set()
    assert chosen("--object", str(loaded.refused.id)) == {str(loaded.refused.id)}
    assert chosen("--object", str(loaded.unfinished.id)) == {str(loaded.unfinished.id)}
    assert chosen("--object", "s3://elsewhere/x#y") == set()
    assert len(chosen("--limit", "2")) == 2


@pytest.mark.parametrize("name", ["a#b.jsonl", "a#b#c.jsonl", "export#20260131"])
def test_a_key_that_has_a_number_sign_is_found_without_its_etag(loaded: Loaded, smelt: Command, name: str) -> None:
    source = loaded.rig.plan(replace(loaded.small, key=f"bronze/shipments/{loaded.rig.name}/{name}"))
    told = smelt("history", "--json", "--object", f"s3://{BRONZE}/{source.key}")
    assert [load["object"] for load in told.document["listed"]] == [str(source.id)]


def test_the_text_says_why_a_file_was_refused_and_what_is_not_listed(loaded: Loaded, smelt: Command) -> None:
    told = smelt("history", "--limit", "2")
    assert "3 earlier loads are not listed" in told.out
    assert "5 loads since" in told.out and ": 3 done, 1 rejected, 1 in progress" in told.out
    refused = smelt("history", "--state", "rejected").out
    assert "  unsupported_format" in refused and "  upload .jsonl" in refused


def test_archiving_again_finds_nothing_and_says_so(smelt: Command) -> None:
    assert "4 objects and" in smelt("history", "archive").out
    assert "0 objects and 0 lots archived in 0 files" in smelt("history", "archive").out


def test_a_damaged_file_is_named_with_what_to_do(loaded: Loaded, smelt: Command, clients: Clients) -> None:
    smelt("history", "archive")
    (entry,) = clients.s3.list_objects_v2(Bucket=loaded.silver, Prefix="history/objects/")["Contents"]
    clients.s3.put_object(Bucket=loaded.silver, Key=entry["Key"], Body=b"PAR1")
    told = smelt("history")
    assert told.code == 2
    assert entry["Key"] in told.err and "Restore it" in told.err and "Traceback" not in told.err
    audit = smelt("audit", "--json", "--bronze-bucket", loaded.silver)
    codes = {finding["code"] for finding in audit.document["findings"]["listed"]}
    assert "history_damaged" in codes


@pytest.mark.parametrize("days", ["0", "4000"])
def test_a_retention_that_makes_no_sense_is_refused(smelt: Command, days: str) -> None:
    told = smelt("history", "archive", "--retention-days", days)
    assert (told.code, "--retention-days" in told.err) == (2, True)


def test_a_file_of_the_history_is_never_written_over(clients: Clients, loaded: Loaded) -> None:
    files = S3HistoryFiles(clients.s3, loaded.silver)
    assert files.read("history/x") is None
    assert (files.put_new("history/x", b"1"), files.put_new("history/x", b"2")) == (True, False)
    assert files.read("history/x") == b"1"


@pytest.mark.parametrize("step", ["begun", "all gone"])
@pytest.mark.parametrize("reload", [False, True])
def test_what_is_being_retracted_is_told_with_who_does_it(loaded: Loaded, reload: bool, step: str) -> None:
    """Whoever does it may have been killed: without this, the file would be in no list."""
    ledger = loaded.rig.ledger
    if step == "begun" or not reload:
        ledger.releases.begin(loaded.small.id, "Ann", "wrong file", reload)
    else:
        clock = loaded.rig.clock
        retraction = Retraction(ledger, loaded.rig.lake, "Ann", "wrong file", NoArchive(), clock, clock.advance)
        retraction.run(loaded.small.id, ENDLESS, reload=reload)
    for choice in (Choice(), Choice(states=frozenset({LoadState.RETRACTED})), Choice(object=str(loaded.small.id))):
        found = loads(ledger, History(MemoryHistory()), choice, 100)
        (load,) = [one for one in found.kept if one.id == loaded.small.id]
        assert (LoadState.of(load.state), load.by, load.note) == (LoadState.RETRACTED, "Ann", "wrong file")
        assert bool(load.tally.counts.read) is (step == "begun" or not reload)


@pytest.mark.parametrize("call", range(1, 7))
def test_nothing_is_told_twice_or_left_out_while_the_archive_runs(loaded: Loaded, call: int) -> None:
    rig = loaded.rig
    rig.clock.advance(DAY)
    history = MemoryHistory()
    calls = 0

    class Meanwhile:
        """The archive runs before this call to the history or the ledger's index."""

        def __getattr__(self, name: str) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                run_archive(rig, history)
            return getattr(history, name)

    dynamodb = rig.dynamodb

    class Watched:
        def __getattr__(self, name: str) -> Any:
            nonlocal calls
            if name in ("get_paginator", "batch_get_item"):
                calls += 1
                if calls == call:
                    run_archive(rig, history)
            return getattr(dynamodb, name)

    ledger = type(rig.ledger)(Watched(), rig.table, rig.clock)  # type: ignore[arg-type]
    found = loads(ledger, History(Meanwhile()), Choice(), 100)
    assert calls >= call
    assert sorted(str(load.id) for load in found.kept) == sorted(
        str(source.id) for source in (loaded.small, loaded.large, loaded.other, loaded.refused, loaded.unfinished)
    )
    assert found.states[LoadState.DONE] == 3
    assert found.counts.read == 44


def test_before_the_first_day_nothing_was_loaded(smelt: Command) -> None:
    found = smelt("history", "--until", "0001-01-01", "--json")
    assert (found.code, found.document["loads"]["total"], found.err) == (0, 0, "")
