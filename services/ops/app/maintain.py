"""The scheduled maintenance of the lake's tables: old snapshots, metadata and runs that nothing names. Never Silver."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.app.lake import contracts, lake
from services.ops.lake.maintenance import Maintenance
from services.shared.errors import Transient
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class NotAllMaintained(Transient):
    """Tables were left for a reason that somebody must look at."""


if pipeline.IN_LAMBDA:
    lake(), contracts(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Look after each table, in any order, as long as the invocation lasts.

    Raises:
        ClientError, BotoCoreError: the ledger does not answer.
        NotAllMaintained: everything else is done. An error, so that the alarm of this function tells somebody.
    """
    ledger = pipeline.ledger()
    ledger.home.check_bucket(pipeline.settings().silver_bucket)
    catalog, store = lake()
    maintenance = Maintenance(ledger, catalog, store, pipeline.deadline_of(context))
    datasets = sorted(contracts())
    random.shuffle(datasets)  # where time does not suffice for all, each has its turn
    done = maintenance.run_each(datasets)
    for one in done.tables:
        count("SnapshotsExpired", one.snapshots)
        if one.kept:
            logger.warning("runs of compactions that cannot be judged are kept", runs=one.kept)
    for dataset in done.busy:
        logger.warning("a table was left for the next run: somebody else works on it", table=dataset)
    logger.info("maintained", tables=[asdict(one) for one in done.tables])
    for problem in done.problems:
        logger.error("not maintained", problem=problem)
    if done.problems:
        raise NotAllMaintained(f"{len(done.problems)} tables were left: {done.problems[0]}")
    return {"tables": len(done.tables), "of": len(datasets)}
