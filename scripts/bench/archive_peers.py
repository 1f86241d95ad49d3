"""Count what warcio and trafilatura find in archives; prints JSON. `bench_archives` runs it in another interpreter.

Example: peers/bin/python scripts/bench/archive_peers.py archives
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAGE_TYPES = ("text/html", "application/xhtml+xml", "text/plain")
ENDINGS = (".warc", ".warc.gz", ".warc.zst", ".arc", ".arc.gz", ".bad")


def archives(folder: Path) -> list[Path]:
    """Archives below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith(ENDINGS))


def read_with_peers(path: Path) -> dict[str, int | str]:
    """Count the records and pages that warcio finds, and the pages of which trafilatura extracts text."""
    import trafilatura
    from warcio.archiveiterator import ArchiveIterator

    counts: dict[str, int | str] = {"records": 0, "pages": 0, "texts": 0, "error": ""}
    n_records = n_pages = n_texts = 0
    try:
        with open(path, "rb") as stream:
            for record in ArchiveIterator(stream, arc2warc=True):
                n_records += 1
                headers = record.http_headers or record.rec_headers
                kind = (headers.get_header("Content-Type") or "").partition(";")[0].strip().lower()
                status = record.http_headers.get_statuscode() if record.http_headers else "200"
                if record.rec_type in ("response", "resource") and status == "200" and kind in PAGE_TYPES:
                    n_pages += 1
                    body = record.content_stream().read()
                    text = (
                        body.decode("utf-8", "replace") if kind == "text/plain" else trafilatura.extract(body)
                    )
                    n_texts += bool(text and text.strip())
    except Exception as error:  # whatever stops the peer is its result
        counts["error"] = type(error).__name__
    return counts | {"records": n_records, "pages": n_pages, "texts": n_texts}


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print(json.dumps({str(path.relative_to(root)): read_with_peers(path) for path in archives(root)}))
