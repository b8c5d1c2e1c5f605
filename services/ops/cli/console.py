"""One way to print, to fail and to exit, for every command of smelt: `smelt`, scripts/ and infra/deploy.

- Results go to standard output, as text or (`--json`) as JSON. Messages and errors go to standard error.
- What a person can fix is explained in one sentence, without a stack trace. A stack trace is a bug in smelt.
- `--version` and the exit codes in `--help` are added to each command here.

It knows no command. docs/commands.md is the page for users.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from services.shared.errors import SmeltError, UnreadableItem


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    FOUND = 1  # it looked, and found something wrong
    FAILED = 2  # it could not do its work: wrong usage, no access, bad input
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 all right; 1 the command looked and found something wrong; "
    "2 it could not do its work (usage, access, input); 130 interrupted."
)
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RegionOption = Annotated[str | None, typer.Option(help="The AWS region.", envvar="AWS_DEFAULT_REGION")]


for _name in ("stdout", "stderr"):
    if getattr(sys, _name) is None:  # closed by whoever started this (`>&-`): written to nowhere
        setattr(sys, _name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 (for as long as the program runs)
if os.environ.get("COLUMNS", "").strip().isdecimal() and not int(os.environ["COLUMNS"]):
    del os.environ["COLUMNS"]  # as terminals without a known size say; nothing at all would be printed
# What moves the cursor, clears the screen, or turns the direction of writing. A key of Bronze may hold any of it, and
# whoever may upload must not be able to say what a command has found.
_MOVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class _PlainConsole(Console):
    """Prints every text, also one in a table, with such characters in a form that can be seen."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_MOVES.sub(_seen, text), **options)


