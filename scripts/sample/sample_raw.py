"""Write the raw formats of the sample: a small crawl as two WARC files, folders of HTML and of Markdown and text files.

Reads the pages and texts chosen by sample_pages.py; adds records that a reader must skip and records that it must
reject, at fixed positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.sample.sample_files import More, gzip_bytes, table, warc_record
from scripts.sample.sample_pages import LABELS, Raw


@dataclass(frozen=True)
class Place:
    """Counts of a file or folder of raw pages, for the README."""

    name: str
    n_records: int
    n_documents: int
    n_broken: int
    n_bytes: int


PLANTED = (
    ("crawl/crawl-00.warc.gz", "a page that is a script and no text", "empty_text"),
    ("crawl/crawl-00.warc.gz", "a body said to be gzip that is not", "invalid_http"),
    ("crawl/crawl-01.warc.gz", "the file ends inside its last record", "truncated"),
    ("pages/en/cut-off.html.gz", "a compressed file that was cut off", "truncated"),
    ("notes/zh/two-encodings.txt", "half in GB18030, half in UTF-8", "unknown_encoding"),
    ("notes/en/blank.md", "blank lines only", "empty_text"),
)
"""File, its defect, and the reason recorded in quarantine."""

APP_SHELL = (
    b'<!DOCTYPE html><html><head><script>boot("app")</script></head><body><div id="app"></div></body></html>'
)
BLANK_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001"
    "48afa4710000000049454e44ae426082"
)


def response(url: str, body: bytes, head: Sequence[str], license: str = "", status: str = "200 OK") -> bytes:
    """Serialise an HTTP response as a WARC record; head: lines of HTTP headers."""
    http = "\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode() + body
    headers = [("WARC-Target-URI", url), ("Content-Type", "application/http; msgtype=response")]
    return warc_record("response", [*headers, *([("X-License", license)] if license else [])], http)


def crawl(pages: Sequence[Raw]) -> list[bytes]:
    """Serialise pages as two WARC files with other records among them; the second file is truncated."""
    records = [_crawled(i, page) for i, page in enumerate(pages)]
    half = len(records) // 2
    html = "Content-Type: text/html"
    first, url = pages[0], "https://example.org"
    request = f"GET / HTTP/1.1\r\nHost: {first.url.split('/')[2]}\r\n\r\n".encode()
    target = [("WARC-Target-URI", first.url), ("Content-Type", "application/http; msgtype=request")]
    not_pages = [
        warc_record("request", target, request),
        response(f"{url}/old", b"", ["Location: /new"], status="301 Moved Permanently"),
        response(f"{url}/gone", b"<p>There is nothing at this address.</p>", [html], status="404 Not Found"),
        response(f"{url}/dot.png", BLANK_PNG, ["Content-Type: image/png"]),
        warc_record("metadata", [("WARC-Target-URI", f"{url}/")], b"via: https://example.org/\r\n"),
    ]
    broken = [
        response(f"{url}/app", APP_SHELL, [html]),
        response(f"{url}/broken", b"\x1f\x8b no gzip", [html, "Content-Encoding: gzip"]),
    ]
    last = response(f"{url}/cut", b"<p>This page has an end that was never written.</p>" * 9, [html])
    about = b"description: pages of openly licensed sites; see README.md\r\n"
    info = warc_record("warcinfo", [("Content-Type", "application/warc-fields")], about)
    whole = [info, *records[: half // 2], *not_pages, *broken, *records[half // 2 : half]]
    return [b"".join(whole), b"".join([info, *records[half:], last[: len(last) // 2]])]


def _crawled(i: int, page: Raw) -> bytes:
    """One page as an HTTP response: every third compressed, every fourth chunked."""
    label = f"; charset={LABELS[page.encoding]}" if page.declared == "header" else ""
    head, body = [f"Content-Type: text/html{label}"], page.data
    if i % 3 == 1:
        head, body = [*head, "Content-Encoding: gzip"], gzip_bytes(body)
    if i % 4 == 2:
        head, body = [*head, "Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return response(page.url, body, head, page.license)


def files(raws: Sequence[Raw]) -> dict[str, bytes]:
    """Path below sample/ -> bytes of every raw file, including broken ones."""
    pages = [raw for raw in raws if raw.place == "crawl"]
    data_of = {f"crawl/crawl-{i:02}.warc.gz": data for i, data in enumerate(crawl(pages))}
    for raw in raws:
        if raw.place != "crawl":
            assert raw.place not in data_of, raw.place
            data_of[raw.place] = gzip_bytes(raw.data) if raw.place.endswith(".gz") else raw.data
    data_of["pages/en/cut-off.html.gz"] = gzip_bytes(b"<p>A page that was cut off.</p>" * 99)[:-20]
    data_of["notes/zh/two-encodings.txt"] = (
        "这一半是国标码。\n".encode("gb18030") * 9 + "这一半不是。\n".encode() * 9
    )
    data_of["notes/en/blank.md"] = b"\n \n\t\n"
    return data_of


def write(raws: Sequence[Raw], out: Path) -> list[Place]:
    """Write every raw file; returns the counts of each crawl file and each folder."""
    data = files(raws)
    for name, content in data.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    n_crawl = sum(raw.place == "crawl" for raw in raws)
    half, places = n_crawl // 2, []
    for i, (n_documents, n_more) in enumerate(((half, 8), (n_crawl - half, 2))):
        name = f"crawl/crawl-{i:02}.warc.gz"
        n_broken = sum(file == name for file, _, _ in PLANTED)
        places.append(Place(name, n_documents + n_more, n_documents, n_broken, len(data[name])))
    for folder in ("pages", "notes"):
        n_documents = sum(raw.place.startswith(f"{folder}/") for raw in raws)
        sizes = [len(content) for name, content in data.items() if name.startswith(f"{folder}/")]
        places.append(Place(f"{folder}/", len(sizes), n_documents, len(sizes) - n_documents, sum(sizes)))
    return places


def describe(raws: Sequence[Raw], places: Sequence[Place]) -> More:
    """Summarise the raw files for the README."""
    folders = ("crawl", "pages", "notes")
    where = [(raw, raw.place.split("/")[0]) for raw in raws]
    documents = [(r.language, r.kind, (folder, r.origin, r.repo, r.commit, r.license)) for r, folder in where]
    counts = Counter((raw.encoding, raw.declared or "nowhere", folder) for raw, folder in where)
    encodings = [
        (*key, *(counts[*key, folder] for folder in folders)) for key in sorted({key[:2] for key in counts})
    ]
    overview = [(p.name, p.n_records, p.n_documents, p.n_broken, f"{p.n_bytes / 1e6:.2f}") for p in places]
    listed = sorted((r.place, r.encoding, r.license, r.url) for r in raws if r.place != "crawl")
    return More(
        documents,
        sum(place.n_broken for place in places),
        {
            "places": table(("place", "records", "documents", "broken", "MB"), overview),
            "encodings": table(("encoding", "declared in", *folders), encodings),
            "wrong": table(("place", "what is wrong", "reason in quarantine"), PLANTED),
            "listed": table(("path", "encoding", "licence", "address"), listed),
        },
    )
