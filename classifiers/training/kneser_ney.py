"""N-gram models by interpolated modified Kneser-Ney smoothing, as KenLM's lmplz estimates them, and the ARPA format.

All n-grams of a corpus are in memory, about 60 bytes for each distinct one. Sources: Chen and Goodman (1999), An
empirical study of smoothing techniques for language modeling; Heafield et al. (2013), Scalable modified Kneser-Ney
language model estimation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

import numpy as np

from pipeline.errors import UsageError

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
MARKS = (UNKNOWN, START, END)
"""Ids 0, 1 and 2 of `number`, as KenLM numbers them."""

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of a corpus that is too small or too regular to estimate them (lmplz --discount_fallback)."""


class Level(NamedTuple):
    """The distinct n-grams of one order, sorted by prefix.

    prefix, suffix: int64, rows of the level below, for the n-gram without its last and without its first token. last:
    int64, the last token. counts: float64, occurrences. starts: bool, whether the first token is <s>.
    """

    prefix: np.ndarray
    suffix: np.ndarray
    last: np.ndarray
    counts: np.ndarray
    starts: np.ndarray


class Grams(NamedTuple):
    """The probabilities of one order, float64: natural log_prob and, for n-grams that are contexts, log_backoff."""

    log_prob: np.ndarray
    log_backoff: np.ndarray


def number(sentences: Iterable[Sequence[str]]) -> tuple[np.ndarray, list[str]]:
    """Number the tokens of sentences by first occurrence, each sentence between <s> and </s>; empty ones are left out.

    Tokens that are spelled like a mark are left out, as lmplz --skip_symbols does.
    Returns: int32 token ids of all sentences, and the tokens by id, MARKS first.
    """
    ids = {mark: i for i, mark in enumerate(MARKS)}
    stream: list[int] = []
    for sentence in sentences:
        words = [word for word in sentence if word not in MARKS]
        if words:
            stream += (1, *(ids.setdefault(word, len(ids)) for word in words), 2)
    return np.array(stream, np.int32), list(ids)


def count_grams(tokens: np.ndarray, n_ids: int, order: int, start: int) -> list[Level]:
    """Count the n-grams of all orders, within the stretches of tokens that begin with the id `start`."""
    position = np.arange(len(tokens)) - np.maximum.accumulate(
        np.where(tokens == start, np.arange(len(tokens)), 0)
    )
    count = np.bincount(tokens, minlength=n_ids).astype(np.float64)
    ids = np.arange(n_ids)
    none = np.full(n_ids, -1)
    levels = [Level(none, none, ids, count, ids == start)]
    gram = tokens.astype(np.int64)
    for n in range(2, order + 1):
        ends = np.flatnonzero(position >= n - 1)
        pairs = gram[ends - 1] * n_ids + tokens[ends]
        pairs, first, inverse, counts = np.unique(
            pairs, return_index=True, return_inverse=True, return_counts=True
        )
        prefix = pairs // n_ids
        starts = levels[-1].starts[prefix]
        levels.append(Level(prefix, gram[ends[first]], pairs % n_ids, counts.astype(np.float64), starts))
        gram = np.full(len(tokens), -1)
        gram[ends] = inverse
    return levels


def kept_grams(levels: Sequence[Level], thresholds: Sequence[int]) -> list[np.ndarray]:
    """Masks of the n-grams that occur more often than the threshold of their order.

    Args: thresholds, one for each order, the last one for all higher orders; the first is 0 and none is below the one
    before, so that prefixes and suffixes of kept n-grams are kept.
    Raises: UsageError for other thresholds.
    """
    limits = [*thresholds, *[thresholds[-1] if thresholds else 0] * len(levels)][: len(levels)]
    if limits[0] != 0 or limits != sorted(limits):
        raise UsageError(
            f"thresholds of pruning {list(thresholds)}; expected 0 first, and none below the one before"
        )
    return [
        np.ones(len(level.last), bool) if limit == 0 else level.counts > limit
        for level, limit in zip(levels, limits, strict=True)
    ]


