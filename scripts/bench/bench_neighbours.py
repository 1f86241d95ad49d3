"""Measure `classifiers.neighbours` and `classifiers.translations`: pairs found, false pairs, recall and time of cells.

Documents with a known translation (sources that the embedding was not trained on) are mixed with others of the
evaluation data; pages of the labelled web set have no translations there, so that each pair among them is false.

Example: python -m scripts.bench.bench_neighbours --data FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import embedding, neighbours
from classifiers import translations as pairs
from pipeline.checking.in_memory import run_global
from scripts.bench.embedding import translations
from scripts.training.embedding_teacher import HELD_OUT

N_OTHERS = 12_000
CHINESE, ENGLISH = "zho_Hans", "eng_Latn"


def shard_of(texts: list[str], labels: list[str | None]) -> pa.Table:
    """One shard with the columns that the steps read."""
    batch = pa.table({"text": pa.array(texts, pa.large_string())})
    hashes = [hashlib.md5(text.encode()).digest() for text in texts]
    return pa.table(
        {
            "embedding.vector": embedding.STAGE.load(embedding.Config())(batch)["vector"],
            "exact.match_hash": pa.array(hashes, pa.binary(16)),
            "language.label": pa.array(labels, pa.string()),
            "text_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
            "row": pa.array(range(len(texts)), pa.uint64()),
        }
    )


def with_neighbours(shard: pa.Table, config: neighbours.Config) -> tuple[pa.Table, float]:
    """The shard's documents with a vector and their neighbours, and the CPU seconds that the search took."""
    start = time.process_time()
    rows = run_global(neighbours.GLOBAL, [shard], config).rows
    seconds = time.process_time() - start
    assert rows is not None
    rows = rows.rename_columns(["row", *(f"neighbours.{name}" for name in neighbours.SCHEMA.names)])
    return rows.append_column("text_bytes", shard["text_bytes"].take(rows["row"])), seconds


def pairs_of(found: pa.Table, cosine: float, ratio: float) -> set[tuple[int, int]]:
    """Pairs of row numbers, the smaller first."""
    config = pairs.Config(min_cosine=cosine, max_length_ratio=ratio)
    rows = run_global(pairs.GLOBAL, [found], config).rows
    assert rows is not None
    return {(row["id"], max(row["row"], row["other"])) for row in rows.to_pylist()}


def report_pairs(data: Path) -> None:
    """Share of known pairs found, wrong pairs of their documents, and pairs among pages without translations."""
    known = list(translations(data, None))
    texts = [text for pair in known for text in pair[1:]]
    labels: list[str | None] = [CHINESE, ENGLISH] * len(known)
    documents = pa.concat_tables([pq.read_table(path) for path in sorted(data.glob("docs_zh_en-*.parquet"))])
    others = documents.select(["text", "lang_hint", "source"]).to_pylist()
    random.Random(1).shuffle(others)
    for row in [row for row in others if row["source"] not in HELD_OUT][:N_OTHERS]:
        language = row["lang_hint"].lower()
        texts.append(row["text"])
        labels.append(ENGLISH if language == "en" else CHINESE if language.startswith("zh") else None)
    planted, _ = with_neighbours(shard_of(texts, labels), neighbours.Config())
    web = pq.read_table(data / "web_labels.parquet", columns=["text", "lang"]).to_pylist()
    languages: list[str | None] = [CHINESE if row["lang"] == "zh" else ENGLISH for row in web]
    alone, _ = with_neighbours(shard_of([row["text"] for row in web], languages), neighbours.Config())
    truth = {(2 * i, 2 * i + 1) for i in range(len(known))}
    print(
        f"\n{len(known)} known pairs among {len(texts):,} documents; {len(web):,} web pages without translations\n"
    )
    print(
        "| min_cosine | max_length_ratio | known pairs found | their documents paired wrongly | pairs of web pages |"
    )
    print("|---:|---:|---:|---:|---:|")
    for cosine, ratio in ((0.0, 1e9), (0.7, 1e9), (0.7, 1.5), (0.75, 1.5), (0.8, 1.5), (0.85, 1.5)):
        found = pairs_of(planted, cosine, ratio)
        wrong = sum(pair not in truth and pair[0] < 2 * len(known) for pair in found)
        n_alone = len(pairs_of(alone, cosine, ratio))
        shown = "any" if ratio > 9 else ratio
        print(f"| {cosine} | {shown} | {len(found & truth) / len(truth):.3f} | {wrong} | {n_alone} |")


def report_cells(data: Path) -> None:
    """Share of the true nearest documents that are found, and CPU time, by the settings of cells."""
    documents = pq.read_table(data / "docs_zh_en-00.parquet", columns=["text"])["text"].to_pylist()
    shard = shard_of(documents, [ENGLISH] * len(documents))
    vectors = np.array([vector or [0] * 128 for vector in shard["embedding.vector"].to_pylist()], np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    best = near.max(axis=1)
    print(f"\n{len(documents):,} documents of one language\n")
    print("| probes | max_cell | nearest found | mean cosine lost | CPU seconds |")
    print("|---:|---:|---:|---:|---:|")
    with_neighbours(shard.slice(0, 100), neighbours.Config())  # compiles
    for probes, max_cell in ((1, 8192), (2, 8192), (4, 8192), (2, 512)):
        found, seconds = with_neighbours(shard, neighbours.Config(probes=probes, max_cell=max_cell))
        lost = best[found["row"].to_numpy()] - found["neighbours.nearest"].fill_null(0).to_numpy()
        print(f"| {probes} | {max_cell} | {(lost < 1e-4).mean():.3f} | {lost.mean():.4f} | {seconds:.1f} |")


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    data = parser.parse_args().data
    report_pairs(data)
    report_cells(data)


if __name__ == "__main__":
    main()
