"""`glue-crawler-start`, `glue-crawler-status`: the crawler of what Terraform has created."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy.crawler import crawler_of, described, start
from infra.deploy.outputs import outputs
from services.ops.cli.console import JsonFlag, explain, finish, show, show_json
from services.ops.errors import OperatorError
from services.shared.aws import aws_client

_Directory = Annotated[
    Path, typer.Option("--terraform-dir", help="Terraform's directory, such as infra/terraform/envs/dev.")
]
_DEV = Path("infra/terraform/envs/dev")
_Answer = TypeVar("_Answer")


def start_crawler(directory: _Directory = _DEV, as_json: JsonFlag = False) -> None:
    """Start the crawler, which makes a table of each dataset's files.

    Example: glue-crawler-start
    """
    created = outputs(directory)
    crawler = crawler_of(created)
    has_started = _asked(start, created, crawler)
    if as_json:
        show_json({"crawler": crawler, "started": has_started})
    elif has_started:
        show(f"started: {crawler}. It takes some minutes; `make glue-crawler-status` tells how far it is")
    else:
        show(f"{crawler} is running already; `make glue-crawler-status` tells how far it is")


def show_crawler(directory: _Directory = _DEV, as_json: JsonFlag = False) -> None:
    """Show what the crawler does, how its last run ended, and which tables it has made. Exits with 1 if that failed.

    Example: glue-crawler-status --json
    """
    created = outputs(directory)
    found = _asked(described, created, crawler_of(created))
    if as_json:
        show_json(
            {
                "crawler": found.name,
                "state": found.state,
                "last": found.last or None,
                "started": found.started or None,
                "why": found.why or None,
                "tables": list(found.tables),
            }
        )
    else:
        show(f"{found.name}: {found.state}")
        show(f"last run: {found.last}, started {found.started}" if found.last else "it has not run yet")
        if found.why:
            show(found.why, style="red")
        show(f"tables: {', '.join(found.tables) or 'none yet'}")
    finish(all_right=found.all_right)


def _asked(ask: Callable[[Any, str], _Answer], created: dict[str, Any], crawler: str) -> _Answer:
    try:
        return ask(aws_client("glue", str(created["region"])), crawler)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"Glue refuses, or does not answer: {explain(error)}") from error
