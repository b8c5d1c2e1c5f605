"""AWS clients of the commands that people run."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError


def aws_client(service: Any, region: str | None = None) -> Any:
    """A client of an AWS service. On an emulator (AWS_ENDPOINT_URL), bucket names go into the path.

    Raises:
        BotoCoreError: no region, or AWS_ENDPOINT_URL is not a URL.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    style: Any = "path" if endpoint else "auto"
    config = Config(s3={"addressing_style": style}, retries={"mode": "standard"})
    try:
        return boto3.client(service, region_name=region, config=config)
    except ValueError as error:  # what botocore raises for an endpoint that is not a URL
        raise EndpointConnectionError(endpoint_url=endpoint or "", error=error) from error
