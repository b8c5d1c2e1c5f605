"""What IAM would decide about requests, by the simulator that `make setup` installs where there is Node.js.

Knows identity and resource policies with their conditions. Service control policies and boundaries are not simulated.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from local.ministack import ROOT

_SCRIPT = Path(__file__).with_suffix(".cjs")
_MODULES = ROOT / ".venv-iam/node_modules"
_ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Decision(StrEnum):
    ALLOWED = "Allowed"
    DENIED = "ExplicitlyDenied"  # a statement denies it; nothing can allow it
    NOT_ALLOWED = "ImplicitlyDenied"  # no statement allows it


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        principal: the ARN of a role or user, a service such as `s3.amazonaws.com`, or None for an anonymous request.
        identity: the principal's own policies.
        guard: the resource's policy, if it has one.
        context: more condition keys; TLS and the principal's keys are set.
    """

    principal: str | None
    action: str
    resource: str
    identity: tuple[Mapping[str, Any], ...] = ()
    guard: Mapping[str, Any] | None = None
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


def administrator() -> tuple[Mapping[str, Any], ...]:
    """The policies of somebody who may do everything."""
    return (_ALLOW_ALL,)


def need_simulator() -> None:
    """Skip where the simulator is not installed; in CI that is a failure."""
    if shutil.which("node") is None or not _MODULES.exists():
        reason = "the IAM simulator is not installed: install Node.js with npm, then run `make setup`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def decide(asks: Sequence[Ask], account: str) -> list[Decision]:
    """What IAM decides about each request, of resources in `account` (12 digits).

    Raises:
        CalledProcessError: the simulator refused a policy, an action or an ARN; its output says why.
    """
    need_simulator()
    given = json.dumps([_simulation(ask, account) for ask in asks])
    environment = os.environ | {"NODE_PATH": str(_MODULES)}
    done = subprocess.run(["node", _SCRIPT], input=given, env=environment, capture_output=True, text=True, check=True)
    return [Decision(decision) for decision in json.loads(done.stdout)]


def _simulation(ask: Ask, account: str) -> dict[str, Any]:
    context = {"aws:SecureTransport": "true"}
    if ask.principal and ask.principal.startswith("arn:"):
        context |= {"aws:PrincipalArn": ask.principal, "aws:PrincipalIsAWSService": "false"}
    elif ask.principal:
        context |= {"aws:PrincipalServiceName": ask.principal, "aws:PrincipalIsAWSService": "true"}
    return {
        "identityPolicies": [{"name": str(n), "policy": policy} for n, policy in enumerate(ask.identity)],
        "serviceControlPolicies": [],
        "resourceControlPolicies": [],
        "request": {
            "principal": ask.principal,
            "action": ask.action,
            "resource": {"resource": ask.resource, "accountId": account},
            "contextVariables": context | dict(ask.context),
        },
    } | ({"resourcePolicy": ask.guard} if ask.guard else {})
