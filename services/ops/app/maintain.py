"""The scheduled maintenance of the lake's tables: old snapshots, metadata and runs that nothing names. Never Silver."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from services.ops.app import pipeline
from services.ops.app.lake import contracts, lake
from services.ops.lake.maintenance import Maintenance
from services.shared.deadline import OutOfTime
from services.shared.errors import Transient
from services.shared.telemetry import count, logger, metrics, tracer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


if pipeline.IN_LAMBDA:
    lake(), contracts(), pipeline.ledger()


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
@metrics.log_metrics
def handler(_event: Any, context: LambdaContext) -> dict[str, Any]:
    """Look after each table, as long as the invocation lasts. The next run begins with what this one has left.

    Raises:
        ClientError, BotoCoreError: ledger, bucket or catalog does not answer; what was done is kept.
    """
    ledger = pipeline.ledger()
    ledger.home.check_bucket(pipeline.settings().silver_bucket)
    catalog, store = lake()
    maintenance = Maintenance(ledger, catalog, store, pipeline.deadline_of(context))
    tables: list[dict[str, Any]] = []
    for dataset in sorted(contracts()):
        try:
            done = maintenance.run(dataset)
        except OutOfTime:
            break
        except Transient as error:  # somebody else works on the table: the next run looks after it
            logger.warning("a table was left for the next run", table=dataset, error=str(error))
            continue
        tables.append(asdict(done))
        count("SnapshotsExpired", done.snapshots)
        if done.kept:
            logger.warning("runs of compactions that cannot be judged are kept", runs=done.kept)
    logger.info("maintained", tables=tables)
    return {"tables": len(tables), "of": len(contracts())}
