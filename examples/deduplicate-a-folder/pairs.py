"""Put each removed document beside its keeper: read kept.jsonl and removed.jsonl, write pairs.jsonl, print some.

Example: python pairs.py
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

N_SHOWN = 1


def read(path: str) -> list[dict[str, Any]]:  # Any: JSON values
    """Rows of a .jsonl file."""
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def main() -> None:
    """Write the pairs and print the first near duplicates."""
    keepers = {row["doc_id"]: row for row in read("kept.jsonl")}
    pairs = [
        {
            "duplicate": row["duplicate"],  # raw: same text; exact: same match text; near
            "similarity": row["similarity"],
            "removed": row["source_id"],
            "keeper": keepers[row["keeper_id"]]["source_id"],
            "removed_text": row["text"],
            "keeper_text": keepers[row["keeper_id"]]["text"],
        }
        for row in read("removed.jsonl")
    ]
    lines = (json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    Path("pairs.jsonl").write_text("".join(lines), encoding="utf-8")
    print(", ".join(f"{n} {kind}" for kind, n in sorted(Counter(p["duplicate"] for p in pairs).items())))
    near = sorted((p for p in pairs if p["duplicate"] == "near"), key=lambda p: p["removed"])
    for pair in near[:N_SHOWN]:
        print(f"{pair['removed']} -> {pair['keeper']}, similarity {pair['similarity']:.3f}")
        print(f"  removed: …{pair['removed_text'][-30:]!r}")
        print(f"  keeper:  …{pair['keeper_text'][-50:]!r}")


if __name__ == "__main__":
    main()
