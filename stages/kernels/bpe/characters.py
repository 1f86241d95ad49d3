r"""What regular expressions of the tokenizers library ask of a character: general category, Han, white space.

The library matches with Oniguruma and normalises with tables of its own, each of its own version of Unicode, so the
table is taken from the library: `scripts/maintenance/make_character_features.py` asks it about every code point and
ships the answers as `characters.npz`; a test compares them with the installed version."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import numpy as np

N_CODES = 0x110000
FEATURES_PATH = str(Path(__file__).with_name("characters.npz"))

CATEGORIES = (
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
    "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn",
)  # fmt: skip
"""General categories, in the order of their numbers; Cn has surrogates too, which no text holds."""

HAN, SPACE, UNSTABLE = 32, 64, 128
"""Bits beside the number of the category. UNSTABLE: a text with this character may not be in form NFC."""


@cache
def load_features() -> np.ndarray:
    """The shipped features: uint8 (0x110000,), number of the category | HAN | SPACE | UNSTABLE; read-only."""
    with np.load(FEATURES_PATH) as stored:
        features = stored["features"]
    features.setflags(write=False)
    return features


@cache
def feature_runs() -> np.ndarray:
    """Code points at which the features change, int64 (n_runs,), 0 first."""
    return np.flatnonzero(np.diff(load_features(), prepend=0xFF)).astype(np.int64)


def with_property(name: str, features: np.ndarray) -> np.ndarray | None:
    r"""Which features `\p{name}` matches, bool of their shape; None for a property that is not in the table."""
    if name == "Han":
        return (features & HAN) != 0
    members = [i for i, category in enumerate(CATEGORIES) if name in (category, category[0])]
    return np.isin(features & 31, members) if members else None


def spelled_with(some: bytes) -> np.ndarray:
    """Characters whose UTF-8 has one of some bytes, bool (0x110000,)."""
    listed = np.zeros(256, bool)
    listed[list(some)] = True
    codes = np.arange(N_CODES)
    found = listed[np.minimum(codes, 0x7F)] & (codes < 0x80)
    edges = (0x80, 0x800, 0x10000, N_CODES)
    for n, (low, high) in enumerate(itertools.pairwise(edges), 1):
        wide = codes[low:high]
        lead = (0x1F80 >> n) & 0xFF | wide >> (6 * n)
        found[low:high] |= listed[lead]
        for i in range(n):
            found[low:high] |= listed[0x80 | wide >> (6 * i) & 0x3F]
    return found
