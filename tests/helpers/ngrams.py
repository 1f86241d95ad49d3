"""Tokens and hashes of the n-gram models in plain Python, from their definition."""

from __future__ import annotations

import re

from stages.kernels.text.tables import load_tables

MASK = (1 << 64) - 1
ODD_A, ODD_B = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95
CLASS_LETTERS = "osnpym0LlhHKU"  # one letter for each class, in the order of kernels.text.tables
TOKEN = re.compile(
    r"(?P<unit>[HKU][mo]*|[0Llh](?:[0Llhmo]|(?<=[Ll])'(?=[Ll]))*)|(?P<line>n[ns]*)|(?P<mark>[py'])|(?P<stray>[mo])"
)


def mix(value: int) -> int:
    """SplitMix64's finaliser on Python integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def unit_key(codes: list[int]) -> int:
    """Hash of a unit's match text."""
    fold, state = load_tables().fold, ODD_B
    for code in codes:
        if fold[code]:
            state = ((state ^ int(fold[code])) * ODD_A) & MASK
            state ^= state >> 32
    return mix(state) | 1
