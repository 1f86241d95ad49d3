"""Breaks in running text, and the breaks inside a range that are nearest to its ends.

A break is a position before a visible character, or the end of the text. Its strength states what ends there: a
sentence or line, a clause, a word, or nothing that can be seen. Between two characters of a script without blanks
(`Han|Han`) no break is visible, though a word may end there.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.lines import (
    CLOSER,
    SENTENCE,
    SENTENCE_BEFORE_BLANK,
    is_sentence_end,
    role,
)
from stages.kernels.text.tables import DIGIT, HAN, LATIN, MARK, NEWLINE, OTHER, PUNCT, SPACE

INSIDE_WORD, UNSEEN, WORD, CLAUSE, SENTENCE_OR_LINE = range(5)
"""Strengths of a break."""

LONGEST_TITLE = 3
"""Letters of a word with a capital and a full stop that is taken for an abbreviation: Mr., Fig., No."""


@nb.njit(cache=True, nogil=True)
def move_inwards(
    codes: np.ndarray,
    starts: np.ndarray,
    classes: np.ndarray,
    roles: np.ndarray,
    docs: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Move both ends of each range inwards to a break.

    The break is the strongest one within half the weight of a window (see `kernels.passages.anchors`), the nearest of
    equals; if all of that is inside one word, the next break. Where a range ends does not change the break at its
    begin unless the range is inside one word, so breaks are found before overlapping ranges are merged.

    Args: codes, starts, classes, of the view; roles, uint8 (0x10000,), see `kernels.text.lines`; docs, begins and ends,
    int64 (n_ranges,), text and position in codes; wide, bool (0x110000,), and the length of a window.
    Returns: int64 (n_ranges,) each, new begins and ends in codes; a new begin at or after the new end if no part of the
    range is between breaks.
    """
    half = np.int64(wide_chars) * narrow_chars // 2
    new_begins, new_ends = np.empty(len(docs), np.int64), np.empty(len(docs), np.int64)
    for i in range(len(docs)):
        low, high = starts[docs[i]], starts[docs[i] + 1]
        best, weight, p = INSIDE_WORD, np.int64(0), begins[i]
        new_begins[i] = ends[i]
        while p <= ends[i] and best < SENTENCE_OR_LINE and (weight < half or best == INSIDE_WORD):
            if p == high or not _is_blank(classes[p]):
                strength = strength_of(codes, classes, roles, p, low, high)
                if strength > best:
                    best, new_begins[i] = strength, p
            if p < ends[i]:
                weight += narrow_chars if wide[codes[p]] else wide_chars
            p += 1
        best, weight, p = INSIDE_WORD, np.int64(0), ends[i]
        new_ends[i] = begins[i]
        while p >= begins[i] and best < SENTENCE_OR_LINE and (weight < half or best == INSIDE_WORD):
            after = p
            if p == ends[i]:  # blanks after a range end it as they would begin it
                while after < high and _is_blank(classes[after]):
                    after += 1
            if after == high or not _is_blank(classes[after]):
                strength = strength_of(codes, classes, roles, after, low, high)
                if strength > best:
                    best, new_ends[i] = strength, p
            if p > begins[i]:
                weight += narrow_chars if wide[codes[p - 1]] else wide_chars
            p -= 1
    return new_begins, new_ends


@nb.njit(cache=True, nogil=True)
def _is_blank(char_class):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    return char_class == SPACE or char_class == NEWLINE


