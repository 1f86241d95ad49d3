"""Mining: documents of a pool that resemble a seed set, found by fastText models in rounds.

Source: DeepSeekMath, Shao et al. 2024, arXiv 2402.03300, section 2.1. Two things differ. The pool is divided into
halves, and each half is scored by a model whose negatives are from the other, since a model has learnt to reject its
negatives, good ones among them. And languages are treated one by one, so that no model learns the language of the
seeds.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.training.data import language_of
from classifiers.training.fasttext import SETTINGS, fit, score, training_lines
from classifiers.training.head import Trained
from pipeline.errors import UsageError

LEAST = 0.25
"""No document is taken that scores below this quantile of the seeds of left-out sources."""
_MIN_LEFT_OUT = 8
"""Languages with fewer left-out seeds have no such bound."""


@dataclass(frozen=True)
class Search:
    """What a round works on: texts and languages of seeds and pool, which seeds are left out, half of each document."""

    seeds: pa.ChunkedArray
    seed_languages: np.ndarray
    left_out: np.ndarray
    pool: pa.ChunkedArray
    languages: np.ndarray
    half: np.ndarray


def mine(
    seeds: pa.Table, pool: pa.Table, out: str, form: str, settings: dict[str, Any], rounds: int, share: float, seed: int
) -> Trained:  # fmt: skip
    """Find documents of a pool that resemble a seed set; write them, best first, a model of them, and its card.

    The first round takes random documents of the pool as negatives, later ones documents that scored below the median;
    what a round takes are seeds of the next. A fifth of the sources of the seeds is left out until the last model, to
    measure how many of their documents are found again.

    Args: seeds and pool, with columns text, source and, if both have it, lang; rounds, at least 1; share, of the pool
    to take at most.
    Raises: UsageError for fewer than two sources of seeds or ten documents, or a column that is missing.
    """
    for name, table in (("source", seeds), ("text", seeds), ("text", pool)):
        if name not in table.column_names:
            raise UsageError(f"no column {name!r}; seeds have the columns text and source, a pool has text")
    settings = SETTINGS | settings
    random = np.random.Generator(np.random.PCG64(seed))
    search = _search(seeds, pool, random)
    found, taken, report = np.zeros(pool.num_rows), np.zeros(pool.num_rows, bool), []
    for number in range(rounds):
        usable = np.ones(pool.num_rows, bool) if number == 0 else _below_median(found, search.languages)
        found, again = _score_halves(search, taken, usable, form, settings, random)
        taken, recalled = _take(search, found, again, share)
        report.append(
            f"round {number + 1}: {int(taken.sum()):,} of {pool.num_rows:,} documents taken; "
            f"{100 * recalled:.1f} % of {int(search.left_out.sum()):,} seeds of left-out sources score as high"
        )
    everything = np.ones(len(search.left_out), bool)
    usable = _below_median(found, search.languages)
    fit(_lines(search, everything, taken, usable & ~taken, form, random), out, settings)
    return _write(pool, found, taken, out, report, f"{seeds.num_rows:,} seeds, form {form}, seed {seed}")


def _search(seeds: pa.Table, pool: pa.Table, random: np.random.Generator) -> Search:
    sources = np.array([str(source) for source in seeds["source"].to_pylist()])
    names = np.unique(sources)
    if len(names) < 2 or pool.num_rows < 10:
        raise UsageError(
            f"{len(names)} sources of seeds, {pool.num_rows} documents; expected 2 and 10 at least"
        )
    both = "lang" in seeds.column_names and "lang" in pool.column_names
    languages = [
        np.array(
            [language_of(code) for code in table["lang"].to_pylist()] if both else ["und"] * table.num_rows
        )
        for table in (seeds, pool)
    ]
    left_out = np.isin(sources, random.permutation(names)[: max(1, len(names) // 5)])
    half = random.permutation(np.arange(pool.num_rows) % 2)
    return Search(seeds["text"], languages[0], left_out, pool["text"], languages[1], half)


def _below_median(found: np.ndarray, languages: np.ndarray) -> np.ndarray:
    """Documents that score at most the median of their language: bool (n,)."""
    below = np.zeros(len(found), bool)
    for language in np.unique(languages):
        own = languages == language
        below[own] = found[own] <= np.median(found[own])
    return below


def _score_halves(
    search: Search, taken: np.ndarray, usable: np.ndarray, form: str, settings: dict[str, Any],
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Scores of the pool, each half by a model of the other, and mean scores of the left-out seeds."""
    found, again = np.zeros(len(taken)), np.zeros(int(search.left_out.sum()))
    hidden = search.seeds.filter(pa.array(search.left_out))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "half.bin")
        for number in (0, 1):
            own = search.half == number
            fit(
                _lines(search, ~search.left_out, taken & own, usable & own & ~taken, form, random),
                path,
                settings,
            )
            found[~own] = score(path, search.pool.filter(pa.array(~own)), form)
            again += score(path, hidden, form) / 2
    return found, again


