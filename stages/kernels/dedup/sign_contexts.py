"""Signs of formulas and code between the same two units, by which short texts and exercises are distinguished.

Reads match text; writes hashes. `2x + 3` and `2x - 3` have the same units: only what is between two of them differs.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step

COUNTS, JOINS, LEAVES_OPEN, OPENS, SYMBOL = (np.uint8(1 << bit) for bit in range(5))
"""Bits of `minhash.load_roles`."""

ZERO, START, END = np.uint64(0), np.uint64(1), np.uint64(2)

MIN_DIFFERENT = 3
MIN_OTHER = 0.5
"""Least number, and least share, of the signs of a longer text that differ from those between the same units of another
exercise."""


@nb.njit(cache=True, nogil=True)
def hash_contexts(codes, starts, roles, is_sign, wanted):  # type: ignore[no-untyped-def]  # numba infers types
    """Hash each two neighbouring units of texts with signs of mathematics, and the signs between them.

    Args: codes and starts, of MatchText; roles, from `minhash.load_roles`; is_sign, bool (0x10000,), from
    `formulas.load_sign_set`; wanted, bool (n_docs,), documents to read.
    Returns: uint64 (n_contexts,), hashes of neighbours; int64 (n_docs + 1,), where those of each document begin; for
    neighbours with signs between them, their hash and the hash of neighbours and signs, uint64 (n_signs,) each; int64
    (n_docs + 1,), where those of each document begin; int64 (n_docs,), code points without blanks and symbols.
    """
    size = len(codes) + 2 * len(starts)
    contexts, keys, signs = np.empty(size, np.uint64), np.empty(size, np.uint64), np.empty(size, np.uint64)
    context_starts, sign_starts = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)
    sizes = np.zeros(len(starts) - 1, np.int64)
    n, n_signs = 0, 0
    for doc in range(len(starts) - 1):
        context_starts[doc], sign_starts[doc] = n, n_signs
        if not wanted[doc]:
            continue
        previous, unit, in_word, has_unit = START, ODD_B, False, False
        between, pending = ZERO, ZERO  # signs before the unit that is being read, and since it began
        for code in codes[starts[doc] : starts[doc + 1]]:
            role = roles[code]
            if role & COUNTS and not (in_word and role & JOINS):
                if has_unit:
                    n, n_signs = _add(previous, unit, between, contexts, keys, signs, n, n_signs)
                    previous = unit
                between, pending, unit, has_unit = pending, ZERO, ODD_B, True
            if role & COUNTS:
                unit = step(unit, code, ODD_A)
                sizes[doc] += 1
            if role & SYMBOL and is_sign[code]:
                pending = step(pending + ODD_A, code, ODD_B)
            in_word = (in_word and role & LEAVES_OPEN > 0) or role & OPENS > 0
        if has_unit:
            n, n_signs = _add(previous, unit, between, contexts, keys, signs, n, n_signs)
            n, n_signs = _add(unit, END, pending, contexts, keys, signs, n, n_signs)
    context_starts[len(starts) - 1], sign_starts[len(starts) - 1] = n, n_signs
    return contexts[:n], context_starts, keys[:n_signs], signs[:n_signs], sign_starts, sizes


@nb.njit(cache=True, nogil=True)
def _add(left, right, between, contexts, keys, signs, n, n_signs):  # type: ignore[no-untyped-def]
    """Append two neighbours and, if there are any, the signs between them; return both counts."""
    key = mix(step(left, right, ODD_A))
    contexts[n] = key
    if between:
        keys[n_signs], signs[n_signs] = key, mix(step(key, between, ODD_B))
        n_signs += 1
    return n + 1, n_signs


@nb.njit(cache=True, nogil=True)
def count_conflicts(keys, signs, left, contexts, right, other_signs, other):  # type: ignore[no-untyped-def]
    """Count neighbours in one text of each pair that the other text has with other signs between them.

    Args: keys and signs, from hash_contexts; left, int64 (n_pairs, 2), the range of the one text in both; contexts,
    uint64, sorted within each text: all neighbours, or those with signs, if none is no other sign; right, the range of
    the other text in contexts; other_signs, uint64, sorted within each text; other, the range of the other text in
    other_signs.
    Returns: int64 (n_pairs,).
    """
    conflicts = np.zeros(len(left), np.int64)
    for pair in range(len(left)):
        neighbours, known = (
            contexts[right[pair, 0] : right[pair, 1]],
            other_signs[other[pair, 0] : other[pair, 1]],
        )
        for i in range(left[pair, 0], left[pair, 1]):
            conflicts[pair] += _contains(neighbours, keys[i]) and not _contains(known, signs[i])
    return conflicts


@nb.njit(cache=True, nogil=True)
def _contains(values, value):  # type: ignore[no-untyped-def]
    """Whether sorted values contain one."""
    index = np.searchsorted(values, value)
    return index < len(values) and values[index] == value


def have_other_signs(
    conflicts: np.ndarray, exchanged: np.ndarray, n_signs: tuple[np.ndarray, np.ndarray], is_short: np.ndarray
) -> np.ndarray:
    """Whether signs differ between the same units of both texts: any in short texts, most of them in longer ones.

    In a longer text a sign may be missing because a line is no longer taken for code, so there it counts only where the
    other text has another one.

    Args: int64 (n_pairs,) each: conflicts, the greater count of both directions; exchanged, the same of units between
    which both texts have signs; n_signs, signs of both texts. is_short, bool (n_pairs,), whether both texts are short.
    Returns: bool (n_pairs,).
    """
    least = np.maximum(MIN_DIFFERENT, MIN_OTHER * np.minimum(*n_signs))
    return np.where(is_short, conflicts > 0, exchanged >= least)