def estimate(
    levels: Sequence[Level],
    kept: Sequence[np.ndarray] | None = None,
    fallback: Sequence[float] | None = None,
) -> list[Grams]:
    """Estimate the probabilities of all n-grams and the backoffs of their contexts.

    Below the highest order, the count of an n-gram is the number of distinct tokens before it, not of its occurrences,
    except for n-grams that start with <s>. N-grams that are not kept give their whole count to the backoff of their
    context, and their probabilities are not to be used.

    Args: kept, masks by order; fallback, discounts where they cannot be estimated.
    Returns: one Grams per order.
    Raises: UsageError if discounts cannot be estimated and there is no fallback.
    """
    below = np.full(len(levels[0].last), -np.log(len(levels[0].last) - 1))
    result: list[Grams] = []
    for n, level in enumerate(levels):
        count = level.counts
        if n + 1 < len(levels):
            extensions = np.bincount(levels[n + 1].suffix, minlength=len(count)).astype(np.float64)
            count = np.where(level.starts, count, extensions)
        if n == 0:
            count = np.where(level.starts, 0.0, count)  # <s> is never predicted
        discount = discounts(count, fallback)[np.minimum(count, 3).astype(np.int64)]
        if kept is not None:
            discount = np.where(kept[n], discount, count)
        group, n_groups = (
            (level.prefix, len(levels[n - 1].last)) if n else (np.zeros(len(count), np.int64), 1)
        )
        total = np.bincount(group, count, n_groups)
        left_over = np.bincount(group, discount, n_groups) / np.maximum(total, 1)
        lower = np.exp(result[-1].log_prob[level.suffix] if n else below)
        prob = (count - discount) / total[group] + left_over[group] * lower
        if n:
            is_context = total > 0
            result[-1].log_backoff[is_context] = np.log(left_over[is_context])
        result.append(Grams(np.log(prob), np.zeros(len(prob))))
    return result


def discounts(count: np.ndarray, fallback: Sequence[float] | None = None) -> np.ndarray:
    """Discounts of n-grams with counts 0, 1, 2, and 3 or more: float64 (4,).

    Raises: UsageError if no n-gram occurs once, twice or three times, or a discount is not above 0 and at most its
    count, and there is no fallback.
    """
    n = np.bincount(np.minimum(count, 5).astype(np.int64), minlength=6).astype(np.float64)
    if n[1:4].all():
        y = n[1] / (n[1] + 2 * n[2])
        found = np.array([0.0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))])
        if (found[1:] > 0).all() and (found <= np.arange(4)).all():
            return found
    if fallback is None:
        raise UsageError(
            f"too few n-grams to estimate discounts: {n[1]:.0f} occur once, {n[2]:.0f} twice, {n[3]:.0f} three times; "
            "train on more text, or with a lower order"
        )
    return np.array([0.0, *fallback])


def write_arpa(
    stream: TextIO,
    words: Sequence[str],
    levels: Sequence[Level],
    grams: Sequence[Grams],
    kept: Sequence[np.ndarray],
) -> None:
    """Write a model in the ARPA format, which KenLM and SRILM read: base 10, seven digits behind the point."""
    stream.write("\\data\\\n")
    stream.writelines(f"ngram {n}={int(mask.sum())}\n" for n, mask in enumerate(kept, 1))
    texts = list(words)
    for n, (level, gram, mask) in enumerate(zip(levels, grams, kept, strict=True), 1):
        if n > 1:
            texts = [
                f"{texts[i]} {words[k]}"
                for i, k in zip(level.prefix.tolist(), level.last.tolist(), strict=True)
            ]
        log_prob = np.where(level.starts & (n == 1), 0.0, gram.log_prob) / np.log(10)
        rows = zip(
            texts, log_prob.tolist(), (gram.log_backoff / np.log(10)).tolist(), mask.tolist(), strict=True
        )
        stream.write(f"\n\\{n}-grams:\n")
        if n < len(levels):
            stream.writelines(f"{p:.7f}\t{text}\t{b:.7f}\n" for text, p, b, keep in rows if keep)
        else:
            stream.writelines(f"{p:.7f}\t{text}\n" for text, p, _, keep in rows if keep)
    stream.write("\n\\end\\\n")
