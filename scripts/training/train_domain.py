"""Train the shipped domain model: a linear model of 26 classes over hashed n-grams, a weight table per family.

Reads Parquet files of labelled web text (columns text, lang, source, domain, kind, and optionally fold, url), files of
other text (columns text, source, language, domain; null for a source without a single domain), and the vectors of
`domain_teacher.py`. Writes the model and prints an evaluation as Markdown: five folds by source, each labelled by a
model, and a regression, that knew none of its sources. Labels without a fold get one by a hash of their source, and
take part in the calibration only. Equal input gives an equal file.

The method is ridge regression on unit vectors of levels of n-grams (Hoerl and Kennard, Technometrics 12, 1970). Targets
are shares of domains: the label of a reader or the domain of a source, mixed with the prediction of a regression over
sentence vectors (Hinton et al. 2015, arXiv 1503.02531). The weight of an n-gram is the sum of a weight of its own and a
linear function of its sentence vector, both under one penalty, so that n-grams of similar meaning share weights. It is
solved by conjugate gradients; the scale of the log-odds is fitted to left-out documents (Guo et al. 2017,
arXiv 1706.04599). Needs the extra `train`.

Example: python -m scripts.training.train_domain labels.parquet --docs domain_docs.parquet --vectors domain_vectors.npz
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import scipy.sparse

from classifiers import domain
from classifiers.domain.features import LEVELS, MAX_ROWS, pack
from classifiers.linear.families import CHARACTERS, WORDS
from classifiers.quality.features import N_CELLS, N_FAMILIES, list_features
from scripts.training.domain_evaluation import calibrate, evaluate, fold_of, softmax
from scripts.training.domain_names import ACCEPTED, BY_KIND, SAME_TEXTS, USUAL_SHARE
from scripts.training.domain_sources import DOCUMENTS, HELD_OUT
from scripts.training.domain_teacher import SEEDS_PATH, WITHOUT, key
from stages.kernels.text.text import load_tables, view

FAMILIES = {"zh": CHARACTERS, "en": WORDS}
N_FOLDS, N_LABELS = 5, len(domain.LABELS)
ROWS = MAX_ROWS
"""Number of cells per family whose weights are kept, those with the largest effect over all documents."""
MIN_DOCUMENTS = 2
"""Minimum number of training documents of an n-gram; rarer ones have weight 0."""
PENALTY, STEPS = 0.15, 15
"""Ridge penalty for vectors of length one, and steps of conjugate gradients."""
RARITY = 0.7
"""Exponent of log(n / document frequency) in the prior scale of the weight of an n-gram."""
MEANING = 1.0
"""Scale of the part of a weight that is a function of the sentence vector of the n-gram, relative to its own part."""
BALANCE = 0.6
"""Exponent of the balance of classes: 0 leaves them as they are, 1 makes them equal."""
READER_SHARE, SOURCE_SHARE = 0.5, 0.7
"""Share of the reader's label, or of the domain of the source, in a target; the regression has the rest."""
UNLABELLED = 0.6
"""Weight of a text without a reader's label."""
SHARPNESS = 8.0
"""Factor of the outputs of the regression before they become shares."""
SEED_WEIGHT, SOURCE_WEIGHT, VECTOR_PENALTY = 0.3, 0.15, 1.0
"""In the regression over sentence vectors: weight of a seed phrase and of a text of known source, ridge penalty."""
PER_SOURCE, PER_SOURCE_IN_TEACHER = 1000, 120
"""Maximum number of texts of a source, language and domain, and of those in the regression over sentence vectors."""
SHINGLE, SHARED = 40, 0.1
"""Letters of a shingle, and the share of them in common with a labelled text from which on a text is not used."""


class Examples(NamedTuple):
    """Texts of one language, labelled ones first.

    rows: table of text, source, domain, own, fold, kind, url; domain is the label of a reader, own the domain of the
    source. matrix: levels of n-grams, rows of length one. targets, own: float64 (n, N_LABELS), rows of 0 where unknown.
    vectors: float64 (n, 513). ngrams: float32 (N_CELLS, 512), sentence vectors of the n-grams, 0 where unknown.
    """

    rows: pl.DataFrame
    matrix: scipy.sparse.csr_matrix
    targets: np.ndarray
    own: np.ndarray
    vectors: np.ndarray
    ngrams: np.ndarray


