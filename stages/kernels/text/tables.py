"""Tables over code points: character classes, and the code points of match text.

Pure Python over `unicodedata` and OpenCC; `scripts/maintenance/make_tables.py` runs it once and ships the result as
`unicode_tables.npz`, so that neither the Python version nor an OpenCC release changes what a stage measures.

The Traditional to Simplified part of the fold table is derived from the character dictionaries of OpenCC
(https://github.com/BYVoid/OpenCC, Apache-2.0).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

N_CODES = 0x110000
TABLES_PATH = str(Path(__file__).with_name("unicode_tables.npz"))

OTHER = 0  # invisible: controls, format characters, variation selectors; never ends a word
SPACE = 1  # blanks inside a line: tab, no-break space, U+3000, zero-width space
NEWLINE = 2  # line breaks
PUNCT = 3  # general category P
SYMBOL = 4  # categories S and No, private use, unassigned
MARK = 5  # combining marks; they belong to the character before them
DIGIT = 6  # decimal digits of any script and width
LATIN = 7  # letters of the Latin script, full width too
LETTER = 8  # letters of other scripts that put blanks between words
HANGUL = 9  # Korean; blanks between words
HAN = 10  # ideographs, U+3005, U+3007; no blanks
KANA = 11  # hiragana, katakana and the prolonged sound mark; no blanks
UNSPACED = 12  # Thai, Lao, Khmer, Burmese and other scripts without blanks between words
"""The order matters: characters from DIGIT on belong to words, those from HAN on are words by themselves."""

_DROPPED = np.iinfo(np.int32).min  # fold_delta of a character that match text leaves out
_LINE_BREAKS = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
_BLANKS = frozenset("\t\x1c\x1d\x1e\x1f\u200b")  # U+200B: a word boundary without width in Thai and Khmer
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")  # invisible letters and marks
_HAN_NAMES = ("CJK", "IDEOGRAPHIC", "KANGXI RADICAL", "HANGZHOU NUMERAL", "TANGUT", "NUSHU", "KHITAN")
_KANA_NAMES = ("HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "KATAKANA-HIRAGANA", "HENTAIGANA")
_UNSPACED_NAMES = ("THAI", "LAO", "KHMER", "MYANMAR", "TAI", "NEW TAI", "JAVANESE", "BALINESE")


class Tables(NamedTuple):
    """Tables over all code points.

    classes: uint8 (0x110000,), the character class. fold: uint32 (0x110000,), the code point in match text, 0 for
    characters that match text leaves out. assigned: bool (0x110000,), whether Unicode had assigned the code point when
    the tables were built. All are read-only.
    """

    classes: np.ndarray
    fold: np.ndarray
    assigned: np.ndarray


@cache
def load_tables() -> Tables:
    """Load the shipped tables, once per process."""
    with np.load(TABLES_PATH) as stored:
        classes, delta, assigned = stored["classes"], stored["fold_delta"], stored["assigned"]
    fold = np.where(delta == _DROPPED, 0, np.arange(N_CODES) + delta).astype(np.uint32)
    tables = Tables(classes, fold, np.unpackbits(assigned, count=N_CODES).astype(bool))
    for table in tables:
        table.setflags(write=False)
    return tables


def build_tables(simplify: Callable[[str], str]) -> dict[str, np.ndarray]:
    """Compute the arrays to ship.

    Args: simplify, Traditional to Simplified conversion of one character.
    Returns: classes, uint8 (0x110000,); fold_delta, int32 (0x110000,), match code point minus code point, or _DROPPED;
    assigned, uint8 (0x22000,), packed bits. Differences compress ten times better than code points.
    """
    chars = [chr(code) for code in range(N_CODES)]
    fold = np.fromiter((fold_char(char, simplify) for char in chars), np.int64, N_CODES)
    return {
        "classes": np.fromiter((classify(char) for char in chars), np.uint8, N_CODES),
        "fold_delta": np.where(fold == 0, _DROPPED, fold - np.arange(N_CODES)).astype(np.int32),
        "assigned": np.packbits([unicodedata.category(char) != "Cn" for char in chars]),
    }


def classify(char: str) -> int:
    """Return the class of one character in the running version of Unicode."""
    category = unicodedata.category(char)
    if char in _LINE_BREAKS:
        return NEWLINE
    if category == "Zs" or char in _BLANKS:
        return SPACE
    if (
        category in ("Cc", "Cf", "Cs")
        or char in _FILLERS
        or "VARIATION SELECTOR" in unicodedata.name(char, "")
    ):
        return OTHER
    if category[0] == "P":
        return PUNCT
    if category[0] == "M":
        return MARK
    if category == "Nd":
        return DIGIT
    return _script(char, category)


def _script(char: str, category: str) -> int:
    """Return the class of a letter, a letter-like number or a symbol."""
    plain = unicodedata.normalize("NFKC", char)
    name = unicodedata.name(plain if len(plain) == 1 else char, "")
    if name.startswith(_HAN_NAMES) and (
        category in ("Lo", "Lm", "Nl") or "RADICAL" in unicodedata.name(char)
    ):
        return HAN
    if category == "Cn" and 0x20000 <= ord(char) <= 0x3FFFD:
        return HAN  # the planes that Unicode reserves for ideographs
    if category[0] != "L" and category != "Nl":
        return SYMBOL
    if name.startswith(_KANA_NAMES):
        return KANA
    if name.startswith("HANGUL"):
        return HANGUL
    if name.startswith(_UNSPACED_NAMES):
        return UNSPACED
    return LATIN if "LATIN" in name or "ROMAN NUMERAL" in name else LETTER


def fold_char(char: str, simplify: Callable[[str], str]) -> int:
    """Return the code point that replaces one character in match text, 0 for none.

    Width and compatibility forms are folded by NFKC, then case and Traditional forms, each if the result is one
    character. Blanks, punctuation, symbols and invisible characters are dropped; digits, marks and numbers are kept.
    """
    folded = _single(unicodedata.normalize("NFKC", char), char)
    for _ in range(3):  # a folded character must fold to itself
        folded = _single(unicodedata.normalize("NFKC", folded.lower()), folded)
        folded = _single(simplify(folded), folded) if classify(folded) == HAN else folded
    char_class, category = classify(folded), unicodedata.category(folded)
    return ord(folded) if char_class >= MARK or category == "No" else 0


def _single(text: str, otherwise: str) -> str:
    return text if len(text) == 1 else otherwise
