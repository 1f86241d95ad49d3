"""Write a small folder of JSON Lines with duplicates: 120 documents of the sample, 30 exact and 30 near duplicates.

Example: python make_input.py
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parents[2] / "sample/docs_zh-01.jsonl.gz"
N_DOCUMENTS, N_COPIES = 120, 30


def documents() -> list[dict[str, Any]]:  # Any: JSON values
    """The first documents of 500 to 3,000 characters."""
    rows = [json.loads(line) for line in gzip.decompress(SAMPLE.read_bytes()).splitlines()]
    return [row for row in rows if 500 <= len(row["content"]) <= 3000][:N_DOCUMENTS]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one object per line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write input/old.jsonl, and input/new/*.jsonl with the duplicates."""
    folder = Path("input")
    (folder / "new").mkdir(parents=True, exist_ok=True)
    rows = documents()
    exact = [{**row, "id": f"exact-{i}"} for i, row in enumerate(rows[:N_COPIES])]
    near = [
        {
            **row,
            "id": f"near-{i}",
            "content": row["content"][: len(row["content"]) * 9 // 10],
        }  # without their end
        for i, row in enumerate(rows[N_COPIES : 2 * N_COPIES])
    ]
    write(folder / "old.jsonl", rows)
    write(folder / "new/exact.jsonl", exact)
    write(folder / "new/near.jsonl", near)
    print(f"{len(rows) + len(exact) + len(near)} documents in {folder}/")


if __name__ == "__main__":
    main()