def read_rows(labels: Sequence[Path], docs: Sequence[Path], vectors: dict[bytes, np.ndarray]) -> pl.DataFrame:
    """All documents that have a vector, but texts of `docs` that share passages with labelled ones."""
    columns = {
        "text": pl.String,
        "lang": pl.String,
        "source": pl.String,
        "domain": pl.String,
        "kind": pl.String,
    }
    columns |= {"url": pl.String, "fold": pl.Int64, "own": pl.String}  # type: ignore[dict-item]
    software = DOCUMENTS["Computers & Electronics"].split()  # labelled web text has enough of it
    frames = [pl.read_parquet(path).filter(pl.col("domain").is_in(list(ACCEPTED))) for path in labels]
    for path in docs:
        frame = pl.read_parquet(path).rename({"language": "lang", "domain": "own"})
        frame = frame.filter(~pl.col("source").is_in([*WITHOUT, *HELD_OUT, *software]))
        order = pl.Series("order", [key(text).hex() for text in frame["text"]])
        frame = frame.with_columns(order).sort("order")
        frames.append(frame.group_by("source", "lang", "own", maintain_order=True).head(PER_SOURCE))
    rows = pl.concat(
        [
            frame.select(
                pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
                for name, dtype in columns.items()
            )
            for frame in frames
        ]
    ).unique("text", keep="first", maintain_order=True)
    rows = rows.filter(pl.Series([key(text) in vectors for text in rows["text"]]))
    return rows.filter(~pl.Series(share_passages(rows)))


def share_passages(rows: pl.DataFrame) -> np.ndarray:
    """Whether a text without a fold shares at least SHARED of its shingles with a text that has one; bool (n,)."""
    found = [_shingles(text) for text in rows["text"]]
    measured = rows["fold"].is_not_null().to_numpy()
    known = np.unique(
        np.concatenate([found[i] for i in np.flatnonzero(measured)] or [np.zeros(0, np.uint64)])
    )
    known = np.append(known, np.uint64(2**64 - 1))
    share = np.array(
        [(known[np.searchsorted(known, part)] == part).mean() if len(part) else 0.0 for part in found]
    )
    return ~measured & (share >= SHARED)


