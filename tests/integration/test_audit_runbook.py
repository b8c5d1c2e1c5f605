"""What docs/audit.md tells people to type works as it stands there, and what it says of the audit is complete."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT
from local.stack import Clients, Names
from services.ops.audit.accounts import Outcome
from services.ops.audit.audit import Limits, audit
from services.ops.audit.findings import Code
from services.ops.audit.listings import S3Listings
from services.shared.identities import ObjectId
from services.shared.ledger.ledger import Ledger
from tests.integration.test_runbook import blocks, run_block
from tests.support.running import Running, await_true, deployed, json_lines, request

PAGE = ROOT / "docs/audit.md"
ROWS = 50


@pytest.fixture(scope="module")
def pipeline(emulator: str) -> Running:
    return deployed(emulator)


def found(clients: Clients, names: Names) -> Any:
    listings = S3Listings(clients.s3, names.bronze_bucket, names.silver_bucket)
    return audit(Ledger(clients.dynamodb, names.ledger_table), listings, limits=Limits(in_flight=timedelta(0)))


def test_contents_that_were_never_announced_are_announced_with_the_documented_command(
    pipeline: Running, emulator: str, contracts: dict[str, Any], tmp_path: Path
) -> None:
    clients, names = pipeline.clients, pipeline.names
    clients.s3.put_bucket_notification_configuration(Bucket=names.bronze_bucket, NotificationConfiguration={})
    sources = [
        pipeline.upload("bronze/shipments/é 1+1.jsonl", json_lines(contracts["shipments"], request(ROWS, bad_rate=0.1)))
        for _ in range(2)  # the second overwrites the first
    ]
    findings = found(clients, names).findings.kept
    assert {(finding.code, finding.subject) for finding in findings} == {
        (Code.NEVER_ANNOUNCED, str(source.id)) for source in sources
    }
    (block,) = (block for block in blocks(PAGE) if "announce()" in block)
    for finding in [*findings, findings[0]]:  # once more does no harm
        words = [*ObjectId.parse(finding.subject), names.ingest]
        run_block(f"{block}\nannounce {shlex.join(words)}", {}, emulator, tmp_path)
    for source in sources:
        await_true(lambda source=source: len(pipeline.rows_of(source)) >= ROWS)  # type: ignore[misc]
    after = found(clients, names)
    assert (after.findings.total, after.counts.read, after.all_right) == (0, 2 * ROWS, True)


def test_every_code_and_every_state_is_documented() -> None:
    named = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(), flags=re.MULTILINE))
    assert {str(code) for code in Code} | {str(outcome) for outcome in Outcome} <= named
