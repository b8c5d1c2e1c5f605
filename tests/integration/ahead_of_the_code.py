"""What Terraform has already and the code has not yet. Each test that uses an entry fails once the code has it.

The change that brings the code removes the entry; with the last one, this file.
"""

from __future__ import annotations

# Attributes of the ledger's keys: in the code today -> in Terraform.
LEDGER_KEYS = {"lease_until": "since"}
# Settings that the code still reads and that nobody can set any more.
SETTINGS = {"LEDGER_TTL_DAYS"}
# Metrics that alarms and dashboard watch.
METRICS = {("transform", "UnitsDead"), ("transform", "ObjectsRejected"), ("transform", "LotsDissolved")}
# What transform will ask of AWS.
ACTIONS = {"ingest": set[str](), "transform": {"sqs:SendMessage"}}
