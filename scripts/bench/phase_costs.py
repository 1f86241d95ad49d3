"""What each phase of a build costs, as lines in shards, rows and bytes of text, for pipeline/planning/phase_costs.json.

Builds configs/quickstart.yaml over corpora of different make-up, drawn from the sample, in one process and a folder
(and the first of them in a bucket, for the number of GET requests there), and fits to the recorded costs of each phase
the line with coefficients from 0 that has the least squared relative error. CPU time has no loading of models.
Example: python -m scripts.bench.phase_costs --folder /tmp/costs [--bucket s3://bucket/prefix]
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import nnls

from pipeline.build.build import run_build
from pipeline.config.load import load_run
from pipeline.planning.cost import FIGURES, SIZES
from pipeline.planning.session import RunRecord, Session
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "pipeline/planning/phase_costs.json"


@dataclass(frozen=True)
class Corpus:
    """n_docs documents of each language, of `low` to `high` characters, in n_files files of each language."""

    n_docs: int
    n_files: int
    low: int
    high: int


CORPORA = (
    Corpus(40, 2, 200, 2_000),
    Corpus(40, 10, 200, 2_000),
    Corpus(120, 3, 100, 600),
    Corpus(120, 12, 100, 600),
    Corpus(60, 2, 2_000, 20_000),
    Corpus(60, 10, 2_000, 20_000),
    Corpus(200, 4, 100, 3_000),
    Corpus(200, 20, 100, 3_000),
)


def texts() -> dict[str, list[str]]:
    """Texts of the sample by language."""
    import pyarrow.parquet as pq
    import zstandard

    found: dict[str, list[str]] = {"zh": [], "en": []}
    for path in sorted((ROOT / "sample").glob("docs_*.jsonl.*")):
        data = path.read_bytes()
        data = (
            gzip.decompress(data)
            if path.suffix == ".gz"
            else zstandard.ZstdDecompressor().stream_reader(data).read()
        )
        for line in data.splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # the sample has broken lines
                continue
            text = row.get("content", row.get("text")) if isinstance(row, dict) else None
            if isinstance(text, str):
                found["zh" if "_zh" in path.name else "en"].append(text)
    found["zh"] += pq.read_table(ROOT / "sample/books_zh.parquet", columns=["text"])["text"].to_pylist()
    return found


def draw(folder: Path, corpus: Corpus, pool: dict[str, list[str]]) -> Path:
    """Write a corpus and its run file; returns the run file."""
    page = yaml.safe_load((ROOT / "configs/quickstart.yaml").read_text(encoding="utf-8"))
    for step in page["annotate"]:
        if isinstance(step, dict) and "benchmarks" in step.get("config", {}):
            step["config"]["benchmarks"] = [str(ROOT / "sample/benchmarks.parquet")]
    page["sources"] = []
    page["ingest"] |= {"pack_bytes": 0}
    page["mix"]["max_discard"] = 1.0
    for language, listed in pool.items():
        fitting = [text for text in listed if corpus.low <= len(text) <= corpus.high][: corpus.n_docs]
        for i in range(corpus.n_files):
            rows = [{"id": f"{language}{n}", "text": text} for n, text in enumerate(fitting)][
                i :: corpus.n_files
            ]
            data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            path = folder / language / f"{i:03d}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(data, encoding="utf-8")
        page["sources"].append(
            {
                "name": language,
                "reader": "stages.readers.jsonl",
                "files": f"{language}/*.jsonl",
                "provenance": "human",
            }
        )
    page["sources"].append({"name": "solved", "derive": "stages.cot.documents"})
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(page, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def measure(run_path: Path, url: str) -> RunRecord:
    """Build a corpus and return the record."""
    store = open_store(url)
    run = load_run(str(run_path), store=store)
    return run_build(
        lambda: Session(run, store, SerialEngine(), Progress(quiet=True)), store, Progress(quiet=True)
    )


def fit(rows: list[dict[str, float]], figure: str) -> list[float]:
    """Coefficients of (1, shards, rows, text_bytes), from 0: the least squared relative error."""
    y = np.array([row.get(figure, 0.0) for row in rows])
    if not (y > 0).any():
        return [0.0] * 4
    x = np.array([[1.0, *(row[name] for name in SIZES)] for row in rows])
    weights = 1 / np.maximum(y, y.max() / 100)
    scale = x.max(axis=0)
    scale[scale == 0] = 1
    found, _ = nnls(x / scale * weights[:, None], y * weights)
    return [float(f"{value:.4g}") for value in found / scale]


def fitted(records: list[RunRecord]) -> dict[str, Any]:  # Any: plain JSON
    """The data file, without the factor of buckets."""
    names = sorted({name for record in records for name in record.usage})
    rows = {name: [u for r in records if (u := r.usage.get(name)) and u.get("shards")] for name in names}
    lines = {
        name: {figure: fit(found, figure) for figure in FIGURES} for name, found in rows.items() if found
    }
    run = load_run(str(ROOT / "configs/quickstart.yaml"))
    for kind, steps in (("stage", run.annotate), ("global", run.globals)):
        known = [lines[step.name] for step in steps if step.name in lines]
        lines[kind] = {
            f: [float(f"{v:.4g}") for v in np.mean([k[f] for k in known], axis=0)] for f in FIGURES
        }
    peaks = {
        name: max(u["peak_bytes"] for u in found) for name, found in rows.items() if "peak_bytes" in found[0]
    }
    return {"phases": lines, "peaks": peaks}


def errors(records: list[RunRecord], found: dict[str, Any]) -> dict[str, float]:  # Any: plain JSON
    """Largest relative error of each figure, all phases together, over the corpora."""
    worst = {}
    for figure in FIGURES:
        ratios = []
        for record in records:
            real = sum(u.get(figure, 0) for u in record.usage.values() if u.get("shards"))
            line = sum(
                np.dot(found["phases"][name][figure], [1, *(u[s] for s in SIZES)])
                for name, u in record.usage.items()
                if u.get("shards")
            )
            ratios.append(abs(line / real - 1))
        worst[figure] = round(float(max(ratios)), 3)
    return worst


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="Where corpora and stores are written.")
    parser.add_argument("--bucket", help="URL of an empty prefix, for the requests of a bucket.")
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    pool, records = texts(), []
    measure(
        draw(options.folder / "warm", CORPORA[0], pool), str(options.folder / "warm-store")
    )  # loads models
    for i, corpus in enumerate(CORPORA):
        run_path = draw(options.folder / f"corpus{i}", corpus, pool)
        store = options.folder / f"store{i}"
        shutil.rmtree(store, ignore_errors=True)
        records.append(measure(run_path, str(store)))
        print(
            corpus,
            {k: round(sum(u.get(k, 0) for u in records[-1].usage.values())) for k in FIGURES},
            flush=True,
        )
    found = fitted(records)
    print("largest error over the corpora:", errors(records, found))
    factor = json.loads(options.target.read_text())["bucket_gets"] if options.target.exists() else 1.0
    if options.bucket:
        there = measure(options.folder / "corpus0" / "run.yaml", options.bucket)
        gets = [sum(u.get("gets", 0) for u in record.usage.values()) for record in (there, records[0])]
        factor = round(gets[0] / gets[1], 3)
    options.target.write_text(json.dumps({"bucket_gets": factor, **found}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
