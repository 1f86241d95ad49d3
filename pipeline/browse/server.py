"""The server of the explorer: this machine only, read-only, and for whoever has the token of its address.

The page is static and holds nothing of the build. Its script sends the token, which it finds in the fragment of the
address, in a header with every request, so that no other page can ask; requests under another host name are refused,
so that no name can be made to point here. There are no files behind paths: every path is a name in a table.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from polars.exceptions import PolarsError

from pipeline.browse import document as documents
from pipeline.browse.frame import DECIDED, OPERATORS, Frame
from pipeline.browse.page import explorer_page
from pipeline.browse.search import search
from pipeline.browse.what_if import changed_run_file, movable, what_if
from pipeline.errors import BicorpusError, UsageError
from pipeline.rules.meanings import meaning_of
from pipeline.translation import in_language, message, supported, t

HOST = "127.0.0.1"

MAX_BODY = 1 << 16
"""Largest request, in bytes."""

PAGE_ROWS = 50
"""Documents of one page."""

MAX_ROWS = 200
"""Largest number of rows that one request may name."""

HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}  # fmt: skip

Body = Mapping[str, Any]  # Any: JSON of a request
Answer = Callable[[Frame, Body], Any]


def about(frame: Frame, _: Body) -> Any:
    """What the page needs to begin: columns, rules, bounds and how many documents there are."""
    layout = frame.finished.releasing.layout
    columns = [
        {"name": name, "dtype": str(dtype), "integer": "int" in str(dtype)}
        for name, dtype in sorted(frame.types.items())
        if "<" not in str(dtype) and "[" not in str(dtype)
    ]
    rules = [
        {"name": rule.name, "action": rule.action, "meaning": meaning_of(rule.name) or ""}
        for rule in frame.run.select
    ]
    return {
        "corpus": frame.run.corpus, "release": frame.run.release.name, "run": str(frame.run.path), "rows": frame.n_rows,
        "columns": columns, "rules": rules, "bounds": movable(frame.run.select), "operators": OPERATORS,
        "language": layout.columns["language"], "decided": DECIDED,
    }  # fmt: skip


def rows(frame: Frame, body: Body) -> Any:
    """One page of the documents that pass the conditions, and how many there are."""
    found = frame.matching(body.get("where") or [])
    if body.get("sort"):
        found = frame.sorted_rows(found, str(body["sort"]), bool(body.get("descending")))
    offset = max(int(body.get("offset") or 0), 0)
    return {"total": len(found), "rows": shown(frame, found[offset : offset + PAGE_ROWS].tolist(), body)}


def shown(frame: Frame, numbers: list[int], body: Body) -> list[dict[str, Any]]:
    """Values of some rows: id, verdict, language, source and the columns that are asked for."""
    language = frame.finished.releasing.layout.columns["language"]
    names = dict.fromkeys(
        ["doc_id", "source", *([language] if language else []), "rule", *(body.get("columns") or [])]
    )
    values = frame.take(numbers, [name for name in names if name in frame.types])
    return [{"row": row, "values": value} for row, value in zip(numbers, values, strict=True)]


def facets(frame: Frame, body: Body) -> Any:
    """Values of some columns among the documents that pass the conditions, with their counts."""
    found = frame.matching(body.get("where") or [])
    return {str(name): frame.values(str(name), found) for name in list(body.get("columns") or [])[:8]}


def find(frame: Frame, body: Body) -> Any:
    """Documents among those that pass the conditions whose text has a pattern; see pipeline.browse.search."""
    if not str(body.get("pattern") or ""):
        raise UsageError("the search has no pattern; expected some text")
    found = frame.matching(body.get("where") or [])
    after = body.get("after")
    result = search(
        frame, found, str(body["pattern"]), bool(body.get("regex")), -1 if after is None else int(after)
    )
    result["rows"] = shown(frame, [hit["row"] for hit in result["found"]], body)
    return result


def excerpts(frame: Frame, body: Body) -> Any:
    """The beginning of the text of some rows."""
    return documents.excerpts(frame, _row_numbers(frame, body))


def _row_numbers(frame: Frame, body: Body) -> list[int]:
    numbers = [int(row) for row in list(body.get("rows") or [])[:MAX_ROWS]]
    for row in numbers:
        frame.place(row)
    return numbers


def document(frame: Frame, body: Body) -> Any:
    """One document, by `row` or `doc_id`."""
    row = frame.row_of(str(body["doc_id"])) if body.get("doc_id") else int(body.get("row") or 0)
    frame.place(row)
    return documents.document(frame, row)


def text(frame: Frame, body: Body) -> Any:
    """A window of a document's text."""
    row = int(body.get("row") or 0)
    frame.place(row)
    return documents.text_window(frame, row, int(body.get("start") or 0), int(body.get("length") or 0))


