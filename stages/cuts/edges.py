"""Bucket edges: order-preserving keys of numbers, exact histograms over them, and edges as a table.

Numbers are compared as float32, that is with 24 significant bits (7 decimal digits), in their whole range. Each becomes
an int32 key in the same order, so that histograms are sums of integers at exact values, and an edge is a value that
occurs. Numbers that float32 holds are not rounded at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NO_SCORE = np.iinfo(np.int32).min
"""Key of null, NaN and infinity; below the key of every number."""
ABOVE = np.iinfo(np.int32).max
"""Above the key of every number."""
ALL = "*"
"""Name of all languages together."""
ENSEMBLE = "ensemble"
"""Name of the ensemble beside the columns of the scorers."""

EDGES = pa.schema(
    {
        "language": pa.string(),
        "scorer": pa.string(),
        "bucket": pa.int32(),
        "lower": pa.float64(),
        "size": pa.int64(),
        "effective": pa.int64(),
        "share": pa.float64(),
    }
)
"""scorer: its column, or `ensemble`. lower: least value of the bucket, null for the first, for empty buckets and for
the ensemble. size and share: of the population, in the unit of the summary. effective: documents of equal size that the
population of all buckets is worth, see `effective`."""


def to_keys(values: pa.ChunkedArray, low_is_best: bool = False) -> np.ndarray:
    """Return a key for each number, larger for better ones; equal keys for numbers that are equal as float32.

    Numbers beyond the range of float32 count as its ends, and -0 as 0.

    Args: values, numbers (n_rows,); low_is_best, whether small numbers are better.
    Returns: int32 (n_rows,), NO_SCORE for null, NaN and infinity.
    """
    numbers = pc.cast(values, pa.float64(), safe=False).to_numpy().astype(np.float64)
    finite = np.isfinite(numbers)
    limit = float(np.finfo(np.float32).max)
    single = np.where(finite, np.clip(numbers, -limit, limit), 0.0).astype(np.float32)
    single = np.where(single == 0, np.float32(0), -single if low_is_best else single)
    bits = single.view(np.int32)
    keys = np.where(
        bits < 0, bits ^ np.int32(ABOVE), bits
    )  # of two negative numbers the larger pattern is smaller
    return np.where(finite, keys, np.int32(NO_SCORE))


def to_value(key: int, low_is_best: bool = False) -> float:
    """Return the number of a key."""
    bits = np.array([key if key >= 0 else key ^ ABOVE], np.int32)
    value = float(bits.view(np.float32)[0])
    return 0.0 - value if low_is_best else value  # 0 - 0 is 0, not -0


class Cut(NamedTuple):
    """Bucket edges of one scorer in one language.

    lower: int64 (n_buckets,), least key of this bucket or a later one; the first is below all. sizes: int64
    (n_buckets,), of the population. used: bool (n_buckets,), False for empty buckets. effective: of the population.
    """

    lower: np.ndarray
    sizes: np.ndarray
    used: np.ndarray
    effective: int = 0

    def place(self, keys: np.ndarray) -> np.ndarray:
        """Return the bucket of each key: int32 (n_rows,) to int32 (n_rows,), -1 for NO_SCORE."""
        buckets = np.searchsorted(self.lower[1:], keys, "right").astype(np.int32)
        return np.where(keys == NO_SCORE, np.int32(-1), buckets)


def histogram(keys: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys that occur with a weight above 0, in order, and the weight of each.

    Args: keys and weight, int32 (n_rows,).
    Returns: int32 (n_values,) and int64 (n_values,).
    """
    counted = (keys != NO_SCORE) & (weight > 0)
    keys, weight = keys[counted], weight[counted]
    order = np.argsort(keys)  # rows of one key may come in any order: their weights are integers
    keys, weight = keys[order], weight[order].astype(np.int64)
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    return keys[first], np.add.reduceat(weight, first) if len(first) else np.zeros(0, np.int64)


