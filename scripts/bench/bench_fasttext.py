"""Compare `classifiers.fasttext` with the library: scores of six trained models, and the cost of five and of one.

LABELLED is a Parquet file (text, keep); five models of word bigrams and one of character n-grams are trained on parts
of it. TEXTS are Parquet files (text), scored by the kernel and by the library, newlines replaced. Costs are CPU seconds
of one process, the best of several alternating runs. Needs the extra `train`.

Example: python -m scripts.bench.bench_fasttext web_labels.parquet docs-*.parquet --rows 10000
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import fasttext as library
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.training.fasttext import NEGATIVE, POSITIVE, fit
from stages.kernels.fasttext import folded, model
from stages.kernels.text.text import utf8_buffers

WORDS = {"lr": 0.3, "epoch": 5, "minCount": 1, "wordNgrams": 2, "bucket": 2_000_000, "loss": "softmax"}
CHARACTERS = {**WORDS, "wordNgrams": 1, "minn": 2, "maxn": 4, "bucket": 200_000}
N_RUNS = 3


def train_on_part(table: pa.Table, path: Path, seed: int, settings: dict[str, Any]) -> Path:
    """Train a model on 70 % of the rows. Any: settings of the library."""
    chosen = np.random.default_rng(seed).random(table.num_rows) < 0.7
    lines = [
        f"__label__{POSITIVE if keep else NEGATIVE} {' '.join(text.split())}"
        for text, keep, use in zip(table["text"].to_pylist(), table["keep"].to_pylist(), chosen, strict=True)
        if use
    ]
    fit(lines, str(path), settings)
    return path


def library_scores(path: Path, texts: list[str]) -> tuple[np.ndarray, float]:
    """Probabilities of POSITIVE by the library, at most 1, and its CPU seconds."""
    loaded, scores, start = library.load_model(str(path)).f, np.empty(len(texts)), time.process_time()
    for i, text in enumerate(texts):
        found = loaded.predict(text + "\n", 2, 0.0, "strict")
        scores[i] = min(next(p for p, label in found if label == f"__label__{POSITIVE}"), 1)
    return scores, time.process_time() - start


def scorer_of(path: Path) -> folded.Scorer:
    """A model as the stage loads it."""
    return folded.Scorer(model.load(path, mapped=True), POSITIVE)


@click.command()
@click.argument("labelled", type=click.Path(exists=True))
@click.argument("texts", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--rows", default=10_000, show_default=True, help="Documents, evenly from all files.")
@click.option("--dim", default=16, show_default=True, help="Dimension of the models.")
def main(labelled: str, texts: tuple[str, ...], rows: int, dim: int) -> None:
    """Print differences and costs."""
    table = pq.read_table(labelled, columns=["text", "keep"])
    all_texts = [text for path in texts for text in pq.read_table(path, columns=["text"])["text"].to_pylist()]
    documents = [
        all_texts[i] for i in np.linspace(0, len(all_texts) - 1, min(rows, len(all_texts))).astype(int)
    ]
    data, offsets = utf8_buffers(pa.array(documents, pa.large_string()))
    lines = [text.replace("\n", " ") for text in documents]
    with tempfile.TemporaryDirectory() as folder:
        settings = WORDS | {"dim": dim}
        paths = [train_on_part(table, Path(folder, f"{i}.bin"), i, settings) for i in range(5)]
        paths.append(train_on_part(table, Path(folder, "characters.bin"), 5, CHARACTERS | {"dim": dim}))
        one, five = (folded.unite([scorer_of(path) for path in paths[:n]]) for n in (1, 5))

        def run(groups: list[folded.Group]) -> tuple[np.ndarray, float]:
            start = time.process_time()
            return folded.score(groups, data, offsets[:-1], offsets[1:]), time.process_time() - start

        run(one)  # compiles
        costs = np.array([[run(one)[1], run(five)[1]] for _ in range(N_RUNS)]).min(axis=0)
        click.echo(
            f"{len(documents):,} documents, {data.size / 1e6:.1f} MB; one model {data.size / 1e6 / costs[0]:.1f} MB/s, "
            f"five models {costs[1] / costs[0]:.2f} times its cost"
        )
        scores = np.hstack([run(five)[0], run(folded.unite([scorer_of(paths[5])]))[0]])
        for i in (0, 1, 5):
            expected, cost = library_scores(paths[i], lines)
            difference = np.abs(scores[:, i] - expected)
            click.echo(
                f"{paths[i].stem}: largest difference {difference.max():.2e}, {int((difference > 1e-5).sum())} above "
                f"1e-5; the library takes {cost:.1f} s, {cost / costs[0]:.1f} times as long as one model of words"
            )


if __name__ == "__main__":
    main()
