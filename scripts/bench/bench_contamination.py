"""Benchmark questions in documents: recall by kind of copy, documents without one that have hits, speed in CPU time.

    python -m scripts.bench.bench_contamination questions.parquet [more.parquet ...] --truth planted.parquet
        [--clean docs.parquet ...] [--list 40]

`planted.parquet` has the columns text, kind (`none` for documents without a question) and question_id, the `id` of the
planted question. `--clean` names files with a column text and, if there is one, source; their hits are counted by
source. `--list` prints that many hits of them with their passages, evenly over all of them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.stage import Annotate
from stages import decontaminate

BATCH = 256
Hits = list[list[dict[str, Any]]]
"""Hits of each document. Any: values of a struct."""


def find(annotate: Annotate, texts: pa.ChunkedArray) -> tuple[Hits, float]:
    """Hits of each text, and the CPU seconds of the stage alone."""
    hits: Hits = []
    seconds = 0.0
    for start in range(0, len(texts), BATCH):
        batch = pa.table({"text": texts.slice(start, BATCH).combine_chunks()})
        begin = time.process_time()
        found = annotate(batch)
        seconds += time.process_time() - begin
        hits += found["hits"].to_pylist()
    return hits, seconds


def text_of(table: pa.Table) -> pa.ChunkedArray:
    """The column text, as stages read it."""
    return table["text"].cast(pa.large_string())


def recall_lines(annotate: Annotate, path: str) -> Iterator[str]:
    """Lines of recall by kind; of the kind `none`, documents with a hit."""
    table = pq.read_table(path)
    hits, _ = find(annotate, text_of(table))
    found, total = Counter[str](), Counter[str]()
    ids = table["question_id"].to_pylist()
    for kind, question, of_text in zip(table["kind"].to_pylist(), ids, hits, strict=True):
        total[kind] += 1
        is_found = bool(of_text) if kind == "none" else any(hit["item"] == question for hit in of_text)
        found[kind] += is_found
    for kind in sorted(total):
        yield f"{kind:<24}{found[kind]:>7,}{total[kind]:>8,}{found[kind] / total[kind]:>9.4f}"


def clean_lines(annotate: Annotate, path: str, n_listed: int) -> Iterator[str]:
    """Lines of documents with a hit by source, the speed, and passages of some hits."""
    table = pq.read_table(path)
    texts = text_of(table)
    sources = table["source"].to_pylist() if "source" in table.column_names else [""] * len(texts)
    hits, seconds = find(annotate, texts)
    with_hit, total = Counter[str](), Counter(sources)
    with_hit.update(source for source, of_text in zip(sources, hits, strict=True) if of_text)
    yield f"{path}: {sum(with_hit.values()):,} of {len(texts):,} documents, {texts.nbytes / seconds / 1e6:,.0f} MB/s"
    for source, n in with_hit.most_common():
        yield f"  {source:<30}{n:>7,}{total[source]:>8,}"
    flat = [(i, hit) for i, of_text in enumerate(hits) for hit in of_text]
    for i, hit in flat[:: max(len(flat) // n_listed, 1)][:n_listed] if n_listed else []:
        passage = texts[i].as_py()[hit["start"] : hit["end"]].replace("\n", "⏎")
        facts = " ".join(f"{name}={hit[name]}" for name in hit if name not in ("start", "end"))
        yield f"--- {sources[i]} row {i}: {facts}\n    {passage[:400]}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmarks", nargs="+")
    parser.add_argument("--truth")
    parser.add_argument("--clean", nargs="+", default=[])
    parser.add_argument("--list", type=int, default=0)
    arguments = parser.parse_args()
    annotate = decontaminate.STAGE.load(decontaminate.Config(benchmarks=tuple(arguments.benchmarks)))
    annotate(pa.table({"text": pa.array(["compiles"], pa.large_string())}))
    if arguments.truth:
        print("\n".join(recall_lines(annotate, arguments.truth)))
    for path in arguments.clean:
        print("\n".join(clean_lines(annotate, path, arguments.list)))


if __name__ == "__main__":
    main()
