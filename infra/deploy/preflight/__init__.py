"""What would stop a Terraform plan, asked of the account before anything is created.

Terraform learns that a name is taken only when it creates the resource, after half of the others exist; and an alarm, a
dashboard, a rule or a topic that has the name already is overwritten without a word. It deletes a queue with its
messages and a table with its items. It never looks at the queues, the bucket, the keys and the topic that it is told to
use, nor at what is left of the account's quotas. This reads the plan (`terraform show -json`), looks all of them up and
says what to do. It changes nothing and prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.deploy.preflight.account import concurrency, roles
from infra.deploy.preflight.bronze import existing_bucket, keys
from infra.deploy.preflight.existing import existing_queues, existing_topic
from infra.deploy.preflight.findings import Clients, Finding, Level
from infra.deploy.preflight.images import images
from infra.deploy.preflight.losses import deleted, locked, orphaned, stranded, unasked, vanished
from infra.deploy.preflight.names import taken_names
from infra.deploy.preflight.tables import hidden_rows

__all__ = ["Clients", "Finding", "Level", "preflight"]


def preflight(plan: Mapping[str, Any], clients: Clients) -> list[Finding]:
    """Check names that may be taken, images, what the plan uses but does not create, and the account's quotas.

    Args:
        plan: the JSON that `terraform show -json` gives for a plan.

    Raises:
        ClientError, BotoCoreError: AWS gave no answer, for example without credentials.
    """
    checks = (
        deleted,
        orphaned,
        vanished,
        locked,
        stranded,
        unasked,
        taken_names,
        images,
        existing_queues,
        existing_bucket,
        keys,
        existing_topic,
        concurrency,
        roles,
        hidden_rows,
    )
    return [finding for check in checks for finding in check(plan, clients)]
