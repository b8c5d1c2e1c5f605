"""Every command in every bad situation: no stack trace, what to do next, the documented exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from infra.deploy.cli.app import app as deploy
from infra.deploy.cli.queues import create_queues, ensure_dlq
from local.demo.command import demo
from local.generate import generate
from local.ministack import ROOT
from services.ops.cli.console import execute
from services.ops.cli.replay import replay_from_s3, replay_via_s3_copy
from workbench.cli.app import app as smelt

Output = pytest.CaptureFixture[str]
NAMES = ["--table", "ledger", "--bronze-bucket", "bronze", "--silver-bucket", "silver"]
QUEUE = "http://localhost/000000000000/events"
LOST = "silver/shipments/dt=2026-01-31/20260131T120000Z-0011223344556677-8899aabb.parquet"
LETTERS = ["--table", "ledger", "--dead-letters", f"{QUEUE}-dlq", "--failures", f"{QUEUE}-failures"]
REDRIVE = ["redrive", *LETTERS, "--queue", QUEUE, "--ingest", "ingest"]
REPLAYED = ["--bucket", "bronze", "--prefix", "bronze/shipments/", "--table", "ledger"]
# name: what runs, its arguments, and the same as a command line
ASKING_AWS: dict[str, tuple[Any, list[str], list[str]]] = {
    "audit": (smelt, ["audit", *NAMES], ["-m", "workbench.cli"]),
    "audit --unfinished": (smelt, ["audit", "--unfinished", *NAMES[:2]], ["-m", "workbench.cli"]),
    "dlq show": (smelt, ["dlq", "show", *LETTERS], ["-m", "workbench.cli"]),
    "dlq drop": (smelt, ["dlq", "drop", "--committed", *LETTERS], ["-m", "workbench.cli"]),
    "redrive": (smelt, REDRIVE, ["-m", "workbench.cli"]),
    "status": (smelt, ["status", *NAMES[:2], "--queue", QUEUE], ["-m", "workbench.cli"]),
    "history": (smelt, ["history", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "history archive": (smelt, ["history", "archive", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "report": (smelt, ["report", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "smoke": (smelt, ["smoke", *NAMES], ["-m", "workbench.cli"]),
    "sweep": (smelt, ["sweep", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "compact": (smelt, ["compact", "shipments", "2026-01-31", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "recompute": (smelt, ["recompute", "shipments", "2026-01-31", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "glue-job": (smelt, ["glue-job", "--job", "compact"], ["-m", "workbench.cli"]),
    "retract": (
        smelt,
        ["retract", "s3://bronze/bronze/a.jsonl", "--reason", "wrong", "--yes", *NAMES[:2], *NAMES[4:]],
        ["-m", "workbench.cli"],
    ),
    "quarantine show": (smelt, ["quarantine", "show", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "quarantine export": (smelt, ["quarantine", "export", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "quarantine retry": (smelt, ["quarantine", "retry", "--yes", *NAMES[:2], *NAMES[4:]], ["-m", "workbench.cli"]),
    "reconcile": (smelt, ["reconcile", *NAMES[:4], "--queue-url", QUEUE], ["-m", "workbench.cli"]),
    "reload": (
        smelt,
        ["reload", LOST, "--reason", "by hand", "--yes", *NAMES, "--queue-url", QUEUE],
        ["-m", "workbench.cli"],
    ),
    "replay": (smelt, ["replay", *REPLAYED, "--queue-url", QUEUE], ["-m", "workbench.cli"]),
    "replay_from_s3": (replay_from_s3, [*REPLAYED, "--queue-url", QUEUE], ["scripts/replay_from_s3.py"]),
    "replay_via_s3_copy": (
        replay_via_s3_copy,
        [*REPLAYED[:4], "--dest-prefix", "bronze/replay/1"],
        ["scripts/replay_via_s3_copy.py"],
    ),
    "create_sqs_queue": (create_queues, ["--name", "events", "--region", "us-east-2"], ["scripts/create_sqs_queue.py"]),
    "ensure_dlq_for_queue": (
        ensure_dlq,
        ["--queue-url", QUEUE, "--dlq-name", "events-dlq", "--region", "us-east-2"],
        ["scripts/ensure_dlq_for_queue.py"],
    ),
    "empty-buckets": (deploy, ["empty-buckets", "bronze"], ["-m", "infra.deploy"]),
}
PROGRAMS = {
    **{name: [*line, *arguments] for name, (_, arguments, line) in ASKING_AWS.items()},
    "contracts check": ["-m", "workbench.cli", "contracts", "check"],
    "contracts check --json": ["-m", "workbench.cli", "contracts", "check", "--json"],
    "gen_fake_events": ["scripts/gen_fake_events.py", "--type", "shipments", "--count", "5000", "--out", "-"],
    "help": ["-m", "workbench.cli", "--help"],
    "demo's help": ["-m", "local.demo", "--help"],
}


class Refusal(BaseHTTPRequestHandler):
    """AWS, as it refuses: with the code that is the first part of the path."""

    protocol_version = "HTTP/1.1"

    def refuse(self) -> None:
        code = self.server.code  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        as_json = "X-Amz-Target" in self.headers
        answer = f'{{"__type": "com.amazonaws#{code}", "message": "No."}}' if as_json else xml(code)
        self.send_response(301 if code == "PermanentRedirect" else 403)
        self.send_header("Content-Type", "application/x-amz-json-1.0" if as_json else "application/xml")
        self.send_header("Content-Length", str(len(answer)))
        if code == "PermanentRedirect":
            self.send_header("x-amz-bucket-region", "eu-west-1")  # as S3 always says
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.encode())

    do_GET = do_POST = do_HEAD = do_PUT = refuse  # noqa: N815 (http.server's names)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def xml(code: str) -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>"


@pytest.fixture
def refusing() -> Iterator[Callable[[str], str]]:
    """Gives the endpoint of an AWS that refuses everything with a code."""
    servers = []

    def start(code: str) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
        server.code = code  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A person who is signed in, with a region and an address that does not answer."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials


def told(what: Any, arguments: list[str], output: Output) -> str:
    """What a command says that must end with 2."""
    code = execute(what, arguments)
    printed = output.readouterr()
    assert (code, printed.out) == (2, ""), printed.err
    assert "Traceback" not in printed.err
    assert printed.err.startswith(("error: ", "Usage: "))
    return " ".join(printed.err.split())


@pytest.mark.parametrize("name", ASKING_AWS)
class TestACommandThatAsksAWS:
    @pytest.mark.parametrize(
        "endpoint", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://127.0.0.1:99999", "http://", "ftp://x", "x"]
    )
    def test_names_an_endpoint_that_does_not_work(
        self, name: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        said = told(*ASKING_AWS[name][:2], capsys)
        assert f'"{endpoint}' in said
        assert "AWS_ENDPOINT_URL" in said

    @pytest.mark.parametrize(("region", "said"), [("", "No AWS region given"), ("us east", "region_name 'us east'")])
    def test_names_a_region_that_cannot_be_one(
        self, name: str, region: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        arguments = [region if value == "us-east-2" else value for value in ASKING_AWS[name][1]]
        told_of = told(ASKING_AWS[name][0], arguments, capsys)
        assert said in told_of
        assert "AWS_DEFAULT_REGION" in told_of

    def test_says_how_to_sign_in(self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert "Sign in to AWS" in told(*ASKING_AWS[name][:2], capsys)

    def test_names_a_profile_that_does_not_exist(
        self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "prod")
        assert "profile (prod)" in told(*ASKING_AWS[name][:2], capsys)


@pytest.mark.parametrize("name", [name for name in ASKING_AWS if name != "empty-buckets"])
class TestACommandThatGetsAnAnswer:
    """`empty-buckets` asks with HEAD, whose answers carry no code."""

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            ("ExpiredToken", "sign in to AWS again"),
            ("UnrecognizedClientException", "sign in to AWS again"),
            ("AccessDenied", "infra/terraform/permissions.json"),
            ("ResourceNotFoundException", "Check the name and the region"),
            ("PermanentRedirect", "another region: pass --region"),
        ],
    )
    def test_says_what_to_do_where_aws_refuses(
        self,
        name: str,
        code: str,
        advice: str,
        refusing: Callable[[str], str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: Output,
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", refusing(code))
        assert advice in told(*ASKING_AWS[name][:2], capsys)

    def test_does_not_look_for_this_machine_behind_a_proxy(
        self, name: str, refusing: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", refusing("AccessDenied"))
        for proxy in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(proxy, "http://127.0.0.1:9")
        assert "AccessDenied" in told(*ASKING_AWS[name][:2], capsys)


@dataclass(frozen=True)
class Mistake:
    """A file, folder or value that is wrong, and what the message says of it."""

    what: Any
    arguments: list[str]
    said: str


ENVIRONMENTS = "infra/terraform/envs"
REGION = ["--region", "us-east-2"]
SHIPMENTS = ["--type", "shipments", "--out"]
MISTAKES = [
    Mistake(smelt, ["audit"], "No pipeline given: pass --table, --bronze-bucket and --silver-bucket"),
    Mistake(smelt, ["smoke"], "No pipeline given: pass --table, --bronze-bucket and --silver-bucket"),
    Mistake(deploy, ["empty-buckets", "a/b"], 'Invalid bucket name "a/b". A name has 3 to 63 lowercase letters'),
    Mistake(deploy, ["empty-buckets", "--terraform-dir", f"{ENVIRONMENTS}/new"], f"{ENVIRONMENTS}/new: no such folder"),
    Mistake(deploy, ["push-images", "--env", "new"], "No environment 'new'"),
    Mistake(smelt, ["sweep"], "No pipeline given: pass --table and --silver-bucket"),
    Mistake(smelt, ["audit", *NAMES, "--since", "yesterday"], "Invalid value for '--since'"),
    Mistake(smelt, ["audit", *NAMES, "--since", "20260131999"], "'20260131999' is not a time such as 2026-01-31"),
    Mistake(smelt, ["audit", *NAMES, "--until", "0001-01-01T00:00:00+05:00"], "is not a time such as 2026-01-31"),
    Mistake(smelt, ["audit", *NAMES, "--limit", "-1"], "Invalid value for '--limit'"),
    Mistake(smelt, ["audit", *NAMES, "--overdue-hours", "99999999999999"], "may be ten years at most"),
    Mistake(smelt, ["audit", *NAMES, "--quarantine-days", "99999999999999"], "may be ten years at most"),
    Mistake(smelt, ["audit", *NAMES, "--in-flight-minutes", "9999999999"], "may be ten years at most"),
    Mistake(smelt, ["smoke", *NAMES, "--minutes", "-1"], "--minutes is -1.0; it must be from 0 to 1440"),
    Mistake(smelt, ["smoke", *NAMES, "--minutes", "nan"], "--minutes is nan; it must be from 0 to 1440"),
    Mistake(smelt, ["dlq", "show"], "No pipeline given: pass --table and --dead-letters or --failures"),
    Mistake(smelt, ["dlq", "show", *LETTERS[:2]], "No pipeline given: pass --table and --dead-letters or --failures"),
    Mistake(smelt, ["dlq", "show", *LETTERS[:4], "--only", "events"], "No pipeline given: pass --table and"),
    Mistake(smelt, ["dlq", "show", *LETTERS, "--only", "all"], "Invalid value for '--only'"),
    Mistake(smelt, ["dlq", "show", *LETTERS, "--max", "-1"], "--max is -1; it must be from 0 to"),
    Mistake(smelt, ["dlq", "show", *LETTERS, "--since", "yesterday"], "Invalid value for '--since'"),
    Mistake(smelt, ["dlq", "drop", *LETTERS], "Nothing to drop: pass --committed or --refused"),
    Mistake(smelt, ["redrive"], "No pipeline given: pass --table and --dead-letters or --failures"),
    Mistake(smelt, ["redrive", *LETTERS], "Nowhere to send dead letters to: pass --queue"),
    Mistake(smelt, ["redrive", *LETTERS, "--queue", QUEUE], "Nowhere to send failed S3 events to: pass --ingest"),
    Mistake(smelt, [*REDRIVE, "--rate", "0"], "--rate is 0; it must be from 1 to 500"),
    Mistake(smelt, ["status"], "No pipeline given: pass --table"),
    Mistake(smelt, ["status", *NAMES[:2], "--limit", "0"], "--limit is 0; it must be from 1 to 100,000"),
    Mistake(smelt, ["status", *NAMES[:2], "--every", "nan"], "--every is nan; it must be from 1 to 3600"),
    Mistake(smelt, ["status", *NAMES[:2], "--watch", "--json"], "choose one of them"),
    Mistake(smelt, ["reconcile"], "No pipeline given: pass --table, --bronze-bucket and --queue-url"),
    Mistake(
        smelt, ["reconcile", *NAMES[:4], "--queue-url", QUEUE, "--older-than-minutes", "-1"], "from 0 to ten years"
    ),
    Mistake(smelt, ["compact", "shipments", "2026-01-31"], "No pipeline given: pass --table and --silver-bucket"),
    Mistake(smelt, ["recompute", "shipments", "2026-01-31"], "No pipeline given: pass --table and --silver-bucket"),
    Mistake(smelt, ["compact", "nothing", "2026-01-31", *NAMES[:2], *NAMES[4:]], "No contract is named 'nothing'"),
    Mistake(smelt, ["compact", "shipments", "31.1.", *NAMES[:2], *NAMES[4:]], "it must be a day such as 2025-12-31"),
    Mistake(
        smelt,
        ["compact", "shipments", "2026-01-31", *NAMES[:2], *NAMES[4:], "--on", "glue"],
        "No job given: pass --job, or set GLUE_JOB_NAME",
    ),
    Mistake(smelt, ["glue-job"], "No job given: pass --job, or set GLUE_JOB_NAME"),
    Mistake(smelt, ["reload", LOST], "No pipeline given: pass --table, --bronze-bucket"),
    Mistake(smelt, ["reload", LOST, *NAMES, "--queue-url", QUEUE], "No reason given: pass --reason"),
    Mistake(
        smelt,
        ["reload", "a.parquet", "--reason", "r", *NAMES, "--queue-url", QUEUE],
        "a.parquet is not a file of Silver or quarantine",
    ),
    Mistake(smelt, ["replay"], "Nothing to replay: pass --bucket (or set BRONZE_BUCKET) and --prefix"),
    Mistake(smelt, ["replay", *REPLAYED], "No way given: pass --queue-url and --table"),
    Mistake(
        smelt, ["replay", *REPLAYED, "--dest-prefix", "bronze/again"], "it must be bronze/replay/<name of the run>"
    ),
    Mistake(smelt, ["replay", *REPLAYED, "--dest-prefix", "bronze/replay/"], "its rows would be there twice"),
    Mistake(smelt, ["replay", *REPLAYED, "--queue-url", QUEUE, "--jobs", "0"], "--jobs is 0; it must be from 1 to 256"),
    Mistake(smelt, ["replay", *REPLAYED, "--queue-url", QUEUE, "--rate", "-1"], "--rate is -1.0; it must be 0"),
    Mistake(smelt, ["replay", *REPLAYED, "--queue-url", QUEUE, "--rate", "nan"], "--rate is nan; it must be 0"),
    Mistake(smelt, ["replay", *REPLAYED, "--queue-url", QUEUE, "--start", "soon"], "Invalid value for '--start'"),
    Mistake(
        smelt,
        ["replay", *REPLAYED, "--queue-url", QUEUE, "--start", "2026-01-02", "--end", "2026-01-01"],
        "must be before --end",
    ),
    Mistake(smelt, ["replay", "--bucket", "bronze", "--prefix", "silver/"], "Bronze begins with bronze/"),
    Mistake(replay_via_s3_copy, REPLAYED, "it must be bronze/replay/<name of the run>"),
    Mistake(replay_from_s3, REPLAYED, "No way given: pass --queue-url and --table"),
    Mistake(
        replay_from_s3, [*REPLAYED[:4], "--queue-url", "http://localhost/0/mine"], "(or set QUEUE_URL and LEDGER_TABLE)"
    ),
    Mistake(smelt, ["contracts", "check", "nowhere"], "nowhere: no such file or folder"),
    Mistake(smelt, ["contracts", "number", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file"),
    Mistake(smelt, ["contracts", "number", "contracts"], "contracts: cannot be read: Is a directory"),
    Mistake(smelt, ["contracts", "number", "README.md"], "README.md: is not YAML"),
    Mistake(smelt, ["contracts", "number", "/dev/null"], "/dev/null: is not a regular file"),
    Mistake(smelt, ["try"], "Missing argument 'FILE...'"),
    Mistake(smelt, ["try", "nowhere"], "nowhere: no such file or folder"),
    Mistake(smelt, ["try", "*.nothing"], "*.nothing: matches no file"),
    Mistake(smelt, ["try", "/dev/null"], "/dev/null: is not a file that can be read twice"),
    Mistake(smelt, ["try", "README.md"], "README.md: no contract for it"),
    Mistake(smelt, ["try", "README.md", "--jobs", "0"], "Invalid value for '--jobs'"),
    Mistake(smelt, ["try", "README.md", "--contract", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    Mistake(smelt, ["try", "README.md", "--contract", "README.md"], "README.md: is not YAML"),
    Mistake(smelt, ["try", "README.md", "--contract", "contracts"], "contracts: is a folder. Pass --contracts"),
    Mistake(smelt, ["try", "README.md", "--contracts", "nowhere"], "`smelt infer FILE... --name NAME"),
    Mistake(smelt, ["try", "README.md", "--dataset", "parcels"], "`smelt infer FILE... --name parcels"),
    Mistake(smelt, ["try", "README.md", "--dataset", "smoke", "--contract", "x"], "--contract or --dataset, not both"),
    Mistake(smelt, ["try", "README.md", "--dataset", "smoke", "--out", "docs"], "which would be deleted"),
    Mistake(smelt, ["infer", "README.md"], "Missing option '--name'"),
    Mistake(smelt, ["infer", "nowhere", "--name", "parcels"], "nowhere: no such file or folder"),
    Mistake(smelt, ["infer", "README.md", "--name", "Parcels"], "'Parcels' cannot be a dataset's name"),
    Mistake(smelt, ["infer", "README.md", "--name", "parcels", "--rows", "0"], "Invalid value for '--rows'"),
    Mistake(smelt, ["infer", "README.md", "--name", "parcels", "--out", "README.md"], "README.md: exists already"),
    Mistake(smelt, ["query"], "Pass one query in quotes, or --file"),
    Mistake(smelt, ["query", "SELECT 1", "--silver", "nowhere"], "nowhere: no such folder"),
    Mistake(smelt, ["query", "SELECT 1", "--silver", "docs"], "docs: holds no files such as silver/"),
    Mistake(smelt, ["query", "SELECT 1", "--format", "xml"], "Invalid value for '--format'"),
    Mistake(smelt, ["query", "--file", "nowhere.sql"], "nowhere.sql: No such file or directory"),
    Mistake(smelt, ["query", "--file", "local"], "local: Is a directory"),
    Mistake(smelt, ["query", "SELEC 1"], "Line 1, column"),
    Mistake(demo, ["nowhere"], "nowhere: no such folder. Pass a folder such as examples/flights"),
    Mistake(demo, ["README.md"], "README.md: no such folder"),
    Mistake(demo, ["contracts"], "It contains 4 contracts; missing files: export.py, queries.sql"),
    Mistake(demo, ["--state", "/dev/null"], "/dev/null"),
    Mistake(generate, [*SHIPMENTS, "nowhere/out.jsonl"], "nowhere/out.jsonl: No such file or directory"),
    Mistake(generate, [*SHIPMENTS, "contracts"], "contracts: Is a directory"),
    Mistake(generate, [*SHIPMENTS, "-", "--contracts", "README.md"], "README.md: no such folder"),
    Mistake(generate, [*SHIPMENTS, "-", "--count", "-1"], "count is -1; it must be 0 or more"),
    Mistake(generate, [*SHIPMENTS, "-", "--end", "0001-01-01"], "end (0001-01-01T00:00:00+00:00) is not after start"),
    Mistake(generate, ["--type", "parcels", "--out", "-"], "No contract for 'parcels'"),
    Mistake(smelt, ["contracts", "check", "--against", "nonsense"], "--against nonsense: no such revision in"),
    Mistake(smelt, ["contracts", "check", "--against", "nonsense"], "Pass a branch, tag or commit"),
    Mistake(create_queues, ["--name", "with.dots", "--region", "us-east-2"], "is not a valid queue name"),
    Mistake(create_queues, [*REGION, "--name", "q", "--max-receive-count", "99"], "greater than or equal to 100"),
    Mistake(ensure_dlq, [*REGION, "--queue-url", "events", "--dlq-name", "d"], "'events' is not a queue's URL"),
    Mistake(ensure_dlq, [*REGION, "--queue-url", "http://localhost/0/q", "--dlq-name", "d.d"], "'d.d' is not a valid"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: " ".join(mistake.arguments))
def test_a_wrong_name_file_or_value_is_named(mistake: Mistake, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.chdir(ROOT)
    assert mistake.said in told(mistake.what, mistake.arguments, capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
class TestAFullDisk:
    @pytest.mark.parametrize(
        "name", ["contracts check", "contracts check --json", "gen_fake_events", "help", "demo's help"]
    )
    def test_under_standard_output_is_told(self, name: str) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([sys.executable, *PROGRAMS[name]], cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
        said = done.stderr.decode()
        assert (done.returncode, "No space left on device" in said, "Traceback" in said) == (2, True, False), said

    def test_under_standard_error_changes_no_exit_code(self) -> None:
        wrong = [sys.executable, *PROGRAMS["contracts check"], "nowhere"]
        with Path("/dev/full").open("wb") as full:
            assert subprocess.run(wrong, cwd=ROOT, stderr=full).returncode == 2

    @pytest.mark.parametrize("rows", [5, 50_000])
    def test_under_a_file_is_told(self, rows: int, capsys: Output) -> None:
        said = told(generate, [*SHIPMENTS, "/dev/full", "--count", str(rows)], capsys)
        assert "No space left on device. Free some space, or write elsewhere" in said


@pytest.mark.parametrize("name", ["contracts check --json", "gen_fake_events", "help"])
def test_a_reader_that_goes_away_is_no_error_to_talk_about(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, *PROGRAMS[name]], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, b"")


def test_a_closed_standard_output_is_written_to_nowhere() -> None:
    line = f'"{sys.executable}" -m workbench.cli contracts check >&-'
    assert subprocess.run(line, shell=True, cwd=ROOT, capture_output=True).returncode == 0  # noqa: S602 (our own text)


@pytest.mark.parametrize("name", ASKING_AWS)
def test_ctrl_c_while_aws_does_not_answer_ends_it_with_130(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with subprocess.Popen([sys.executable, *PROGRAMS[name]], cwd=ROOT, stderr=subprocess.PIPE) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()  # now it waits for an answer
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
            connection.close()
    assert (process.returncode, said) == (130, b"Interrupted.\n")


@pytest.mark.parametrize("program", ["workbench.cli", "services.ops.cli", "local.demo"])
def test_ctrl_c_while_packages_are_imported_is_quiet(program: str) -> None:
    """The signal comes when the program looks for its first package."""
    code = (
        "import importlib.abc, os, runpy, signal, sys\n"
        "class Interrupting(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        f"runpy.run_module({program!r}, run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
