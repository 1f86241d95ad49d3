"""What a report shows of buckets: how the scorers' top buckets overlap, and sample documents of each bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def overlap(language: str, placed: Mapping[str, np.ndarray], weight: np.ndarray, top: int) -> pa.Table:
    """Rows of OVERLAP of one language, without shares.

    Args: placed, scorer -> int32 (n_rows,), bucket or -1; weight, int32 (n_rows,); top, the last bucket.
    """
    chosen = np.flatnonzero(np.any([buckets == top for buckets in placed.values()], axis=0) & (weight > 0))
    weight = weight[chosen]
    in_top = {scorer: buckets[chosen] == top for scorer, buckets in placed.items()}
    rows = []
    for scorer, ours in in_top.items():
        for other, theirs in in_top.items():
            both = ours & theirs
            size = int(weight[both].sum(dtype=np.int64))
            row = (language, scorer, other, int(np.count_nonzero(both)), size)
            rows.append(dict(zip(OVERLAP.names[:5], row, strict=True)))
    return pa.Table.from_pylist(rows, schema=pa.schema(list(OVERLAP)[:5]))


def list_overlaps(counts: pa.Table, scorers: Sequence[str]) -> pa.Table:
    """A table of OVERLAP: by language, then of all together, scorers in their order.

    Args: counts, rows of `overlap` of all languages, added up.
    """
    found = {tuple(row.values())[:3]: tuple(row.values())[3:] for row in counts.to_pylist()}
    languages = sorted({language for language, _, _ in found})
    total = {
        (ALL, a, b): tuple(sum(found[language, a, b][i] for language in languages) for i in (0, 1))
        for a in scorers
        for b in scorers
        if languages
    }
    found |= total
    rows = []
    for language in [*languages, *([ALL] if languages else [])]:
        for scorer in scorers:
            own = found[language, scorer, scorer][1]
            for other in scorers:
                documents, size = found[language, scorer, other]
                row = (language, scorer, other, documents, size, round(size / own, 6) if own else None)
                rows.append(dict(zip(OVERLAP.names, row, strict=True)))
    return pa.Table.from_pylist(rows, schema=OVERLAP)


def samples(
    groups: Mapping[str, np.ndarray], placed: Mapping[str, np.ndarray], weight: np.ndarray, draw: np.ndarray,
    row: np.ndarray, n_buckets: int,
) -> pa.Table:  # fmt: skip
    """Draw documents from each bucket of some languages: a table of SAMPLES and `draw`, before `row`.

    The documents with the smallest draws are taken, so that scorers that agree show the same documents.

    Args: groups, rows of each language; placed, scorer -> int32 (n_rows,), bucket or -1; weight int32, draw uint32 and
    row uint64, (n_rows,).
    """
    schema = pa.schema([*list(SAMPLES)[:3], pa.field("draw", pa.uint32()), SAMPLES.field("row")])
    tables = [schema.empty_table()]
    for language, members in groups.items():
        rows = members[weight[members] > 0]
        first = _smallest(rows, draw, row, FIRST * n_buckets)
        for scorer, buckets in placed.items():
            for bucket in range(n_buckets):
                drawn = first[buckets[first] == bucket][:SAMPLE_DOCUMENTS]
                if len(drawn) < SAMPLE_DOCUMENTS:  # a small bucket: all of its documents have to be looked at
                    drawn = _smallest(rows[buckets[rows] == bucket], draw, row, SAMPLE_DOCUMENTS)
                labels = [pa.repeat(value, len(drawn)) for value in (language, scorer, np.int32(bucket))]
                tables.append(pa.table([*labels, draw[drawn], row[drawn]], schema=schema))
    return pa.concat_tables(tables)


def list_samples(draws: pa.Table, languages: Sequence[str], scorers: Sequence[str]) -> pa.Table:
    """A table of SAMPLES: languages and scorers in their order, then by bucket and draw. draws: see `samples`."""
    rows = sorted(
        (languages.index(language), scorers.index(scorer), bucket, draw, row)
        for language, scorer, bucket, draw, row in (each.values() for each in draws.to_pylist())
    )
    named = [(languages[i], scorers[j], bucket, row) for i, j, bucket, _, row in rows]
    return pa.Table.from_pylist(
        [dict(zip(SAMPLES.names, each, strict=True)) for each in named], schema=SAMPLES
    )


def _smallest(members: np.ndarray, draw: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """The n members with the smallest (draw, row), in this order, without sorting all of them."""
    if len(members) > n:
        draws = draw[members]
        members = members[draws <= np.partition(draws, n - 1)[n - 1]]
    return members[np.lexsort((row[members], draw[members]))][:n]
