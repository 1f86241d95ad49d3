"""Compare MinHash settings on documents; prints Markdown.

The reference pairs with Jaccard index 0.8 or more are the candidate pairs of 40 bands of 4 rows (which miss one in 10^9
at 0.8), verified on the sets that `stages.dedup` compares. Exact copies by match hash are counted once: they are found
without signatures. Candidates are all pairs that share a band key; the size of groups is not limited.

Example: python -m scripts.bench.minhash_grid docs-*.parquet
"""

from __future__ import annotations

import time

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import minhash
from stages.dedup import CHARACTERS_SHARE, exact
from stages.kernels.dedup.jaccard import count_shared, sort_sets
from stages.kernels.dedup.minhash import CHARACTERS, WORDS, count_units, hash_shingles, hash_units, match_text
from stages.kernels.text.hashing import hash_lanes

GRID = (
    (5, 28, 6),
    (5, 20, 8),
    (5, 14, 8),
    (5, 9, 13),
    (8, 28, 6),
    (8, 20, 8),
    (10, 28, 6),
    (13, 28, 6),
    (13, 9, 13),
)
"""Units per shingle, bands, rows per band."""

WITNESS = (5, 40, 4)
THRESHOLD = 0.8
VERIFIED_UNITS = 5
BATCH_ROWS = 256


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
def main(files: tuple[str, ...]) -> None:
    """Sign the texts of FILES with each setting."""
    text = pa.concat_tables(pq.read_table(path, columns=["text"]) for path in files)["text"]
    text = first_copies(text.filter(pc.is_valid(text)))
    signed, _ = keys_of(text, *WITNESS)
    pairs = share_key(signed)
    jaccard, kinds = similarity(text, pairs)
    similar = pairs[jaccard >= THRESHOLD]
    by_characters = kinds[similar].max(axis=1) == CHARACTERS
    click.echo(
        f"{len(text):,} different documents, {len(similar):,} pairs of {THRESHOLD} and more, ", nl=False
    )
    click.echo(f"{np.count_nonzero(by_characters):,} of them compared by characters\n")
    click.echo(
        "| units | bands x rows | at 0.8 by formula | candidates by characters | candidates by words ",
        nl=False,
    )
    click.echo("| candidates per document | below 0.5 | MB/s |\n|---:|---:|---:|---:|---:|---:|---:|---:|")
    for n_units, n_bands, n_rows in GRID:
        keys, speed = keys_of(text, n_units, n_bands, n_rows)
        candidates = share_key(keys)
        is_candidate = np.isin(codes(similar, len(text)), codes(candidates, len(text)))
        low = np.count_nonzero(similarity(text, candidates)[0] < 0.5) / max(len(candidates), 1)
        formula = minhash.catch_probability(THRESHOLD, minhash.Config(n_bands=n_bands, band_rows=n_rows))
        shares = " | ".join(
            f"{100 * is_candidate[part].mean():.2f} %" for part in (by_characters, ~by_characters)
        )
        click.echo(
            f"| {n_units} | {n_bands} x {n_rows} | {100 * formula:.2f} % | {shares} "
            f"| {len(candidates) / len(text):.2f} "
            f"| {100 * low:.0f} % | {speed:.0f} |"
        )


def first_copies(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first text of each match hash."""
    hashes = exact.STAGE.load(exact.STAGE.config())(pa.table({"text": text}))["match_hash"].combine_chunks()
    _, first = np.unique(hash_lanes(hashes), axis=0, return_index=True)
    return text.take(pa.array(np.sort(first)))


def keys_of(text: pa.ChunkedArray, n_units: int, n_bands: int, n_rows: int) -> tuple[np.ndarray, float]:
    """Band keys, uint64 (n_docs, n_bands), 0 for texts without keys; and the speed in MB of UTF-8 per second."""
    annotate = minhash.STAGE.load(minhash.Config(n_bands=n_bands, band_rows=n_rows, shingle_units=n_units))
    annotate(pa.table({"text": text.slice(0, 1)}))  # compiles before timing
    keys, start, n_bytes = np.zeros((len(text), n_bands), np.uint64), time.perf_counter(), 0
    for low in range(0, len(text), BATCH_ROWS):
        lists = annotate(pa.table({"text": text.slice(low, BATCH_ROWS)}))["band_keys"].combine_chunks()
        signed = np.flatnonzero(pc.list_value_length(lists).to_numpy() > 0) + low
        keys[signed] = lists.flatten().to_numpy().reshape(-1, n_bands)
        n_bytes += pc.sum(pc.binary_length(text.slice(low, BATCH_ROWS))).as_py()
    return keys, n_bytes / (time.perf_counter() - start) / 1e6


def share_key(keys: np.ndarray) -> np.ndarray:
    """Pairs of documents that share a key, int64 (n_pairs, 2), without repeats."""
    pair_codes = []
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], np.diff(band[order]) != 0, [True]]))
        starts = starts[:-1][band[order][starts[:-1]] != 0].tolist()
        ends = np.searchsorted(band[order], band[order][starts], side="right")
        for low, high in zip(starts, ends, strict=True):
            if high - low > 1:
                a, b = np.triu_indices(high - low, 1)
                members = order[low:high]
                pair_codes.append(
                    codes(np.sort(np.stack([members[a], members[b]], axis=1), axis=1), len(keys))
                )
        pair_codes = [np.unique(np.concatenate(pair_codes))] if pair_codes else []
    flat = pair_codes[0] if pair_codes else np.empty(0, np.int64)
    return np.stack(np.divmod(flat, len(keys)), axis=1)


def codes(pairs: np.ndarray, n_docs: int) -> np.ndarray:
    """One number per pair, int64 (n_pairs,)."""
    return pairs[:, 0] * n_docs + pairs[:, 1]


def similarity(text: pa.ChunkedArray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard index of each pair, float64 (n_pairs,), and the shingle kind of each document, uint8 (n_docs,)."""
    match = match_text(text)
    n_words, n_single = count_units(match).T
    kinds = np.where(n_single >= CHARACTERS_SHARE * (n_words + n_single), CHARACTERS, WORDS).astype(np.uint8)
    sizes = np.full(len(kinds), VERIFIED_UNITS)
    values, starts = sort_sets(*hash_shingles(*hash_units(match, kinds), sizes))
    ranges = np.stack([starts[:-1], starts[1:]], axis=1)
    shared = count_shared(values, ranges[pairs[:, 0]], ranges[pairs[:, 1]])
    both = np.diff(ranges)[:, 0][pairs].sum(axis=1)
    return shared / np.maximum(both - shared, 1), kinds


if __name__ == "__main__":
    main()
