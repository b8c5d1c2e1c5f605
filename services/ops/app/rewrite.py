"""Rewriting without a laptop: retracts an object, or judges quarantined rows again, as long as an invocation lasts.

An operator invokes it (`aws lambda invoke`), and again with the `place` of the answer until that is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.errors import OperatorError
from services.ops.history.reader import History
from services.ops.rewrite.quarantine import S3Shelf, Selection
from services.ops.rewrite.retraction import Retraction
from services.ops.rewrite.retry import Retry
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.identities import ObjectId
from services.shared.lake import S3Lake
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _lake() -> S3Lake:
    return S3Lake(pipeline.s3(), pipeline.settings().silver_bucket)


@cache
def _contracts() -> dict[str, Contract]:
    return load_contracts(pipeline.settings().contracts_dir)


if pipeline.IN_LAMBDA:
    _lake(), _contracts(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Retract an object (`action` retract, `object`) or retry quarantined rows (`action` retry, `dataset`).

    Args:
        event: beside these, `by` and `reason` for the ledger, and `place` from an answer before.

    Raises:
        OperatorError: the event is not complete, or a retry of one lot takes longer than an invocation.
        Terminal, Transient, ClientError: as the command; what was done is kept.
    """
    by, note = _text(event, "by"), _text(event, "reason")
    archive = History.of(pipeline.s3(), pipeline.settings().silver_bucket)
    pipeline.ledger().home.check_bucket(pipeline.settings().silver_bucket)
    deadline = pipeline.deadline_of(context)
    if event.get("action") == "retract":
        retraction = Retraction(pipeline.ledger(), _lake(), by, note, archive, tell=logger.warning)
        try:
            id_ = ObjectId.parse(_text(event, "object"))
        except ValueError as error:
            raise OperatorError(f"object is wrong: {error}") from error
        gone = retraction.run(id_, deadline, int(event.get("place") or 0))
        told = {"object": str(id_), "rows": gone.rows.read, "place": gone.place}
        count("RowsRetracted", gone.rows.read)
    elif event.get("action") == "retry":
        shelf = S3Shelf(pipeline.s3(), pipeline.settings().silver_bucket)
        retry = Retry(pipeline.ledger(), _lake(), shelf, _contracts(), by, note, archive)
        dataset, place = _text(event, "dataset"), str(event.get("place") or "")
        done = retry.run(Selection(dataset), deadline, place=place)
        if done.place == place:
            raise OperatorError(
                f"The first lot behind {place!r} has more refused rows than one invocation can judge: nothing of it "
                f"has changed, and the next one comes no further. Run `smelt quarantine retry --dataset {dataset}`, "
                "which has no such limit (docs/workflow.md#schedules)."
            )
        told = {
            "judged": done.judged,
            "passed": done.passed.total(),
            "stayed": done.stayed.total(),
            "unreadable": done.unreadable,  # of those that stay: Bronze does not have them any more
            "busy": len(done.busy),  # lots that were left out, since somebody else rewrites them: run it again later
            "place": done.place,
        }
        count("RowsRetried", done.passed.total())
    else:
        raise OperatorError(f"action is {event.get('action')!r}; expected retract or retry.")
    logger.info("rewritten", told=told, by=by, note=note)
    return told


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str) or not value.strip():
        raise OperatorError(
            f"{key} is {value!r}; expected a text. The event has action, by, reason and object or dataset."
        )
    return value
