"""What a replay did, for a person or as JSON. services/ops/cli/replay.py has the commands."""

from __future__ import annotations

from services.ops.cli.console import make_table, show
from services.ops.replay.planning import Verdict
from services.ops.replay.running import Done, Result, Summary

_SHOWN = 20  # objects that are listed on a screen


def as_document(dry_run: bool, destination: str, resumed: str, summary: Summary) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "copies_to": destination or None,
        "resumed_behind": resumed or None,
        **summary.to_json(),
        "listed": [
            {
                "object": str(result.candidate.source.id),
                "verdict": result.candidate.verdict,
                "done": result.done,
                "units_missing": result.candidate.missing,
                "units_sent": result.units,
                "why": result.why,
            }
            for result in summary.listed
        ],
    }


_WOULD = {
    Verdict.UNFINISHED: "its missing units are sent",
    Verdict.NEVER_ANNOUNCED: "announced",
    Verdict.REJECTED: "judged again",
    Verdict.NOT_LOOKED_UP: "copied, and ingest decides",
    Verdict.FORCED: "retracted, then loaded again",
}
_ADVICE = {
    Done.NOT_ANNOUNCED: "ingest has never seen these: pass --ingest <function>, or run `smelt reconcile`",
    Done.KEY_TOO_LONG: "no room for the key of a copy: send these to the queue with scripts/replay_from_s3.py",
    Done.NOT_COPYABLE: "archived, forbidden, or under a key that may not be used here: restore them, or get access",
    Done.UNREADABLE: "their bytes cannot be read now, so their rows were left in Silver and quarantine",
    Done.LEFT: "somebody else is at work on these, or was stopped a moment ago: run the same command again in a minute",
    Done.COPIED_BEFORE: "copied by an earlier run: to copy them once more, use another --dest-prefix",
}


def show_summary(
    dry_run: bool, forced: bool, destination: str, with_ledger: bool, resumed: str, summary: Summary
) -> None:
    for result in summary.listed[:_SHOWN]:
        show(_line(result, dry_run))
        if result.why:
            show(f"  {result.why}")
    if len(summary.listed) > _SHOWN:
        show(f"and more; --json lists up to {len(summary.listed):,}")
    table = make_table("", "objects", "found", "done", right={"objects"})
    for (verdict, done), number in sorted(summary.objects.items()):
        what = _WOULD.get(verdict, "skipped") if dry_run else str(done)
        table.add_row(f"{number:,}", str(verdict), what)
    show(table)
    if forced and (retracted := summary.number(Verdict.RETRACTED)):
        show(
            f"{retracted:,} of these were retracted, and stay so. To load one of them after all, pass its whole key as "
            "--prefix",
            style="yellow",
        )
    if dry_run:
        show(f"{summary.missing:,} units are missing; nothing was changed")
    elif destination:
        show(f"{summary.number(Done.COPIED):,} copies ({summary.bytes / 1e6:,.1f} MB) under {destination}/")
    else:
        show(f"{summary.units:,} units sent")
    for done, advice in _ADVICE.items():
        if not dry_run and summary.number(done):
            show(f"{summary.number(done):,} {done}: {advice}", style="yellow")
    if resumed and not forced:
        show("Only what the earlier run had left was looked at: run this again to look at everything.")
    if not with_ledger:
        show(
            "Without --table nothing was looked up: ingest skips what is committed, and rejects copies of what it has "
            "never seen (unknown_origin). Pass --table and --ingest to announce those, or run `smelt reconcile`."
        )


def _line(result: Result, dry_run: bool) -> str:
    candidate = result.candidate
    what = _WOULD.get(candidate.verdict, "skipped") if dry_run else str(result.done)
    missing = f", {candidate.missing:,} units missing" if candidate.missing else ""
    reason = f" ({candidate.known.reason})" if candidate.known and candidate.known.reason else ""
    return f"{candidate.source.id}: {candidate.verdict}{reason}{missing}: {what}"
