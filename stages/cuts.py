"""Quality buckets: quantiles of each document's scores within its language, for each scorer and for the ensemble.

Reads the scores, the language, the size, the cluster and whether the base rules pass; writes a bucket per scorer, the
ensemble's bucket and its tier. Buckets are 0 to n_buckets - 1, the last one best. Bucket edges are computed from a
population: the documents that pass the base rules, one per cluster, the one with the smallest doc_id. All other
documents are assigned by the same edges.

Scores are compared as log-odds rounded to three decimals. Each bucket contains an equal share of the population's
bytes, computed from exact integer histograms: a value is assigned to bucket k if the midpoint of its bytes lies in the
k-th share, so that ties share a bucket and nothing depends on order. Languages with few documents in the population use
the edges of all languages together.

One process holds every row that has a score in columns of 32 bytes: 8 for the row number, 12 for the language, 4 for
the weight and 4 for each of two scores. Assigning buckets needs about as much again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages.kernels.text.hashing import ODD_A, string_keys

SCORES = ("quality.reference", "quality.intact")
SCORERS = tuple(score.partition(".")[2] for score in SCORES)
READS = (*SCORES, "language.label", "text_bytes", "doc_id", "dedup.cluster", "passes_base")
SCHEMA = pa.schema(
    {"bucket": pa.int32(), "tier": pa.string(), **{f"{name}_bucket": pa.int32() for name in SCORERS}}
)
"""bucket and tier: of the ensemble; null for a document without any score. reference_bucket, intact_bucket: bucket of
one score."""

NO_SCORE = np.iinfo(np.int32).min
MAX_ODDS = 16_000
"""Log-odds in thousandths are clipped at this value: float32 cannot represent scores closer to 1 distinctly."""
ALL = "*"
"""Name of all languages together."""

ROWS = pa.schema(
    {"row": pa.uint64(), "language": pa.string(), "weight": pa.int32(), **{n: pa.int32() for n in SCORERS}}
)
KEYED = pa.schema(
    [pa.field("key", pa.uint64()), *ROWS, pa.field("cluster", pa.string()), pa.field("doc_id", pa.string())]
)
CUTS = pa.schema(
    {
        "language": pa.string(),
        "scorer": pa.string(),
        "bucket": pa.int32(),
        "lower": pa.float64(),
        "bytes": pa.int64(),
        "share": pa.float64(),
    }
)
"""lower: least log-odds of the bucket, null for the first and for empty buckets. bytes and share: of the population."""
SUMMARY = pa.schema(
    {
        "language": pa.string(),
        "cut_by": pa.string(),
        "documents": pa.int64(),
        "population": pa.int64(),
        "population_bytes": pa.int64(),
        "top_bytes": pa.int64(),
        "top_share": pa.float64(),
    }
)
"""cut_by: the language whose bucket edges were used, or `*`. documents: rows with a score. top: the ensemble's last
bucket, in the population. The last row, `*`, is the total of all languages."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Number of buckets, and how scorers are combined.

    n_buckets: equal shares of the population's bytes. ensemble: the largest of a document's buckets, or their mean,
    halves rounded up. high, medium: least bucket of these tiers; lower ones are `low`. min_rows: a language with
    fewer documents in the population uses the bucket edges of all languages.
    """

    n_buckets: int = 20
    ensemble: Literal["max", "mean"] = "max"
    high: int = 17
    medium: int = 8
    min_rows: int = 200

    def __post_init__(self) -> None:
        if not 2 <= self.n_buckets <= 1000:
            raise ConfigError(f"cuts.n_buckets is {self.n_buckets}; expected 2 to 1000")
        if self.ensemble not in ("max", "mean"):
            raise ConfigError(f"cuts.ensemble is {self.ensemble!r}; expected 'max' or 'mean'")
        if not 0 <= self.medium <= self.high < self.n_buckets:
            raise ConfigError(
                f"cuts.medium is {self.medium} and cuts.high {self.high}; expected 0 <= medium <= high < n_buckets "
                f"({self.n_buckets})"
            )
        if self.min_rows < 1:
            raise ConfigError(f"cuts.min_rows is {self.min_rows}; expected 1 or more")


def map_scores(table: pa.Table, config: Config) -> pa.Table:
    """Return the rows with a score, keyed by cluster; weight is the size in bytes, 0 for rows that fail the base rules.

    Args: table, with READS and `row`.
    Returns: a table of KEYED.
    """
    scored = pc.is_valid(table[SCORES[0]])
    for name in SCORES[1:]:
        scored = pc.or_(scored, pc.is_valid(table[name]))
    table = table.filter(scored)
    cluster = table["dedup.cluster"].combine_chunks()
    alone = table["row"].to_numpy() * ODD_A  # spreads rows over partitions
    key = np.where(cluster.is_valid().to_numpy(zero_copy_only=False), string_keys(cluster), alone)
    size = pc.max_element_wise(table["text_bytes"], 1)  # an unknown size counts as one byte: 0 is not counted
    weight = pc.if_else(table["passes_base"], size, 0).cast(pa.int32())
    language = pc.fill_null(table["language.label"], "und")
    odds = [pa.array(to_odds(table[name])) for name in SCORES]
    return pa.table([key, table["row"], language, weight, *odds, cluster, table["doc_id"]], schema=KEYED)


def to_odds(scores: pa.ChunkedArray) -> np.ndarray:
    """Return rounded log-odds in thousandths.

    Computed by comparison with the scores half way between two results, so that the result does not depend on the
    rounding of a logarithm.

    Args: scores, float (n_rows,), in [0, 1].
    Returns: int32 (n_rows,), NO_SCORE for null.
    """
    positions = np.searchsorted(_half_way(), pc.fill_null(scores, 0.0).to_numpy().astype(np.float64), "right")
    odds = positions.astype(np.int32) - MAX_ODDS
    return np.where(scores.is_null().to_numpy(), np.int32(NO_SCORE), odds)


@cache
def _half_way() -> np.ndarray:
    """Scores half way between neighbouring log-odds, from -MAX_ODDS up: float64 (2 * MAX_ODDS,)."""
    middles = range(-MAX_ODDS, MAX_ODDS)
    return np.array([1 / (1 + math.exp(-(i + 0.5) / 1000)) for i in middles])


def count_once(table: pa.Table, config: Config) -> pa.Table:
    """Return all rows, with weight 0 for all but the first of the members of a cluster that pass the base rules.

    Args: table, of KEYED, one partition. Returns: a table of ROWS.
    """
    clustered = pc.is_valid(table["cluster"])
    alone, members = table.filter(pc.invert(clustered)), table.filter(clustered)
    ranked = members.append_column("fails", pc.equal(members["weight"], 0))
    order = [(name, "ascending") for name in ("cluster", "fails", "doc_id")]
    members = members.take(pc.sort_indices(ranked, sort_keys=order))
    cluster = members["cluster"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.append(True, cluster[1:] != cluster[:-1])[: len(cluster)]
    index = members.schema.get_field_index("weight")
    counted = pa.array(np.where(first, members["weight"].to_numpy(), 0).astype(np.int32))
    members = members.set_column(index, "weight", counted)
    return pa.concat_tables([alone, members]).select(ROWS.names)


class Cut(NamedTuple):
    """Bucket edges of one scorer in one language.

    lower: int64 (n_buckets,), least log-odds in thousandths of this bucket or a later one; the first is below all.
    bytes: int64 (n_buckets,), of the population. used: bool (n_buckets,), False for empty buckets.
    """

    lower: np.ndarray
    bytes: np.ndarray
    used: np.ndarray

    def place(self, odds: np.ndarray) -> np.ndarray:
        """Return the bucket of each log-odds: int32 (n_rows,) to int32 (n_rows,), -1 for NO_SCORE."""
        buckets = np.searchsorted(self.lower[1:], odds, "right").astype(np.int32)
        return np.where(odds == NO_SCORE, np.int32(-1), buckets)


def histogram(odds: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the bytes of each log-odds from -MAX_ODDS to MAX_ODDS.

    Args: odds and weight, int32 (n_rows,).
    Returns: int64 (2 * MAX_ODDS + 1,), exact below 2**53 bytes.
    """
    has_score = odds != NO_SCORE
    counts = np.bincount(odds[has_score] + MAX_ODDS, weight[has_score], 2 * MAX_ODDS + 1)
    return counts.astype(np.int64)


