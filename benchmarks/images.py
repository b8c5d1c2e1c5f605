"""What an image costs: its size, a function's start-up, and its first and second invocation.

usage: python benchmarks/images.py [--json]        (needs Docker; builds the *-local targets if they are missing)

Start-up is from `docker run` of a stopped image to the function's first call for work, as the runtime API sees it;
container creation is part of it and is also measured alone. The runtime API is served by this script, so no emulator
stands in between. Invocations: ingest gets S3's test event, transform an empty delivery; both go through the
whole handler.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console
from rich.table import Table

EVENTS: dict[str, dict[str, Any]] = {
    "ingest": {"Event": "s3:TestEvent"},
    "transform": {"Records": []},
}
ROUNDS = 5


class RuntimeApi(BaseHTTPRequestHandler):
    """As much of Lambda's runtime API as a function needs. Class attributes are this script's, one run at a time."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: else each answer waits 40 ms for a delayed acknowledgement
    ready_at: queue.Queue[float] = queue.Queue()
    answers: queue.Queue[tuple[float, str]] = queue.Queue()  # when, and the error if it was one
    events: queue.Queue[bytes] = queue.Queue()

    def log_message(self, *args: object) -> None:
        """Requests are no news."""

    def do_GET(self) -> None:
        self.ready_at.put(time.perf_counter())
        body = self.events.get()
        if not body:  # who asked is gone
            self.close_connection = True
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Trace-Id": "Root=1-0-0",
            "Lambda-Runtime-Aws-Request-Id": "request",
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:benchmark",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 60) * 1000)),
            "Content-Length": str(len(body)),
        }
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        answer = self.rfile.read(size)
        self.answers.put((time.perf_counter(), answer.decode() if "/error" in self.path else ""))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def measure(service: str, port: int) -> dict[str, float]:
    """Milliseconds of one cold start and two invocations."""
    for leftovers in (RuntimeApi.ready_at, RuntimeApi.answers):
        leftovers.queue.clear()
    settings = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": service,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "BRONZE_BUCKET": "b",
        "SILVER_BUCKET": "s",
        "LEDGER_TABLE": "t",
        "QUEUE_URL": "q",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    options = [option for name, value in settings.items() for option in ("--env", f"{name}={value}")]
    name = f"smelt-benchmark-{service}"
    as_in_lambda = ["--network", "host", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108
    docker("create", "--name", name, *as_in_lambda, *options, f"smelt-{service}")
    try:
        started = time.perf_counter()
        docker("start", name)
        ready = RuntimeApi.ready_at.get(timeout=15)
        times = {"init_ms": (ready - started) * 1000}
        for invocation in ("first_invoke_ms", "second_invoke_ms"):
            sent = time.perf_counter()
            RuntimeApi.events.put(json.dumps(EVENTS[service]).encode())
            answered, error = RuntimeApi.answers.get(timeout=15)
            if error:
                raise SystemExit(f"{service} failed, so there is nothing to measure: {error}")
            times[invocation] = (answered - sent) * 1000
            RuntimeApi.ready_at.get(timeout=15)
        return times
    finally:
        docker("rm", "--force", name)
        RuntimeApi.events.put(b"")  # for the request that was waiting for a third invocation


def nothing_ms(service: str) -> float:
    """Milliseconds that Docker takes to start and stop a container that does nothing."""
    started = time.perf_counter()
    docker("run", "--rm", "--network", "host", "--entrypoint", "/bin/true", f"smelt-{service}")
    return (time.perf_counter() - started) * 1000


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    results: dict[str, dict[str, float]] = {}
    for service in EVENTS:
        rounds = [measure(service, server.server_port) for _ in range(ROUNDS)]
        results[service] = {name: min(times[name] for times in rounds) for name in rounds[0]}
        results[service]["docker_alone_ms"] = min(nothing_ms(service) for _ in range(ROUNDS))
        results[service]["image_mb"] = (
            int(docker("image", "inspect", "--format", "{{.Size}}", f"smelt-{service}")) / 1e6
        )
    if "--json" in sys.argv:
        print(json.dumps(results, indent=2))
        return
    table = Table(title=f"Images (best of {ROUNDS})", title_justify="left")
    columns = ("image_mb", "docker_alone_ms", "init_ms", "first_invoke_ms", "second_invoke_ms")
    for column in ("function", *columns):
        table.add_column(column, justify="left" if column == "function" else "right")
    for service, result in results.items():
        table.add_row(service, *(f"{result[column]:,.0f}" for column in columns))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
