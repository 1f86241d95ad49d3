"""A server of chat completions for tests: real HTTP on a loopback port, whose answers follow a script.

A script is a function of the number of a request and its body that returns a `Reply`; the server records every request
with its time and headers. Run as a script it answers as `labels` does, until its standard input closes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """content: of the message, in a whole answer; body: bytes instead of one. cut: bytes that are left out at the end
    of what Content-Length announces. stall_s: seconds before anything is sent."""

    content: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int = 0
    stall_s: float = 0.0
    finish: str = "stop"
    usage: tuple[int, int] | None = (100, 10)


Script = Callable[[int, dict[str, Any]], Reply]


@dataclass
class Asked:
    """One request as it arrived: seconds of a monotonic clock, headers, body."""

    at: float
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def user(self) -> str:
        """Content of the last message."""
        return str(self.body["messages"][-1]["content"])


def error(status: int, message: str, code: str = "", **headers: str) -> Reply:
    """An error in the form of the interface. headers: with `_` for `-`."""
    body = json.dumps({"error": {"message": message, "code": code, "type": "error"}}).encode()
    return Reply(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Http(ThreadingHTTPServer):
    """A server in threads that keeps many connections waiting, so that none is refused on a busy machine."""

    daemon_threads = True
    request_queue_size = 256


class Server:
    """A running server. asked: all requests so far."""

    def __init__(self, script: Script) -> None:
        self.script, self.asked, self.lock = script, list[Asked](), threading.Lock()
        self.n_in_flight = self.most_in_flight = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request after the script."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            number = len(self.asked)
            self.asked.append(
                Asked(time.monotonic(), {k.lower(): v for k, v in handler.headers.items()}, body)
            )
            self.n_in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.n_in_flight)
        try:
            reply = self.script(number, body)
            time.sleep(reply.stall_s)
            data = _bytes_of(reply, body)
            with suppress(OSError):
                handler.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    handler.send_header(name, value)
                handler.send_header("Content-Length", str(len(data)))
                handler.end_headers()
                handler.wfile.write(data[: len(data) - reply.cut])
                handler.close_connection = bool(reply.cut)
        finally:
            with self.lock:
                self.n_in_flight -= 1


def _bytes_of(reply: Reply, body: dict[str, Any]) -> bytes:
    if reply.body is not None:
        return reply.body
    usage = None
    if reply.usage:
        usage = {
            "prompt_tokens": reply.usage[0],
            "completion_tokens": reply.usage[1],
            "total_tokens": sum(reply.usage),
        }
    choice = {
        "index": 0, "finish_reason": reply.finish, "message": {"role": "assistant", "content": reply.content},
    }  # fmt: skip
    answer = {
        "id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice],
        "usage": usage,
    }  # fmt: skip
    return json.dumps(answer, ensure_ascii=False).encode()


@contextmanager
def serve(script: Script) -> Iterator[Server]:
    """Run a server while the block lasts."""
    server = Server(script)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