def cut(values: np.ndarray, weights: np.ndarray, n_buckets: int) -> Cut | None:
    """Compute edges of n_buckets buckets of equal weight; None if there is no weight.

    A value is in bucket k if the middle of its weight lies in the k-th equal share of the total.

    Args: values, int32 (n_values,), and weights, int64 (n_values,), of `histogram`.
    """
    total = int(weights.sum())
    if not total:
        return None
    ends = np.cumsum(weights)
    middles = 2 * ends - weights  # in halves of a unit
    # middle >= 2 * total * k / n_buckets, in whole numbers
    least = [-(-2 * total * k // n_buckets) for k in range(n_buckets + 1)]
    first = np.searchsorted(middles, np.array(least[:-1], np.int64))
    lower = np.append(values.astype(np.int64), ABOVE)[first]
    lower[0] = NO_SCORE
    first = np.append(first, len(values))
    below = np.append(0, ends)[first]
    return Cut(lower, np.diff(below), np.diff(first) > 0)


def effective(weight: np.ndarray) -> int:
    """Return the number of documents of equal size that have the same sampling error, rounded down.

    It is the squared sum of the sizes divided by the sum of their squares, in whole numbers.

    Args: weight, int32 (n_rows,).
    Source: Kish, Survey Sampling, 1965, section 11.7.
    """
    return effective_of(*products(weight))


def products(weight: np.ndarray) -> tuple[int, int, int, int]:
    """Return the sum of sizes, and those of the products of their upper and lower 16 bits: high * high, high * low and
    low * low. Sums of several groups can be added. Args: weight, int32 (n_rows,)."""
    high, low = weight.astype(np.int64) >> 16, weight.astype(np.int64) & 0xFFFF
    total = int(weight.sum(dtype=np.int64))
    return total, int((high * high).sum()), int((high * low).sum()), int((low * low).sum())


def effective_of(total: int, high: int, cross: int, low: int) -> int:
    """Return the effective number of documents from the sums of `products`."""
    return total**2 // max((high << 32) + (cross << 17) + low, 1)


Edges = Mapping[str, Mapping[str, Cut]]
"""Language -> scorer -> edges."""


def list_edges(edges: Edges, low: Sequence[str] = ()) -> pa.Table:
    """Return one row for each language, scorer and bucket: a table of EDGES. low: scorers with low numbers best."""
    rows = []
    for language, by_scorer in sorted(edges.items()):
        for scorer, one in sorted(by_scorer.items()):
            total = int(one.sizes.sum())
            for bucket, size in enumerate(one.sizes.tolist()):
                has_lower = scorer != ENSEMBLE and one.used[bucket] and bucket
                lower = to_value(int(one.lower[bucket]), scorer in low) if has_lower else None
                share = round(size / total, 6) if total else None
                rows.append((language, scorer, bucket, lower, size, one.effective, share))
    return pa.Table.from_pylist([dict(zip(EDGES.names, row, strict=True)) for row in rows], schema=EDGES)


def read_edges(
    rows: Sequence[tuple[str, str, int, float | None, int, int]], low: Sequence[str] = ()
) -> Edges:
    """Return the edges of rows of EDGES without shares; the inverse of `list_edges`."""
    grouped: dict[tuple[str, str], list[tuple[int, float | None, int, int]]] = {}
    for language, scorer, bucket, lower, size, worth in rows:
        grouped.setdefault((language, scorer), []).append((bucket, lower, size, worth))
    edges: dict[str, dict[str, Cut]] = {}
    for (language, scorer), group in grouped.items():
        _, lowers, sizes, effectives = zip(*sorted(group, key=lambda row: row[0]), strict=True)
        keys = np.full(len(group), ABOVE, np.int64)
        for bucket, lower in enumerate(lowers):
            if lower is not None:
                keys[bucket] = to_keys(pa.chunked_array([[float(lower)]]), scorer in low)[0]
        keys = np.minimum.accumulate(keys[::-1])[
            ::-1
        ].copy()  # an empty bucket begins where the next one does
        keys[0] = NO_SCORE
        counts = np.array(sizes, np.int64)
        edges.setdefault(language, {})[scorer] = Cut(keys, counts, counts > 0, effectives[0])
    return edges
