"""What anybody asks of the emulator's S3, seen on the way: Arrow's own S3 client knows no hooks as boto3 does."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.iam import Need

_DROPPED = {"connection", "expect", "transfer-encoding"}


@contextmanager
def watched(endpoint: str) -> Iterator[tuple[str, list[Need]]]:
    """An endpoint that passes everything on, and a list that grows by what each request for S3 needs of IAM."""
    behind = urlsplit(endpoint).netloc
    seen: list[Need] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self._body()
            if "/s3/" in self.headers.get("Authorization", ""):
                seen.extend(_needs(self.command, self.path))
            connection = http.client.HTTPConnection(behind, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status == 404 and (absent := _listing(self.path)):
                seen.append(absent)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _DROPPED | {"content-length"}:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)
            connection.close()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return found

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _needs(method: str, path: str) -> list[Need]:
    """Of a request in path style (Service Authorization Reference, Amazon S3).

    Raises:
        NotImplementedError: a request that is not known here.
    """
    asked = urlsplit(path)
    query = parse_qs(asked.query, keep_blank_values=True)
    bucket, _, key = unquote(asked.path).lstrip("/").partition("/")
    if not key:
        if method == "GET" and {"list-type", "versions"} & set(query):
            prefix = query.get("prefix", [""])[0]
            action = "ListBucketVersions" if "versions" in query else "ListBucket"
            return [Need(f"s3:{action}", f"arn:aws:s3:::{bucket}", (("s3:prefix", prefix),))]
        raise NotImplementedError(f"{method} {path}")
    verbs = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
    action = "AbortMultipartUpload" if method == "DELETE" and "uploadId" in query else verbs[method]
    return [Need(f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}")]


def _listing(path: str) -> Need | None:
    """What S3 asks for before it says that an object does not exist; without it, it says that the object is forbidden.

    The request for an object has no prefix, so a right to list that is limited to prefixes is none here.
    """
    bucket, _, key = unquote(urlsplit(path).path).lstrip("/").partition("/")
    return Need("s3:ListBucket", f"arn:aws:s3:::{bucket}") if key else None
