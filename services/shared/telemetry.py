"""Structured logs, metrics and traces, by AWS Lambda Powertools.

The service's name comes from `POWERTOOLS_SERVICE_NAME`, the metrics' namespace from `POWERTOOLS_METRICS_NAMESPACE`
(`smelt` without it).
"""

from __future__ import annotations

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config

logger = Logger()
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "smelt"))
tracer = Tracer()

# Retries with backoff and jitter are botocore's; the pool serves the few calls that run side by side.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)


def aws_client(service: Any) -> Any:
    """A client of this function's region and credentials (and `AWS_ENDPOINT_URL`, where an emulator is used)."""
    return boto3.client(service, config=_CONFIG)


def count(name: str, value: float = 1) -> None:
    """Add to a metric that counts things."""
    metrics.add_metric(name, MetricUnit.Count, value)


def seconds(name: str, value: float) -> None:
    """Add to a metric in seconds."""
    metrics.add_metric(name, MetricUnit.Seconds, value)


def size(name: str, value: float) -> None:
    """Add to a metric in bytes."""
    metrics.add_metric(name, MetricUnit.Bytes, value)
