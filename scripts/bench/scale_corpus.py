"""A synthetic corpus of band keys without text, with planted clusters to check deduplication against.

Unique documents, clusters of exact copies, families of near duplicates and groups that share template text are spread
over the shards. The match hash, the band keys and the similarities of a document are functions of its position.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, write_sidecar
from pipeline.ingest.canonical import ROW_GROUP_ROWS
from pipeline.schema import CANONICAL, ROW_BITS
from pipeline.storage.store import Store
from stages import minhash
from stages.dedup import candidates, exact
from stages.kernels.text.hashing import mix

N_BANDS, BAND_ROWS = minhash.Config().n_bands, minhash.Config().band_rows
UNIQUE, COPY, NEAR, TEMPLATE = range(4)
SHARES = {"copies": 0.2, "near": 0.15, "templates": 0.03}
"""Share of documents in clusters of exact copies, families of near duplicates and template groups; others: unique."""

SIZES = {"copies": (2, 2.5, 0.01), "near": (2, 3.0, 2e-5), "templates": (100, 2.5, 1e-3)}
"""Smallest group, exponent of the power law of sizes, and the largest group as a share of the corpus (near: never
below 64 documents)."""

TEMPLATE_KEYS = 2
"""Band keys that the documents of a template group share."""

RECIPE = "synthetic"


@dataclass(frozen=True)
class Layout:
    """Positions of documents: p belongs to group g if starts[g] <= p < starts[g + 1], and to no group below starts[0].

    kinds: kind of each group. odd: document i has position i * odd modulo n_documents.
    """

    n_documents: int
    odd: int
    starts: np.ndarray
    kinds: np.ndarray


@functools.lru_cache(maxsize=2)
def lay_out(n_documents: int, seed: int) -> Layout:
    """Draw the groups of all kinds for a corpus of n_documents."""
    rng = np.random.default_rng(seed)
    sizes, kinds = [], []
    for kind, (name, share) in enumerate(SHARES.items(), start=COPY):
        smallest, exponent, largest = SIZES[name]
        n_members = int(share * n_documents)
        most = max(int(largest * n_documents), 64, smallest)
        uniform = rng.random(n_members // smallest + 1)
        drawn = np.minimum(smallest * uniform ** (-1 / (exponent - 1)), most).astype(np.int64)
        drawn = drawn[: np.searchsorted(np.cumsum(drawn), n_members, "right")]
        sizes.append(drawn)
        kinds.append(np.full(len(drawn), kind, np.uint8))
    ends = np.cumsum(np.concatenate([[0], *sizes]))
    odd = int(n_documents * 0.6180339887) | 1
    while np.gcd(odd, n_documents) != 1:
        odd += 2
    return Layout(n_documents, odd, n_documents - ends[-1] + ends, np.concatenate(kinds))


@nb.njit(cache=True)
def uniform(value: int, salt: int) -> float:
    """A pseudo-random number in [0, 1), determined by two integers."""
    return (mix(mix(np.uint64(value)) ^ np.uint64(salt)) >> np.uint64(11)) / (1 << 53)


@nb.njit(cache=True)
def likeness(place: int, member: int) -> float:
    """Similarity of a near duplicate to the first member of its family."""
    return 1.0 if member == 0 else 0.8 + 0.2 * uniform(place, 1)


@nb.njit(cache=True)
def sign(
    documents: np.ndarray, n_documents: int, odd: int, starts: np.ndarray, kinds: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Match hashes, uint64 (n, 2), and band keys, uint64 (n, N_BANDS), of documents by number."""
    hashes = np.empty((len(documents), 2), np.uint64)
    keys = np.empty((len(documents), N_BANDS), np.uint64)
    salt = mix(np.uint64(seed))
    for i in range(len(documents)):
        position = documents[i] * odd % n_documents
        group = np.searchsorted(starts, position, "right") - 1
        kind = kinds[group] if group >= 0 else UNIQUE
        own = np.uint64(2 * position)
        shared = np.uint64(2 * group + 1) if group >= 0 else own
        text = shared if kind == COPY else own
        hashes[i, 0] = mix(mix(text) ^ salt)
        hashes[i, 1] = mix(hashes[i, 0])
        p_shared = likeness(position, position - starts[group]) ** BAND_ROWS if kind == NEAR else 0.0
        for band in range(N_BANDS):
            shares_key = kind == COPY or (kind == NEAR and uniform(position, 2 + band) < p_shared)
            shares_key = shares_key or (kind == TEMPLATE and band < TEMPLATE_KEYS)
            keys[i, band] = mix(mix((shared if shares_key else own) ^ salt) + np.uint64(band + 1))
    return hashes, keys


