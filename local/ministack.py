"""MiniStack, the embedded emulator: it runs in a process of its own, and this interpreter runs the functions.

Each function is a zip whose `bootstrap` starts the same runtime client (awslambdaric) as the images; on a Mac, which it
does not support, with a part of our own (local/runtime.py). The emulator and its functions end with the process that
started them, however that ends (local/supervise.py).
"""

from __future__ import annotations

import os
import shlex
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
EMULATOR = ROOT / ".venv-emulator" / "bin" / "python"
SUPERVISE = Path(__file__).resolve().parent / "supervise.py"
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # the emulator and its functions call nothing but this machine
_OTHERS = ("AWS_", "MINISTACK_", "LAMBDA_")
_LOCALSTACK = {"SERVICES", "USE_SSL", "EDGE_PORT", "LOCALSTACK_HOSTNAME"}  # MiniStack reads these too
_TRIES = 3  # a port that was free may be taken a moment later
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def ministack(
    state: Path | None = None, log: Path | None = None, docker: bool = False, lock: int | None = None
) -> Iterator[str]:
    """Run MiniStack while the block runs; gives its endpoint. With `state`, objects and tables are kept there.

    With `docker`, functions run in containers, so MiniStack listens on all addresses of this machine. The file
    descriptor `lock` stays open until the emulator has ended, even if this process is killed.

    Raises:
        OperatorError: it is not installed, did not start, ended by itself, or did not save its state.
    """
    if not EMULATOR.exists():
        raise OperatorError(f"MiniStack is not installed at {EMULATOR}: run `make setup`.")
    process, endpoint = _start(state, log, docker, lock)
    started = time.time()
    try:
        yield endpoint
    except Exception as error:
        if process.poll() is None:
            raise
        raise OperatorError(f"The emulator ended by itself. Its log: {log or 'not kept'}. Run this again.") from error
    finally:
        _stop(process)
    if state and _saved(state) < started:
        raise OperatorError(
            f"The emulator did not save what it holds in {state}. Its log: {log or 'not kept'}. "
            "If the disk is full, free some space; then run this again."
        )


def _start(state: Path | None, log: Path | None, docker: bool, lock: int | None) -> tuple[subprocess.Popen[bytes], str]:
    command = [sys.executable, str(SUPERVISE), str(EMULATOR), "-m", "ministack"]
    with (log or Path(os.devnull)).open("ab") as output:
        for _ in range(_TRIES):
            port = _free_port()
            endpoint = f"http://127.0.0.1:{port}"
            process = subprocess.Popen(
                command,
                env=_environment(port, state, docker),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[] if lock is None else [lock],
            )
            try:
                if _is_healthy(endpoint, process):
                    return process, endpoint
            except BaseException:
                _stop(process)
                raise
            _stop(process)
    raise OperatorError(f"MiniStack did not start at {endpoint}. Its log: {log or 'not kept'}")


def _saved(state: Path) -> float:
    """When the emulator saved its tables last, in seconds since 1970; it logs it where it cannot, and exits with 0."""
    tables = state / "state" / "dynamodb.json"
    return tables.stat().st_mtime if tables.exists() else 0


def _environment(port: int, state: Path | None, docker: bool) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not _means_something_else(name)}
    environment |= CREDENTIALS | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "0.0.0.0" if docker else "127.0.0.1",  # noqa: S104 (containers call it)
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "docker" if docker else "local",
        "LOG_LEVEL": "WARNING",
    }
    if state:
        (state / "tmp").mkdir(parents=True, exist_ok=True)
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state / "s3"),
            "TMPDIR": str(state / "tmp"),
        }
    return environment


def _means_something_else(name: str) -> bool:
    """Whether a setting of this shell is about an account, another emulator or a proxy."""
    return name.startswith(_OTHERS) or name in _LOCALSTACK or name.lower() in PROXIES


def bootstrap(root: Path, python: str) -> str:
    """A shell script that runs the handler from this checkout, whatever characters its path has."""
    return f'#!/bin/sh\ncd {shlex.quote(str(root))} && exec {shlex.quote(python)} -m local.runtime "$_HANDLER"\n'


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
            bootstrap_zip(bootstrap(ROOT, sys.executable)),
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


def _is_healthy(endpoint: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it answers; False if it ended instead, or does not answer within half a minute."""
    for _ in range(300):
        if process.poll() is not None:
            return False
        try:
            _DIRECT.open(f"{endpoint}/_ministack/health", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return True
    return False


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
        if process.stdin:
            process.stdin.close()
