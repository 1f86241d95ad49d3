"""Training of heads: LightGBM over columns, calibrated per language on sources left out, packed for the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.head.model import POOLED, Head, matrix, save_head
from classifiers.training.data import Labelled, left_out, training_rows
from classifiers.training.figures import fit_line
from classifiers.training.page import evaluation_page, summary_of
from classifiers.trees.lightgbm import pack
from pipeline.errors import UsageError
from pipeline.recipe import optional_module

SETTINGS: dict[str, Any] = {  # Any: settings of LightGBM
    "n_trees": 300, "learning_rate": 0.03, "num_leaves": 15, "min_data_in_leaf": 20, "feature_fraction": 0.5,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127,
}  # fmt: skip
_FIXED: dict[str, Any] = {
    "objective": "cross_entropy",
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
}
_MIN_LANGUAGE = 200
"""Languages with fewer documents take the calibration of all."""


@dataclass(frozen=True)
class Trained:
    """What a training wrote: files, and lines for the terminal."""

    files: tuple[str, ...]
    lines: tuple[str, ...]


def train_head(
    data: Labelled, columns: list[str], out: str, settings: dict[str, Any], seed: int = 1
) -> Trained:
    """Train a head, evaluate it on sources left out, and write model, card and evaluation page.

    Args: data, whose table has the columns, numbers or booleans with nulls; out, path of the model; settings, in
    addition to SETTINGS, by the names of LightGBM and `n_trees`.
    Raises: ConfigError if LightGBM is not installed, UsageError for an unknown setting.
    """
    settings = SETTINGS | settings
    rows = matrix(data.table, columns)
    odds = np.empty(len(rows))
    for fold in np.unique(data.folds):
        own, others = data.folds == fold, training_rows(data, fold)
        trained = fit(rows[others], data.targets[others], columns, settings, seed)
        odds[own] = trained.odds(rows[own], _labels(data.languages[own]))
    final = fit(rows, data.targets, columns, settings, seed)
    languages, lines = calibrate(odds, data)
    head = Head(final.forest, languages, lines, data.low, data.high)
    save_head(out, head)
    scores = calibrated(odds, data)
    stem = Path(out).with_suffix("")
    about = [
        f"A head of {settings['n_trees']} trees over {len(columns)} columns. Scores are calibrated per language on "
        "left-out predictions of the other folds.",
    ]
    page = evaluation_page(stem.name, data, scores, 1 / (1 + np.exp(-odds)), about)
    Path(f"{stem}.evaluation.md").write_text(page, encoding="utf-8")
    Path(f"{stem}.md").write_text(card(stem.name, head, data, settings, rows, columns), encoding="utf-8")
    pq.write_table(left_out(data, f"head.{stem.name}", scores), f"{stem}.left_out.parquet")
    files = (out, f"{stem}.md", f"{stem}.evaluation.md", f"{stem}.left_out.parquet")
    return Trained(files, summary_of(page))


def fit(
    rows: np.ndarray, targets: np.ndarray, columns: list[str], settings: dict[str, Any], seed: int
) -> Head:
    """Fit trees to targets in [0, 1] by cross-entropy; the same trees on every run. rows: float64 (n, n_columns)."""
    lightgbm = optional_module("lightgbm", "LightGBM", "train", "train head")
    names = [f"c{i}" for i in range(len(columns))]
    parameters = (
        {name: value for name, value in settings.items() if name != "n_trees"} | _FIXED | {"seed": seed}
    )
    try:
        booster = lightgbm.train(
            parameters, lightgbm.Dataset(rows, targets, feature_name=names), settings["n_trees"]
        )
    except lightgbm.basic.LightGBMError as error:
        raise UsageError(f"train head: LightGBM: {error}") from error
    return Head(pack(booster, columns), (POOLED,), np.array([[1.0, 0.0]]), 0.0, 1.0)


def calibrate(odds: np.ndarray, data: Labelled) -> tuple[tuple[str, ...], np.ndarray]:
    """A line through the log-odds of left-out rows, of all and of each language with enough rows."""
    languages, lines = [POOLED], [fit_line(odds, data.targets)]
    for language in np.unique(data.languages):
        own = data.languages == language
        if own.sum() >= _MIN_LANGUAGE:
            languages.append(str(language))
            lines.append(fit_line(odds[own], data.targets[own]))
    return tuple(languages), np.array(lines)


def calibrated(odds: np.ndarray, data: Labelled) -> np.ndarray:
    """Scores of left-out rows by calibrations that were fitted without their fold: float64 (n,)."""
    scores = np.empty(len(odds))
    for fold in np.unique(data.folds):
        own = data.folds == fold
        languages, lines = calibrate(odds[~own], data.take(~own))
        chosen = lines[[languages.index(name) if name in languages else 0 for name in data.languages[own]]]
        scores[own] = 1 / (1 + np.exp(-(chosen[:, 0] * odds[own] + chosen[:, 1])))
    return scores


def card(
    name: str, head: Head, data: Labelled, settings: dict[str, Any], rows: np.ndarray, columns: list[str]
) -> str:
    """The card of a head: what it is, what it learnt from, what it reads, what it is not for."""
    gains = _uses(head, len(columns))
    missing = np.isnan(rows).mean(axis=0)
    order = np.argsort(-gains, kind="stable")
    lines = [
        f"# {name}: card", "",
        "| | |", "|---|---|",
        f"| What | trees over columns, packed by bicorpus; {len(head.forest.trees.roots)} trees, "
        f"{len(head.forest.trees.leaves):,} leaves |",
        f"| Score | in [0, 1]; 0 stands for the label {head.low:g}, 1 for {head.high:g}; calibrated for "
        f"{', '.join(head.languages[1:]) or 'all languages together'} |",
        f"| Learnt from | {len(data.targets):,} labelled documents of {len(set(data.sources)):,} sources: "
        f"{_counts(data.languages)} |",
        f"| Settings | {', '.join(f'{key} {value}' for key, value in sorted(settings.items()))} |",
        f"| Figures | [{name}.evaluation.md]({name}.evaluation.md), on sources left out |",
        "| Use | `{use: classifiers.head, config: {models: {" + name + ": " + name + ".npz}}}`, after "
        + f"{', '.join(dict.fromkeys(column.partition('.')[0] for column in columns if '.' in column))} |",
        "| Not for | languages and kinds of page that are not in the evaluation; a label is what its labeller saw |",
        "", "| column | splits | null |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| `{columns[i]}` | {gains[i]} | {100 * missing[i]:.1f} % |" for i in order]
    return "\n".join(lines) + "\n"


def _uses(head: Head, n_columns: int) -> np.ndarray:
    """Number of splits by each column."""
    return np.bincount(head.forest.trees.feature, minlength=n_columns)


def _counts(names: np.ndarray) -> str:
    unique, counts = np.unique(names, return_counts=True)
    return ", ".join(f"{name} {count:,}" for name, count in zip(unique, counts, strict=True))


def _labels(languages: np.ndarray) -> pa.Array:
    return pa.array(languages.tolist(), pa.string())
