"""CPU cost of the n-gram scorers: each alone, and all after one another on the same batches, as in a run.

TEXTS are Parquet files (text, lang: zh or en). Costs are CPU milliseconds per MB of UTF-8 in one process, decoding
included, the best of several alternating runs, so that the ratio means more than the figures.

Example: python -m scripts.bench.bench_ngrams web_labels.parquet
"""

from __future__ import annotations

import importlib
import platform
import time
from collections.abc import Iterator

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.stage import Annotate

MODULES = ("quality", "toxicity", "domain")
LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}
BATCH_ROWS = 256
N_RUNS = 7


def read(paths: tuple[str, ...], lang: str) -> pa.Table:
    """Documents of one language with the columns that the scorers read."""
    tables = [pq.read_table(path, columns=["text", "lang"]) for path in paths]
    table = pa.concat_tables(tables).filter(pc.starts_with(pc.field("lang"), lang)).select(["text"])
    table = table.set_column(0, "text", table["text"].cast(pa.large_string()))
    table = table.append_column("language.label", pa.array([LABELS[lang]] * len(table)))
    return table.append_column("url", pa.nulls(len(table), pa.string()))


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """Copies of the batches at new addresses, so that nothing cached for an earlier run is used."""
    for start in range(0, len(table), BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS).take(pa.array(range(min(BATCH_ROWS, len(table) - start))))


def cost(stages: list[Annotate], table: pa.Table) -> float:
    """CPU seconds of the stages over all batches, each batch going through all of them in turn."""
    total = 0.0
    for batch in batches(table):
        start = time.process_time()
        for annotate in stages:
            annotate(batch)
        total += time.process_time() - start
    return total


@click.command()
@click.argument("texts", nargs=-1, required=True, type=click.Path(exists=True))
def main(texts: tuple[str, ...]) -> None:
    """Print the cost of each scorer, of the two that share their n-grams, and of all, and ratios."""
    loaded = {}
    for name in MODULES:
        stage = importlib.import_module(f"classifiers.{name}").STAGE
        loaded[name] = stage.load(stage.config())
    sets = {name: [annotate] for name, annotate in loaded.items()} | {"all": list(loaded.values())}
    sets["quality and domain"] = [loaded["quality"], loaded["domain"]]
    click.echo(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for lang in LABELS:
        table = read(texts, lang)
        n_mb = pc.sum(pc.binary_length(table["text"])).as_py() / 1e6
        best = dict.fromkeys(sets, float("inf"))
        for _ in range(N_RUNS):
            for name, stages in sets.items():
                best[name] = min(best[name], cost(stages, table))
        dearest, shared = max(best[name] for name in MODULES), best["quality and domain"] / best["quality"]
        figures = ", ".join(f"{name} {1e3 * seconds / n_mb:.1f}" for name, seconds in best.items())
        click.echo(
            f"{lang}, {n_mb:.1f} MB: {figures} ms/MB; "
            f"quality and domain / quality {shared:.2f}; all / dearest {best['all'] / dearest:.2f}"
        )


if __name__ == "__main__":
    main()
