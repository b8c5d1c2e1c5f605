"""The options that name a pipeline, the same for each command. `make` and `smelt-deploy exec` set the variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TableOption = Annotated[str, typer.Option(envvar="LEDGER_TABLE", help="The ledger's DynamoDB table.")]
SilverOption = Annotated[str, typer.Option(envvar="SILVER_BUCKET", help="The bucket of Silver and quarantine.")]
BronzeOption = Annotated[str, typer.Option(envvar="BRONZE_BUCKET", help="The bucket of Bronze.")]
QueueOption = Annotated[str, typer.Option(envvar="QUEUE_URL", help="The URL of the queue of units.")]
DeadLettersOption = Annotated[str, typer.Option(envvar="DEAD_LETTER_QUEUE_URL", help="The dead-letter queue's URL.")]
FailuresOption = Annotated[
    str, typer.Option(envvar="INGEST_FAILURES_QUEUE_URL", help="The URL of the queue of failed S3 events.")
]
IngestOption = Annotated[
    str, typer.Option("--ingest", envvar="INGEST_FUNCTION", help="The name of the ingest function.")
]
DatabaseOption = Annotated[
    str, typer.Option(envvar="LAKE_DATABASE", help="The catalog's database of the lake's tables.")
]
CatalogOption = Annotated[
    str, typer.Option(envvar="LAKE_CATALOG", metavar="CATALOG", help="glue, or the file of a SQLite catalog.")
]
ContractsOption = Annotated[Path, typer.Option(envvar="CONTRACTS_DIR", metavar="DIR", help="The folder of contracts.")]
