"""Write stages/kernels/bpe/characters.npz: what the installed tokenizers library knows of each code point.

Asks its regular expressions for categories, Han and white space, and its normaliser which characters NFC may change:
those that it changes alone, those that others are composed with, marks that it may reorder, and unassigned ones, which
another version may assign. Takes a minute.

Example: python -m scripts.maintenance.make_character_features
"""

from __future__ import annotations

import argparse
import unicodedata

import numpy as np
from tokenizers import Regex, normalizers, pre_tokenizers

from stages.kernels.bpe.characters import CATEGORIES, FEATURES_PATH, HAN, N_CODES, SPACE, UNSTABLE

CODES = np.array([code for code in range(N_CODES) if not 0xD800 <= code < 0xE000])
TEXT = "".join(map(chr, CODES))


def matched(pattern: str) -> np.ndarray:
    """Code points that a pattern of one character matches, bool (0x110000,)."""
    found = np.zeros(N_CODES, bool)
    split = pre_tokenizers.Split(Regex(f"(?:{pattern})+"), "removed", invert=True)
    for _, (start, end) in split.pre_tokenize_str(TEXT):
        found[CODES[start:end]] = True
    return found


def unstable(categories: np.ndarray) -> np.ndarray:
    """Code points that a text in form NFC may have to lose or move, bool (0x110000,); some too many.

    A mark may move if it changes places with one of the lowest or the highest class in canonical order.
    """
    nfc, nfd = normalizers.NFC(), normalizers.NFD()
    low, high = "\u0334", "\u0345"
    found = categories == CATEGORIES.index("Cn")
    for code in CODES.tolist():
        char = chr(code)
        parts = nfd.normalize_str(char)
        if parts != char:
            found[[ord(part) for part in parts[1:]]] = True
            found[code] |= nfc.normalize_str(char) != char
        elif CATEGORIES[categories[code]][0] == "M":
            moved = nfd.normalize_str(char + low)[0] == low or nfd.normalize_str(high + char)[0] == char
            found[code] |= moved or unicodedata.combining(char) > 0  # another version may move it
    found[[ord(low), ord(high)]] = True
    return found


def build_features() -> np.ndarray:
    """Ask the library about every code point: uint8 (0x110000,)."""
    features = np.full(N_CODES, CATEGORIES.index("Cn"), np.uint8)
    for i, name in enumerate(CATEGORIES):
        features[matched(rf"\p{{{name}}}")] = i
    categories = features.copy()
    features[matched(r"\p{Han}")] |= HAN
    features[matched(r"\s")] |= SPACE
    features[unstable(categories)] |= UNSTABLE
    return features


def main() -> None:
    """Build the table and write it."""
    argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]).parse_args()
    np.savez_compressed(FEATURES_PATH, features=build_features())


if __name__ == "__main__":
    main()
