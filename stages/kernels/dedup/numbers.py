"""Numbers of a match text, each with the unit before it, by which texts from one template are distinguished.

Reads match text; writes one hash per number. Two problems or two notices from one template can be near duplicates but
have different content, because their numbers differ.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.tables import DIGIT, HANGUL, MARK


@nb.njit(cache=True, nogil=True)
def hash_numbers(codes: np.ndarray, starts: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash each run of digits with the word or the ideograph before it.

    Args: codes and starts, of MatchText; table, uint8 (0x110000,), the class of every code point.
    Returns: uint64 (n_numbers,), hashes; int64 (n_docs + 1,), where the numbers of each document begin.
    """
    hashes = np.empty(len(codes), np.uint64)
    hash_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        hash_starts[doc] = n
        context, number = ODD_B, ODD_B
        in_word, in_number = False, False
        for i in range(starts[doc], starts[doc + 1]):
            code = codes[i]
            char_class = table[code]
            if char_class == DIGIT:
                number = step(number if in_number else context, code, ODD_A)
                in_number, in_word = True, False
                continue
            if in_number:
                hashes[n] = mix(number)
                n += 1
                in_number = False
            if char_class < MARK:  # a blank or a symbol ends a word, which is still the context
                in_word = False
                continue
            context = step(context if in_word and char_class < HANGUL else ODD_B, code, ODD_A)
            in_word = char_class < HANGUL
        if in_number:
            hashes[n] = mix(number)
            n += 1
    hash_starts[len(starts) - 1] = n
    return hashes[:n], hash_starts


MIN_NUMBERS = 3
"""Least count of numbers that are content in a text of any length; fewer may be a date or a counter around it ..."""

UNITS_TO_A_NUMBER = 200
"""... unless the text has at most this many units per number: then they are content too."""

MIN_SHARED = 0.5
"""Least share of the numbers of the text with fewer numbers that its near duplicate shares."""


def tell_apart(
    shared: np.ndarray, n_left: np.ndarray, n_right: np.ndarray, n_shingles: np.ndarray
) -> np.ndarray:
    """Whether the texts of each pair, similar by their words, differ too much in their numbers to be near duplicates.

    Args: int64 (n_pairs,) each: shared, size of the intersection of the sets of hash_numbers; n_left and n_right, sizes
    of the sets; n_shingles, size of the smaller set of shingles.
    Returns: bool (n_pairs,).
    """
    n_fewer = np.minimum(n_left, n_right)
    has_enough = (n_fewer >= MIN_NUMBERS) | ((n_fewer > 0) & (n_fewer * UNITS_TO_A_NUMBER >= n_shingles))
    return has_enough & (shared < MIN_SHARED * n_fewer)
