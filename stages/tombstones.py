"""Tombstones of texts: keyed hashes that find an erased document and its near copies again, without their text.

A tombstone of a text is the keyed hash of its match text, and a sample of the keyed hashes of its shingles. Another
text is a near copy if it contains at least SHARE of the sample and is not much longer. Band keys would not do: of two
texts that differ in a tenth of their words, 14 % share one (docs/decisions/0050-takedown.md).

The hashes are SipHash-2-4 and BLAKE2b, both keyed: who has a tombstone and not the key cannot try texts against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from stages.dedup import exact
from stages.kernels.dedup.minhash import WORDS, hash_shingles, hash_units, match_text
from stages.kernels.text.siphash import hash_words

VERSION = 1
"""Of the hashes: tombstones of another version match nothing, so a change of match text that changes them raises it."""

UNITS = 3
"""Words or ideographs of a shingle: after random edits of a tenth of the units, .73 of the shingles are left."""

SAMPLE = 256
"""Shingles of a tombstone, those of least keyed hash: a share of .6 is estimated with a standard deviation of .03."""

SHARE = 0.5
"""Least share of the sample in a near copy. Of 300 real texts with a tenth of their units replaced and converted to
the other script, 99 % keep .55; 148 of 1.2 million pairs of other texts reach it, texts of one template in the main."""

MIN_SHINGLES = 8
"""Texts with fewer shingles are compared by their exact hash alone."""

MAX_LONGER = 4
"""A near copy has at most this many times the shingles of the tombstone, since long texts contain many short ones."""

COVERED = 0.85
"""A text with this share of the sample of another erased text needs no tombstone of its own."""

SCHEMA = pa.schema(
    {"kind": pa.string(), "hash": pa.binary(16), "n_shingles": pa.int32(), "sample": pa.binary()}
)
"""kind: text, doc_id, source_id, url or host. hash: of the match text or of the value. n_shingles, sample: of a text:
number of its shingles, and keyed hashes, ascending uint64 as bytes."""

_MASK_BITS = 20


def text_column(texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as the column that kernels read."""
    array = (
        texts
        if isinstance(texts, pa.ChunkedArray)
        else pa.chunked_array([pa.array(texts, pa.large_string())])
    )
    return array.cast(pa.large_string())


