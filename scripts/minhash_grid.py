"""Compare settings of MinHash on documents; prints Markdown.

Pairs of Jaccard index 0.8 and more are those that 40 bands of 4 rows propose (they miss one of 10^9 at 0.8) and
verification keeps, by the sets that `stages.dedup` compares. Copies by match hash are counted once, as they are met
without signatures. Candidates are all pairs that share a band key; groups are not capped.

Example: python scripts/minhash_grid.py docs-*.parquet
"""

from __future__ import annotations

import time

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages import exact, minhash
from stages.dedup import CHARACTERS_SHARE
from stages.kernels.hashing import hash_lanes
from stages.kernels.jaccard import count_shared, sort_sets
from stages.kernels.minhash import CHARACTERS, WORDS, count_units, hash_shingles, hash_units, match_text

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
"""Units to a shingle, bands, rows."""

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
    alike = pairs[jaccard >= THRESHOLD]
    by_characters = kinds[alike].max(axis=1) == CHARACTERS
    click.echo(f"{len(text):,} different documents, {len(alike):,} pairs of {THRESHOLD} and more, ", nl=False)
    click.echo(f"{np.count_nonzero(by_characters):,} of them compared by characters\n")
    click.echo("| units | bands x rows | at 0.8 by formula | found by characters | found by words ", nl=False)
    click.echo("| candidates per document | below 0.5 | MB/s |\n|---:|---:|---:|---:|---:|---:|---:|---:|")
    for n_units, n_bands, n_rows in GRID:
        keys, speed = keys_of(text, n_units, n_bands, n_rows)
        found = share_key(keys)
        met = np.isin(codes(alike, len(text)), codes(found, len(text)))
        low = np.count_nonzero(similarity(text, found)[0] < 0.5) / max(len(found), 1)
        formula = minhash.catch_probability(THRESHOLD, minhash.Config(n_bands=n_bands, band_rows=n_rows))
        shares = " | ".join(f"{100 * met[part].mean():.2f} %" for part in (by_characters, ~by_characters))
        click.echo(
            f"| {n_units} | {n_bands} x {n_rows} | {100 * formula:.2f} % | {shares} | {len(found) / len(text):.2f} "
            f"| {100 * low:.0f} % | {speed:.0f} |"
        )


def first_copies(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """One text of each match hash."""
    hashes = exact.STAGE.load(exact.STAGE.config())(pa.table({"text": text}))["match_hash"].combine_chunks()
    _, first = np.unique(hash_lanes(hashes), axis=0, return_index=True)
    return text.take(pa.array(np.sort(first)))


def keys_of(text: pa.ChunkedArray, n_units: int, n_bands: int, n_rows: int) -> tuple[np.ndarray, float]:
    """Band keys, uint64 (n_docs, n_bands), 0 for texts without; and MB/s of UTF-8 from text to keys."""
    annotate = minhash.STAGE.load(minhash.Config(n_bands=n_bands, band_rows=n_rows, shingle_units=n_units))
    annotate(pa.table({"text": text.slice(0, 1)}))  # compiled before it is timed
    keys, start, n_bytes = np.zeros((len(text), n_bands), np.uint64), time.perf_counter(), 0
    for low in range(0, len(text), BATCH_ROWS):
        lists = annotate(pa.table({"text": text.slice(low, BATCH_ROWS)}))["band_keys"].combine_chunks()
        signed = np.flatnonzero(pc.list_value_length(lists).to_numpy() > 0) + low
        keys[signed] = lists.flatten().to_numpy().reshape(-1, n_bands)
        n_bytes += pc.sum(pc.binary_length(text.slice(low, BATCH_ROWS))).as_py()
    return keys, n_bytes / (time.perf_counter() - start) / 1e6


def share_key(keys: np.ndarray) -> np.ndarray:
    """Pairs of documents with an equal key: int64 (n_pairs, 2), each once."""
    found = []
    for band in keys.T:
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], np.diff(band[order]) != 0, [True]]))
        starts = starts[:-1][band[order][starts[:-1]] != 0].tolist()
        ends = np.searchsorted(band[order], band[order][starts], side="right")
        for low, high in zip(starts, ends, strict=True):
            if high - low > 1:
                a, b = np.triu_indices(high - low, 1)
                members = order[low:high]
                found.append(codes(np.sort(np.stack([members[a], members[b]], axis=1), axis=1), len(keys)))
        found = [np.unique(np.concatenate(found))] if found else []
    flat = found[0] if found else np.empty(0, np.int64)
    return np.stack(np.divmod(flat, len(keys)), axis=1)


def codes(pairs: np.ndarray, n_docs: int) -> np.ndarray:
    """One number for each pair."""
    return pairs[:, 0] * n_docs + pairs[:, 1]


def similarity(text: pa.ChunkedArray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard index of each pair, and the kind of shingles that each document is compared by."""
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
