"""An HTTP server on 127.0.0.1 with dataset repositories, in the shape of the write API of the Hugging Face hub.

Repositories are real: commits with a parent, files by digest of git or SHA-256, large files by the batch API of Git
LFS. Requests without the token are refused; `faults` are answered once instead of what was asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 4_096
"""Bytes from which a file goes to large file storage."""


@dataclass
class Repository:
    """A repository: its files by path, commits from the first, and large files by SHA-256."""

    files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    commits: list[tuple[str, str, int]] = field(default_factory=list)  # id, title, operations
    private: bool = False


@dataclass
class DatasetHub:
    """The repositories, and what was asked: method, path, and whether the token came with it. faults: status codes by
    (method, part of the path), each answered once. uploaded: bytes of large files that were sent."""

    token: str
    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    faults: dict[tuple[str, str], int] = field(default_factory=dict)
    uploaded: int = 0


def git_digest(data: bytes) -> str:
    """Digest of a file in git."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve_datasets(token: str) -> Iterator[DatasetHub]:
    """Serve an empty hub."""
    hub = DatasetHub(token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            self.answer("GET")

        def do_POST(self) -> None:
            self.answer("POST")

        def do_PUT(self) -> None:
            self.answer("PUT")

        def answer(self, method: str) -> None:
            url = urlsplit(self.path)
            path = unquote(url.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self.chunked()
            has_token = self.headers.get("Authorization") == f"Bearer {hub.token}"
            hub.requests.append((method, path, has_token))
            fault = next((key for key in hub.faults if key[0] == method and key[1] in path), None)
            if fault is not None:
                return self.reply({"error": "fault"}, hub.faults.pop(fault))
            if path.startswith("/storage/"):
                hub.objects[path.removeprefix("/storage/")] = body
                hub.uploaded += len(body)
                return self.reply({})
            if not has_token:
                return self.reply({"error": "no token"}, 401)
            match [part for part in path.split("/") if part]:
                case ["api", "repos", "create"]:
                    self.create(json.loads(body))
                case ["api", "validate-yaml"]:
                    self.reply({"errors": [], "warnings": []})
                case ["api", "datasets", owner, name, *rest]:
                    self.dataset(f"{owner}/{name}", rest, body)
                case ["datasets", _, _, "info", "lfs", "objects", "batch"]:
                    self.batch(json.loads(body))
                case _:
                    self.reply({"error": path}, 404)

        def create(self, asked: dict[str, Any]) -> None:  # Any: JSON
            name = f"{asked['organization']}/{asked['name']}"
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            made = hub.repositories.setdefault(name, Repository(private=private))
            if not made.commits:
                made.files[".gitattributes"] = b"*.parquet filter=lfs\n"
                made.commits.append((hashlib.sha1(name.encode()).hexdigest(), "initial commit", 1))
            self.reply({"url": f"{hub.endpoint}/datasets/{name}", "name": name})

        def dataset(self, name: str, rest: list[str], body: bytes) -> None:
            found = hub.repositories.get(name)
            if found is None:
                return self.reply({"error": "no repository"}, 404, "RepoNotFound")
            match rest:
                case [] | ["revision", _]:
                    self.reply(
                        {"id": name, "sha": found.commits[-1][0], "private": found.private, "siblings": []}
                    )
                case ["tree", _, *_]:
                    self.reply([self.entry(found, path) for path in sorted(found.files)])
                case ["preupload", _]:
                    files = json.loads(body)["files"]
                    modes = [
                        {
                            "path": f["path"], "shouldIgnore": False,
                            "uploadMode": "lfs" if f["size"] >= LARGE else "regular",
                            "oid": self.entry(found, f["path"])["oid"] if f["path"] in found.files else None,
                        }
                        for f in files
                    ]  # fmt: skip
                    self.reply({"files": modes})
                case ["commit", _]:
                    self.commit(name, found, [json.loads(line) for line in body.splitlines()])
                case _:
                    self.reply({"error": "/".join(rest)}, 404)

        def entry(self, found: Repository, path: str) -> dict[str, Any]:  # Any: JSON
            data = found.files[path]
            made: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_digest(data)}
            if path in found.large:
                made["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            return made

        def batch(self, asked: dict[str, Any]) -> None:  # Any: JSON
            objects = []
            for one in asked["objects"]:
                href = f"{hub.endpoint}/storage/{one['oid']}"
                actions = {} if one["oid"] in hub.objects else {"actions": {"upload": {"href": href}}}
                objects.append({"oid": one["oid"], "size": one["size"], **actions})
            self.reply({"transfer": "basic", "objects": objects})

        def commit(self, name: str, found: Repository, lines: list[dict[str, Any]]) -> None:  # Any: JSON
            header = next(line["value"] for line in lines if line["key"] == "header")
            if header.get("parentCommit") not in (None, found.commits[-1][0]):
                return self.reply({"error": "parent"}, 412)
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    found.files[value["path"]] = base64.b64decode(value["content"])
                    found.large.discard(value["path"])
                elif line["key"] == "lfsFile":
                    found.files[value["path"]] = hub.objects[value["oid"]]
                    found.large.add(value["path"])
                elif line["key"] == "deletedFile":
                    del found.files[value["path"]]
            made = hashlib.sha1(repr((found.commits, sorted(found.files))).encode()).hexdigest()
            found.commits.append((made, header["summary"], len(lines) - 1))
            url = f"{hub.endpoint}/datasets/{name}/commit/{made}"
            self.reply({"success": True, "commitOid": made, "commitUrl": url, "hookOutput": ""})

        def chunked(self) -> bytes:
            data = b""
            while n_bytes := int(self.rfile.readline(), 16):
                data += self.rfile.read(n_bytes)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def reply(self, page: object, code: int = 200, error: str = "") -> None:
            data = json.dumps(page).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            if error:
                self.send_header("X-Error-Code", error)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

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