def cut(counts: np.ndarray, n_buckets: int) -> Cut | None:
    """Compute edges of n_buckets buckets of equal bytes; None if there are no bytes.

    Args: counts, int64 (2 * MAX_ODDS + 1,), a `histogram`.
    """
    total = int(counts.sum())
    if not total:
        return None
    values = np.flatnonzero(counts)
    weights = counts[values]
    below = np.cumsum(weights) - weights
    middles = 2 * below + weights  # of each value's bytes, in half bytes
    buckets = np.array([n_buckets * int(middle) // (2 * total) for middle in middles])
    indices = np.arange(n_buckets)
    first = np.searchsorted(buckets, indices)
    lower = np.append(values - MAX_ODDS, np.iinfo(np.int32).max)[first]
    lower[0] = NO_SCORE
    sums = np.zeros(n_buckets, np.int64)
    np.add.at(sums, buckets, weights)
    return Cut(lower, sums, np.isin(indices, buckets))


def finish(table: pa.Table, config: Config) -> Outcome:
    """Compute bucket edges for each language and for all together, and assign every row.

    Args: table, of ROWS, of all partitions.
    Returns: rows of `row` and SCHEMA; the artefacts `cuts` (CUTS) and `summary` (SUMMARY).
    """
    weight, scores = table["weight"].to_numpy(), [table[name].to_numpy() for name in SCORERS]
    groups = group_rows(table["language"])
    overall = [cut(histogram(odds, weight), config.n_buckets) for odds in scores]
    by_language = {
        language: [cut(histogram(odds[rows], weight[rows]), config.n_buckets) for odds in scores]
        for language, rows in groups.items()
        if np.count_nonzero(weight[rows]) >= config.min_rows
    }
    buckets = np.full((len(weight), len(SCORERS)), -1, np.int32)
    for language, rows in groups.items():
        for k, (odds, fallback) in enumerate(zip(scores, overall, strict=True)):
            # the language may have no document with this score
            used = by_language.get(language, overall)[k] or fallback
            if used is not None:
                buckets[rows, k] = used.place(odds[rows])
    bucket = join(buckets, config.ensemble)
    top = bucket == config.n_buckets - 1
    summary = [
        _summarise(language, language if language in by_language else ALL, weight[rows], top[rows])
        for language, rows in {**groups, ALL: np.arange(len(weight))}.items()
    ]
    return Outcome(
        rows=_to_rows(table["row"], bucket, buckets, config),
        artefacts={
            "cuts": list_cuts({ALL: overall, **by_language}),
            "summary": pa.Table.from_pylist(summary, schema=SUMMARY),
        },
    )


def group_rows(languages: pa.ChunkedArray) -> dict[str, np.ndarray]:
    """Return the positions of the rows of each language, int64, by name in sorted order."""
    encoded = languages.combine_chunks().dictionary_encode()
    codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    rows = np.split(np.argsort(codes, kind="stable"), ends)
    return {names[i]: rows[i] for i in sorted(range(len(names)), key=names.__getitem__)}


def join(placed: np.ndarray, ensemble: str) -> np.ndarray:
    """Return the ensemble's bucket: placed, int32 (n_rows, n_scorers), to int32 (n_rows,); -1 means no score."""
    if ensemble == "max":
        return placed.max(axis=1)
    n_scores = (placed >= 0).sum(axis=1)
    total = np.where(placed >= 0, placed, 0).sum(axis=1)
    mean = (2 * total + n_scores) // np.maximum(2 * n_scores, 1)
    return np.where(n_scores > 0, mean, -1).astype(np.int32)


def _to_rows(row: pa.ChunkedArray, bucket: np.ndarray, placed: np.ndarray, config: Config) -> pa.Table:
    """Rows of `row` and SCHEMA; bucket -1 becomes null."""
    tiers = pa.array(["low", "medium", "high"])
    tier = tiers.take(pa.array((bucket >= config.medium).astype(np.int8) + (bucket >= config.high)))
    has_none = pa.array(bucket < 0)
    columns = [
        row,
        pa.array(bucket, mask=bucket < 0),
        pc.if_else(has_none, pa.scalar(None, pa.string()), tier),
    ]
    columns += [pa.array(column, mask=column < 0) for column in placed.T]
    return pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA]))


