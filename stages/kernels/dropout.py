"""Dropout of features in training: a random part of the features of an example is left out each time it is visited."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def drop_features(rows, start, end, limit, state, kept):  # type: ignore[no-untyped-def]  # numba infers types
    """Copy rows[start:end] to the front of `kept`, each one left out with probability limit / 2**32.

    Args: rows, int32; limit and state, uint64, state not 0; kept, int32, with room for end - start rows.
    Returns: the number of rows kept and the next state of the random generator.
    Source: xorshift64, Marsaglia, Xorshift RNGs, J. Stat. Soft. 8(14), 2003.
    """
    n_kept = 0
    for i in range(start, end):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        if state >> np.uint64(32) >= limit:
            kept[n_kept] = rows[i]
            n_kept += 1
    return n_kept, state
