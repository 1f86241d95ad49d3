"""Train the scorers value, keep, spam, furniture and spun of classifiers.quality from labelled web text.

Reads Parquet files with columns text, lang (zh or en), source, score (0 to 5), keep, kind, flags (the rubric is in
docs/quality.md), and optionally fold. Files of --sms (columns lang, text, label: spam or ham) train `spam` alone.
Documents of --good (columns text, lang_hint, source), drawn from each source, count as good prose of score 4: books,
laws, documentation, of which labels of crawled pages have few; worked solutions of --solutions (columns question,
solution, lang, source) do as well. Writes the model, and prints Markdown tables of the
scores that five folds by source give to documents of left-out sources. Equal input gives an equal file. Needs the
extra `train`.

The method is ridge regression on n-gram vectors of length one (Hoerl and Kennard, Technometrics 12, 1970), calibrated
by a logistic function of the left-out predictions (Platt, 1999), for `value` with the labels divided by five as soft
targets. The penalty of a weight grows with the number of documents that contain its n-gram (`priors`), so that rare
n-grams count for more than the frequent ones, which tell little more than length and form; the weights are those of the
plain n-grams, so this costs nothing when they are used.

`--language` trains one language alone; the arrays of the other are those of the model `--base`.

Example: python -m scripts.training.train_quality labels.parquet --out classifiers/models/quality_value.npz
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import scipy.sparse
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge  # type: ignore[import-untyped]

from classifiers import quality
from classifiers.linear.families import CHARACTERS, WORDS
from classifiers.linear.train import auc
from classifiers.quality.features import LOG_STEP, LOGS, N_CELLS, N_FAMILIES, list_features
from stages.kernels.text.text import load_tables, view

FAMILIES = {"zh": CHARACTERS, "en": WORDS}
N_FOLDS = 5
N_GOOD, GOOD_SCORE, GOOD_CHARS = 12, 4.0, 6000
"""Documents drawn from each source of --good, their score, and the maximum length of each."""
N_SOLUTIONS, SOLUTION_SCORE = 40, 4.0
"""Worked solutions drawn from each source of --solutions, and their score."""
N_MESSAGES = 400
"""Messages drawn from each file of --sms."""
PENALTY = 0.3
"""Ridge penalty for vectors of length one; 0.1 and 1 differ by less than 0.01 of rank correlation."""
OFFSET, POWER = 30.0, 0.25
"""Of `priors`."""
SPAM = ("gambling", "adult", "medical_ad", "mail_spam", "sms_spam", "seo", "ad")
FURNITURE = ("nav", "error")
N_SHOWN = 30
"""Least number of documents of a source that is shown by itself."""


class Labels(NamedTuple):
    """Labelled documents of one language; targets: float64 (n, n_scorers) in [0, 1], NaN where a label is missing."""

    rows: pl.DataFrame
    targets: np.ndarray
    folds: np.ndarray


def read_labels(
    paths: Sequence[Path], sms: Sequence[Path], good: Sequence[Path], solutions: Sequence[Path], lang: str
) -> Labels:
    """Read the documents of a language; sources without a fold are assigned one by their hash."""
    columns = {
        "text": pl.String,
        "lang": pl.String,
        "source": pl.String,
        "score": pl.Float64,
        "keep": pl.Boolean,
    }
    columns |= {"kind": pl.String, "flags": pl.List(pl.String), "fold": pl.Int64}  # type: ignore[dict-item]
    frames = [pl.read_parquet(path) for path in paths]
    frames += draw_good(good, solutions)
    frames += [draw_messages(path) for path in sms]
    rows = pl.concat(
        [
            frame.select(
                pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
                for name, dtype in columns.items()
            )
            for frame in frames
        ]
    ).filter(pl.col("lang") == lang)
    kinds, flags = rows["kind"].to_list(), [set(flags or ()) for flags in rows["flags"].to_list()]
    scores = rows["score"].to_numpy()
    labelled = ~np.isnan(scores)
    spam = [kind in SPAM or "fraud" in flag for kind, flag in zip(kinds, flags, strict=True)]
    furniture = [
        kind in FURNITURE or ("boilerplate" in flag and score <= 1)
        for kind, flag, score in zip(kinds, flags, scores, strict=True)
    ]
    spun = [
        kind == "spun" or ("mt" in flag and score <= 2)
        for kind, flag, score in zip(kinds, flags, scores, strict=True)
    ]
    keep = rows["keep"].cast(pl.Float64).to_numpy()
    targets = np.column_stack([scores / 5, keep, spam, furniture, spun]).astype(np.float64)
    targets[~labelled] = np.where(np.arange(5) == quality.LABELLED.index("spam"), targets[~labelled], np.nan)
    folds = [
        fold if fold is not None else int(hashlib.sha256(source.encode()).hexdigest(), 16) % N_FOLDS
        for fold, source in zip(rows["fold"], rows["source"], strict=True)
    ]
    return Labels(rows, targets, np.array(folds))


def draw_good(good: Sequence[Path], solutions: Sequence[Path]) -> list[pl.DataFrame]:
    """Draw N_GOOD documents of each source and language, and N_SOLUTIONS worked solutions, the same ones each time."""
    lang = pl.col("lang_hint")
    lang = pl.when(lang.str.contains("^(zh|lzh|yue)")).then(pl.lit("zh")).otherwise(lang).alias("lang")
    documents = [
        pl.read_parquet(path, columns=["text", "lang_hint", "source"]).select("text", lang, "source")
        for path in good
    ]
    solved = [
        pl.read_parquet(path, columns=["question", "solution", "lang", "source"]).select(
            pl.concat_str("question", "solution", separator="\n\n").alias("text"), "lang", "source"
        )
        for path in solutions
    ]
    return [
        _draw(pl.concat(frames), n, score, least)
        for frames, n, score, least in (
            (documents, N_GOOD, GOOD_SCORE, 200),
            (solved, N_SOLUTIONS, SOLUTION_SCORE, 0),
        )
        if frames
    ]


def draw_messages(path: Path) -> pl.DataFrame:
    """Draw N_MESSAGES messages with the label spam or ham."""
    rows = pl.read_parquet(path, columns=["text", "lang", "label"]).filter(
        pl.col("label").is_in(["spam", "ham"])
    )
    kind = pl.when(pl.col("label") == "spam").then(pl.lit("sms_spam")).otherwise(pl.lit("ham")).alias("kind")
    return _in_order(rows).head(N_MESSAGES).select("text", "lang", pl.lit("sms").alias("source"), kind)


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in the order of a hash of their text, which is random but the same on every machine."""
    order = [hashlib.sha256(text.encode()).hexdigest() for text in rows["text"]]
    return rows.with_columns(pl.Series("order", order)).sort("order")