def threshold(frame: Frame, body: Body) -> Any:
    """What another threshold would change."""
    found = what_if(frame, str(body.get("rule")), int(body.get("place") or 0), _float(body.get("value")))
    for name in ("back", "lost"):
        found[name]["rows"] = shown(frame, found[name]["rows"], body)
    return found


def _float(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise UsageError(f"threshold {value!r}; expected a finite number")
    return number


def run_file(frame: Frame, body: Body) -> Any:
    """The run file with changed thresholds, as text."""
    return {"text": changed_run_file(frame.run.text, frame.run.select, list(body.get("changes") or []))}


ANSWERS: Mapping[str, Answer] = {
    "/api/about": about, "/api/rows": rows, "/api/facets": facets, "/api/search": find, "/api/excerpts": excerpts,
    "/api/document": document, "/api/text": text, "/api/threshold": threshold, "/api/run-file": run_file,
}  # fmt: skip


class Explorer(ThreadingHTTPServer):
    """Serves one build on the loopback interface. port: 0 for any that is free."""

    daemon_threads = True

    def __init__(self, frame: Frame, port: int = 0) -> None:
        self.frame, self.token = frame, secrets.token_urlsafe(24)
        self.page, self.policy = explorer_page()
        super().__init__((HOST, port), Handler)

    @property
    def hosts(self) -> set[str]:
        """Values of the header Host that are answered."""
        return {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The address to open, with the token in its fragment, which browsers send nowhere."""
        return f"http://{HOST}:{self.server_port}/#token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the cause of a failed answer, except that the reader left before it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def start(self) -> threading.Thread:
        """Serve in a thread of its own."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        return thread


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Explorer
    server_version = "bicorpus"
    sys_version = ""

    def do_GET(self) -> None:
        """The page, and nothing else."""
        if not self.is_local():
            return
        if self.path == "/":
            policy = {"Content-Security-Policy": self.server.policy}
            self.send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page, policy)
        elif self.path == "/favicon.ico":
            self.send(HTTPStatus.NO_CONTENT, "image/x-icon", b"")
        else:
            self.fail(HTTPStatus.NOT_FOUND, message("there is nothing at this address"))

    def do_POST(self) -> None:
        """A question in JSON with the token."""
        if not self.is_local():
            return
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.server.token}".encode()):
            return self.fail(
                HTTPStatus.UNAUTHORIZED,
                message("the token is missing or wrong; open the address that was printed"),
            )
        answer = ANSWERS.get(self.path)
        if answer is None:
            return self.fail(HTTPStatus.NOT_FOUND, message("there is nothing at this address"))
        if self.headers.get_content_type() != "application/json":
            return self.fail(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message("expected application/json"))
        try:
            size = int(self.headers.get("Content-Length", ""))
        except ValueError:
            return self.fail(HTTPStatus.LENGTH_REQUIRED, message("the request has no length"))
        if not 0 <= size <= MAX_BODY:
            return self.fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {MAX_BODY:,} bytes")
        try:
            body = json.loads(self.rfile.read(size) or b"{}")
            if not isinstance(body, dict):
                raise UsageError("expected a JSON object")
            found = answer(self.server.frame, body)
        except (BicorpusError, ValueError, TypeError, KeyError, OverflowError, PolarsError) as error:
            return self.fail(HTTPStatus.BAD_REQUEST, str(error) or type(error).__name__)
        data = json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self.send(HTTPStatus.OK, "application/json; charset=utf-8", data)

    def is_local(self) -> bool:
        """Whether the request is for this host; one that is not is refused."""
        if self.headers.get("Host", "") in self.server.hosts:
            return True
        self.fail(HTTPStatus.FORBIDDEN, message("this server answers on its own address only"))
        return False

    def send(self, status: HTTPStatus, kind: str, data: bytes, more: Mapping[str, str] | None = None) -> None:
        """Answer with data."""
        self.send_response(status)
        for name, value in {
            **HEADERS,
            **(more or {}),
            "Content-Type": kind,
            "Content-Length": str(len(data)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status: HTTPStatus, reason: str) -> None:
        """Answer with an error, in the language of the page."""
        self.close_connection = True
        with in_language(supported(self.headers.get("Accept-Language", "")) or "en"):
            data = json.dumps({"error": t(reason)}).encode()
        self.send(status, "application/json; charset=utf-8", data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: addresses and searches of a reader are no one's."""
