"""An HTTP server on 127.0.0.1 that serves one model in the shape of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = hashlib.sha1(b"commit").hexdigest()
MODEL = "org/tiny-scorer"


class Hub:
    """The served folder and what was asked for. cut: files whose next download ends in the middle."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cut = folder, set[str]()
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, range
        self.sent: dict[str, int] = {}
        self.endpoint = ""

    def paths(self) -> list[str]:
        """Names of the files."""
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())


@contextmanager
def serve_hub(folder: Path) -> Iterator[Hub]:
    """Serve the files of a folder as MODEL at COMMIT."""
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def do_HEAD(self) -> None:
            self.answer(send_body=False)

        def do_GET(self) -> None:
            self.answer(send_body=True)

        def answer(self, send_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if path == f"/api/models/{MODEL}/tree/{COMMIT}":
                self.reply(json.dumps([self.entry(name) for name in hub.paths()]).encode(), send_body)
            elif path in (f"/api/models/{MODEL}", f"/api/models/{MODEL}/revision/main"):
                self.reply(json.dumps({"id": MODEL, "sha": COMMIT, "siblings": []}).encode(), send_body)
            elif (
                path.startswith(prefix := f"/{MODEL}/resolve/{COMMIT}/")
                and (file := folder / path[len(prefix) :]).is_file()
            ):
                self.file(file, path[len(prefix) :], send_body)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def entry(self, name: str) -> dict[str, object]:
            data = (folder / name).read_bytes()
            return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

        def reply(self, body: bytes, send_body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send_body:
                self.wfile.write(body)

        def file(self, file: Path, name: str, send_body: bool) -> None:
            data = file.read_bytes()
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(data) - start))
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if not send_body:
                return
            body = data[start:]
            if name in hub.cut:
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)
            hub.sent[name] = hub.sent.get(name, 0) + len(body)
            hub.cut.discard(name)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