def _draw(rows: pl.DataFrame, n: int, score: float, least: int) -> pl.DataFrame:
    """The first `n` documents of each source and language by the hash of their text, of at least `least` characters."""
    rows = _in_order(rows.filter(pl.col("text").str.len_chars() >= least))
    drawn = rows.group_by("lang", "source", maintain_order=True).head(n).sort("order")
    return drawn.select(
        pl.col("text").str.slice(0, GOOD_CHARS), "lang", "source", pl.lit(score).alias("score"),
        pl.lit(True).alias("keep"), pl.lit("good").alias("kind"),
    )  # fmt: skip


def vectors(texts: Sequence[str], family: int) -> scipy.sparse.csr_matrix:
    """Vectors of length one, of log(1 + occurrences) of each distinct n-gram, as `sum_weights` has them."""
    text = view(pa.array(texts, pa.large_string()))
    families = np.full(len(texts), family)
    cells, begins, _ = list_features(text.codes, text.classes, text.starts, load_tables().fold, families)
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(cells), np.int32), cells, begins), shape=(len(texts), N_CELLS)
    )
    matrix.sum_duplicates()
    matrix = matrix.astype(np.float64)
    matrix.data = LOGS[np.minimum(matrix.data.astype(np.int64), len(LOGS) - 1)] / LOG_STEP
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (scipy.sparse.diags_array(1 / np.maximum(lengths, 1e-9)) @ matrix).tocsr()


