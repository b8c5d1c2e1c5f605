"""Every command prints, fails and exits in the same way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from infra.deploy.cli.images import MISSING
from local.ministack import ROOT
from services.ops.cli.app import app
from services.ops.cli.console import EXIT_CODES, execute, finish, make_table, say, show, show_json
from services.ops.errors import OperatorError
from services.shared.contract.model import ContractError

Output = pytest.CaptureFixture[str]


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


class TestTheExitCode:
    @pytest.mark.parametrize(("all_right", "code"), [(True, 0), (False, 1)])
    def test_says_whether_something_wrong_was_found(self, all_right: bool, code: int) -> None:
        def command() -> None:
            finish(all_right=all_right)

        assert execute(command, []) == code

    def test_is_0_for_a_command_that_just_ends(self) -> None:
        def command() -> None:
            """Do nothing."""

        assert execute(command, []) == 0

    @pytest.mark.parametrize("arguments", [["--no-such-option"], ["surplus"]])
    def test_is_2_for_wrong_usage_and_the_usage_is_shown(self, arguments: list[str], capsys: Output) -> None:
        assert execute(raising(AssertionError()), arguments) == 2
        assert "Usage:" in capsys.readouterr().err

    def test_is_130_for_ctrl_c(self, capsys: Output) -> None:
        assert execute(raising(KeyboardInterrupt()), []) == 130
        assert capsys.readouterr().err == "Interrupted.\n"

    def test_is_130_where_a_question_is_left_unanswered(self) -> None:
        assert execute(raising(typer.Abort()), []) == 130

    def test_is_2_for_a_bug_and_only_a_bug_shows_a_stack_trace(self, capsys: Output) -> None:
        assert execute(raising(ZeroDivisionError("oops")), []) == 2
        told = capsys.readouterr().err
        assert "Traceback" in told
        assert "bug in smelt" in told

    def test_is_2_where_code_that_is_run_exits_with_a_sentence(self, capsys: Output) -> None:
        assert execute(raising(SystemExit("flights are not installed")), []) == 2
        assert "flights are not installed" in capsys.readouterr().err


def answer(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "No."}}, "DescribeTable")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OperatorError("No pipeline given: pass --table."), "No pipeline given: pass --table."),
        (ContractError("parcels.yaml: [bold] is not a type"), "parcels.yaml: [bold] is not a type"),
        (NoCredentialsError(), "Sign in to AWS"),
        (NoRegionError(), "set AWS_DEFAULT_REGION"),
        (EndpointConnectionError(endpoint_url="http://nowhere"), "http://nowhere"),
        (EndpointConnectionError(endpoint_url="http://nowhere"), "AWS_ENDPOINT_URL"),
        (answer("ResourceNotFoundException"), "Check the name and the region"),
        (answer("NoSuchBucket"), "Check the name and the region"),
        (answer("AccessDenied"), "permissions.json"),
        (answer("ExpiredToken"), "sign in to AWS again"),
        (answer("PermanentRedirect"), "another region"),
        (answer("Throttling"), "AWS answered DescribeTable with Throttling: No."),
        (FileNotFoundError(2, "No such file or directory", "plan.json"), "plan.json: No such file or directory"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value[:20],
)
def test_an_error_is_a_sentence_without_a_stack_trace(error: Exception, advice: str, capsys: Output) -> None:
    assert execute(raising(error), []) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert advice in told.err
    assert "Traceback" not in told.err


def test_results_go_to_standard_output_and_messages_to_standard_error(capsys: Output) -> None:
    def command() -> None:
        say("looking ...")
        show("[red] is text, " + "and long lines stay whole " * 10)

    assert execute(command, []) == 0
    told = capsys.readouterr()
    assert told.err == "looking ...\n"
    assert told.out == "[red] is text, " + "and long lines stay whole " * 10 + "\n"


def test_json_is_json_whatever_its_values_are(capsys: Output) -> None:
    value = {"name": "[bold]é", "long": "x" * 500, "path": ROOT}
    execute(lambda: show_json(value), [])
    assert json.loads(capsys.readouterr().out) == value | {"path": str(ROOT)}


def test_version_is_printed_by_programs_and_by_single_commands(capsys: Output) -> None:
    assert [execute(app, ["--version"]), execute(raising(AssertionError()), ["--version"])] == [0, 0]
    assert re.fullmatch(r"(smelt \d+\.\d+\.\d+\n){2}", capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"], ["contracts", "check", "--help"]])
def test_the_help_of_every_command_says_the_exit_codes(arguments: list[str], capsys: Output) -> None:
    assert execute(app, arguments) == 0
    assert EXIT_CODES in " ".join(capsys.readouterr().out.split())


def test_the_documentation_lists_the_same_exit_codes() -> None:
    listed = re.findall(r"^\| (\d+) \|", (ROOT / "docs/commands.md").read_text(), re.MULTILINE)
    of_one_command = {str(MISSING)}
    assert [code for code in listed if code not in of_one_command] == re.findall(r"\b\d+\b", EXIT_CODES)
    assert of_one_command <= set(listed)


def test_an_error_cannot_command_the_terminal(capsys: Output) -> None:
    assert execute(raising(OperatorError("no table 'a\x1b[2Jb\x07'\nsecond line")), []) == 2
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "second line" in printed


def test_a_program_without_a_command_shows_its_help(capsys: Output) -> None:
    assert execute(app, []) == 2
    assert "audit" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "body",
    [
        "while True: show('x' * 100)",
        "while True: sys.stdout.buffer.write(b'x' * 100)",
        "show('x' * 10); sys.stdin.read(); sys.stdout.buffer.write(b'x')",
    ],
    ids=["a long text", "many bytes", "a few bytes that are written at the end"],
)
def test_a_reader_that_goes_away_ends_the_command_quietly_with_2(body: str) -> None:
    program = (
        "import sys\n"
        "from services.ops.cli.console import run, show\n"
        "def command() -> None:\n"
        f"    {body}\n"
        "run(command, [])\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=buffered, **pipes) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.read(10)
        process.stdout.close()
        process.stdin.close()
        assert (process.wait(30), process.stderr.read()) == (2, b"")


def test_text_is_printed_as_it_is_also_where_it_looks_like_an_emoji_or_markup(capsys: Output) -> None:
    show("a :smile: [red]b[/red]")
    show_json({"a": ":smile:"})
    assert capsys.readouterr().out == 'a :smile: [red]b[/red]\n{\n  "a": ":smile:"\n}\n'


def test_a_name_with_a_line_break_stays_on_its_line(capsys: Output) -> None:
    show("bronze/a\n0 findings: done", "and more")
    say("bronze/a\n0 findings")
    shown = capsys.readouterr()
    assert shown.out == "bronze/a\\n0 findings: done and more\n"
    assert shown.err == "bronze/a\\n0 findings\n"


@pytest.mark.parametrize("moving", ["\x1b[2J", "\x9b2J", "\r", "\x08", "\u202e", "\u2028", "\ud800"])
def test_a_name_cannot_move_the_cursor_wherever_it_is_printed(moving: str, capsys: Output) -> None:
    """Whoever may upload chooses keys, and must not be able to say what a command has found."""
    name = f"bronze/a{moving}b.jsonl"
    table = make_table("", "object")
    table.add_row(name)
    show(f"oldest open: {name}")
    show(table)
    say(name)
    shown = capsys.readouterr()
    seen = f"bronze/a{moving.encode('unicode_escape').decode()}b.jsonl"
    assert shown.out.count(seen) == 2
    assert seen in shown.err
    assert moving not in shown.out + shown.err
