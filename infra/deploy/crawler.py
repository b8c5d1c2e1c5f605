"""The crawler of a deployed platform: started, and what became of its last run. Prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from services.ops.errors import OperatorError


class NoCrawler(OperatorError):
    """Terraform has created no crawler."""


@dataclass(frozen=True, slots=True)
class Crawled:
    """A crawler as Glue describes it.

    `state` is READY, RUNNING or STOPPING; `last` the outcome of its last run (SUCCEEDED, FAILED, CANCELLED), empty
    where it has never run; `tables` those that it has made, by name.
    """

    name: str
    state: str
    last: str
    started: str
    why: str
    tables: tuple[str, ...]

    @property
    def all_right(self) -> bool:
        return self.last in ("", "SUCCEEDED") or self.state != "READY"


def crawler_of(outputs: Mapping[str, Any]) -> str:
    """The crawler's name.

    Raises:
        NoCrawler: Terraform has created none.
    """
    name = outputs.get("glue_crawler_name")
    if not name:
        raise NoCrawler(
            "Terraform has created no crawler: set glue_enabled = true in the environment's tfvars, then run "
            "`make tf-apply`. The tables silver, quarantine and load_history need none."
        )
    return str(name)


def start(glue: Any, crawler: str) -> bool:
    """Start the crawler; False where it is running already."""
    try:
        glue.start_crawler(Name=crawler)
    except ClientError as error:
        if error.response["Error"]["Code"] == "CrawlerRunningException":
            return False
        raise
    return True


def described(glue: Any, crawler: str) -> Crawled:
    """What the crawler does, what its last run did, and which tables it has."""
    told = glue.get_crawler(Name=crawler)["Crawler"]
    last = told.get("LastCrawl") or {}
    prefix = told["TablePrefix"]
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=told["DatabaseName"])
    names = sorted(table["Name"] for page in pages for table in page["TableList"] if table["Name"].startswith(prefix))
    started = last["StartTime"].isoformat(timespec="seconds") if last.get("StartTime") else ""
    return Crawled(crawler, told["State"], last.get("Status", ""), started, last.get("ErrorMessage", ""), tuple(names))
