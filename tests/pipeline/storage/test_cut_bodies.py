"""A server that ends its responses early: the store asks again."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from pipeline.errors import StoreError
from pipeline.storage import bucket

pytest_plugins = ["tests.helpers.stores"]


class Cutting(BaseHTTPRequestHandler):
    """Passes requests on, and ends the body of some responses to GET after its first half."""

    protocol_version = "HTTP/1.1"
    target: ClassVar[str] = ""
    whole_every: ClassVar[int] = 3
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def answer(self) -> None:
        """Pass one request on."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection(self.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        data = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = response.getheader("content-length") if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        is_cut = self.command == "GET" and len(data) > 999 and next(self.numbers) % self.whole_every
        self.wfile.write(data[: len(data) // 2] if is_cut else data)
        self.close_connection = bool(is_cut)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


for method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
    setattr(Cutting, f"do_{method}", Cutting.answer)


@pytest.fixture
def cutting(s3: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a store behind a server that cuts two of three bodies."""
    Cutting.target = urlsplit(s3_environment["AWS_ENDPOINT_URL"]).netloc
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(bucket, "BODY_WAIT_S", 0.001)
    yield s3
    server.shutdown()


def test_bodies_cut_short_are_requested_again(cutting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole objects and ranges arrive complete although two of three bodies end early; if all do, it is an error."""
    store, data = bucket.BucketStore(cutting, n_retries=0), bytes(range(256)) * 2000
    store.put("a/object.bin", data)
    assert store.get("a/object.bin") == data
    with store.open("a/object.bin") as stream:
        stream.seek(1000)
        assert stream.read(300_000) == data[1000:301_000]
    monkeypatch.setattr(Cutting, "whole_every", 1_000_000)
    with pytest.raises(StoreError, match="responses in a row were cut short"):
        store.get("a/object.bin")