def _seen(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


# Tables need a width. Where there is no terminal, 100 columns fit a CI log and a README.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
results = _PlainConsole(width=_WIDTH, highlight=False, emoji=False)
# On a terminal, messages break between words; elsewhere, each is one line.
messages = _PlainConsole(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def show(*what: RenderableType, style: str | None = None) -> None:
    """Print a part of the result: a table, or text on one line. Text is printed as it is, not as markup."""
    parts = [one_line(part) if isinstance(part, str) else part for part in what]
    results.print(*parts, style=style, markup=False, soft_wrap=all(isinstance(part, str) for part in what))


def one_line(text: str) -> str:
    """A name with a line break in it must not look like another line of the result."""
    return text.replace("\n", "\\n")


def make_table(title: str, *columns: str, right: Collection[str] = ()) -> Table:
    """A table for `show`, of which nothing is cut on a narrow terminal; the columns in `right` hold numbers."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def show_json(value: object) -> None:
    """Print the whole result as JSON; what JSON has no type for is printed as text."""
    results.print(json.dumps(value, indent=2, default=str), markup=False, soft_wrap=True)


def say(text: str, style: str | None = None) -> None:
    """Tell the person what is being done. Not a part of the result."""
    messages.print(one_line(text), style=style, markup=False)


def finish(*, all_right: bool) -> NoReturn:
    """End the command: 0 if what it looked at is all right, else 1."""
    raise typer.Exit(ExitCode.OK if all_right else ExitCode.FOUND)


def make_app(help_text: str) -> typer.Typer:
    """A program, or a group of commands in one."""
    return typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=help_text)


def run(command: typer.Typer | Callable[..., None], arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a program, or a function as a program of one command, and exit. Without `arguments`, those of the process."""
    sys.exit(execute(command, arguments))


def execute(command: typer.Typer | Callable[..., None], arguments: Sequence[str] | None = None) -> int:
    """The same without the exit: gives the exit code. Every error has been printed when it returns."""
    if not isinstance(command, typer.Typer):
        command, function = typer.Typer(add_completion=False), command
        command.command()(function)
    program: Any = typer.main.get_command(command)
    program.params.append(_version_option())
    _add_exit_codes(program)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as programs have it while they import packages
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = program.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:  # wrong usage
        if not _show_usage(error):
            _fail(error.format_message())
        return ExitCode.FAILED
    except typer.Abort:
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        _give_up_output()
        return ExitCode.FAILED
    except SystemExit as error:  # a sentence from code that was run; or 1 from rich and Typer where the reader is gone
        if isinstance(error.code, str):
            _fail(error.code)
        return ExitCode.FAILED if error.code else ExitCode.OK
    except Exception as error:  # noqa: BLE001 (the end of the program: each error gets a message and its exit code)
        message = explain(error)
        if message is None:
            with suppress(OSError):
                traceback.print_exception(error)
            message = "This is a bug in smelt: please report it with the lines above."
        _fail(message)
        _give_up_output()
        return ExitCode.FAILED
    if code == ExitCode.INTERRUPTED:
        _tell("Interrupted.")
    return code if isinstance(code, int) else ExitCode.OK


def explain(error: Exception) -> str | None:
    """The message about an error, with what to do next; None for a bug in smelt."""
    import botocore.exceptions as aws  # slow to import, and most commands never need it
    from botocore.parsers import ResponseParserError

    if isinstance(error, SmeltError | UnreadableItem):
        return str(error)
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError)):
        return (
            f"{error}. Sign in to AWS: run `aws configure` or `aws sso login`, or set AWS_PROFILE, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, (aws.SSOError, aws.TokenRetrievalError, aws.LoginError)):
        sign_in = "aws login" if isinstance(error, aws.LoginError) else "aws sso login"
        return f"{str(error).rstrip('.')}. Sign in to AWS again: run `{sign_in}`."
    if isinstance(
        error, aws.MissingDependencyException
    ):  # a profile of `aws login`, which Terraform does not read either
        return (
            f"This profile's credentials cannot be read here ({str(error).rstrip('.')}). Give them to this shell: "
            'unset AWS_PROFILE after `eval "$(aws configure export-credentials --format env)"`.'
        )
    if isinstance(error, aws.NoRegionError):
        return "No AWS region given: pass --region, or set AWS_DEFAULT_REGION."
    if isinstance(error, (aws.ConnectionError, aws.HTTPClientError)):
        return f"{error}. Check the region, the network and, if it is set, AWS_ENDPOINT_URL."
    if isinstance(error, ResponseParserError):
        return (
            "The answer cannot be read: it is not AWS's, but perhaps the page of a proxy or of a network that wants a "
            "sign-in. Check the network and, if it is set, AWS_ENDPOINT_URL."
        )
    if isinstance(error, aws.ClientError):
        return _explain_answer(error.response, error.operation_name)
    if isinstance(error, aws.ParamValidationError) and (
        wrong := re.search(r"Invalid bucket name \"[^\"]*\"", str(error))
    ):
        return f"{wrong[0]}. A name has 3 to 63 lowercase letters, digits, dots and hyphens."
    if isinstance(error, aws.BotoCoreError):
        said = str(error).rstrip(".")
        return f"{said}. Check the AWS settings of this shell (AWS_PROFILE, AWS_DEFAULT_REGION) and the names given."
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or "The output"
        return f"{where}: {error.strerror}. Free some space, or write elsewhere; then run this again."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and " AWS Error " in str(error):  # of the lake's files, which Arrow reads
        said = str(error).splitlines()[0].rstrip(".")
        return f"{said}. Check the network, and whether these credentials may read the file; then run this again."
    return None


def sentence(error: Exception) -> str:
    """The same as a whole sentence, where something follows it."""
    return f"{str(explain(error) or error).rstrip('.')}."


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


_CREDENTIALS_REFUSED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_OTHER_REGION = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


def _explain_answer(answer: Any, operation: str) -> str:
    code, message = answer["Error"].get("Code", "Unknown"), answer["Error"].get("Message", "").rstrip(".")
    what = f"AWS answered {operation} with {code}: {message}."
    if code in _CREDENTIALS_REFUSED:
        return f"{what} The credentials are wrong or have expired: sign in to AWS again."
    if "AccessDenied" in code or code in {"403", "Forbidden", "UnauthorizedOperation"}:
        return f"{what} These credentials need that permission; infra/terraform/permissions.json lists all of them."
    if code in _OTHER_REGION:
        return f"{what} It is in another region: pass --region, or set AWS_DEFAULT_REGION."
    if "NotFound" in code or code.startswith("NoSuch") or "NonExistent" in code or code in {"404", "InvalidAddress"}:
        return f"{what} Check the name and the region."
    return what


def _show_usage(error: Any) -> bool:
    """Print the usage and what is wrong with it, if this error can."""
    show_error = getattr(error, "show", None)
    if show_error:
        show_error()
    return show_error is not None


def _fail(message: str) -> None:
    """Names in a message may come from anywhere: what could move the cursor or clear the screen is left out."""
    message = "".join(char if char.isprintable() or char == "\n" else " " for char in message)
    with suppress(OSError):  # standard error may be full or closed; the exit code still tells
        messages.print("error:", style="bold red", end=" ")
        messages.print(message, style="red", markup=False)


def _tell(text: str) -> None:
    with suppress(OSError):
        say(text)


def _give_up_output() -> None:
    """Let Python write nothing more at exit: whoever read has stopped reading, as `head` does, or the disk is full."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _add_exit_codes(command: Any) -> None:
    command.epilog = EXIT_CODES
    for below in getattr(command, "commands", {}).values():
        _add_exit_codes(below)


def _print_version(asked: bool) -> None:
    if asked:
        show(f"smelt {_version()}")
        raise typer.Exit


def _with_version(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print smelt's version.")
    ] = False,
) -> None: ...


def _version_option() -> Any:
    """The option `--version`, as Typer makes it for a function that has one."""
    app = typer.Typer(add_completion=False)
    app.command()(_with_version)
    (option,) = (param for param in typer.main.get_command(app).params if param.name == "version")
    option.expose_value = False  # the command that gets this option has no such argument
    return option


def _version() -> str:
    try:
        return version("smelt")
    except PackageNotFoundError:  # a checkout whose packages were installed without smelt itself
        return "(not installed; run `make setup`)"
