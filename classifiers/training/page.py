"""The evaluation page of a trained model, Markdown: figures on sources that the model had not seen, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow.compute as pc

from classifiers.linear.train import auc
from classifiers.training.data import Labelled, plain_values
from classifiers.training.figures import (
    Interval,
    calibration_error,
    class_auc,
    cut_for,
    interval,
    pairs_right,
    rank_interval,
)

KEPT_SHARES = (0.98, 0.95, 0.9, 0.8)
SMALL = 20
"""Groups with fewer documents have no AUC of their own."""


def evaluation_page(
    name: str, data: Labelled, scores: np.ndarray, raw: np.ndarray, about: Sequence[str]
) -> str:
    """Write the page.

    Args: scores, float64 (n,), of models that had not seen the source of the row; raw, the same before calibration;
    about, lines on how the figures were made.
    """
    has_text = "text" in data.table.column_names
    lengths = pc.utf8_length(data.table["text"]).combine_chunks() if has_text else np.zeros(len(scores))
    lengths = np.asarray(lengths, np.float64)
    parts = [
        f"# {name}: evaluation", "", *about, "",
        f"{len(scores):,} documents of {len(set(data.sources)):,} sources in {len(set(data.folds)):,} folds; each is "
        "scored by a model that saw no document of its source. Brackets are 95 % intervals over resampled sources. "
        "`length` is the number of characters alone, as a measure of what is easy.", "",
        *_summary(data, scores, lengths), "", "## Thresholds", "", *_thresholds(data, scores), "",
        "## Calibration", "", *_calibration(data, scores, raw), "",
        "## By kind", "", *_groups("kind", plain_values(data.table, "kind", "–"), data, scores), "",
        "## By source", "", *_groups("source", data.sources, data, scores), "",
    ]  # fmt: skip
    return "\n".join(parts)


def summary_of(page: str) -> tuple[str, ...]:
    """The lines of the table of all figures per language."""
    table = page.split("\n\n| language |")[1].split("\n\n")[0]
    return (f"| language |{table.split(chr(10))[0]}", *table.split("\n")[2:])


def _summary(data: Labelled, scores: np.ndarray, lengths: np.ndarray) -> list[str]:
    rows = []
    for language in _languages(data):
        own = data.languages == language
        cells: list[object] = [language, int(own.sum()), _share(data.good[own])]
        for values in (scores, lengths):
            cells.append(class_auc(values[own], data.good[own], data.sources[own]))
            cells.append(
                rank_interval(values[own], data.targets[own], data.sources[own]) if data.graded else "–"
            )
        gap = 0.2 if data.graded else 1.0  # a point of five
        cells += [
            _within(values[own], data.targets[own], data.sources[own], gap) for values in (scores, lengths)
        ]
        rows.append(cells)
    heads = (
        "language", "documents", "good", "AUC", "rank", "AUC of length", "rank of length", "pairs within a source",
        "of length",
    )  # fmt: skip
    return _table(heads, rows)


def _within(scores: np.ndarray, targets: np.ndarray, sources: np.ndarray, gap: float) -> Interval:
    """Pairs of one source in the right order, with their interval over sources."""
    names = np.unique(sources)
    shares = {}
    for name in names:
        own = sources == name
        n_pairs = int((targets[own][:, None] - targets[own][None, :] >= gap - 1e-9).sum())
        if n_pairs:
            shares[name] = pairs_right(scores[own], targets[own], sources[own], gap - 1e-9) * n_pairs, n_pairs
    if not shares:
        return Interval(math.nan, math.nan, math.nan)
    right, total = (np.array(values, np.float64) for values in zip(*shares.values(), strict=True))
    return interval(np.array(list(shares)), lambda rows: float(right[rows].sum() / total[rows].sum()))


def _thresholds(data: Labelled, scores: np.ndarray) -> list[str]:
    """What a threshold costs and buys, from both sides."""
    worst = data.targets <= 0.2 if data.graded else ~data.good
    rows = []
    for language in _languages(data):
        own = data.languages == language
        for share in KEPT_SHARES:
            cut = cut_for(scores[own], data.good[own], share)
            kept = own & (scores >= cut)
            rows.append(
                [language, f"{cut:.4f}", _share(kept[own & data.good]), _share(kept[own & ~data.good]),
                 _share(kept[own & worst])]
            )  # fmt: skip
    lowest = "lowest fifth of the range left in" if data.graded else "–"
    return _table(("language", "score at least", "good kept", "other left in", lowest), rows)


def _calibration(data: Labelled, scores: np.ndarray, raw: np.ndarray) -> list[str]:
    rows = []
    for language in _languages(data):
        own = data.languages == language
        order = np.argsort(scores[own], kind="stable")
        for part in np.array_split(order, 5):
            found, label = scores[own][part], data.targets[own][part]
            rows.append(
                [language, f"{found.min():.3f} to {found.max():.3f}", len(part), f"{found.mean():.3f}",
                 f"{label.mean():.3f}"]
            )  # fmt: skip
        errors = [f"{calibration_error(values[own], data.targets[own]):.3f}" for values in (raw, scores)]
        rows.append([language, "mean difference, uncalibrated", "", errors[0], ""])
        rows.append([language, "mean difference", "", errors[1], ""])
    return _table(("language", "scores", "documents", "mean score", "mean label"), rows)


def _groups(kind: str, names: np.ndarray, data: Labelled, scores: np.ndarray) -> list[str]:
    rows = []
    for language in _languages(data):
        for name in np.unique(names[data.languages == language]):
            own = (data.languages == language) & (names == name)
            both = own.sum() >= SMALL and 0 < data.good[own].sum() < own.sum()
            rows.append(
                [language, name, int(own.sum()), _share(data.good[own]), f"{data.targets[own].mean():.3f}",
                 f"{scores[own].mean():.3f}", f"{auc(scores[own], data.good[own]):.3f}" if both else "–"]
            )  # fmt: skip
    return _table(("language", kind, "documents", "good", "mean label", "mean score", "AUC"), rows)


def _languages(data: Labelled) -> list[str]:
    names, counts = np.unique(data.languages, return_counts=True)
    return [str(name) for name, count in sorted(zip(names, counts, strict=True), key=lambda item: -item[1])]


def _share(values: np.ndarray) -> str:
    return f"{100 * float(values.mean()):.1f} %" if len(values) else "–"


def _table(heads: Iterable[str], rows: Iterable[Sequence[object]]) -> list[str]:
    heads = list(heads)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return lines + [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
