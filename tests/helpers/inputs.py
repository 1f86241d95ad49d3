"""Input files to write, and run files to draft from them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipeline.config.load import load_run
from pipeline.config.run_file import RunFile
from pipeline.scaffold.draft import RunFileDraft, write_draft
from pipeline.storage.store import list_inputs

ZH = "今天下午，图书馆的自习室里坐满了人，大家都在准备考试。" * 4
HANT = "今天下午，圖書館的自習室裡坐滿了人，大家都在準備考試。" * 4
EN = "The library closes at five, but nobody seems to know why it does so today. " * 4
JA = "駅前の図書館は五時に閉まりますので、お早めにお越しください。" * 4
KO = "도서관은 다섯 시에 문을 닫습니다. " * 4


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write JSON Lines, compressed according to the file name."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(data))
    return path


def wet(path: Path, texts: Sequence[str | bytes], kind: str = "conversion") -> Path:
    """Write WARC records, compressed one by one."""
    data = b""
    for i, text in enumerate(texts):
        body = text.encode() if isinstance(text, str) else text
        head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://example.org/{i}\r\n"
        head += f"WARC-Date: 2024-05-06T07:08:09Z\r\nWARC-Record-ID: <urn:uuid:{i}>\r\n"
        data += gzip.compress(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n")
    path.write_bytes(data)
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write Parquet."""
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def init(folder: Path, *paths: Path) -> tuple[RunFileDraft, RunFile]:
    """Write a run file into a folder, over these paths or all of the folder, and load it."""
    draft = write_draft([str(path) for path in paths or [folder]], str(folder / "run.yaml"))
    return draft, load_run(draft.path)


def inputs(run: RunFile) -> dict[str, list[str]]:
    """Names of the files that each source of a run file reads."""
    return {
        source.name: [
            os.path.basename(file.path) for pattern in source.files for file in list_inputs(pattern)
        ]
        for source in run.sources
    }
