"""fastText model files: reads .bin and .ftz into the plain arrays that `fasttext` predicts from.

Product-quantised matrices are decoded to dense float32. The n-gram rows of a pruned model are sorted by bucket, so that
a bitmap over the buckets with a running count of its bits replaces the hash map of the library. Whether an n-gram was
kept, which is rare, is then tested in 250 KB of memory for two million buckets.

Format: fastText 0.9.2, magic number 793712314, versions 11 and 12 (https://github.com/facebookresearch/fastText).
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from pipeline.errors import ConfigError

HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
"""Losses, numbered as in the file."""

FNV_START = np.uint32(2166136261)

_MAGIC, _VERSION, _SUPERVISED = 793712314, 12, 3
_ARGS = (
    "dim",
    "ws",
    "epoch",
    "min_count",
    "neg",
    "word_ngrams",
    "loss",
    "model",
    "bucket",
    "minn",
    "maxn",
    "rate",
)
_ENTRY_TAIL = 9  # bytes of an entry after its name and NUL: count (8), type (1; 0 a word, 1 a label)
_CENTROIDS = 256
_LINE = 64  # bytes of a cache line


class Tables(NamedTuple):
    """The parts of a model that kernels read; plain arrays and numbers, so that numba compiles once for all models.

    vectors: float32 (n_words + n_buckets_kept, dim), rows of words, then of n-gram buckets.
    output: float32 (n_labels, dim); under hierarchical softmax row i belongs to inner node n_labels + i.
    slots: int32 (power of two,), open addressing from FNV hash to entry of the dictionary, -1 where free.
    entries: uint8, the names of words, then of labels; entry i is entries[bounds[i]:bounds[i + 1]].
    n_words: index of the first entry that is a label.
    longest_entry: size of the longest name in bytes.
    kept, ranks: uint64 and int32 (bucket / 64,), bitmap of buckets with a row, and number of rows before each of
        its words; both empty if every bucket has a row (or none: see n_rows).
    n_rows: number of rows of n-gram buckets.
    bucket, minn, maxn, word_ngrams, loss: arguments of the model.
    children: int32 (2 * n_labels - 1, 2), the Huffman tree of hierarchical softmax, -1 below a leaf.
    """

    vectors: np.ndarray
    output: np.ndarray
    slots: np.ndarray
    entries: np.ndarray
    bounds: np.ndarray
    n_words: int
    longest_entry: int
    kept: np.ndarray
    ranks: np.ndarray
    n_rows: int
    bucket: int
    minn: int
    maxn: int
    word_ngrams: int
    loss: int
    children: np.ndarray


@dataclass(frozen=True)
class FastText:
    """A supervised model: labels without the prefix `__label__`, in the order of the file, and its tables."""

    labels: tuple[str, ...]
    tables: Tables


def load(path: str | os.PathLike[str], mapped: bool = False) -> FastText:
    """Read a supervised model; dense matrices stay memory-mapped if they are aligned in the file.

    Args: mapped, leave all dense matrices memory-mapped, also those that kernels cannot read because they are not
    aligned; gigabytes are then read only where they are used.
    Raises: ConfigError if the file is missing, is no fastText model, is truncated or contains word vectors only.
    """
    try:
        with open(path, "rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name an existing fastText model") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise ConfigError(f"{path}: empty file; expected a fastText model (.bin or .ftz)") from error
    reader = _Reader(data, mapped)
    try:
        return _read_model(reader, path)
    except (struct.error, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise ConfigError(
            f"{path}: broken near byte {reader.at:,} ({error}); fetch the model again"
        ) from error


def _read_model(reader: _Reader, path: str | os.PathLike[str]) -> FastText:
    magic, version = reader.take("<ii")
    if magic != _MAGIC or version > _VERSION:
        raise ConfigError(
            f"{path}: magic number {magic}, version {version}; expected a fastText model, version <= {_VERSION}"
        )
    args = dict(zip(_ARGS, reader.take("<12i"), strict=True))
    reader.take("<d")  # sampling threshold of training
    if args["model"] != _SUPERVISED:
        raise ConfigError(f"{path}: contains word vectors only; expected a supervised fastText model")
    if version < _VERSION:
        args["maxn"] = 0  # models of version 11 have no character n-grams, regardless of maxn
    entries, bounds, counts, n_words, n_pruned, pruned = reader.dictionary()
    quantised = reader.flag()
    vectors = reader.matrix(quantised)
    quantised_output = reader.flag()
    output = reader.matrix(quantised and quantised_output)
    kept, ranks = np.empty(0, np.uint64), np.empty(0, np.int32)
    if n_pruned > 0:
        if not (0 <= pruned.min() and pruned[:, 0].max() < args["bucket"] and pruned[:, 1].max() < n_pruned):
            raise ValueError("a pruned n-gram beyond the buckets")
        order = np.argsort(pruned[:, 0])
        kept, ranks = bitmap(pruned[order, 0], args["bucket"])
        rows = np.concatenate([np.arange(n_words), n_words + pruned[order, 1]])
        vectors = np.take(vectors, rows, 0, out=aligned((len(rows), args["dim"]), np.float32))
    _check_parts(args, n_words, len(bounds) - 1 - n_words, n_pruned, pruned, vectors, output)
    hierarchical = args["loss"] == HIERARCHICAL
    tables = Tables(
        vectors=vectors,
        output=output,
        slots=index_entries(entries, bounds),
        entries=entries,
        bounds=bounds,
        n_words=n_words,
        longest_entry=int(np.diff(bounds).max()),
        kept=kept,
        ranks=ranks,
        n_rows=0 if n_pruned == 0 else len(vectors) - n_words,
        bucket=args["bucket"],
        minn=args["minn"],
        maxn=args["maxn"],
        word_ngrams=args["word_ngrams"],
        loss=args["loss"],
        children=_huffman(counts[n_words:]) if hierarchical else np.empty((0, 2), np.int32),
    )
    names = [entries[bounds[i] : bounds[i + 1]].tobytes().decode() for i in range(n_words, len(bounds) - 1)]
    return FastText(tuple(name.removeprefix("__label__") for name in names), tables)


MAX_WORD_NGRAMS = 16
"""Longest word n-gram of a model: published ones have up to 5, and each takes time for every word."""


def _check_parts(
    args: dict[str, int], n_words: int, n_labels: int, n_pruned: int, pruned: np.ndarray, vectors: np.ndarray,
    output: np.ndarray,
) -> None:  # fmt: skip
    """Check that the parts of a model fit each other, so that no kernel leaves its arrays.

    Raises: ValueError if they do not.
    """
    bucket, dim = args["bucket"], args["dim"]
    n_rows = n_words + (n_pruned if n_pruned >= 0 else bucket)
    if vectors.shape != (n_rows, dim) or output.shape != (n_labels, dim):
        raise ValueError(
            f"matrices {vectors.shape} and {output.shape}; expected {(n_rows, dim)} and {(n_labels, dim)}"
        )
    has_grams = args["maxn"] > 0 or args["word_ngrams"] > 1
    if bucket < 0 or (has_grams and not bucket) or not 0 <= args["word_ngrams"] <= MAX_WORD_NGRAMS:
        raise ValueError(f"{bucket:,} buckets for n-grams of {args['word_ngrams']} words")
    if args["loss"] not in (HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL):
        raise ValueError(f"loss {args['loss']}")
    if not np.isfinite(output).all() or (vectors.nbytes <= CHECKED_BYTES and not np.isfinite(vectors).all()):
        raise ValueError("a weight is no number")


CHECKED_BYTES = 1 << 28
"""Matrices up to this size are searched for NaN; larger ones are mapped, and would be read as a whole for it."""


class _Reader:
    """A position in the bytes of a model."""

    def __init__(self, data: mmap.mmap, mapped: bool) -> None:
        self.data, self.at, self.mapped = data, 0, mapped

    def take(self, form: str) -> tuple[Any, ...]:  # Any: the types of the struct format
        """Unpack the next values."""
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def flag(self) -> bool:
        """Read one boolean."""
        return bool(self.take("<?")[0])

    def array(self, dtype: type[np.generic], count: int) -> np.ndarray:
        """Read the next `count` numbers, copied only if they are not aligned in the file; (count,) of this dtype.

        Raises: ValueError if there are fewer, or count is negative.
        """
        if count < 0:
            raise ValueError(f"{count:,} numbers")
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values if self.mapped else np.require(values, requirements="A")

    def dictionary(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int, np.ndarray]:
        """Read the dictionary: words, then labels.

        Returns: uint8, all names, one after another; int64 (n_entries + 1,), where each begins in them; int64
        (n_entries,), counts; number of words; number of n-grams kept by pruning, -1 for a model that was not pruned;
        int32 (n_kept, 2), bucket and row of these n-grams.
        """
        size, n_words, _, _, n_pruned = self.take("<iiiqq")
        left = np.frombuffer(self.data, np.uint8, offset=self.at)
        if not 0 <= n_words < size <= len(left) // _ENTRY_TAIL:
            raise ValueError(f"{n_words:,} words of {size:,} entries in {len(left):,} bytes")
        bounds, counts, kinds = (
            np.zeros(size + 1, np.int64),
            np.empty(size, np.int64),
            np.empty(size, np.int8),
        )
        n_bytes = _find_entries(left, bounds, counts, kinds)
        if n_bytes < 0:
            raise ValueError("a dictionary entry without an end")
        entries = np.empty(bounds[-1], np.uint8)
        _copy_entries(left, bounds, entries)
        self.at += n_bytes
        if not np.array_equal(kinds, np.arange(size) >= n_words):
            raise ValueError("words and labels are not in order")
        pruned = np.require(self.array(np.int32, 2 * max(n_pruned, 0)), requirements="A")
        return entries, bounds, counts, n_words, n_pruned, pruned.reshape(-1, 2)

    def matrix(self, quantised: bool) -> np.ndarray:
        """Read a dense matrix, or decode a product-quantised one: float32 (n_rows, n_columns)."""
        if not quantised:
            n_rows, n_columns = self.take("<qq")
            return self.array(np.float32, n_rows * n_columns).reshape(n_rows, n_columns)
        with_norm = self.flag()
        n_rows, _, n_codes = self.take("<qqi")
        vectors = self.codebook(self.array(np.uint8, n_codes).reshape(n_rows, -1))
        if with_norm:
            norms = self.array(np.uint8, n_rows)
            vectors *= self.codebook(norms[:, None])
        return vectors

    def codebook(self, codes: np.ndarray) -> np.ndarray:
        """Read the centroids of a product quantiser; decode uint8 (n_rows, n_parts) to float32 (n_rows, dim)."""
        dim, n_parts, width, last_width = self.take("<4i")
        centroids = self.array(np.float32, dim * _CENTROIDS)
        body = centroids[: (n_parts - 1) * _CENTROIDS * width].reshape(n_parts - 1, _CENTROIDS, width)
        tail = centroids[(n_parts - 1) * _CENTROIDS * width :].reshape(_CENTROIDS, last_width)
        return np.concatenate(
            [*(part[codes[:, i]] for i, part in enumerate(body)), tail[codes[:, -1]]], axis=1
        )


def aligned(shape: tuple[int, int], dtype: type[np.generic]) -> np.ndarray:
    """Return zeros of this shape and dtype, aligned to a cache line, so that a row of its size lies in one line."""
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    space = np.zeros(size + _LINE, np.uint8)
    first = -space.ctypes.data % _LINE
    return space[first : first + size].view(dtype).reshape(shape)


def bitmap(buckets: np.ndarray, n_buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a bitmap of sorted buckets, uint64, and the number of buckets before each of its words, int32."""
    bits = np.zeros(-(-n_buckets // 64) * 64, np.uint8)
    bits[buckets] = 1
    counts = bits.reshape(-1, 64).sum(axis=1, dtype=np.int32)
    ranks = np.cumsum(counts, dtype=np.int32) - counts
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64), ranks


def _huffman(counts: np.ndarray) -> np.ndarray:
    """Build the Huffman tree over labels, which are sorted by descending count: the children of each node, int32."""
    n = len(counts)
    totals = [*counts.tolist(), *[10**15] * (n - 1)]
    children = np.full((2 * n - 1, 2), -1, np.int32)
    leaf, node = n - 1, n
    for parent in range(n, 2 * n - 1):
        for side in range(2):
            if leaf >= 0 and totals[leaf] < totals[node]:
                children[parent, side], leaf = leaf, leaf - 1
            else:
                children[parent, side], node = node, node + 1
        totals[parent] = totals[children[parent, 0]] + totals[children[parent, 1]]
    return children


@njit(cache=True, nogil=True)
def fnv_step(value, byte):  # type: ignore[no-untyped-def]  # numba infers types
    """Add one byte to an FNV-1a hash over signed bytes, as fastText does: above 0x7F it flips the upper 24 bits too."""
    return np.uint32((value ^ np.uint32(np.int8(byte))) * np.uint32(16777619))


@njit(cache=True, nogil=True)
def fnv(data, start, end):  # type: ignore[no-untyped-def]
    """Hash data[start:end] by FNV-1a, uint32."""
    value = FNV_START
    for i in range(start, end):
        value = fnv_step(value, data[i])
    return value


@njit(cache=True, nogil=True)
def _find_entries(data, bounds, counts, kinds):  # type: ignore[no-untyped-def]
    """Write where each name begins, if they are put together, its count and its type; return the bytes of all entries.

    -1 if the data ends before the last entry does.
    """
    at = 0
    for entry in range(len(counts)):
        start = at
        while at < len(data) and data[at] != 0:
            at += 1
        if at + 1 + _ENTRY_TAIL > len(data):
            return -1
        bounds[entry + 1] = bounds[entry] + at - start
        count = np.uint64(0)
        for i in range(8):
            count |= np.uint64(data[at + 1 + i]) << np.uint64(8 * i)
        counts[entry] = np.int64(count)
        kinds[entry] = data[at + _ENTRY_TAIL]
        at += 1 + _ENTRY_TAIL
    return at


@njit(cache=True, nogil=True)
def _copy_entries(data, bounds, entries):  # type: ignore[no-untyped-def]
    at = 0
    for entry in range(len(bounds) - 1):
        for i in range(bounds[entry], bounds[entry + 1]):
            entries[i] = data[at + i - bounds[entry]]
        at += bounds[entry + 1] - bounds[entry] + 1 + _ENTRY_TAIL


@njit(cache=True, nogil=True)
def index_entries(entries: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Build an open-addressing table of the dictionary entries, at most half full: int32."""
    size = 16
    while size < 2 * len(bounds):
        size *= 2
    slots = np.full(size, -1, np.int32)
    for entry in range(len(bounds) - 1):
        at = np.int64(fnv(entries, bounds[entry], bounds[entry + 1])) & (size - 1)
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = entry
    return slots
