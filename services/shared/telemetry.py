"""Structured logs, metrics and traces, by AWS Lambda Powertools.

The service's name comes from `POWERTOOLS_SERVICE_NAME`, the metrics' namespace from `POWERTOOLS_METRICS_NAMESPACE`
(`smelt` without it).
"""

from __future__ import annotations

import os

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "smelt"))
tracer = Tracer()


def count(name: str, value: float = 1) -> None:
    """Add to a metric that counts things."""
    metrics.add_metric(name, MetricUnit.Count, value)


def seconds(name: str, value: float) -> None:
    """Add to a metric in seconds."""
    metrics.add_metric(name, MetricUnit.Seconds, value)


def size(name: str, value: float) -> None:
    """Add to a metric in bytes."""
    metrics.add_metric(name, MetricUnit.Bytes, value)
