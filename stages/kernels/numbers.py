"""Numbers of a match text, each with the unit before it: what templated texts differ in.

Reads match text; writes one hash per number. Two problems from one template, or two notices, may be alike in all but
their numbers, and then they say different things.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.tables import DIGIT, HANGUL, MARK


@nb.njit(cache=True, nogil=True)
def hash_numbers(codes: np.ndarray, starts: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash each run of digits with the letters before it, back to the beginning of a word or one ideograph.

    Args: codes and starts, of MatchText; table, the character class of every code point.
    Returns: uint64 (n_numbers,), int64 (n_docs + 1,) where each document begins.
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
            kind = table[code]
            if kind == DIGIT:
                number = step(number if in_number else context, code, ODD_A)
                in_number, in_word = True, False
                continue
            if in_number:
                hashes[n] = mix(number)
                n += 1
                in_number = False
            if kind < MARK:  # a blank or a symbol ends a word, and what was before it stays the context
                in_word = False
                continue
            context = step(context if in_word and kind < HANGUL else ODD_B, code, ODD_A)
            in_word = kind < HANGUL
        if in_number:
            hashes[n] = mix(number)
            n += 1
    hash_starts[len(starts) - 1] = n
    return hashes[:n], hash_starts


MIN_NUMBERS = 3
"""So many numbers of a text of any length are what it says; fewer may be a date or a counter around it ..."""

UNITS_TO_A_NUMBER = 200
"""... unless the text is so short for each of them that they are what it says all the same."""

MIN_SHARED = 0.5
"""Least share of the numbers of the poorer text that a copy has in the same place."""


def tell_apart(
    shared: np.ndarray, n_left: np.ndarray, n_right: np.ndarray, n_shingles: np.ndarray
) -> np.ndarray:
    """Whether the texts of each pair, alike in their words, differ in their numbers too much to be copies.

    Args, all (n_pairs,): shared, numbers that both have, of the sets of hash_numbers; n_left and n_right, sizes of
    the two sets; n_shingles, size of the smaller set of shingles.
    Returns: bool (n_pairs,).
    """
    poorer = np.minimum(n_left, n_right)
    many = (poorer >= MIN_NUMBERS) | ((poorer > 0) & (poorer * UNITS_TO_A_NUMBER >= n_shingles))
    return many & (shared < MIN_SHARED * poorer)
