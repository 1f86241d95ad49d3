"""Repeats: a table that is smaller than the text changes nothing but the number of passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.kernels.text.firsts import new_firsts
from stages.kernels.text.hashing import mix_all
from stages.kernels.text.repeats import REPEAT_COUNTS, count_repeats


def counted(units: np.ndarray, n_keys: int) -> list[int]:
    """Counts of a text of units of one character, with a table for n_keys keys."""
    counts = np.zeros(len(REPEAT_COUNTS), np.int64)
    ends = np.arange(1, len(units) + 1, dtype=np.int32)
    count_repeats(units.copy(), ends, len(units), new_firsts(n_keys), counts)
    return counts.tolist()


@given(st.integers(0, 2**32), st.integers(1, 400), st.integers(1, 300))
def test_several_passes_count_as_one(seed: int, n_units: int, n_words: int) -> None:
    """Eight keys for hundreds of units: the counts of a table that holds them all."""
    units = mix_all(np.random.default_rng(seed).integers(0, n_words, n_units).astype(np.uint64))
    assert counted(units, 8) == counted(units, n_units)


@pytest.mark.parametrize("n_units", [13, 100, 1000])
def test_keys_of_one_pass_are_counted_in_a_larger_table(n_units: int) -> None:
    """Units that are made so that all fall into one pass are counted, instead of filling the table for ever."""
    numbers = np.arange(200_000, dtype=np.uint64)
    crowded = numbers[mix_all(numbers) % np.uint64(128) == 0][:n_units]
    units = np.concatenate([crowded, crowded])
    counts = counted(units, 8)
    assert counts == counted(units, len(units))
    assert counts[REPEAT_COUNTS.index("n_distinct_words")] == n_units
    assert counts[REPEAT_COUNTS.index("duplicate_5_gram_chars")] == n_units