def priors(matrix: scipy.sparse.csr_matrix) -> np.ndarray:
    """Scale of the weight of each cell before it is seen, float64 (N_CELLS,).

    It is (OFFSET + number of documents with the cell) ** -POWER, times the number that leaves the mean squared length
    of the documents as it is, so that PENALTY means the same. Ridge regression on cells times these scales is ridge
    regression on the cells with a penalty divided by the square of the scale.
    """
    scales = (OFFSET + np.bincount(matrix.indices, minlength=matrix.shape[1])) ** -POWER
    scaled = matrix @ scipy.sparse.diags_array(scales)
    return scales * np.sqrt(matrix.multiply(matrix).sum() / scaled.multiply(scaled).sum())


def fit(matrix: scipy.sparse.csr_matrix, targets: np.ndarray, chosen: np.ndarray) -> Ridge:
    """Ridge regression on the chosen documents that have a label."""
    chosen = chosen & ~np.isnan(targets)
    return Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-4).fit(matrix[chosen], targets[chosen])


def predict_left_out(matrix: scipy.sparse.csr_matrix, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Predict each target of each document by a model without the sources of its fold; float64 (n, n_scorers)."""
    predicted = np.zeros(targets.shape)
    for fold in range(N_FOLDS):
        for k in range(targets.shape[1]):
            model = fit(matrix, targets[:, k], folds != fold)
            predicted[folds == fold, k] = model.predict(matrix[folds == fold])
    return predicted


def calibrate(predicted: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the log-odds of a target in [0, 1], given left-out predictions."""
    known = ~np.isnan(targets)
    x, y = predicted[known][:, None], targets[known]
    model = LogisticRegression(C=1e6).fit(
        np.vstack([x, x]), np.repeat([1, 0], len(y)), sample_weight=np.concatenate([y, 1 - y])
    )
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def train_language(labels: Labels, family: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit and calibrate all scorers of a language.

    Returns: float64 (N_CELLS, n_scorers) weights and float64 (n_scorers,) bias, both as log-odds; float64 (n,
    n_scorers), score of each document by models that knew no source of its fold, but the same two numbers of the
    calibration.
    """
    rows, targets, folds = labels
    n, everything = targets.shape[1], np.ones(len(folds), bool)
    matrix = vectors(rows["text"].to_list(), family)
    scales = priors(matrix)
    matrix = (matrix @ scipy.sparse.diags_array(scales)).tocsr()
    predicted = predict_left_out(matrix, targets, folds)
    weights, bias, left_out = np.zeros((N_CELLS, n)), np.zeros(n), np.zeros(targets.shape)
    for k in range(n):
        model = fit(matrix, targets[:, k], everything)
        slope, intercept = calibrate(predicted[:, k], targets[:, k])
        weights[:, k], bias[k] = slope * model.coef_ * scales, slope * model.intercept_ + intercept
        left_out[:, k] = 1 / (1 + np.exp(-(slope * predicted[:, k] + intercept)))
    return weights, bias, left_out


def train(
    labels: dict[str, Labels], base: dict[str, np.ndarray] | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train the languages of the labels; returns the arrays of the model file, and left-out scores per language.

    The arrays of a language without labels are those of `base`, or zero without it.
    """
    n = len(quality.LABELLED)
    weights = np.zeros((N_FAMILIES, N_CELLS, n), np.int16)
    steps, bias, left_out = np.zeros((N_FAMILIES, n)), np.zeros((N_FAMILIES, n)), {}
    if base is not None:
        weights, steps, bias = base["weights"].copy(), base["steps"].copy(), base["bias"].copy()
    for lang in labels:
        family = FAMILIES[lang]
        fitted, bias[family], left_out[lang] = train_language(labels[lang], family)
        steps[family] = np.abs(fitted).max(axis=0) / 32767
        weights[family] = np.rint(fitted / steps[family])
    stored: dict[str, np.ndarray] = {
        "weights": weights,
        "steps": steps,
        "bias": bias,
        "scorers": np.array(quality.LABELLED),
    }
    return stored, left_out


def figures(rows: pl.DataFrame) -> list[str]:
    """Cells of a row of figures of left-out scores: documents, rank correlation, areas under ROC curves, junk left.

    The areas are of `value` against keep, of `spam` and of 1 - `value` for spam against documents of score 3 or more.
    Junk left is the share of scores 0 and 1 above the `value` that nine in ten documents to keep reach.
    """
    score, keep, value = (rows[name].to_numpy() for name in ("score", "keep", "value"))
    spam = np.array([kind in SPAM for kind in rows["kind"]])
    either = spam | (score >= 3)
    cut = np.quantile(value[keep], 0.1) if keep.any() else np.nan
    return [
        str(len(rows)),
        f"{spearmanr(score, value)[0]:.2f}",
        f"{auc(value, keep):.3f}",
        f"{auc(rows['spam'].to_numpy()[either], spam[either]):.3f}",
        f"{auc(-value[either], spam[either]):.3f}",
        f"{float((value[score <= 1] >= cut).mean()) if (score <= 1).any() else np.nan:.3f}",
    ]


def report(table: pl.DataFrame) -> Iterator[str]:
    """Lines of Markdown tables: figures per language and per source, and the mean scores of each kind."""
    rows = table.filter(pl.col("score").is_not_null() & (pl.col("kind") != "good"))
    yield "| language, source | documents | rank | keep AUC | spam AUC, spam | spam AUC, value | junk left |"
    yield "|---|---|---|---|---|---|---|"
    for lang in rows["lang"].unique(maintain_order=True):
        here = rows.filter(pl.col("lang") == lang)
        yield f"| {lang} | {' | '.join(figures(here))} |"
        for (source,), group in here.group_by("source", maintain_order=True):
            if len(group) >= N_SHOWN and group["score"].n_unique() > 1:
                yield f"| {lang}, {source} | {' | '.join(figures(group))} |"
    names = ["value", "keep_probability", "spam", "furniture", "spun"]
    yield "\n| language, kind | documents | label | " + " | ".join(names) + " |"
    yield "|---" * 8 + "|"
    for (lang, kind), group in rows.sort("lang", "kind").group_by("lang", "kind", maintain_order=True):
        means = [group["score"].to_numpy().mean() / 5, *(group[name].to_numpy().mean() for name in names)]
        cells = [f"{mean:.2f}" for mean in means]
        yield f"| {lang}, {kind} | {len(group)} | {' | '.join(cells)} |"


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("labels", type=Path, nargs="+", help="Parquet files of labelled documents")
    parser.add_argument(
        "--sms", type=Path, nargs="*", default=[], help="Parquet files of messages, spam or ham"
    )
    parser.add_argument("--good", type=Path, nargs="*", default=[], help="Parquet files of good documents")
    parser.add_argument(
        "--solutions", type=Path, nargs="*", default=[], help="Parquet files of worked solutions"
    )
    parser.add_argument("--language", choices=FAMILIES, help="train this language alone")
    parser.add_argument("--base", type=Path, help="model with the arrays of the other language")
    parser.add_argument("--out", type=Path, default=Path(quality.VALUE_PATH))
    parser.add_argument("--left-out", type=Path, help="write left-out scores to this Parquet file")
    arguments = parser.parse_args()
    if (arguments.language is None) != (arguments.base is None):
        parser.error("--language and --base belong together")
    labels = {
        lang: read_labels(arguments.labels, arguments.sms, arguments.good, arguments.solutions, lang)
        for lang in ([arguments.language] if arguments.language else FAMILIES)
    }
    base = dict(np.load(arguments.base)) if arguments.base else None
    stored, left_out = train(labels, base)
    np.savez_compressed(arguments.out, **stored)  # type: ignore[arg-type]  # arrays, by name
    frames = [
        labels[lang].rows.with_columns(
            *(pl.Series(name, scores[:, k]) for k, name in enumerate(quality.LABELLED) if name != "keep"),
            pl.Series("keep_probability", scores[:, quality.LABELLED.index("keep")]),
            pl.Series("fold", labels[lang].folds),
        )
        for lang, scores in left_out.items()
    ]
    table = pl.concat(frames)
    if arguments.left_out:
        table.write_parquet(arguments.left_out)
    for line in report(table):
        print(line)


if __name__ == "__main__":
    main()