def _lines(
    search: Search,
    known: np.ndarray,
    taken: np.ndarray,
    usable: np.ndarray,
    form: str,
    random: np.random.Generator,
) -> list[str]:
    """Training lines: known seeds and taken documents, and as many usable documents of each language against them."""
    chosen: list[np.ndarray] = []
    for language in np.unique(search.languages):
        n_good = int((known & (search.seed_languages == language)).sum()) + int(
            (taken & (search.languages == language)).sum()
        )
        chosen.append(random.permutation(np.flatnonzero(usable & (search.languages == language)))[:n_good])
    negatives = np.concatenate(chosen)
    parts = [search.seeds.filter(pa.array(known)), search.pool.filter(pa.array(taken))]
    parts.append(search.pool.take(pa.array(negatives)))
    chunks = [chunk for part in parts for chunk in part.cast(pa.large_string()).chunks]
    n_good = int(known.sum()) + int(taken.sum())
    good = np.concatenate([np.ones(n_good, bool), np.zeros(len(negatives), bool)])
    return training_lines(pa.chunked_array(chunks, pa.large_string()), good, form)


def _take(search: Search, found: np.ndarray, again: np.ndarray, share: float) -> tuple[np.ndarray, float]:
    """Documents that score highest in their language, and the share of left-out seeds that score as high."""
    taken, recalled = np.zeros(len(found), bool), np.zeros(len(again), bool)
    hidden_languages = search.seed_languages[search.left_out]
    for language in np.unique(search.languages):
        own, hidden = search.languages == language, hidden_languages == language
        if not (search.seed_languages == language).any():
            continue
        cut = float(np.quantile(found[own], 1 - share))
        if hidden.sum() >= _MIN_LEFT_OUT:
            cut = max(cut, float(np.quantile(again[hidden], LEAST)))
        taken |= own & (found >= cut)
        recalled |= hidden & (again >= cut)
    return taken, float(recalled.mean())


def _write(
    pool: pa.Table, found: np.ndarray, taken: np.ndarray, out: str, report: list[str], about: str
) -> Trained:
    stem = Path(out).with_suffix("")
    order = np.argsort(-found, kind="stable")
    order = order[taken[order]]
    mined = pool.take(pa.array(order)).append_column("mined_score", pa.array(found[order]))
    pq.write_table(mined, f"{stem}.mined.parquet", compression="zstd")
    lines = [
        f"# {stem.name}: card", "", f"Mined from {pool.num_rows:,} documents: {about}. The documents in "
        f"{stem.name}.mined.parquet resemble the seeds; nobody has read them.", "", *(f"- {line}" for line in report),
        "",
    ]  # fmt: skip
    Path(f"{stem}.md").write_text("\n".join(lines), encoding="utf-8")
    return Trained((out, f"{stem}.md", f"{stem}.mined.parquet"), tuple(report))
