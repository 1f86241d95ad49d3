"""The confusion matrix of a held sample: true languages and the labels that their texts got."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from pipeline.translation import t

OTHER = "other"
"""Column of labels without a column of their own."""

FAINT = 0.35
"""Exponent of a share before it is coloured, so that an error of one in a hundred is visible."""


def confusion(
    labels: Mapping[str, Mapping[str, int]], shown: int | None = None, extra: tuple[str, ...] = ()
) -> tuple[list[str], list[str], np.ndarray]:
    """Counts of texts by true language and label.

    Args: labels, true language -> label -> texts, in the order of the rows; shown, largest number of labels that are no
    true language and have a column, the most frequent ones, None for none but `extra`; the others are summed.
    Returns: names of the rows and columns; int64 (n_rows, n_columns).
    """
    rows = list(labels)
    totals: dict[str, int] = {}
    for found in labels.values():
        for label, n in found.items():
            totals[label] = totals.get(label, 0) + n
    foreign = sorted(set(totals) - set(rows) - set(extra), key=lambda name: (-totals[name], name))
    columns = [*rows, *(name for name in extra if name not in rows), *foreign[: shown or 0]]
    columns += [OTHER] if set(totals) - set(columns) else []
    counts = np.zeros((len(rows), len(columns)), np.int64)
    for i, found in enumerate(labels.values()):
        for label, n in found.items():
            counts[i, columns.index(label if label in columns else OTHER)] += n
    return rows, columns, counts


def draw_confusion(axes: Axes, rows: list[str], columns: list[str], counts: np.ndarray) -> None:
    """Draw counts, coloured by their share of the row, so that the diagonal is recall."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares**FAINT, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xlabel(t("label"))
    axes.set_ylabel(t("true language"))
