"""Whose requests for files are, and by which way: PyIceberg reads and writes them by Arrow, which is not boto3."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from pyiceberg.io import load_file_io
from pyiceberg.schema import Schema

from services.ops.lake.catalog import file_settings, glue_catalog

CONFIG = """
[profile of-role]
role_arn = arn:aws:iam::123456789012:role/operator
source_profile = of-key
[profile of-key]
aws_access_key_id = AKIAKEY
aws_secret_access_key = secret
"""
ROLE = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
ANSWERS = {"sts": ROLE, "glue": b'{"Database": {"Name": "lake"}}'}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Who asks S3 for something, by the signature of each request. STS gives out a role's credentials."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            signature = self.headers.get("Authorization", "")
            for service, answer in ANSWERS.items():
                if f"/{service}/" in signature:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                    return
            seen.append(signature.partition("Credential=")[2].partition("/")[0])
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    config = tmp_path / "config"
    config.write_text(CONFIG)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield seen
        server.shutdown()


@pytest.mark.parametrize(("profile", "key"), [("of-role", "ASIAROLE"), ("of-key", "AKIAKEY")])
def test_files_are_asked_for_by_whoever_the_profile_says(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, profile: str, key: str
) -> None:
    monkeypatch.setenv("AWS_PROFILE", profile)
    catalog = glue_catalog()
    with suppress(OSError):  # nothing is kept
        catalog.create_table(("lake", "shipments"), Schema(), location="s3://bucket/lake/shipments")
    assert set(asked) == {key}


@pytest.mark.parametrize(("direct", "by_proxy"), [("", True), (".amazonaws.com", False)])
def test_files_are_asked_for_by_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, direct: str, by_proxy: bool
) -> None:
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            seen.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", direct)
        settings = file_settings("eu-central-1")
        assert ("s3.proxy-uri" in settings) is by_proxy
        if by_proxy:
            with pytest.raises(OSError, match="CONNECT"):
                load_file_io(settings, "s3://bucket/x").new_input("s3://bucket/x").exists()
            assert set(seen) == {"bucket.s3.eu-central-1.amazonaws.com:443"}
        server.shutdown()