@nb.njit(cache=True, nogil=True)
def strength_of(codes, classes, roles, p, low, high):  # type: ignore[no-untyped-def]
    """Return the strength of the break before the visible character at p, or at the end of the text if p is `high`."""
    last, n_newlines = p, 0  # one past the visible character before the break
    while last > low and _is_blank(classes[last - 1]):
        n_newlines += classes[last - 1] == NEWLINE
        last -= 1
    if p == high or last == low:
        return SENTENCE_OR_LINE
    if n_newlines > 1 or (n_newlines and not _goes_on(codes, classes, last - 1, p)):
        return SENTENCE_OR_LINE
    is_joined = last == p
    if is_joined and (classes[p] == MARK or classes[p] == OTHER or classes[p - 1] == OTHER):
        return INSIDE_WORD
    if is_joined and _closes(codes, classes, roles, p):
        return UNSEEN
    if _ends_sentence(codes, classes, roles, last - 1, low, high) and not _is_lower(codes[p]):
        return SENTENCE_OR_LINE
    if _is_clause_mark(codes[last - 1]) and (not is_joined or classes[p] >= HAN or codes[last - 1] > 0x7F):
        return CLAUSE
    if not is_joined:
        return WORD
    before, after = classes[p - 1], classes[p]
    if before >= HAN and after >= HAN:
        return UNSEEN
    if before >= DIGIT and after >= DIGIT:  # 3年 is one word, 用Python is two
        return (
            INSIDE_WORD if before < HAN and after < HAN else UNSEEN if min(before, after) == DIGIT else WORD
        )
    return WORD if before >= HAN or after >= HAN else UNSEEN


@nb.njit(cache=True, nogil=True)
def _goes_on(codes, classes, i, p):  # type: ignore[no-untyped-def]
    """Whether the line that ends with the character at i is wrapped, and continues at p in the same sentence."""
    in_sentence = classes[i] >= DIGIT or _is_clause_mark(codes[i])
    return in_sentence and classes[i] < HAN and _is_lower(codes[p])


@nb.njit(cache=True, nogil=True)
def _closes(codes, classes, roles, p):  # type: ignore[no-untyped-def]
    """Whether the character at p belongs to what precedes it: a mark, a closing bracket or quote."""
    if classes[p] != PUNCT:
        return False
    return bool(role(roles, codes[p]) & (SENTENCE | SENTENCE_BEFORE_BLANK | CLOSER)) or _is_clause_mark(
        codes[p]
    )


@nb.njit(cache=True, nogil=True)
def _is_clause_mark(code):  # type: ignore[no-untyped-def]
    """Whether a character is a comma, an enumeration comma, a colon or a semicolon of either width."""
    if code < 0x80:
        return code == 0x2C or code == 0x3A or code == 0x3B
    return code == 0x3001 or code == 0xFF0C or code == 0xFF1A or code == 0xFF1B or code == 0xFF64


@nb.njit(cache=True, nogil=True)
def _is_lower(code):  # type: ignore[no-untyped-def]
    """Whether a character is a small letter of ASCII, Latin-1, Greek or Cyrillic."""
    if code < 0x80:
        return 0x61 <= code <= 0x7A
    return 0xDF <= code <= 0xFF or 0x3AC <= code <= 0x3CE or 0x430 <= code <= 0x45F


@nb.njit(cache=True, nogil=True)
def _ends_sentence(codes, classes, roles, i, low, high):  # type: ignore[no-untyped-def]
    """Whether a sentence ends with the character at i: in a mark, or in closing brackets and quotes after one."""
    while i > low and role(roles, codes[i]) & CLOSER:
        i -= 1
    marks = role(roles, codes[i]) if classes[i] == PUNCT else np.uint8(0)
    if not marks or not is_sentence_end(codes, classes, roles, marks, i, low, high):
        return False
    return codes[i] != 0x2E or not _is_abbreviation(codes, classes, i, low)


@nb.njit(cache=True, nogil=True)
def _is_abbreviation(codes, classes, i, low):  # type: ignore[no-untyped-def]
    """Whether the full stop at i follows an initial, a short title (Mr., Fig.) or the number of a list item."""
    first = i
    if i > low and classes[i - 1] == DIGIT:
        while first > low and classes[first - 1] == DIGIT:
            first -= 1
        k = first
        while k > low and classes[k - 1] == SPACE:
            k -= 1
        return k == low or classes[k - 1] == NEWLINE
    while first > low and (classes[first - 1] == LATIN or classes[first - 1] == MARK):
        first -= 1
    if first == i:
        return False
    return i - first == 1 or (i - first <= LONGEST_TITLE and not _is_lower(codes[first]))
