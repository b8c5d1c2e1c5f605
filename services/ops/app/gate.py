"""The gate workflow's two tasks: plans a run before its job, and ends it after."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.ops.app.pipeline import IN_LAMBDA
from services.ops.committed import find_in
from services.ops.gate.files import JSON, S3GateFiles
from services.ops.gate.finishing import finish
from services.ops.gate.planning import make_plan
from services.ops.gate.workflow import InvalidInput, after_finish, after_plan, job_error_of, read_request, refuse
from services.ops.history.reader import History
from services.shared.aws import aws_client
from services.shared.contract.loader import load_contracts
from services.shared.contract.model import Contract
from services.shared.gate.verdict import nothing_to_judge
from services.shared.identities import GateRun
from services.shared.ledger.gates import Said
from services.shared.ledger.ledger import Ledger
from services.shared.settings import GateSettings
from services.shared.telemetry import logger, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@cache
def _settings() -> GateSettings:
    return GateSettings.from_env()


@cache
def _ledger() -> Ledger:
    return Ledger(aws_client("dynamodb"), _settings().ledger_table)


@cache
def _s3() -> Any:
    return aws_client("s3")


@cache
def _contracts() -> dict[str, Contract]:
    return load_contracts(_settings().contracts_dir)


def _files() -> S3GateFiles:
    return S3GateFiles(_s3(), _settings().silver_bucket)


if IN_LAMBDA:
    _contracts(), _ledger(), _s3()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Plan (an event with `input`, `execution` and `started`), or finish (an event with `run`).

    Returns:
        The document of `services.ops.gate.workflow` for the next state.

    Raises:
        ClientError, BotoCoreError, Transient: S3 or the ledger does not answer; Step Functions tries again.
    """
    _ledger().home.check_bucket(_settings().silver_bucket)
    return _planned(event) if "input" in event else _finished(event)


def _planned(event: dict[str, Any]) -> dict[str, Any]:
    try:
        request = read_request(event["input"], _contracts().keys())
    except InvalidInput as error:
        logger.warning("input refused", error=str(error))
        return refuse(str(error))
    contract = _contracts()[request.record_type]
    history = History.of(_s3(), _settings().silver_bucket)
    now = datetime.now(UTC)
    plan = make_plan(
        _files(),
        find_in(_ledger().find_lots, history.find_lots),
        request.run(datetime.fromisoformat(event["started"]), event["execution"]),
        contract,
        Path(contract.file).read_text("utf-8"),
        now,
    )
    _files().write(plan.run.plan, plan.to_json().encode(), JSON)
    state = after_plan(plan)
    if not plan.files and not plan.missing:
        _files().write(plan.run.result, nothing_to_judge(plan, now).to_json().encode(), JSON)
    logger.info("planned", state=state, missing=len(plan.missing))
    return state


def _finished(event: dict[str, Any]) -> dict[str, Any]:
    settings, run = _settings(), GateRun.parse(event["run"])
    ended = finish(_files(), run, job_error_of(event), datetime.now(UTC), settings.quarantine_prefix)
    result = ended.result
    said = Said(run.dt, result.verdict, str(run), result.ended)
    _ledger().gates.note(run.record_type, said, is_open=result.holds_back)
    logger.info("judged", run=str(run), verdict=result.verdict, cause=result.cause)
    return after_finish(result, _files().root, ended.page, ended.marker)
