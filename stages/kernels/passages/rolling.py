"""A rolling hash of windows of text: two polynomials in the characters.

One is taken modulo 2**64, the other modulo the prime 2**31 - 1, because there are texts (Thue-Morse) that collide
modulo a power of two for every odd base.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.hashing import ODD_A, mix

PRIME = np.uint64(2**31 - 1)
BASE = np.uint64(48271)
"""A multiplier modulo 2**31 - 1 (Park, Miller and Stockmeyer, Communications of the ACM 36(7), 1993)."""


@nb.njit(cache=True, nogil=True)
def base_powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the powers of both bases from 0 to n: uint64 (n + 1,) each."""
    first, second = np.ones(n + 1, np.uint64), np.ones(n + 1, np.uint64)
    for i in range(n):
        first[i + 1] = first[i] * ODD_A
        second[i + 1] = second[i] * BASE % PRIME
    return first, second


@nb.njit(cache=True, nogil=True, inline="always")
def fold(value: np.uint64) -> np.uint64:
    """Return a number below 2**63 modulo 2**31 - 1."""
    value = (value & PRIME) + (value >> np.uint64(31))
    value = (value & PRIME) + (value >> np.uint64(31))
    return value - PRIME if value >= PRIME else value


@nb.njit(cache=True, nogil=True, inline="always")
def enter(first: np.uint64, second: np.uint64, code: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Append one character to both polynomials."""
    code += np.uint64(1)
    return first * ODD_A + code, fold(second * BASE + code)


@nb.njit(cache=True, nogil=True, inline="always")
def leave(
    first: np.uint64, second: np.uint64, code: np.uint64, power: np.uint64, second_power: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Remove the first character from both polynomials; the powers are those for the length without it."""
    code += np.uint64(1)
    return first - code * power, fold(second + PRIME - fold(code * second_power))


@nb.njit(cache=True, nogil=True, inline="always")
def join(first: np.uint64, second: np.uint64) -> np.uint64:
    """Combine both polynomials into one hash."""
    return mix(first ^ mix(second + ODD_A))
