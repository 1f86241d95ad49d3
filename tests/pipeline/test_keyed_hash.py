"""The keyed hash of document ids: frozen, even, and dependent on nothing but id and seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.keyed_hash import keyed_hash, scramble


def doc_ids(n: int) -> pa.Array:
    """Distinct ids of 26 characters that differ in their last ones only."""
    return pa.array([f"{i:026d}" for i in range(n)], pa.string())


def test_keyed_hash_depends_on_the_id_alone() -> None:
    """Slices, chunks and string widths give the same hashes, and none collide or lean to one side."""
    ids = doc_ids(5_000)
    whole = keyed_hash(ids, 7)
    assert np.array_equal(keyed_hash(ids.slice(11, 100), 7), whole[11:111])
    assert np.array_equal(keyed_hash(pa.chunked_array([ids.slice(0, 9), ids.slice(9)]), 7), whole)
    assert np.array_equal(keyed_hash(ids.cast(pa.large_string()), 7), whole)
    assert len(keyed_hash(ids.slice(0, 0), 7)) == 0
    assert len(np.unique(whole)) == 5_000
    bits = (whole[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.all(np.abs(bits.mean(axis=0) - 0.5) < 0.05)


def test_keyed_hash_is_frozen() -> None:
    """Known ids keep their hashes: every released order depends on them."""
    ids = pa.array(["a" * 26, "abcdefghijklmnopqrstuvwxyz"])
    assert keyed_hash(ids, 0).tolist() == [5931908289406737806, 3916161792694326816]
    with pytest.raises(ValueError, match="26 characters"):
        keyed_hash(pa.array(["short"]), 0)


@given(st.integers(0, 2**64 - 1), st.integers(0, 63))
def test_scramble_moves_about_half_of_the_bits(word: int, bit: int) -> None:
    """Flipping one bit changes between a sixth and five sixths of the result."""
    pair = scramble(np.array([word, word ^ (1 << bit)], np.uint64))
    assert 10 <= int(pair[0] ^ pair[1]).bit_count() <= 54
