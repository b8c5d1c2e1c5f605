"""`smelt retract`: prints what a retraction would do, asks, and prints what it did."""

from __future__ import annotations

from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from services.ops.cli.asking import ByOption, DryRunFlag, ReasonOption, YesFlag, confirm, operator
from services.ops.cli.console import JsonFlag, RegionOption, finish, say, sentence, show, show_json
from services.ops.cli.options import SilverOption, TableOption
from services.ops.cli.watching import watching
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.rewrite.naming import object_named
from services.ops.rewrite.retraction import Preview, Retracted, Retraction, preview
from services.shared.aws import aws_client
from services.shared.deadline import Deadline
from services.shared.lake import LakeUnavailable, S3Lake
from services.shared.ledger.ledger import Ledger
from services.shared.ledger.records import Counts, ObjectState


def retract_objects(
    objects: Annotated[
        list[str], typer.Argument(metavar="OBJECT...", help="s3://bucket/key#etag, or s3://bucket/key.")
    ],
    table: TableOption = "",
    silver_bucket: SilverOption = "",
    region: RegionOption = None,
    reason: ReasonOption = "",
    by: ByOption = "",
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take all rows of wrong files out of Silver and quarantine; rows of other files stay.

    From then on, the same bytes uploaded again load nothing; `smelt replay --force` with the object's whole key as
    --prefix loads them after all. Stopped, it goes on when it is run again.

    Example: smelt retract s3://bronze/bronze/shipments/a.jsonl --reason "sent twice"
    """
    if not (table and silver_bucket):
        raise OperatorError(
            "No pipeline given: pass --table and --silver-bucket, or set LEDGER_TABLE and SILVER_BUCKET."
        )
    if not (dry_run or reason.strip()):
        raise OperatorError("No reason given: pass --reason; the ledger keeps it for whoever asks later.")
    try:
        ledger, s3 = Ledger(aws_client("dynamodb", region), table), aws_client("s3", region)
        ledger.home.check_bucket(silver_bucket)
        history = History.of(s3, silver_bucket)
        found = [preview(ledger, history, object_named(name, ledger, s3)) for name in dict.fromkeys(objects)]
        previews = list({seen.known.id: seen for seen in found}.values())
        for seen in previews:
            if not as_json:
                _show_preview(seen)
        if dry_run:
            if as_json:
                show_json({"dry_run": True, "objects": [_preview_document(seen) for seen in previews]})
            finish(all_right=True)
        confirm(f"Take the rows of {len(previews)} object(s) out of Silver and quarantine?", yes)
        results: list[Retracted] = []
        with watching() as watch:
            retraction = Retraction(
                ledger, S3Lake(s3, silver_bucket), operator(by), reason, history, watch=watch, tell=say
            )
            for seen in previews:
                if not as_json and seen.lots and not seen.known.is_finished:
                    say(f"{seen.known.id}: if a worker is loading it, this waits until that one has ended.")
                results.append(retraction.run(seen.known.id, Deadline.endless()))
                if not as_json:
                    _show_done(results[-1])
    except (BotoCoreError, ClientError, LakeUnavailable) as error:
        raise OperatorError(
            f"Retracting from the ledger {table} and the bucket {silver_bucket} stopped: {sentence(error)} "
            "What was done is kept; run the same command again, and it goes on from there."
        ) from error
    if as_json:
        show_json({"dry_run": False, "objects": [_document(done) for done in results]})
    finish(all_right=True)


def _rows(counts: Counts) -> str:
    return f"{counts.silver:,} rows in Silver, {counts.quarantined:,} in quarantine"


def _show_preview(seen: Preview) -> None:
    known = seen.known
    show(str(known.id))
    if known.state is ObjectState.RETRACTED and not known.is_leaving:
        show("  retracted already; nothing is left of it")
        return
    committed = f"{seen.committed:,} of {known.plan.units:,} units in {seen.lots:,} lots"
    show(f"  {known.state.value}; {committed}: {_rows(seen.rows)}")


def _show_done(done: Retracted) -> None:
    show(str(done.id))
    if done.was_retracted:
        show(f"  was retracted before ({_rows(done.rows)}); nothing was changed")
        return
    show(f"  retracted: {_rows(done.rows)} are gone; 0 are left")
    if done.others_before.read or done.others_after.read:
        before, now = _rows(done.others_before), _rows(done.others_after)
        show(f"  other files' rows in the same lots: {before} before, {now} now")
    changes = done.changes
    show(f"  {changes.lots:,} lots rewritten, {changes.written:,} files written, {changes.deleted:,} deleted")
    if changes.waiting:
        show(
            f"  {len(changes.waiting):,} replaced files wait until the lake's tables do not name them: "
            "`smelt publish` does that, and the sweep deletes them. Until then the plain tables show their rows, too; "
            "the lake's tables never show both"
        )


def _counts(counts: Counts) -> dict[str, int]:
    return {"read": counts.read, "silver": counts.silver, "quarantined": counts.quarantined}


def _preview_document(seen: Preview) -> dict[str, object]:
    return {
        "object": str(seen.known.id),
        "state": seen.known.state,
        "units": seen.known.plan.units,
        "units_committed": seen.committed,
        "lots": seen.lots,
        "rows": _counts(seen.rows),
    }


def _document(done: Retracted) -> dict[str, object]:
    return {
        "object": str(done.id),
        "was_retracted": done.was_retracted,
        "rows": _counts(done.rows),
        "others_before": _counts(done.others_before),
        "others_after": _counts(done.others_after),
        "lots_rewritten": done.changes.lots,
        "files_written": done.changes.written,
        "files_deleted": done.changes.deleted,
        "files_waiting_for_the_lake": len(done.changes.waiting),
    }
