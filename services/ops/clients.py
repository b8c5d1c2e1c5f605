"""AWS clients of the commands that people run."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config


def aws_client(service: Any, region: str | None = None) -> Any:
    """A client of an AWS service. At an emulator (AWS_ENDPOINT_URL) buckets' names go into the path."""
    style: Any = "path" if os.environ.get("AWS_ENDPOINT_URL") else "auto"
    config = Config(s3={"addressing_style": style}, retries={"mode": "standard"})
    return boto3.client(service, region_name=region, config=config)
