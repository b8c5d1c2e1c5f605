"""MiniStack, the embedded emulator: it runs in a process of its own, and this interpreter runs the functions.

Each function is a zip whose `bootstrap` starts the same runtime client (awslambdaric) as the images.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from local.stack import (
    CREDENTIALS,
    INGEST_TIMEOUT_SECONDS,
    TRANSFORM_TIMEOUT_SECONDS,
    Clients,
    Names,
    Resources,
    bootstrap_zip,
    connect,
    connect_functions,
    create_function,
    create_resources,
    function_environment,
)
from services.ops.errors import OperatorError

ROOT = Path(__file__).resolve().parent.parent
# Runs the handler from this checkout.
BOOTSTRAP = f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m awslambdaric "$_HANDLER"\n'
EMULATOR = ROOT / ".venv-emulator" / "bin" / "ministack"


@contextmanager
def ministack(state: Path | None = None, log: Path | None = None, docker: bool = False) -> Iterator[str]:
    """Run MiniStack while the block runs; gives its endpoint. With `state`, objects and tables are kept there.

    With `docker`, functions run in containers, so MiniStack listens on all addresses of this machine.

    Raises:
        OperatorError: it is not installed, or did not start.
    """
    if not EMULATOR.exists():
        raise OperatorError(f"MiniStack is not installed at {EMULATOR}: run `make setup`.")
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = (
        os.environ
        | CREDENTIALS
        | {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "0.0.0.0" if docker else "127.0.0.1",  # noqa: S104 (see above)
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "docker" if docker else "local",
            "LOG_LEVEL": "WARNING",
        }
    )
    if state:
        state.mkdir(parents=True, exist_ok=True)
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state / "s3"),
        }
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen([EMULATOR], env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            _await_health(endpoint, process, log)
            yield endpoint
        finally:
            _stop(process)


def deploy(
    endpoint: str, names: Names | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Clients, Resources]:
    """Create the whole pipeline on a running MiniStack; `environment` overrides settings of its functions."""
    names = names or Names()
    clients = connect(endpoint)
    resources = create_resources(clients, names)
    extra = {"AWS_ENDPOINT_URL": endpoint, "CONTRACTS_DIR": str(ROOT / "contracts"), **(environment or {})}

    def function(name: str, service: str, timeout: int) -> str:
        return create_function(
            clients,
            name,
            bootstrap_zip(BOOTSTRAP),
            f"services.{service}.app.handler",
            "provided.al2023",
            timeout,
            function_environment(names, resources, service, extra),
        )

    ingest_arn = function(names.ingest, "ingest", INGEST_TIMEOUT_SECONDS)
    function(names.transform, "transform", TRANSFORM_TIMEOUT_SECONDS)
    connect_functions(clients, names, resources, ingest_arn)
    return clients, resources


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_health(endpoint: str, process: subprocess.Popen[bytes], log: Path | None) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2).close()  # noqa: S310 (our own address)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise OperatorError(f"MiniStack did not start at {endpoint}. Its log: {log or 'not kept'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, so that it saves its state, then end what is left of its process group: the functions."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
