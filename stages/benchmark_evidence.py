"""Evidence that a range of a document is a benchmark item: rare words in common, the answer behind it, its passage.

Units that are rare in the benchmarks count more than common ones, by inverse document frequency, as in decon of AI2
(github.com/allenai/decon), which also looks for answer and passage near a question. A passage alone is the source from
which an item was made; an answer alone is anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from stages.kernels.text.grams import find_units
from stages.kernels.text.hashing import ODD_A
from stages.kernels.text.text import load_tables, view

ANSWER_WITHIN = 40
"""Units behind a question in which its answer is looked for, or twice the answer's if that is more; decon has a least
distance as well."""

LEAST_TEXTS = 500
"""Texts of a script from which it is known how common its units are in questions."""

OWN_WINDOW, LEAST_OWN = 4, 0.5
"""Units per gram of what a question has besides its passage, and the least share of it that must occur."""

MOST_FORMULA, WORD_WINDOW, LEAST_WORDS = 0.4, 2, 0.81
"""Share of formulas from which an item needs its words, units per gram of these, and the least share of them."""

PASSAGE_WINDOW = 6
"""Units per gram of a passage."""


class Evidence(NamedTuple):
    """weighted: share of the item's units that occur in shared grams, each with its weight. information: of the
    distinct ones among them, in nats; nan if unknown. answer: whether the answer follows; passage: share of the
    passage's units near the hit; None where the item has none."""

    weighted: float
    information: float
    answer: bool | None
    passage: float | None


class Known(NamedTuple):
    """What is known of one text. units, information: (n_units,), see `unit_information`. answers: units of the answers
    of its items. passage: units of its passage, None without one. own: bool (n_units,), units that the passage does not
    contain with their neighbours. formula: bool (n_units,), numbers, single letters and LaTeX commands."""

    units: np.ndarray
    information: np.ndarray
    answers: list[np.ndarray]
    passage: np.ndarray | None
    own: np.ndarray
    formula: np.ndarray


def unit_information(units: np.ndarray, unit_starts: np.ndarray, is_han: np.ndarray) -> np.ndarray:
    """Return the information of each unit in nats, float64 (n_units,): log((1 + n) / (1 + texts that contain it)).

    n is the number of texts of the same script, Chinese or another, by most of their units: otherwise every ideograph
    would be rare in benchmarks that are mostly English. Of fewer than LEAST_TEXTS nothing is known: nan.

    Args: is_han, bool (n_units,), whether a unit is an ideograph.
    """
    sizes = np.diff(unit_starts)
    texts = np.repeat(np.arange(len(sizes)), sizes)
    chinese = 2 * np.bincount(texts, weights=is_han, minlength=len(sizes)) > sizes
    n_texts = np.bincount(chinese.astype(np.int64), minlength=2)
    _, word = np.unique(units, return_inverse=True)
    word = word.reshape(-1).astype(np.int64) * 2 + chinese[texts]
    pairs = np.unique(word * max(len(sizes), 1) + texts)
    counts = np.bincount(pairs // max(len(sizes), 1), minlength=int(word.max(initial=-1)) + 1)
    information = np.log((1 + n_texts[word & 1]) / (1 + counts[word]))
    information[n_texts[word & 1] < LEAST_TEXTS] = np.nan
    return np.asarray(information, np.float64)


def split_units(texts: Sequence[str | None]) -> list[np.ndarray]:
    """Return the units of each text, uint64 (n_units,)."""
    codes, starts, classes = view(pa.array(texts, pa.large_string()))
    units, _, unit_starts = find_units(codes, starts, classes, load_tables().fold)
    return [piece.copy() for piece in np.split(units, unit_starts[1:-1])] if len(texts) else []


def covered(units: np.ndarray, others: np.ndarray, window: int) -> np.ndarray:
    """Return which units lie in grams of `window` units that occur among the others: bool (n_units,)."""
    n = min(window, len(units))
    marks = np.zeros(len(units), bool)
    if not n or len(others) < n:
        return marks
    factors = ODD_A ** np.arange(1, n + 1, dtype=np.uint64)
    grams, theirs = (sliding_window_view(part, n) @ factors for part in (units, others))
    begins = np.flatnonzero(np.isin(grams, theirs))
    for offset in range(n):
        marks[begins + offset] = True
    return marks


def contains(units: np.ndarray, part: np.ndarray) -> bool:
    """Whether a run of units occurs; false for an empty one."""
    n = len(part)
    return bool(0 < n <= len(units) and (sliding_window_view(units, n) == part).all(axis=1).any())


def is_beyond_passage(known: Known, near: np.ndarray) -> bool:
    """Whether a range of a document has half of what a question does not take from its passage.

    Questions on a passage repeat its words, so that the passage alone may contain most of one.
    """
    if known.passage is None:
        return True
    return (
        bool(known.own.any()) and float(covered(known.units, near, OWN_WINDOW)[known.own].mean()) >= LEAST_OWN
    )


def is_beyond_formula(known: Known, near: np.ndarray) -> bool:
    """Whether a range of a document has four fifths of the words of an item that is mostly formulas.

    Questions on one curve have the same equation: its commands, letters and numbers are one unit each and may be most
    of an item. Grams of two units, because in a copy with other numbers words stand between these.
    """
    words = ~known.formula
    if not words.any() or known.formula.mean() < MOST_FORMULA:
        return True
    return float(covered(known.units, near, WORD_WINDOW)[words].mean()) >= LEAST_WORDS


def weigh(known: Known, units: np.ndarray, begin: int, end: int, window: int) -> Evidence:
    """Return the evidence of a hit.

    Args: units, of the document, uint64 (n_units,); begin, end, of the hit, in units; window, units per gram.
    """
    near = units[max(begin - window, 0) : end + window]
    marks = covered(known.units, near, window)
    weights = 1 + np.nan_to_num(known.information)
    weighted = float(weights[marks].sum() / weights.sum())
    _, distinct = np.unique(known.units[marks], return_index=True)
    information = float(known.information[marks][distinct].sum())
    answer = None
    if known.answers:
        reach = [max(ANSWER_WITHIN, 2 * len(part)) for part in known.answers]
        answer = any(
            contains(units[end : end + n], part) for n, part in zip(reach, known.answers, strict=True)
        )
    passage = None
    if known.passage is not None and len(known.passage):
        reach_passage = 2 * len(known.passage) + ANSWER_WITHIN
        around = units[max(begin - reach_passage, 0) : end + reach_passage]
        passage = float(covered(known.passage, around, PASSAGE_WINDOW).mean())
    return Evidence(weighted, information, answer, passage)
