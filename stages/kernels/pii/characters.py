"""Characters as the scan reads them: folded to ASCII where they have its form, with roles."""

from __future__ import annotations

import numpy as np
from numba import njit

DIGIT, LETTER, LOCAL, DOMAIN, HEX, JOINT, CAPITAL, SIGN = 1, 2, 4, 8, 16, 32, 64, 128
"""Roles of ASCII characters, as bits. LOCAL, DOMAIN: of an e-mail address; JOINT: between groups of a number."""


def _roles() -> np.ndarray:
    """Build the roles of ASCII characters, as bits: uint8 (128,)."""
    roles = np.zeros(128, np.uint8)
    for code in range(128):
        char = chr(code)
        roles[code] |= DIGIT * char.isdigit() | LETTER * char.isalpha() | CAPITAL * char.isupper()
        roles[code] |= LOCAL * (char.isalnum() or char in "._%+-")
        roles[code] |= DOMAIN * (char.isalnum() or char in ".-")
        roles[code] |= HEX * (char in "0123456789abcdefABCDEF") | JOINT * (char in " -.()/[]")
        roles[code] |= SIGN * (char in "@:#")
    return roles


ROLES = _roles()


@njit(cache=True, nogil=True)
def plain(code):  # type: ignore[no-untyped-def]
    """Fold a full-width or mathematical character, dash or blank to ASCII; others are returned unchanged.

    The full-width comma is one of these: it separates numbers and is never a part of one.
    """
    if code < 0x80 or code == 0xFF0C:
        return code
    if 0xFF01 <= code <= 0xFF5E:
        return np.uint32(code - np.uint32(0xFEE0))
    if code == 0x3000 or code == 0xA0 or 0x2000 <= code <= 0x200A or code == 0x202F:
        return np.uint32(0x20)
    if 0x2010 <= code <= 0x2015 or code == 0x2212:
        return np.uint32(0x2D)
    if 0x1D7CE <= code <= 0x1D7FF:
        return np.uint32(0x30 + (code - np.uint32(0x1D7CE)) % np.uint32(10))
    return code


@njit(cache=True, nogil=True)
def lower(code):  # type: ignore[no-untyped-def]
    """Fold a character to plain and small."""
    code = plain(code)
    return np.uint32(code + np.uint32(32)) if 0x41 <= code <= 0x5A else code


@njit(cache=True, nogil=True)
def has_role(code, role):  # type: ignore[no-untyped-def]
    """Whether a character, after folding, has one of the given roles."""
    code = plain(code)
    return code < 0x80 and (ROLES[code] & role) != 0
