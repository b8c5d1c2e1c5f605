"""AWS at the rim: the one way to make a client, and what its calls may raise."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    InvalidEndpointConfigurationError,
    NoRegionError,
)

from services.shared.errors import SmeltError

_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}

# What may stop one piece of work without stopping the others: our own errors, and AWS's answers and silences.
Failure = SmeltError | ClientError | BotoCoreError
FAILURES = (SmeltError, ClientError, BotoCoreError)


def aws_client(service: Any, region: str | None = None, connections: int = 16, silence: float = 15) -> Any:
    """A client of an AWS service, at `AWS_ENDPOINT_URL` where an emulator is used.

    Retries with backoff and jitter are botocore's; `connections` serve the calls that run side by side. A call may be
    without an answer for `silence` seconds. At an emulator, bucket names go into the path, and one on this machine is
    never looked for behind a proxy.

    Raises:
        BotoCoreError: no region or not the name of one, or AWS_ENDPOINT_URL is not a URL.
    """
    if region == "" or (region is None and os.environ.get("AWS_DEFAULT_REGION") == ""):
        raise NoRegionError
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    host = _host(endpoint) if endpoint else None
    style: Any = "path" if endpoint else "auto"
    config = Config(
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=5,
        read_timeout=silence,  # with all tries about a minute, which every function has
        max_pool_connections=connections,
        s3={"addressing_style": style},
        proxies={} if host in _THIS_MACHINE else None,  # None: those of the environment
    )
    try:
        return boto3.client(service, region_name=region, config=config)
    except ValueError as error:  # a region such as "us east", or an endpoint of another setting that is not a URL
        raise InvalidEndpointConfigurationError(msg=str(error).rstrip(".")) from error


def _host(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # brackets without an address, or a port that is no number below 65536
        valid = False
    if not valid:
        raise InvalidEndpointConfigurationError(
            msg=f'AWS_ENDPOINT_URL is "{endpoint}", not a URL such as http://localhost:4566'
        )
    return str(parts.hostname)