def list_cuts(cuts: dict[str, list[Cut | None]]) -> pa.Table:
    """Return one row per language, scorer and bucket: a table of CUTS."""
    rows = []
    for language, per_scorer in cuts.items():
        for scorer, edges in zip(SCORERS, per_scorer, strict=True):
            if edges is None:
                continue
            total, lowers = int(edges.bytes.sum()), edges.lower / 1000
            for bucket, n_bytes in enumerate(edges.bytes.tolist()):
                lower = float(lowers[bucket]) if edges.used[bucket] and bucket else None
                rows.append((language, scorer, bucket, lower, n_bytes, round(n_bytes / total, 6)))
    return pa.Table.from_pylist([dict(zip(CUTS.names, row, strict=True)) for row in rows], schema=CUTS)


def _summarise(language: str, cut_by: str, weight: np.ndarray, top: np.ndarray) -> dict[str, object]:
    """One row of the summary."""
    n_bytes, top_bytes = int(weight.sum(dtype=np.int64)), int(weight[top].sum(dtype=np.int64))
    population = int(np.count_nonzero(weight))
    share = round(top_bytes / n_bytes, 6) if n_bytes else None
    row = (language, cut_by, len(weight), population, n_bytes, top_bytes, share)
    return dict(zip(SUMMARY.names, row, strict=True))


GLOBAL = Global(
    name="cuts",
    version=2,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the cluster, or the row of a document without one",
    map=map_scores,
    reduce=count_once,
    finish=finish,
)
