"""Labelled documents drawn from the sample: documentation, encyclopaedia and law against a forum's spam and debris."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tests.helpers.paths import SAMPLE


def labelled_sample() -> pa.Table:
    """200 good and about 140 bad Chinese documents, and 40 good English ones: text, lang, label, source, kind, url."""
    zh = _rows(gzip.decompress((SAMPLE / "docs_zh-00.jsonl.gz").read_bytes()), "content", 200)
    en = _rows(
        zstandard.ZstdDecompressor()
        .decompressobj()
        .decompress((SAMPLE / "docs_en-00.jsonl.zst").read_bytes()),
        "text",
        40,
    )
    spam = [
        row
        for row in _rows(gzip.decompress((SAMPLE / "forum_spam.jsonl.gz").read_bytes()), "raw_content", 999)
    ]
    spam = [row for row in spam if not row.get("url")]
    rows = [
        {
            "text": _valid(row[field][:1500]), "lang": lang, "label": label, "kind": kind, "source": _source(row, i),
            "url": row.get("url"),
        }
        for field, lang, label, kind, documents in (
            ("content", "zh", True, "reference", zh), ("text", "en", True, "reference", en),
            ("raw_content", "zh", False, "spam", spam),
        )
        for i, row in enumerate(documents)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def write_labelled(folder: Path) -> Path:
    """Write the table to a Parquet file in `folder` and return its path."""
    pq.write_table(labelled_sample(), folder / "labelled.parquet")
    return folder / "labelled.parquet"


def _valid(text: str) -> str:
    """Text without lone surrogates, which one record has."""
    return text.encode("utf-8", "ignore").decode()


def _source(row: dict[str, Any], number: int) -> str:
    """The repository of a document, or one of six boards of the forum."""
    parts = (row.get("url") or "").split("/")
    return "/".join(parts[3:5]) if len(parts) > 4 else f"board-{number % 6}"


def _rows(data: bytes, field: str, n_rows: int) -> list[dict[str, Any]]:
    rows = []
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:  # the broken records of the sample
            continue
        if isinstance(row, dict) and isinstance(row.get(field), str) and row[field].strip():
            rows.append(row)
    return rows[:n_rows]
