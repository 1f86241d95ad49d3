"""Time of the explorer over a million documents: first page, filters, facets, a moved threshold, a document, searches.

Builds a store of short documents with scores of their own, once, and asks the server over HTTP, as a browser does. The
texts are paragraphs of the sample, numbered, so that all differ.

Example: python -m scripts.bench.bench_browse /tmp/browse --rows 1000000
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).parents[2]
FILE_ROWS = 100_000

RUN = {
    "corpus": "browse",
    "sources": [
        {
            "name": "docs", "reader": "stages.readers.parquet", "files": "docs-*.parquet",
            "columns": {
                "lang.label": "lang:string", "edu.score": "edu", "lm.perplexity": "perplexity", "size.n_chars": "chars",
            },
        }
    ],
    "ingest": {"shard_bytes": "32MB"},
    "select": [
        {"name": "too_short", "size.n_chars": {"min": 100}, "if_null": "keep"},
        {"name": "low_value", "edu.score": {"min": 0.2}, "if_null": "keep"},
        {"name": "not_fluent", "lm.perplexity": {"max": 900}, "if_null": "keep"},
    ],
    "release": {"name": "v1", "columns": {"language": "lang.label", "perplexity": "lm.perplexity"}},
}  # fmt: skip


def paragraphs() -> list[str]:
    """Paragraphs of the bundled sample."""
    texts: list[str] = []
    with gzip.open(ROOT / "sample/docs_zh-00.jsonl.gz", "rb") as stream:
        for line in stream:
            try:
                texts += str(json.loads(line).get("content", "")).split("\n\n")
            except (ValueError, AttributeError):
                continue  # the sample has broken lines on purpose
    return [text for text in texts if 40 < len(text) < 600]


def write_inputs(folder: Path, n_rows: int) -> None:
    """Write the documents, FILE_ROWS to a file."""
    rng, texts = np.random.default_rng(0), paragraphs()
    for first in range(0, n_rows, FILE_ROWS):
        n = min(FILE_ROWS, n_rows - first)
        chosen = [f"{first + i}: {texts[k]}" for i, k in enumerate(rng.integers(0, len(texts), n))]
        columns = {
            "text": chosen, "lang": rng.choice(["zho_Hans", "eng_Latn", "zho_Hant"], n), "edu": rng.beta(2, 3, n),
            "perplexity": np.exp(rng.normal(5.5, 0.8, n)), "chars": [len(text) for text in chosen],
        }  # fmt: skip
        pq.write_table(pa.table(columns), folder / f"docs-{first // FILE_ROWS:03d}.parquet")


def requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is asked: name, path, body; the first one after the start of the server."""
    dropped = [{"column": "rule", "operator": "=", "value": "low_value"}]
    number = [{"column": "edu.score", "operator": ">=", "value": "0.8"}]
    both = [*number, {"column": "lang.label", "operator": "=", "value": "zho_Hant"}]
    yield "first page", "rows", {}
    yield "facets of the first page", "facets", {"columns": ["rule", "lang.label", "source"]}
    yield "texts of 10 documents", "excerpts", {"rows": list(range(10))}
    yield "filter by a rule", "rows", {"where": dropped}
    yield "filter by a column, read for the first time", "rows", {"where": number}
    yield "filter by two columns", "rows", {"where": both}
    yield "facets under the filter", "facets", {"where": both, "columns": ["rule", "lang.label", "source"]}
    yield "order by a column", "rows", {"sort": "lm.perplexity", "descending": True}
    yield "page 2,000", "rows", {"offset": 100_000}
    yield "a document, for the first time", "document", {"row": 500_000}
    yield "a document", "document", {"row": 700_001}
    yield "a moved threshold", "threshold", {"rule": "low_value", "place": 0, "value": 0.3}
    yield "search for a word among all", "search", {"pattern": "数据"}
    yield (
        "search that finds nothing (stops by time)",
        "search",
        {"pattern": "no text has this", "regex": True},
    )


def main() -> None:
    """Build the store unless it is there, and print seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    run_path, store_path = folder / "run.yaml", folder / "store"
    if not (store_path / "releases/v1/checksums.sha256").exists():
        write_inputs(folder, arguments.rows)
        run_path.write_text(yaml.safe_dump(RUN, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "pipeline", "run", str(run_path), "--store", str(store_path)]
        subprocess.run([*command, "--engine", "local", "--workers", "1"], check=True)

    from pipeline.browse.frame import Frame
    from pipeline.browse.server import Explorer
    from pipeline.cli.finished import finished_build

    begun, used = time.perf_counter(), time.process_time()
    server = Explorer(Frame(finished_build(str(run_path), str(store_path))))
    print(
        f"{'start of the server':<46} {time.perf_counter() - begun:6.2f} s  {time.process_time() - used:6.2f} CPU s"
    )
    server.start()
    for name, path, body in requests():
        begun, used = time.perf_counter(), time.process_time()
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.server_port}/api/{path}", json.dumps(body).encode(),
            {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            found = json.loads(answer.read())
        note = {key: found[key] for key in ("total", "searched") if isinstance(found, dict) and key in found}
        print(
            f"{name:<46} {time.perf_counter() - begun:6.2f} s  {time.process_time() - used:6.2f} CPU s  {note}"
        )


if __name__ == "__main__":
    main()
