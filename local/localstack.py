"""Deploys the pipeline to LocalStack, and runs until it is stopped: the `deploy` service of compose.yaml.

The functions run in the images that compose built. LocalStack's community edition refuses functions with
PackageType=Image, so each function is a zip with a `bootstrap`, and its runtime name says which image it needs.
Transform's zip also has the contracts of CONTRACTS_DIR, so that a new contract needs no new image.

LocalStack forgets everything when it stops. So this saves it to KEPT_DIR, if that is set, when it is told to stop, and
restores it when it starts (local/kept.py).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from botocore.exceptions import BotoCoreError, ClientError

from local.kept import announce_unfinished, restore, save
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
from services.shared.contract.loader import load_contracts
from services.shared.errors import SmeltError

DEPLOYED = Path("/tmp/deployed")  # noqa: S108 (in the container; its health check looks for it)
BOOTSTRAP = '#!/bin/sh\nexec python3 -m awslambdaric "$_HANDLER"\n'
RUNTIME_OF_IMAGE = {"ingest": "python3.12", "transform": "python3.13"}  # as in LAMBDA_RUNTIME_IMAGE_MAPPING


CONTRACTS_IN_ZIP = "own_contracts"  # beside the image's own, which may hold datasets that are gone by now


def deploy(endpoint: str, dynamodb_endpoint: str | None, contracts: Path, kept: Path | None) -> Callable[[], None]:
    """Create everything, or update what exists. Gives what to call before the emulator stops.

    Raises:
        ContractError: a contract is not valid.
        NotRestored: what was saved cannot be restored.
    """
    load_contracts(contracts)
    names = Names()
    clients = connect(endpoint, dynamodb_endpoint)
    resources = create_resources(clients, names)
    if kept and (objects := restore(clients, names, kept)):
        print(f"restored: {objects:,} objects and the ledger (docker compose down --volumes forgets them)")
    extra = {"AWS_ENDPOINT_URL": endpoint, "CONTRACTS_DIR": f"/var/task/{CONTRACTS_IN_ZIP}"}
    if dynamodb_endpoint:
        extra["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb_endpoint
    described = {f"{CONTRACTS_IN_ZIP}/{file.name}": file.read_bytes() for file in sorted(contracts.glob("*.yaml"))}

    def function(service: str, name: str, timeout: int, files: Mapping[str, bytes]) -> str:
        return create_function(
            clients,
            name,
            bootstrap_zip(BOOTSTRAP, files),
            f"services.{service}.app.handler",
            RUNTIME_OF_IMAGE[service],
            timeout,
            function_environment(names, resources, service, extra),
        )

    ingest = function("ingest", names.ingest, INGEST_TIMEOUT_SECONDS, {})
    function("transform", names.transform, TRANSFORM_TIMEOUT_SECONDS, described)
    connect_functions(clients, names, resources, ingest)
    if unfinished := announce_unfinished(clients, names):
        print(f"announced again: {unfinished:,} objects that are not finished")
    print(f"deployed: upload to s3://{names.bronze_bucket}/bronze/<dataset>/, read s3://{names.silver_bucket}/silver/")

    def before_the_stop() -> None:
        if kept:
            print(f"saved: {save(clients, names, resources, kept):,} objects and the ledger")

    return before_the_stop


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint or not endpoint.startswith(("http://", "https://")):
        print("error: AWS_ENDPOINT_URL is not a URL: run `docker compose up`, which starts this.", file=sys.stderr)
        sys.exit(2)
    contracts, kept = Path(os.environ.get("CONTRACTS_DIR", "contracts")), os.environ.get("KEPT_DIR")
    stop = Event()
    try:
        before_the_stop = deploy(
            endpoint, os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"), contracts, Path(kept) if kept else None
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        DEPLOYED.touch()
        stop.wait()
        before_the_stop()
    except (SmeltError, BotoCoreError, ClientError, OSError) as error:
        print(f"error: {error}. Its log: docker compose logs localstack", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
