"""What a report shows of buckets: how the scorers' top buckets overlap, and sample documents of each bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from stages.cuts.edges import ALL

OVERLAP = pa.schema(
    {
        "language": pa.string(),
        "scorer": pa.string(),
        "other": pa.string(),
        "documents": pa.int64(),
        "size": pa.int64(),
        "share": pa.float64(),
    }
)
"""Documents and size of the population that are in the top bucket of both; share: of the size of the scorer's top
bucket; the diagonal holds the top buckets themselves. Language `*` is all."""
SAMPLES = pa.schema(
    {"language": pa.string(), "scorer": pa.string(), "bucket": pa.int32(), "row": pa.uint64()}
)
"""Rows of the population drawn from each bucket, by a hash of the document's id."""

SAMPLE_LANGUAGES = 4
SAMPLE_DOCUMENTS = 2
"""Number of languages, the largest, with samples, and of documents per bucket."""
FIRST = 50
"""Documents per bucket, on average, among which samples are looked for first."""


def overlap(
    language: str, placed: Mapping[str, np.ndarray], weight: np.ndarray, top: int
) -> list[dict[str, Any]]:  # Any: text or numbers
    """Rows of OVERLAP of one language.

    Args: placed, scorer -> int32 (n_rows,), bucket or -1; weight, int32 (n_rows,); top, the last bucket.
    """
    chosen = np.flatnonzero(np.any([buckets == top for buckets in placed.values()], axis=0) & (weight > 0))
    weight = weight[chosen]
    in_top = {scorer: buckets[chosen] == top for scorer, buckets in placed.items()}
    rows = []
    for scorer, ours in in_top.items():
        total = int(weight[ours].sum(dtype=np.int64))
        for other, theirs in in_top.items():
            both = ours & theirs
            size = int(weight[both].sum(dtype=np.int64))
            share = round(size / total, 6) if total else None
            row = (language, scorer, other, int(np.count_nonzero(both)), size, share)
            rows.append(dict(zip(OVERLAP.names, row, strict=True)))
    return rows


def add_up(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:  # Any: text or numbers
    """Rows of OVERLAP for all languages together, from those of each."""
    total: dict[tuple[str, str], list[int]] = {}
    for line in rows:
        sums = total.setdefault((line["scorer"], line["other"]), [0, 0])
        sums[0] += line["documents"]
        sums[1] += line["size"]
    lines = []
    for (scorer, other), (documents, size) in total.items():
        own = total[scorer, scorer][1]
        row = (ALL, scorer, other, documents, size, round(size / own, 6) if own else None)
        lines.append(dict(zip(OVERLAP.names, row, strict=True)))
    return lines


def samples(
    groups: Mapping[str, np.ndarray], placed: Mapping[str, np.ndarray], weight: np.ndarray, draw: np.ndarray,
    row: np.ndarray, n_buckets: int,
) -> pa.Table:  # fmt: skip
    """Draw documents from each bucket of the largest languages: a table of SAMPLES.

    The documents with the smallest draws are taken, so that scorers that agree show the same documents.

    Args: groups, rows of each language; placed, scorer -> int32 (n_rows,), bucket or -1; weight int32, draw uint32 and
    row uint64, (n_rows,).
    """
    sizes = {name: int(weight[rows].sum(dtype=np.int64)) for name, rows in groups.items() if name != ALL}
    largest = sorted((name for name in sizes if sizes[name]), key=lambda name: (-sizes[name], name))
    tables = []
    for language in largest[:SAMPLE_LANGUAGES]:
        rows = groups[language][weight[groups[language]] > 0]
        first = _smallest(rows, draw, row, FIRST * n_buckets)
        for scorer, buckets in placed.items():
            for bucket in range(n_buckets):
                drawn = first[buckets[first] == bucket][:SAMPLE_DOCUMENTS]
                if len(drawn) < SAMPLE_DOCUMENTS:  # a small bucket: all of its documents have to be looked at
                    drawn = _smallest(rows[buckets[rows] == bucket], draw, row, SAMPLE_DOCUMENTS)
                labels = [pa.repeat(value, len(drawn)) for value in (language, scorer, np.int32(bucket))]
                tables.append(pa.table([*labels, pa.array(row[drawn])], schema=SAMPLES))
    return pa.concat_tables(tables) if tables else SAMPLES.empty_table()


def _smallest(members: np.ndarray, draw: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """The n members with the smallest (draw, row), in this order, without sorting all of them."""
    if len(members) > n:
        draws = draw[members]
        members = members[draws <= np.partition(draws, n - 1)[n - 1]]
    return members[np.lexsort((row[members], draw[members]))][:n]
