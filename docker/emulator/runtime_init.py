#!/usr/bin/env python3
"""What LocalStack starts inside a function's container: it serves the Lambda runtime API to the function.

LocalStack's own is a binary that must be downloaded; this one uses the same protocol. It serves the runtime API on
127.0.0.1:9001, accepts invocations on port 9563 and posts status, logs and answers to LOCALSTACK_RUNTIME_ENDPOINT.
A function that exits or exceeds its timeout is reported as Lambda reports it, and started again.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENDPOINT = os.environ["LOCALSTACK_RUNTIME_ENDPOINT"]
RUNTIME_ID = os.environ["LOCALSTACK_RUNTIME_ID"]
TIMEOUT_SECONDS = int(os.environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "3"))
MEMORY_MB = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # LocalStack is on the same network, never behind a proxy


def report(path: str, body: bytes) -> None:
    """Tell LocalStack something."""
    request = urllib.request.Request(ENDPOINT + path, body, {"Content-Type": "application/json"}, method="POST")
    DIRECT.open(request, timeout=30).close()


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


class Function:
    """The function's process, and the one invocation that it may be working on."""

    def __init__(self) -> None:
        self.invocations: queue.Queue[dict] = queue.Queue()
        self._lock = threading.Lock()
        self._current: dict | None = None
        self._started_at = 0.0
        self._log: list[str] = []
        self._is_ready = False
        self._process = self._start()

    def _start(self) -> subprocess.Popen:
        command = next((p for p in ("/var/task/bootstrap", "/opt/bootstrap") if Path(p).is_file()), None)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCALSTACK_")}
        environment["AWS_LAMBDA_RUNTIME_API"] = "127.0.0.1:9001"
        process = subprocess.Popen(
            [command] if command else [sys.executable, "-m", "awslambdaric", os.environ.get("_HANDLER", "")],
            cwd="/var/task",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._watch, args=[process], daemon=True).start()
        return process

    def _watch(self, process: subprocess.Popen) -> None:
        """Collect the function's output until it exits; then report the invocation that it was working on."""
        for line in process.stdout or ():
            self._log.append(line)
        status = process.wait()
        if not self._is_ready:
            report(f"/status/{RUNTIME_ID}/error", error_body("Runtime.ExitError", "".join(self._log)[-4000:]))
            return
        invocation = self._take_current()
        if invocation:
            message = f"RequestId: {invocation['invoke-id']} Error: Runtime exited with error: exit status {status}"
            self._finish(invocation, "error", error_body("Runtime.ExitError", message))
        self._process = self._start()

    def next_invocation(self) -> dict | None:
        """Wait for an invocation; None if the process that asked for it has ended meanwhile."""
        process = self._process
        invocation = self.invocations.get()
        if process.returncode is None:
            return invocation
        self.invocations.put(invocation)
        return None

    def ready(self) -> None:
        """The function asked for its first invocation."""
        if not self._is_ready:
            self._is_ready = True
            report(f"/status/{RUNTIME_ID}/ready", b"")

    def failed_to_start(self, body: bytes) -> None:
        report(f"/status/{RUNTIME_ID}/error", body)

    def begin(self, invocation: dict) -> None:
        with self._lock:
            self._current = invocation
            self._started_at = time.time()
        timer = threading.Timer(TIMEOUT_SECONDS, self._time_out, [invocation])
        timer.daemon = True
        timer.start()

    def answer(self, kind: str, body: bytes) -> None:
        """The function has answered; `kind` is `response` or `error`."""
        invocation = self._take_current()
        if invocation:
            self._finish(invocation, kind, body)

    def _time_out(self, invocation: dict) -> None:
        with self._lock:
            if self._current is not invocation:
                return
            self._current = None
        self._process.kill()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        message = f"{now} {invocation['invoke-id']} Task timed out after {TIMEOUT_SECONDS}.00 seconds"
        self._finish(invocation, "error", json.dumps({"errorMessage": message}).encode())

    def _take_current(self) -> dict | None:
        with self._lock:
            invocation, self._current = self._current, None
        return invocation

    def _finish(self, invocation: dict, kind: str, body: bytes) -> None:
        id_, milliseconds = invocation["invoke-id"], (time.time() - self._started_at) * 1000
        time.sleep(0.02)  # time for the function's last lines to come through its pipe
        output, self._log = "".join(self._log), []
        log = (
            f"START RequestId: {id_} Version: {os.environ.get('AWS_LAMBDA_FUNCTION_VERSION')}\n{output}"
            f"END RequestId: {id_}\nREPORT RequestId: {id_}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {MEMORY_MB} MB\n"
        )
        report(f"/invocations/{id_}/logs", json.dumps({"logs": log}).encode())
        report(f"/invocations/{id_}/{kind}", body)


class Handler(BaseHTTPRequestHandler):
    """What the two servers share."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet, so that no answer waits for a delayed acknowledgement

    def log_message(self, *args: object) -> None:
        """Do not log requests."""

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class RuntimeApi(Handler):
    """For the function: next invocation, its answer, its failure to start."""

    def do_GET(self) -> None:
        FUNCTION.ready()
        invocation = FUNCTION.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        FUNCTION.begin(invocation)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation["invoke-id"],
            "Lambda-Runtime-Invoked-Function-Arn": invocation["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": invocation.get("trace-id") or "",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + TIMEOUT_SECONDS) * 1000)),
        }
        self.reply(200, invocation["payload"].encode(), headers)

    def do_POST(self) -> None:
        body = self.read_body()
        self.reply(202)
        if self.path.endswith("/init/error"):
            FUNCTION.failed_to_start(body)
        else:
            FUNCTION.answer("error" if self.path.endswith("/error") else "response", body)


class Invocations(Handler):
    """For LocalStack: here is an invocation."""

    def do_POST(self) -> None:
        FUNCTION.invocations.put(json.loads(self.read_body()))
        self.reply(200)


if __name__ == "__main__":
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 9001), RuntimeApi),
        ThreadingHTTPServer(("0.0.0.0", 9563), Invocations),  # noqa: S104 (LocalStack calls from its own container)
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    FUNCTION = Function()
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