@nb.njit(cache=True)
def compare(
    left: np.ndarray, right: np.ndarray, n_documents: int, odd: int, starts: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Similarity of pairs of documents by number: float32 (n,)."""
    similarity = np.zeros(len(left), np.float32)
    for i in range(len(left)):
        a, b = left[i] * odd % n_documents, right[i] * odd % n_documents
        group = np.searchsorted(starts, a, "right") - 1
        if group < 0 or np.searchsorted(starts, b, "right") - 1 != group:
            continue
        if kinds[group] == COPY:
            similarity[i] = 1.0
        elif kinds[group] == NEAR:
            similarity[i] = likeness(a, a - starts[group]) * likeness(b, b - starts[group])
        else:
            similarity[i] = 0.3
    return similarity


@dataclass(frozen=True)
class ShardTask:
    """Task to write one shard and its sidecars. first: number of its first document."""

    store: Store
    shard: Shard
    first: int
    n_documents: int
    seed: int


def refs_of(shard: Shard) -> dict[str, SidecarRef]:
    """Locations of the sidecars of a shard."""
    return {
        name: SidecarRef(f"annotations/{name}/{shard.id}.parquet", RECIPE) for name in ("exact", "minhash")
    }


def write_documents(task: ShardTask) -> int:
    """Write a shard of documents without text, their match hashes and their band keys; returns bytes of sidecars."""
    layout, shard = lay_out(task.n_documents, task.seed), task.shard
    documents = np.arange(task.first, task.first + shard.n_rows)
    hashes, keys = sign(documents, layout.n_documents, layout.odd, layout.starts, layout.kinds, task.seed)
    sink = pa.BufferOutputStream()
    canonical = {c: pa.nulls(shard.n_rows, CANONICAL.field(c).type) for c in candidates.READS if "." not in c}
    pq.write_table(pa.table(canonical), sink, row_group_size=ROW_GROUP_ROWS)
    task.store.put(shard.key, sink.getvalue())
    match = pa.FixedSizeBinaryArray.from_buffers(exact.HASH, shard.n_rows, [None, pa.py_buffer(hashes)])
    offsets = pa.array(np.arange(0, keys.size + 1, N_BANDS), pa.int32())
    bands = pa.ListArray.from_arrays(offsets, pa.array(keys.reshape(-1)))
    refs = refs_of(shard)
    return write_sidecar(task.store, refs["exact"], pa.table({"match_hash": match}), shard) + write_sidecar(
        task.store, refs["minhash"], pa.table({"band_keys": bands}), shard
    )


def number(rows: np.ndarray, shard_documents: int) -> np.ndarray:
    """Document numbers of rows of a run, int64."""
    return (rows >> ROW_BITS) * shard_documents + (rows & ((1 << ROW_BITS) - 1))


def names_of(rows: np.ndarray) -> pa.StringArray:
    """Distinct document ids of 26 characters, like real ones, in the order of rows."""
    digits = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)
    names = np.empty((len(rows), 26), np.uint8)
    for digit in range(26):
        names[:, 25 - digit] = digits[rows >> 5 * digit & 31 if digit < 12 else np.zeros(len(rows), np.int64)]
    offsets = np.arange(0, names.size + 1, 26, dtype=np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(names))
