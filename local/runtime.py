"""`python -m local.runtime HANDLER`: runs a handler as Lambda does, with awslambdaric, on every POSIX system.

awslambdaric's own client of Lambda's runtime API is built on Linux only. Where it is missing, as on a Mac, the one
below stands in for it.
"""

from __future__ import annotations

import http.client
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_INVOCATION = "/2018-06-01/runtime/invocation"
_DEADLINE = "Lambda-Runtime-Deadline-Ms"


class RuntimeClient(ModuleType):
    """The functions of awslambdaric's native module `runtime_client`, over the API at `address` (host:port)."""

    def __init__(self, address: str) -> None:
        super().__init__("runtime_client")
        self._address = address

    def initialize_client(self, user_agent: str) -> None:
        """Nothing is to be done before the first request."""

    def next(self) -> tuple[bytes, dict[str, Any]]:
        """Wait for the next event. Gives its bytes, and the headers that describe the invocation."""
        body, headers = self._request("GET", f"{_INVOCATION}/next", None, "")
        return body, {**headers, _DEADLINE: int(headers[_DEADLINE])}

    def post_invocation_result(self, invocation: str, result: bytes, content_type: str, *_: object) -> None:
        self._request("POST", f"{_INVOCATION}/{invocation}/response", result, content_type)

    def post_error(self, invocation: str, error: str, *_: object) -> None:
        self._request("POST", f"{_INVOCATION}/{invocation}/error", error.encode(), "application/json")

    def _request(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[bytes, dict[str, str]]:
        """One request on a connection of its own: between two events, hours may pass."""
        connection = http.client.HTTPConnection(self._address)
        try:
            connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
            answer = connection.getresponse()
            if answer.status >= http.client.MULTIPLE_CHOICES:
                raise RuntimeError(f"{method} {path}: {answer.status}")
            return answer.read(), dict(answer.getheaders())
        finally:
            connection.close()


def main(handler: str) -> None:
    try:
        import_module("runtime_client")
    except ImportError:
        sys.modules["runtime_client"] = RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
    import_module("awslambdaric.__main__").main(["", handler])


if __name__ == "__main__":
    main(sys.argv[1])