def _shingles(text: str) -> np.ndarray:
    """Hashes of runs of SHINGLE letters and digits, one of eight by hash, uint64."""
    codes = np.frombuffer(re.sub(r"\W+", "", text.lower()).encode("utf-32-le"), np.uint32).astype(np.uint64)
    n = len(codes) - SHINGLE + 1
    if n <= 0:
        return np.zeros(0, np.uint64)
    hashes = np.zeros(n, np.uint64)
    for i in range(SHINGLE):
        hashes = (hashes ^ codes[i : i + n]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes[hashes % np.uint64(8) == 0]


def target(name: str | None, kind: str | None) -> np.ndarray:
    """Shares of the domains that a reader's label stands for, float64 (N_LABELS,); 0 without a label."""
    shares = np.zeros(N_LABELS)
    if name is None:
        return shares
    names = (BY_KIND[name, kind],) if kind and (name, kind) in BY_KIND else ACCEPTED[name]
    for i, accepted in enumerate(names):
        share = (1 - USUAL_SHARE) / max(len(names) - 1, 1) if i else USUAL_SHARE
        shares[domain.LABELS.index(accepted)] = share if len(names) > 1 else 1.0
    return shares


def find_cells(texts: list[str], family: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the n-grams of texts and the offsets of the texts in them."""
    text = view(pa.array(texts, pa.large_string()))
    families = np.full(len(texts), family)
    return list_features(text.codes, text.classes, text.starts, load_tables().fold, families)[:2]


def make_matrix(texts: list[str], family: int) -> scipy.sparse.csr_matrix:
    """Levels of the n-grams of texts, float32, rows of length one."""
    cells, begins = find_cells(texts, family)
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(cells), np.int32), cells, begins), shape=(len(texts), N_CELLS)
    )
    matrix.sum_duplicates()
    levels = LEVELS[np.minimum(matrix.data, len(LEVELS) - 1)].astype(np.float32)
    matrix = scipy.sparse.csr_matrix((levels, matrix.indices, matrix.indptr), shape=matrix.shape)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return (scipy.sparse.diags_array((1 / np.maximum(lengths, 1e-9)).astype(np.float32)) @ matrix).tocsr()


def ngram_vectors(stored: dict[str, np.ndarray], language: str) -> np.ndarray:
    """Sentence vectors by cell, centred and of length one before n-grams of one cell are averaged."""
    ngrams, counts = stored[f"{language}_ngrams"].tolist(), stored[f"{language}_counts"].astype(np.float32)
    vectors = stored[f"{language}_vectors"].astype(np.float32)
    vectors -= (vectors * counts[:, None]).sum(axis=0) / counts.sum()
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    cells, begins = find_cells(ngrams, FAMILIES[language])
    of_ngram = cells[begins[1:] - 1]  # the longest n-gram that ends at the last token
    sums = scipy.sparse.csr_matrix((counts, (of_ngram, np.arange(len(ngrams)))), shape=(N_CELLS, len(ngrams)))
    totals = np.maximum(np.bincount(of_ngram, counts, N_CELLS), 1e-9).astype(np.float32)
    return ((sums @ vectors) / totals[:, None]).astype(np.float32)


def make_examples(
    rows: pl.DataFrame, vectors: dict[bytes, np.ndarray], ngrams: np.ndarray, family: int
) -> Examples:
    """Features, targets and vectors of the documents of one language."""
    targets = np.array([target(*pair) for pair in zip(rows["domain"], rows["kind"], strict=True)])
    own = np.array([[name == label for label in domain.LABELS] for name in rows["own"]], np.float64)
    found = np.array([vectors[key(t)] for t in rows["text"]], np.float64)
    matrix = make_matrix(rows["text"].to_list(), family)
    return Examples(rows, matrix, targets, own, np.hstack([found, np.ones((len(rows), 1))]), ngrams)


def balance(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights of examples, with rare classes raised by the power BALANCE."""
    counts = np.maximum((targets * weights[:, None]).sum(axis=0), 1)
    return weights * (targets @ (weights.sum() / N_LABELS / counts) ** BALANCE)


def fit_teacher(
    parts: Sequence[tuple[Examples, np.ndarray]], seeds: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Ridge regression from sentence vectors to domains.

    Args: parts, examples of each language and which to use; seeds, vectors and shares of seed phrases.
    Returns: float64 (513, N_LABELS).
    """
    x, targets, weights = [seeds[0]], [seeds[1]], [np.full(len(seeds[0]), SEED_WEIGHT)]
    for examples, use in parts:
        labelled = use & examples.targets.any(axis=1)
        in_order = pl.int_range(pl.len()).over("source", "own")
        first = examples.rows.select(in_order.alias("n"))["n"].to_numpy() < PER_SOURCE_IN_TEACHER
        of_source = use & ~labelled & examples.own.any(axis=1) & first
        x += [examples.vectors[labelled], examples.vectors[of_source]]
        targets += [examples.targets[labelled], examples.own[of_source]]
        weights += [np.ones(labelled.sum()), np.full(of_source.sum(), SOURCE_WEIGHT)]
    vectors, shares = np.vstack(x), np.vstack(targets)
    balanced = balance(shares, np.concatenate(weights))
    products = vectors.T @ (vectors * balanced[:, None]) + VECTOR_PENALTY * np.eye(vectors.shape[1])
    return np.linalg.solve(products, vectors.T @ (shares * balanced[:, None]))


class Design(NamedTuple):
    """Features of ridge regression: n-grams, sums of their vectors, and a constant; float32."""

    matrix: scipy.sparse.csr_matrix
    back: scipy.sparse.csr_matrix
    sums: np.ndarray
    constant: float

    def apply(self, weights: np.ndarray) -> np.ndarray:
        """Predictions, (n_docs, n_labels)."""
        n = self.matrix.shape[1]
        return self.matrix @ weights[:n] + self.sums @ weights[n:-1] + self.constant * weights[-1]

    def transpose(self, values: np.ndarray) -> np.ndarray:
        """Sums over documents, (n_features, n_labels)."""
        constant = self.constant * values.sum(axis=0, keepdims=True)
        return np.vstack([self.back @ values, self.sums.T @ values, constant])


def solve(design: Design, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted ridge regression by STEPS conjugate gradients, all columns of y together; (n_features, n_labels)."""
    by_doc = weights.astype(np.float32)[:, None]
    rest = design.transpose(by_doc * y.astype(np.float32))
    found, way, size = np.zeros_like(rest), rest.copy(), (rest * rest).sum(axis=0)
    for _ in range(STEPS):
        image = design.transpose(by_doc * design.apply(way)) + PENALTY * way
        step = size / np.maximum((way * image).sum(axis=0), 1e-30)
        found += step * way
        rest -= step * image
        last, size = size, (rest * rest).sum(axis=0)
        way = rest + size / np.maximum(last, 1e-30) * way
    return found


def fit(examples: Examples, use: np.ndarray, teacher: np.ndarray) -> tuple[np.ndarray, ...]:
    """Fit one family to the examples of `use`.

    Returns: cells, uint32 (ROWS,); weights, float64 (ROWS, N_LABELS); bias, float64 (N_LABELS,).
    """
    matrix, targets, own = examples.matrix[use], examples.targets[use], examples.own[use]
    labelled = targets.any(axis=1)
    shares = softmax(SHARPNESS * (examples.vectors[use] @ teacher))
    known = np.where(labelled, READER_SHARE, np.where(own.any(axis=1), SOURCE_SHARE, 0.0))[:, None]
    mixed = known * np.where(labelled[:, None], targets, own) + (1 - known) * shares
    counts = np.bincount(matrix.indices, minlength=N_CELLS)
    used = np.flatnonzero(counts >= MIN_DOCUMENTS)
    rarity = np.log((1 + len(targets)) / (1 + counts[used])) + 1
    rarity = (rarity / rarity.mean()).astype(np.float32)
    x = (matrix[:, used] @ scipy.sparse.diags_array(rarity**RARITY)).tocsr()
    size = np.sqrt(x.multiply(x).sum(axis=1).mean())
    x = (x / size).tocsr().astype(np.float32)
    ngrams = examples.ngrams[used] * rarity[:, None] ** np.float32(1 - RARITY)
    sums = x @ ngrams
    scale = np.float32(MEANING) / np.sqrt((sums * sums).sum(axis=1).mean())
    design = Design(x, x.T.tocsr(), sums * scale, 0.3)
    found = solve(design, mixed - 1 / N_LABELS, balance(mixed, np.where(labelled, 1.0, UNLABELLED)))
    weights = found[: len(used)] + scale * (ngrams @ found[len(used) : -1])
    weights = weights.astype(np.float64) * (rarity**RARITY / size)[:, None]
    weights -= weights.mean(axis=1, keepdims=True)
    worth = np.abs(weights).max(axis=1) * np.sqrt(counts[used])
    kept = np.sort(np.argsort(-worth, kind="stable")[:ROWS])
    return used[kept].astype(np.uint32), weights[kept], 0.3 * found[-1].astype(np.float64)


def store(fitted: dict[str, tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    """The arrays of the model file, not calibrated."""
    cells = np.zeros((N_FAMILIES, ROWS), np.uint32)
    weights = np.zeros((N_FAMILIES, ROWS, N_LABELS), np.int8)
    steps, bias = np.zeros(N_FAMILIES), np.zeros((N_FAMILIES, N_LABELS))
    for language, family in FAMILIES.items():
        cells[family], exact, first = fitted[language]
        step = np.quantile(np.abs(exact), 0.9999) / 127
        weights[family] = np.clip(np.rint(exact / step), -127, 127)
        steps[family], bias[family] = step, first - first.mean()
    return {
        "cells": cells,
        "weights": weights,
        "steps": steps,
        "bias": bias,
        "labels": np.array(domain.LABELS),
    }


def write(path: Path, model: dict[str, np.ndarray], slopes: dict[str, float]) -> None:
    """Write a model; slopes: language -> log-odds per unit of the regression."""
    factors = np.ones(N_FAMILIES)
    for language, family in FAMILIES.items():
        factors[family] = slopes[language]
    scaled = {"steps": model["steps"] * factors, "bias": model["bias"] * factors[:, None]}
    np.savez_compressed(path, **{**model, **scaled})  # type: ignore[arg-type]  # arrays, by name


def left_out(examples: dict[str, Examples], seeds: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Log-odds (of slope 1) of each labelled document by a model that knew no source of its fold."""
    found = {language: np.zeros((len(part.rows), N_LABELS)) for language, part in examples.items()}
    for fold in range(N_FOLDS):
        inside = {language: fold_of(part.rows, N_FOLDS) == fold for language, part in examples.items()}
        sources = {
            s for language, part in examples.items()
            for s in part.rows.filter(pl.Series(inside[language]) & pl.col("domain").is_not_null())["source"]
        }  # fmt: skip
        sources |= {name for name, same in SAME_TEXTS.items() if same in sources}
        use = {
            name: ~np.isin(part.rows["source"].to_numpy(), sorted(sources)) for name, part in examples.items()
        }
        stored = train(examples, use, seeds)
        for language, part in examples.items():
            chosen = np.flatnonzero(inside[language] & part.targets.any(axis=1))
            found[language][chosen] = predict(stored, part.rows[chosen], FAMILIES[language])
    return found


def predict(stored: dict[str, np.ndarray], rows: pl.DataFrame, family: int) -> np.ndarray:
    """Log-odds of each label for each document, as the stage computes them, of a given family."""
    label = "zho_Hans" if family == CHARACTERS else "eng_Latn"
    batch = pa.table(
        {
            "text": pa.array(rows["text"].to_list(), pa.large_string()),
            "url": pa.array(rows["url"].to_list(), pa.string()),
            "language.label": pa.array([label] * len(rows)),
        }
    )
    packed = pack(stored["cells"], stored["weights"])
    return (
        domain.find_odds(batch, domain.Model(*packed, stored["steps"], stored["bias"]))[0] / domain.ODDS_STEPS
    )


def train(
    examples: dict[str, Examples], use: dict[str, np.ndarray], seeds: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fit the regression over sentence vectors, then both families; returns the arrays of the model file."""
    teacher = fit_teacher([(part, use[name]) for name, part in examples.items()], seeds)
    return store({name: fit(part, use[name], teacher) for name, part in examples.items()})


def main() -> None:
    """Read the command line, train, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("labels", type=Path, nargs="+", help="Parquet files of labelled web text")
    parser.add_argument("--docs", type=Path, nargs="*", default=[], help="Parquet files of other text")
    parser.add_argument("--vectors", type=Path, required=True, help="file of domain_teacher.py")
    parser.add_argument("--out", type=Path, default=Path(domain.MODEL_PATH))
    parser.add_argument("--left-out", type=Path, help="write left-out labels to this Parquet file")
    parser.add_argument(
        "--slopes", type=float, nargs=2, help="calibration of zh and en; without it, by folds"
    )
    arguments = parser.parse_args()
    with np.load(arguments.vectors) as stored:
        arrays = dict(stored)
    vectors = {k.tobytes(): v for k, v in zip(arrays["keys"], arrays["vectors"], strict=True)}
    phrases = [line.split("\t") for line in SEEDS_PATH.read_text("utf-8").splitlines()]
    seeds = np.hstack(
        [np.array([vectors[key(p)] for _, p in phrases], np.float64), np.ones((len(phrases), 1))]
    )
    shares = np.eye(N_LABELS)[[domain.LABELS.index(name) for name, _ in phrases]]
    rows = read_rows(arguments.labels, arguments.docs, vectors)
    examples = {
        language: make_examples(
            rows.filter(pl.col("lang") == language), vectors, ngram_vectors(arrays, language), family
        )
        for language, family in FAMILIES.items()
    }
    model = train(
        examples, {name: np.ones(len(part.rows), bool) for name, part in examples.items()}, (seeds, shares)
    )
    slopes = dict(zip(FAMILIES, arguments.slopes or (1.0, 1.0), strict=True))
    write(arguments.out, model, slopes)
    if not arguments.slopes:
        odds = left_out(examples, (seeds, shares))
        slopes = {name: calibrate(odds[name], part.rows) for name, part in examples.items()}
        write(arguments.out, model, slopes)
        found = {name: (odds[name], part.rows) for name, part in examples.items()}
        for line in (f"Slopes: {slopes}", *evaluate(found, slopes, arguments.left_out)):
            print(line)


if __name__ == "__main__":
    main()
