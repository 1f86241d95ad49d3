"""Where a text is Chinese: which code points may be turned from one script into the other.

Reads a text view; writes one flag per code point. Lines and runs in Japanese or Korean, code lines and fenced blocks
are out. What is Japanese is said by kana, in a line or around it, and where a line has none by characters that only one
of the two languages writes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from stages.kernels.code_lines import find_code, is_fence
from stages.kernels.text import HAN, HANGUL, KANA, MARK, NEWLINE, SPACE, TextView, load_tables

KANA_SHARE = 0.1
"""Of the Han and kana of a line: from here on the whole line is Japanese, as in classifiers.language. Japanese prose
has about half, Chinese with a Japanese name less."""

HAN_PER_WORD = 40
"""In a mostly Japanese document a line without kana is Chinese if one in so many of its Han characters is CHINESE."""

SURELY = 10
"""A document without kana in which CHINESE characters are so many times as frequent as JAPANESE ones has old forms (劒)
and no Japanese lines."""

CODE_HAN = 30
"""An indented line below code with more Han characters is prose."""

CHINESE, JAPANESE = 1, 2
"""What a character says by itself: that a line is Chinese, that it is Japanese."""

CHINESE_CHARS = "你您她們这這嗎吗呢吧哪麼么很沒讓让咱"
"""Pronouns and particles without which few Chinese sentences go, and which Japanese has in its character set and never
writes."""


@cache
def load_evidence() -> np.ndarray:
    """CHINESE, JAPANESE or 0 for each character below U+10000: uint8 (0x10000,).

    JAPANESE are Han characters of JIS X 0208 that neither GB 2312 nor Big5 has and that are no variant of a Traditional
    one (爲): new forms such as 駅 and 図, and those made in Japan. CHINESE are those of GB 2312 or Big5 that JIS X 0208
    does not have, and CHINESE_CHARS.
    """
    evidence, fold = np.zeros(0x10000, np.uint8), load_tables().fold
    for code in range(0x4E00, 0xA000):
        japanese, chinese = (
            any(_has(chr(code), name) for name in names) for names in (("euc_jp",), ("gb2312", "big5"))
        )
        if chinese and not japanese:
            evidence[code] = CHINESE
        elif japanese and not chinese and fold[code] == code:
            evidence[code] = JAPANESE
    evidence[[ord(char) for char in CHINESE_CHARS]] = CHINESE
    evidence.setflags(write=False)
    return evidence


def _has(char: str, charset: str) -> bool:
    """Whether a charset has a character; three bytes of EUC-JP are JIS X 0212, which has far more."""
    try:
        return len(char.encode(charset)) == 2
    except UnicodeEncodeError:
        return False


def chinese_mask(text: TextView) -> np.ndarray:
    """Which code points stand in Chinese text, its punctuation and Latin words included: bool (n_codes,).

    False for line breaks of what is left out, and for all of a line without Han.
    """
    lines = find_code(text)
    return _mask(*text, lines.is_code, lines.starts, load_evidence())


@njit(cache=True, nogil=True)
def _mask(codes, starts, classes, is_code, line_starts, evidence):  # type: ignore[no-untyped-def]  # numba infers types
    mask = np.zeros(len(codes), np.bool_)
    for doc in range(len(starts) - 1):
        first, n_lines = line_starts[doc], line_starts[doc + 1] - line_starts[doc]
        bounds = np.empty((n_lines, 2), np.int64)
        at = starts[doc]
        for line in range(n_lines):
            bounds[line, 0] = at
            while at < starts[doc + 1] and classes[at] != NEWLINE:
                at += 1
            bounds[line, 1] = at
            at += 1
        skipped = _fenced(codes, classes, bounds)
        _spread_code(codes, classes, bounds, is_code[first : first + n_lines], skipped)
        counts = np.zeros(
            (n_lines, 6), np.int64
        )  # Han, kana, Hangul; CHINESE, JAPANESE; Han and kana of runs with kana
        japanese, chinese = 0, 0
        for line in range(n_lines):
            if skipped[line]:
                continue
            _count(codes, classes, evidence, bounds[line, 0], bounds[line, 1], counts[line])
            if _is_japanese(counts[line]):
                japanese += counts[line, 0] + counts[line, 1]
            elif counts[line, 1] > 0 or counts[line, 3] > 0:
                chinese += counts[line, 0]
        total = counts.sum(axis=0)
        sure = total[1] == 0 and total[3] >= SURELY * total[4]  # old forms in a Chinese document
        for line in range(n_lines):
            if sure:
                counts[line, 4] = 0
            if _is_chinese(counts[line], japanese > chinese):
                end = min(bounds[line, 1] + 1, starts[doc + 1])
                mask[bounds[line, 0] : end] = True
                if counts[line, 1] > 0:
                    _leave_kana(classes, bounds[line, 0], bounds[line, 1], mask)
    return mask


@njit(cache=True, nogil=True)
def _count(codes, classes, evidence, at, end, counts):  # type: ignore[no-untyped-def]
    n_run, has_kana = 0, False
    for i in range(at, end):
        if classes[i] == HAN:
            counts[0] += 1
            if codes[i] < len(evidence):
                counts[3] += evidence[codes[i]] == CHINESE
                counts[4] += evidence[codes[i]] == JAPANESE
        elif classes[i] == KANA:
            counts[1] += 1
        elif classes[i] == HANGUL:
            counts[2] += 1
        if classes[i] == HAN or classes[i] == KANA or classes[i] == MARK:
            n_run += 1
            has_kana = has_kana or classes[i] == KANA
        else:
            counts[5] += n_run * has_kana
            n_run, has_kana = 0, False
    counts[5] += n_run * has_kana


@njit(cache=True, nogil=True)
def _is_japanese(counts):  # type: ignore[no-untyped-def]
    """Whether a line is Japanese by its kana, and no Chinese one that quotes some."""
    quotes = counts[3] > 0 and 2 * counts[5] < counts[0] + counts[1]
    return counts[1] > 0 and counts[1] >= KANA_SHARE * (counts[0] + counts[1]) and not quotes


@njit(cache=True, nogil=True)
def _is_chinese(counts, among_japanese):  # type: ignore[no-untyped-def]
    """Whether a line, among mostly Japanese ones or not, is Chinese."""
    if counts[0] == 0 or counts[2] > counts[0] or _is_japanese(counts):
        return False
    if among_japanese:
        return counts[3] * HAN_PER_WORD >= counts[0] and counts[3] > 0
    return counts[4] == 0 or counts[3] > 0 or counts[1] > 0


@njit(cache=True, nogil=True)
def _leave_kana(classes, at, end, mask):  # type: ignore[no-untyped-def]
    """Take out runs of Han and kana that have kana: Japanese names and words in a Chinese line."""
    while at < end:
        start, kana = at, False
        while at < end and (classes[at] == HAN or classes[at] == KANA or classes[at] == MARK):
            kana = kana or classes[at] == KANA
            at += 1
        if kana:
            mask[start:at] = False
        at = max(at, start + 1)


@njit(cache=True, nogil=True)
def _fenced(codes, classes, bounds):  # type: ignore[no-untyped-def]
    """Lines of closed fenced blocks of Markdown, fences included: bool (n_lines,)."""
    fenced, opened = np.zeros(len(bounds), np.bool_), -1
    for line in range(len(bounds)):
        at, end = bounds[line, 0], bounds[line, 1]
        if not is_fence(codes, classes, at, end):
            continue
        if opened < 0:
            opened = line
        elif _closes(codes, classes, at, end, bounds[opened, 0], bounds[opened, 1]):
            fenced[opened : line + 1] = True
            opened = -1
    return fenced


@njit(cache=True, nogil=True)
def _closes(codes, classes, at, end, opened, opened_end):  # type: ignore[no-untyped-def]
    """Whether a fence ends the block that another opened: the same mark at least as often, and nothing else."""
    while classes[opened] == SPACE:
        opened += 1
    mark, n_opened, n = codes[opened], 0, 0
    while opened < opened_end and codes[opened] == mark:
        n_opened += 1
        opened += 1
    for i in range(at, end):
        if codes[i] != mark and classes[i] != SPACE:
            return False
        n += codes[i] == mark
    return n >= n_opened


@njit(cache=True, nogil=True)
def _spread_code(codes, classes, bounds, is_code, skipped):  # type: ignore[no-untyped-def]
    """Skip code lines, what is indented below one, and comments beside one; what stands alone may be prose."""
    for line in range(len(bounds)):
        skipped[line] = skipped[line] or is_code[line]
        at, end = bounds[line, 0], bounds[line, 1]
        if not skipped[line] and line > 0 and skipped[line - 1] and at < end:
            indented = classes[at] == SPACE and _n_han(classes, at, end) <= CODE_HAN
            skipped[line] = indented or _is_comment(codes, classes, at, end)
    for line in range(len(bounds) - 2, -1, -1):
        if not skipped[line] and is_code[line + 1]:
            skipped[line] = _is_comment(codes, classes, bounds[line, 0], bounds[line, 1])


@njit(cache=True, nogil=True)
def _n_han(classes, at, end):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(at, end):
        n += classes[i] == HAN
    return n


@njit(cache=True, nogil=True)
def _is_comment(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line begins as comments do: `#`, `//`, `/*`, `*`, `--`."""
    while at < end and classes[at] == SPACE:
        at += 1
    if at + 1 >= end:
        return False
    first, second = codes[at], codes[at + 1]
    if first == ord("#") or first == ord("*"):
        return True
    return (first == ord("/") and (second == ord("/") or second == ord("*"))) or (
        first == ord("-") and second == first
    )
