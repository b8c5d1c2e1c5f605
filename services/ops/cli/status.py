"""`smelt status`: prints one screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.console import (
    JsonFlag,
    RegionOption,
    explain,
    finish,
    make_table,
    one_line,
    results,
    say,
    show,
    show_json,
)
from services.ops.cli.options import DeadLettersOption, FailuresOption, QueueOption, TableOption
from services.ops.errors import OperatorError
from services.ops.status.queues import NAMES, depths
from services.ops.status.status import LIMIT, Glance, Status
from services.ops.words import percent, span
from services.shared.aws import aws_client
from services.shared.errors import Transient
from services.shared.ledger.gates import Said
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Outbox

_MOST = 100_000
_SECONDS = 5
_FOLLOWERS = {Outbox.PUBLISH: "the lake's publisher", Outbox.EVENTS: "the gate's announcer"}
_GATES_NAMED = 3  # partitions that have not passed, of each dataset


def show_status(
    table: TableOption = "",
    queue: QueueOption = "",
    dead_letters: DeadLettersOption = "",
    failures: FailuresOption = "",
    region: RegionOption = None,
    limit: Annotated[
        int, typer.Option(metavar="N", help="Look at about N objects, units and lots; more are said to be more.")
    ] = LIMIT,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(metavar="N", help="With --watch: every N seconds.")] = _SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """How the pipeline is doing: open work, today's rows, how late each dataset is, depth of the queues. Reads only.

    Exits with 1 if something waits for a person. It reads the index of open work, never the whole ledger. `make
    status` takes the names from Terraform.

    Example: smelt status --watch
    """
    if not table:
        raise OperatorError(
            "No pipeline given: pass --table, or set LEDGER_TABLE; or run `make status ENV=dev`, which takes the names "
            "from Terraform."
        )
    if not 1 <= limit <= _MOST:
        raise OperatorError(f"--limit is {limit}; it must be from 1 to {_MOST:,}.")
    if not 1 <= every <= 3600:
        raise OperatorError(f"--every is {every}; it must be from 1 to 3600 seconds.")
    if watch and as_json:
        raise OperatorError("--watch is for people, --json for programs: choose one of them.")
    urls = dict(zip(NAMES, (queue, dead_letters, failures), strict=True))
    try:
        glance = Glance(Ledger(aws_client("dynamodb", region), table), limit)
        sqs = aws_client("sqs", region)

        def look() -> Status:
            return glance.look(depths(sqs, urls))

        status = look()
    except (BotoCoreError, ClientError, Transient) as error:
        raise OperatorError(f"Cannot look at the pipeline of {table}: {explain(error)}") from error
    if watch:
        _watch(table, status, look, every)
    if as_json:
        show_json(as_document(table, status))
    else:
        _show(table, status)
    finish(all_right=not status.needs)


def _watch(table: str, status: Status, look: Callable[[], Status], every: float) -> None:
    """Until Ctrl-C. An answer that does not come is told below the last one, and the next one is waited for."""
    problem = ""
    while True:
        if results.is_terminal:
            results.clear()
        _show(table, status)
        if problem:
            say(f"no answer since then: {problem}", style="red")
        time.sleep(every)
        try:
            status, problem = look(), ""
        except Exception as error:
            said = explain(error)
            if said is None:  # a bug
                raise
            problem = said


def as_document(table: str, status: Status) -> dict[str, object]:
    """The JSON that docs/operations.md describes."""
    return {
        "at": status.at.isoformat(timespec="seconds"),
        "table": table,
        "all_right": not status.needs,
        "needs": [{"number": number, "what": what, "command": command} for number, what, command in status.needs],
        "more_than_limit": sorted(status.more),
        "objects": dict(status.objects),
        "objects_finished_today": dict(status.finished),
        "units_of_open_objects": dict(status.units),
        "lots": dict(status.lots),
        "lots_committed_today": status.lots_committed,
        "rows_today": {
            "read": status.rows.read,
            "silver": status.rows.silver,
            "quarantined": status.rows.quarantined,
        },
        "oldest": status.oldest
        and {"object": str(status.oldest.id), "state": status.oldest.state, "since": status.oldest.since.isoformat()},
        "overdue": status.overdue,
        "taken_out": status.taken_out,
        "datasets": [
            {
                "dataset": one.name,
                "open": one.open,
                "oldest_open": one.oldest_open and one.oldest_open.isoformat(),
                "done_today": one.done,
                "last_done": one.last_done and one.last_done.isoformat(),
                "lag_seconds": one.lag and round(one.lag.total_seconds(), 1),
                "rows_read": one.rows.read,
                "rows_silver": one.rows.silver,
                "rows_quarantined": one.rows.quarantined,
            }
            for _, one in sorted(status.datasets.items())
        ],
        "queues": {
            name: {"visible": depth.visible, "in_flight": depth.in_flight, "delayed": depth.delayed}
            for name, depth in status.queues.items()
        },
        "gates": [
            {
                "dataset": gate.dataset,
                "last": _said(gate.last),
                "not_passed": [_said(said) for _, said in sorted(gate.not_passed.items())],
            }
            for gate in status.gates
        ],
        "marks": {
            outbox: {"waiting": marks.number, "oldest": marks.oldest and marks.oldest.isoformat()}
            for outbox, marks in status.marks.items()
        },
    }


def _show(table: str, status: Status) -> None:
    rows = status.rows
    screen = make_table(f"{table}, {status.at:%Y-%m-%d %H:%M:%S} UTC", "", "open", "today (UTC)")
    screen.add_row("objects", _words(status.objects, "object", status), _words(status.finished, "done", status))
    screen.add_row("units", _words(status.units, "unit", status), "")
    committed = {"committed": status.lots_committed} if status.lots_committed else {}
    screen.add_row("lots", _words(status.lots, "lot", status), _words(committed, "committed", status))
    share = f" ({percent(rows.quarantined, rows.read)})" if rows.quarantined else ""
    in_silver = f"{rows.read:,} in = {rows.silver:,} Silver + {rows.quarantined:,} quarantined{share}"
    screen.add_row("rows", "", f"{_more('committed', status)}{in_silver}")
    show(screen)
    if status.oldest:
        show(f"oldest open, for {_ago(status.at, status.oldest.since)}: {status.oldest.id}")
    if status.datasets:
        _show_datasets(status)
    if status.gates:
        _show_gates(status)
    if status.queues:
        _show_queues(status)
    for outbox, marks in status.marks.items():
        oldest = f", the oldest for {_ago(status.at, marks.oldest)}" if marks.oldest else ""
        show(f"lots that wait for {_FOLLOWERS[outbox]}: {_more(outbox, status)}{marks.number:,}{oldest}")
    for number, what, command in status.needs:
        show(f"{number:,} {what}: `{command}`", style="yellow")
    if status.more:
        show("Not all was looked at: raise --limit for more.")


def _show_datasets(status: Status) -> None:
    columns = ("open", "oldest", "done", "last", "lag", "refused")
    datasets = make_table("", "dataset", *columns, right=columns)
    for name, one in sorted(status.datasets.items()):
        datasets.add_row(
            one_line(name),
            f"{one.open:,}",
            _ago(status.at, one.oldest_open),
            f"{one.done:,}",
            _ago(status.at, one.last_done),
            span(one.lag),
            f"{one.rows.quarantined:,}",
        )
    show(datasets)


def _said(said: Said) -> dict[str, str]:
    return {"dt": said.dt, "verdict": said.verdict, "run": said.run, "at": said.at.isoformat(timespec="seconds")}


def _show_gates(status: Status) -> None:
    columns = ("last judged", "verdict", "ago", "not passed")
    gates = make_table("", "gate", *columns, right=("ago",))
    for gate in status.gates:
        newest = sorted(gate.not_passed.values(), key=lambda said: said.dt, reverse=True)
        named = ", ".join(f"{said.dt} {said.verdict}" for said in newest[:_GATES_NAMED])
        more = f", {len(newest) - _GATES_NAMED:,} more" if len(newest) > _GATES_NAMED else ""
        gates.add_row(gate.dataset, gate.last.dt, gate.last.verdict, _ago(status.at, gate.last.at), named + more or "-")
    show(gates)


def _show_queues(status: Status) -> None:
    columns = ("visible", "in flight", "delayed")
    queues = make_table("", "queue", *columns, right=columns)
    for name, depth in status.queues.items():
        queues.add_row(NAMES[name], *(f"{number:,}" for number in (depth.visible, depth.in_flight, depth.delayed)))
    show(queues)


def _words(counts: Mapping[Any, int], kind: str, status: Status) -> str:
    """Such as `more than 3 planned, 1 planning`."""
    found = ", ".join(
        f"{number:,} {str(word).lower().replace('_', ' ')}" for word, number in sorted(counts.items()) if number
    )
    return f"{_more(kind, status)}{found}" if found else "-"


def _more(kind: str, status: Status) -> str:
    return "more than " if kind in status.more else ""


def _ago(now: datetime, then: datetime | None) -> str:
    return span(now - then) if then else "-"
