"""Measure the scorers value and keep of classifiers.quality with fewer labels than there are: tables and a plot.

Reads labelled documents as train_quality does. For each number of labels, that many documents of a language are drawn
at random, models are fitted without the sources of a fold, and all documents of the fold are scored, as in the card of
the model. Books and messages, which the card adds to the labels, are left out. Needs the extra `train` and matplotlib.

Example: python -m scripts.training.learning_curve labels.parquet --plot docs/quality_labels.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.stats import spearmanr

from classifiers import quality
from classifiers.linear.train import auc
from scripts.training.train_quality import FAMILIES, N_FOLDS, fit, read_labels, vectors

SIZES = (300, 600, 1200, 2400)
N_DRAWS = 5
"""Random subsets of each size; the set of all labels is one."""
VALUE, KEEP = (quality.LABELLED.index(name) for name in ("value", "keep"))


class Figures(NamedTuple):
    """Rank correlation of value, area under the ROC curve of keep, and the share of junk that stays."""

    rank: float
    keep_auc: float
    junk_left: float


def measure(value: np.ndarray, keep: np.ndarray, targets: np.ndarray) -> Figures:
    """Compare left-out scores with labels; `junk_left` is the share of scores 0 and 1 above the lowest tenth of keep.

    Args: value and keep, float64 (n,); targets, float64 (n, n_scorers), the labels divided by five in column VALUE.
    """
    kept = targets[:, KEEP] == 1
    junk = targets[:, VALUE] <= 1 / 5
    return Figures(
        float(spearmanr(targets[:, VALUE], value)[0]),
        auc(keep, kept),
        float((value[junk] >= np.quantile(value[kept], 0.1)).mean()),
    )


def score_left_out(
    matrix: scipy.sparse.csr_matrix, targets: np.ndarray, folds: np.ndarray, drawn: np.ndarray
) -> np.ndarray:
    """Score every document by models of the drawn documents of other folds; float64 (n, 2), value and keep."""
    scores = np.zeros((len(folds), 2))
    for fold in range(N_FOLDS):
        here = folds == fold
        for column, k in enumerate((VALUE, KEEP)):
            scores[here, column] = fit(matrix, targets[:, k], drawn & ~here).predict(matrix[here])
    return scores


def curve(paths: list[Path], lang: str) -> list[tuple[int, Figures, Figures]]:
    """Figures of a language by number of labels: (labels, mean over draws, standard deviation)."""
    rows, targets, folds = read_labels(paths, [], [], [], lang)
    matrix = vectors(rows["text"].to_list(), FAMILIES[lang])
    n, points = len(folds), []
    for size in [*(size for size in SIZES if size < n), n]:
        results = []
        for seed in range(N_DRAWS if size < n else 1):
            drawn = np.zeros(n, bool)
            drawn[np.random.default_rng(seed).permutation(n)[:size]] = True
            value, keep = score_left_out(matrix, targets, folds, drawn).T
            results.append(measure(value, keep, targets))
        points.append(
            (size, Figures(*np.mean(results, axis=0).tolist()), Figures(*np.std(results, axis=0).tolist()))
        )
    return points


def plot(curves: dict[str, list[tuple[int, Figures, Figures]]], path: Path) -> None:
    """Draw the three figures against the number of labels, which has a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    titles = (
        "rank correlation, value",
        "area under ROC curve, keep",
        "scores 0 and 1 that stay\nwith 90 % of keep",
    )
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for k, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for lang, points in curves.items():
            sizes = [size for size, _, _ in points]
            means, spreads = [p[1][k] for p in points], [p[2][k] for p in points]
            axis.errorbar(sizes, means, spreads, marker="o", capsize=2, label=lang)
        axis.set(xscale="log", title=title, xlabel="labelled documents")
        axis.set_xticks([300, 600, 1200, 2400], ["300", "600", "1,200", "2,400"])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Read the command line, measure, print a Markdown table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("labels", type=Path, nargs="+", help="Parquet files of labelled documents")
    parser.add_argument("--plot", type=Path, help="write the plot to this PNG file")
    arguments = parser.parse_args()
    curves = {lang: curve(arguments.labels, lang) for lang in FAMILIES}
    print("| language | labels | rank | keep AUC | junk left |\n|---|---|---|---|---|")
    for lang, points in curves.items():
        for size, mean, spread in points:
            cells = [f"{m:.3f} ± {s:.3f}" if s else f"{m:.3f}" for m, s in zip(mean, spread, strict=True)]
            print(f"| {lang} | {size:,} | {' | '.join(cells)} |")
    if arguments.plot:
        plot(curves, arguments.plot)


if __name__ == "__main__":
    main()
