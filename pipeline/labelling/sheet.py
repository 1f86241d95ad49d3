"""Writes a labelling sheet: one HTML file that works without network, and the same rows as CSV for spreadsheets."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.excerpt import excerpt
from pipeline.labelling.rubric import Rubric
from pipeline.recipe import digest
from pipeline.release.numbers import csv_text
from pipeline.report.html_page import fill_page, json_block, script_hash

FOLDER = Path(__file__).parent
FIELDS = ("doc_id", "score", "keep", "kind", "flags", "domain", "note", "labeller")
"""Columns of answers; flags are separated by `|`."""


def documents_of(drawn: pa.Table, max_chars: int) -> list[dict[str, Any]]:  # Any: plain JSON
    """What a sheet shows of each document: neither score nor domain nor source, so that they do not sway the reader."""
    rows = drawn.select(["doc_id", "language", "text"]).to_pylist()
    return [
        {
            "doc_id": row["doc_id"], "language": row["language"], "chars": len(row["text"]),
            "cut": excerpt(row["text"], max_chars) != row["text"], "text": excerpt(row["text"], max_chars),
        }
        for row in rows
    ]  # fmt: skip


def sheet_html(name: str, rubric: Rubric, documents: Sequence[dict[str, Any]]) -> str:
    """Return the page. Texts are in a block of JSON that no parser reads as HTML, and scripts set them as plain text.

    Its policy allows the page's own script and style by their hashes and nothing else: no request, no other script.
    """
    style, script = ((FOLDER / f"sheet.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    data = {"name": name, "rubric": rubric, "documents": list(documents)}
    data["id"] = digest(data)[:16]
    policy = (
        f"default-src 'none'; script-src '{script_hash(script)}'; style-src '{script_hash(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    parts = {
        "policy": policy, "title": html.escape(name), "style": style, "script": script, "data": json_block(data),
    }  # fmt: skip
    return fill_page((FOLDER / "sheet.html").read_text(encoding="utf-8"), parts)


def sheet_csv(documents: Sequence[dict[str, Any]]) -> str:
    """Return the rows with empty answers, for spreadsheets: quoted, no cell is run as a formula, UTF-8 with a mark."""
    lines = [",".join((*FIELDS, "language", "text"))]
    for row in documents:
        empty = [""] * (len(FIELDS) - 1)
        lines.append(
            ",".join(csv_text(value) for value in (row["doc_id"], *empty, row["language"], row["text"]))
        )
    return "\ufeff" + "\r\n".join(lines) + "\r\n"
