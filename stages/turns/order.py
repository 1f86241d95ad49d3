"""Fit of an order of turns, compared with other orders of the same turns.

The fit is a sum over neighbours, over turns with one between, and over positions. All values are integers, so equal
fits are equal on any machine and their ranks too.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stages.turns.words import has_any, searchable, turn_words

MAX_TURNS = 40
"""Further turns are not read."""

MAX_CHARS, END_CHARS = 1_000, 40
"""Characters of a turn that are read, from its beginning, and those in which its end is looked for."""

N_ORDERS, ALL_ORDERS_UP_TO = 500, 5
"""Orders of more turns than five are drawn; five have 120."""

UNIT = 1_000_000
"""What 1 is, in integers."""

OVERLAP, OVERLAP_APART, PLACE, ASKED_TWICE, REPLY_FIRST, QUESTION_LAST, PAIRS = 11, 8, 13, -8, -14, -13, 4
"""Weights in tenths: coefficients of a logistic regression that separates orders from shuffled ones, fitted on ten
dialogue sets (docs/turns.md) and rounded. Each of the ten is measured with those that the other nine give."""

_UNIT = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:'[^\W_\u3040-\u30ff\u3400-\u9fff]+)?"
)
_FIRST_WIDE = "\u3040"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """int64 (n, n), by turn and turn or position: of turn j after turn i; of j two after i; of turn i at position p."""

    near: np.ndarray
    apart: np.ndarray
    place: np.ndarray


def coherence(turns: Sequence[str]) -> float:
    """Return the share of orders that fit less well than the actual one; ties, and the actual order, count half.

    Over all orders of the same turns the mean is 0.5. Of up to five turns all orders are compared, of more N_ORDERS.
    """
    fits = fits_of_orders(fit(turns[:MAX_TURNS]))
    return (int((fits < fits[0]).sum()) + int((fits == fits[0]).sum()) / 2) / len(fits)


def fits_of_orders(fit: Fit) -> np.ndarray:
    """Return the fit of each order, the actual one first: int64 (n_orders,)."""
    near, apart, place = _indices(len(fit.near))
    return fit.near.ravel()[near].sum(1) + fit.apart.ravel()[apart].sum(1) + fit.place.ravel()[place].sum(1)


def fit(turns: Sequence[str]) -> Fit:
    """Weigh all parts of the fit."""
    words, n = turn_words(), len(turns)
    heads = [turn[:MAX_CHARS].lower().replace("’", "'") for turn in turns]
    texts = [searchable(head) for head in heads]
    asks = _flags(words.asks.search(turn[-END_CHARS:]) for turn in turns)
    leaves = _flags(has_any(text, words.closers) for text in texts)
    greets = _flags(has_any(text, words.openers) for text in texts)
    position = np.arange(n, dtype=np.int64) * 2 - (n - 1)  # from -(n - 1) to n - 1
    place = np.outer(leaves - greets, position) * (PLACE * UNIT // (n - 1))
    place[:, 0] += REPLY_FIRST * UNIT * _flags(words.replies.match(head) for head in heads)
    place[:, -1] += QUESTION_LAST * UNIT * asks
    shared = overlap(heads)
    near = OVERLAP * shared + UNIT * (ASKED_TWICE * np.outer(asks, asks) + PAIRS * paired(heads, texts))
    return Fit(near=near, apart=OVERLAP_APART * shared, place=place)


def overlap(turns: Sequence[str]) -> np.ndarray:
    """Return the terms that each two turns share, in standard deviations over pairs, / sqrt(n): int64 (n, n), in UNIT.

    A term is a word, a character of a script without blanks or two; it counts by the turns that lack it, log((n + 1) /
    turns that have it), and pairs are divided by the root of the product of their turns' sums.
    """
    n, terms = len(turns), [_terms(turn) for turn in turns]
    counts = Counter(term for turn in terms for term in turn)
    weights = [0, *(round(math.log((n + 1) / count) * UNIT) for count in range(1, n + 1))]
    sizes = np.array([UNIT + sum(weights[counts[term]] for term in turn) for turn in terms], np.float64)
    column = {term: index for index, term in enumerate(t for t, count in counts.items() if count > 1)}
    has = np.zeros((n, len(column)), np.int64)
    for row, turn in zip(has, terms, strict=True):
        row[[column[term] for term in turn if term in column]] = 1
    shared = (has * np.array([weights[counts[term]] for term in column], np.int64)) @ has.T
    values = np.rint(shared / np.sqrt(np.outer(sizes, sizes)) * UNIT).astype(np.int64)
    np.fill_diagonal(values, 0)
    n_pairs, total, squares = n * (n - 1), int(values.sum()), int((values * values).sum())
    deviation = math.sqrt(max(squares * n_pairs - total * total, 0)) / n_pairs
    if deviation < 1:  # no two turns share a term, or all pairs equally many
        return np.zeros((n, n), np.int64)
    return np.rint(values * (UNIT / (deviation * math.sqrt(n)))).astype(np.int64)


def paired(heads: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """Return how many kinds of pairs turn j completes after turn i: int64 (n, n). texts: searchable heads."""
    total = np.zeros((len(heads), len(heads)), np.int64)
    for pair in turn_words().pairs:
        first = _flags(has_any(text, pair.first) for text in texts)
        if first.any():
            gives = (has_any(t, pair.next) or pair.begins.match(h) for h, t in zip(heads, texts, strict=True))
            total += np.outer(first, _flags(gives))
    return total


def _flags(values: Iterable[object]) -> np.ndarray:
    return np.array([bool(value) for value in values], np.int64)


def _terms(turn: str) -> set[str]:
    units = _UNIT.findall(turn)
    wide = [unit if unit >= _FIRST_WIDE and len(unit) == 1 else "" for unit in units]
    return {*units, *(a + b for a, b in itertools.pairwise(wide) if a and b)}


@lru_cache(maxsize=MAX_TURNS)
def _indices(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat indices into the matrices of Fit for each order of n turns, the actual one first."""
    if n <= ALL_ORDERS_UP_TO:
        orders = np.array(list(itertools.permutations(range(n))))
    else:  # the stream of RandomState is the same in all versions of NumPy
        draws = np.random.RandomState(n).random_sample((N_ORDERS, n))
        draws[0] = np.arange(n)
        orders = draws.argsort(1, kind="stable")
    near, apart = orders[:, :-1] * n + orders[:, 1:], orders[:, :-2] * n + orders[:, 2:]
    return near, apart, orders * n + np.arange(n)