def shingle_hashes(texts: pa.ChunkedArray, key: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the keyed hashes of the shingles of each text: uint64 (n_shingles,), int64 (n_docs + 1,) starts."""
    match = match_text(texts, marks=True)
    n_docs = len(match.starts) - 1
    units = hash_units(match, np.full(n_docs, WORDS, np.uint8))
    hashes, starts = hash_shingles(*units, np.full(n_docs, UNITS))
    return sip_hash(hashes, key), starts


def exact_hashes(texts: pa.ChunkedArray, key: bytes) -> list[bytes]:
    """Return the keyed hash of the match text of each text, 16 bytes; that of the text if its match text is empty."""
    found = exact.annotate(pa.table({"text": texts}))["match_hash"].to_pylist()
    return [value_hash("text", value or b"", key) for value in found]


def value_hash(kind: str, value: str | bytes, key: bytes) -> bytes:
    """Return the keyed hash of a value: BLAKE2b of 16 bytes, another one for each kind."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return hashlib.blake2b(data, digest_size=16, key=key, person=kind.encode()[:16]).digest()


def sip_hash(words: np.ndarray, key: bytes) -> np.ndarray:
    """Return the keyed hash of each 64-bit word: uint64 (n,). key: 16 bytes."""
    low, high = np.frombuffer(key, "<u8", 2)
    return hash_words(words, low, high)


def tombstones_of(texts: Sequence[str], key: bytes) -> pa.Table:
    """Return a tombstone of each text: SCHEMA, (n_texts,)."""
    column = text_column(texts)
    hashes, starts = shingle_hashes(column, key)
    counts, samples = [], []
    for low, high in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        sample = np.unique(hashes[low:high])[:SAMPLE] if high - low >= MIN_SHINGLES else hashes[:0]
        counts.append(high - low)
        samples.append(sample.astype("<u8").tobytes())
    columns = [["text"] * len(counts), exact_hashes(column, key), counts, samples]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def value_tombstones(kind: str, values: Iterable[str], key: bytes) -> pa.Table:
    """Return a tombstone of each value of a kind: SCHEMA, (n_values,)."""
    hashes = [value_hash(kind, value, key) for value in values]
    n = len(hashes)
    return pa.table(
        [pa.repeat(kind, n), pa.array(hashes, pa.binary(16)), pa.repeat(pa.scalar(0, pa.int32()), n),
         pa.repeat(pa.scalar(b""), n)], schema=SCHEMA,
    )  # fmt: skip


@dataclass(frozen=True)
class Matcher:
    """Finds the texts that tombstones are of. tombstones: of SCHEMA, those of the kind `text` are used."""

    tombstones: pa.Table
    key: bytes

    @cached_property
    def _texts(self) -> pa.Table:
        return self.tombstones.filter(
            pa.array([k == "text" for k in self.tombstones["kind"].to_pylist()], pa.bool_())
        )

    @cached_property
    def _exact(self) -> frozenset[bytes]:
        return frozenset(self._texts["hash"].to_pylist())

    @cached_property
    def _samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hashes of all samples, ascending; the tombstone of each; the size of each tombstone's sample."""
        samples = [np.frombuffer(data, "<u8") for data in self._texts["sample"].to_pylist()]
        sizes = np.array([len(sample) for sample in samples], np.int64)
        hashes = np.concatenate([np.zeros(0, np.uint64), *samples])
        order = np.argsort(hashes, kind="stable")
        return hashes[order], np.repeat(np.arange(len(sizes)), sizes)[order], sizes

    @cached_property
    def _mask(self) -> np.ndarray:
        """Which leading bits occur in a sample, so that most shingles are not looked up."""
        mask = np.zeros(1 << _MASK_BITS, bool)
        mask[(self._samples[0] >> np.uint64(64 - _MASK_BITS)).astype(np.int64)] = True
        return mask

    def shares(self, texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Return the greatest share of a sample that each text contains, 1 for an exact copy: float64 (n_texts,)."""
        column = text_column(texts)
        found = np.zeros(len(column))
        if not self._texts.num_rows or not len(column):
            return found
        hashes, starts = shingle_hashes(column, self.key)
        likely = np.flatnonzero(self._mask[(hashes >> np.uint64(64 - _MASK_BITS)).astype(np.int64)])
        document = np.searchsorted(starts, likely, side="right") - 1
        order = np.lexsort((hashes[likely], document))
        document, values = document[order], hashes[likely][order]
        is_first = np.ones(len(order), bool)
        is_first[1:] = (np.diff(document) > 0) | (values[1:] != values[:-1])
        self._add_shares(found, document[is_first], values[is_first], np.diff(starts))
        for i, value in enumerate(exact_hashes(column, self.key)):
            if value in self._exact:
                found[i] = 1.0
        return found

    def _add_shares(
        self, found: np.ndarray, document: np.ndarray, hashes: np.ndarray, lengths: np.ndarray
    ) -> None:
        """Raise `found` by the shares of the samples. document, hashes: of the distinct shingles that may be in one."""
        values, owners, sizes = self._samples
        low, high = (np.searchsorted(values, hashes, side) for side in ("left", "right"))
        times = high - low
        ends = np.cumsum(times)
        places = (
            np.arange(int(ends[-1]) if len(ends) else 0)
            - np.repeat(ends - times, times)
            + np.repeat(low, times)
        )
        pairs = np.repeat(document, times) * len(sizes) + owners[places]
        pair, count = np.unique(pairs, return_counts=True)
        doc, owner = pair // len(sizes), pair % len(sizes)
        limit = MAX_LONGER * self._texts["n_shingles"].to_numpy()[owner].astype(np.int64)
        share = np.where(lengths[doc] <= limit, count / sizes[owner], 0)
        np.maximum.at(found, doc, share)

    def matches(self, texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Return which texts are copies or near copies of an erased one: bool (n_texts,)."""
        return self.shares(texts) >= SHARE


def raw_text(raw: bytes | None) -> str:
    """Return the words of a quarantined record: the strings of JSON, else the bytes as UTF-8."""
    text = (raw or b"").decode("utf-8", "replace")
    try:
        return "\n".join(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
