"""Which code points of a text are Chinese, so that they may be converted between Traditional and Simplified script.

Reads a text view; writes one flag per code point. Lines and runs in Japanese or Korean, code lines and fenced blocks
are excluded. Japanese is detected from kana, in a line or around it, and in lines without kana from characters that
only one of the two languages uses.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from stages.kernels.code.lines import find_code, is_fence
from stages.kernels.text.text import HAN, HANGUL, KANA, MARK, NEWLINE, SPACE, TextView, load_tables

KANA_SHARE = 0.1
"""Least share of kana among the Han and kana of a Japanese line, as in classifiers.language. Japanese prose has about
one half, Chinese with a Japanese name less than this."""

HAN_PER_WORD = 40
"""A line without kana in a mostly Japanese document is Chinese if at least 1 in 40 Han characters is CHINESE."""

SURELY = 10
"""A document without kana in which CHINESE characters are at least ten times as frequent as JAPANESE ones has no
Japanese lines; its JAPANESE characters are old forms (劒)."""

CODE_HAN = 30
"""Most Han characters of an indented line below code that is skipped with the code; a line with more is prose."""

CHINESE, JAPANESE = 1, 2
"""Evidence of a single character: that its line is Chinese, that it is Japanese."""

CHINESE_CHARS = "你您她們这這嗎吗呢吧哪麼么很沒讓让咱"
"""Pronouns and particles that most Chinese sentences contain; Japanese has them in its character set but does not use
them."""


@cache
def load_evidence() -> np.ndarray:
    """Load the evidence of each character below U+10000, CHINESE, JAPANESE or 0: uint8 (0x10000,).

    JAPANESE are Han characters of JIS X 0208 that are neither in GB 2312 nor in Big5 and are no variant of a
    Traditional character (爲): new forms such as 駅 and 図, and characters created in Japan. CHINESE are those of GB
    2312 or Big5 that are not in JIS X 0208, and CHINESE_CHARS.
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
    """Whether a charset contains a character. Three bytes of EUC-JP are the larger JIS X 0212 and do not count."""
    try:
        return len(char.encode(charset)) == 2
    except UnicodeEncodeError:
        return False


def chinese_mask(text: TextView) -> np.ndarray:
    """Return which code points belong to Chinese text, including its punctuation and Latin words: bool (n_codes,).

    Lines without Han characters are not Chinese. A line break belongs to the line before it.
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
        has_old_forms = total[1] == 0 and total[3] >= SURELY * total[4]
        for line in range(n_lines):
            if has_old_forms:
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
    """Whether a line is Japanese by its kana, and not a Chinese line that quotes Japanese."""
    quotes = counts[3] > 0 and 2 * counts[5] < counts[0] + counts[1]
    return counts[1] > 0 and counts[1] >= KANA_SHARE * (counts[0] + counts[1]) and not quotes


@njit(cache=True, nogil=True)
def _is_chinese(counts, among_japanese):  # type: ignore[no-untyped-def]
    """Whether a line is Chinese; among_japanese if most lines of its document are Japanese."""
    if counts[0] == 0 or counts[2] > counts[0] or _is_japanese(counts):
        return False
    if among_japanese:
        return counts[3] * HAN_PER_WORD >= counts[0] and counts[3] > 0
    return counts[4] == 0 or counts[3] > 0 or counts[1] > 0


@njit(cache=True, nogil=True)
def _leave_kana(classes, at, end, mask):  # type: ignore[no-untyped-def]
    """Exclude runs of Han and kana that contain kana: Japanese names and words in a Chinese line."""
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
    """Return which lines belong to closed fenced blocks of Markdown, including the fences: bool (n_lines,)."""
    in_fence, opened = np.zeros(len(bounds), np.bool_), -1
    for line in range(len(bounds)):
        at, end = bounds[line, 0], bounds[line, 1]
        if not is_fence(codes, classes, at, end):
            continue
        if opened < 0:
            opened = line
        elif _closes(codes, classes, at, end, bounds[opened, 0], bounds[opened, 1]):
            in_fence[opened : line + 1] = True
            opened = -1
    return in_fence


@njit(cache=True, nogil=True)
def _closes(codes, classes, at, end, opened, opened_end):  # type: ignore[no-untyped-def]
    """Whether a fence closes the block of an earlier one: the same mark at least as often, and nothing else."""
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
    """Skip code lines, lines indented below them and comments beside them; a comment by itself may be prose."""
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
    """Whether a line begins like a comment: `#`, `//`, `/*`, `*`, `--`."""
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
