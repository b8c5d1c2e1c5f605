"""Deploys the pipeline to LocalStack, and runs until it is stopped: the `deploy` service of compose.yaml.

The functions run in the images that compose built. LocalStack's community edition refuses functions with
PackageType=Image, so each function is a zip with only a `bootstrap`, and its runtime name says which image it needs.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from local.stack import (
    INGEST_TIMEOUT_SECONDS,
    TRANSFORM_TIMEOUT_SECONDS,
    Names,
    bootstrap_zip,
    connect,
    connect_functions,
    create_function,
    create_resources,
    function_environment,
)

DEPLOYED = Path("/tmp/deployed")  # noqa: S108 (in the container; its health check looks for it)
BOOTSTRAP = '#!/bin/sh\nexec python3 -m awslambdaric "$_HANDLER"\n'
RUNTIME_OF_IMAGE = {"ingest": "python3.12", "transform": "python3.13"}  # as in LAMBDA_RUNTIME_IMAGE_MAPPING


def deploy(endpoint: str, dynamodb_endpoint: str | None) -> None:
    """Create everything, or update what exists."""
    names = Names()
    clients = connect(endpoint, dynamodb_endpoint)
    resources = create_resources(clients, names)
    extra = {"AWS_ENDPOINT_URL": endpoint}
    if dynamodb_endpoint:
        extra["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb_endpoint
    arns = {
        service: create_function(
            clients,
            name,
            bootstrap_zip(BOOTSTRAP),
            f"services.{service}.app.handler",
            RUNTIME_OF_IMAGE[service],
            timeout,
            function_environment(names, resources, service, extra),
        )
        for service, name, timeout in (
            ("ingest", names.ingest, INGEST_TIMEOUT_SECONDS),
            ("transform", names.transform, TRANSFORM_TIMEOUT_SECONDS),
        )
    }
    connect_functions(clients, names, resources, arns["ingest"])
    print(f"deployed: upload to s3://{names.bronze_bucket}/bronze/<dataset>/, read s3://{names.silver_bucket}/silver/")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    deploy(os.environ["AWS_ENDPOINT_URL"], os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"))
    DEPLOYED.touch()
    signal.pause()


if __name__ == "__main__":
    main()
