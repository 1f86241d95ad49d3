"""Marks of worked solutions: find the few positions in a batch at which patterns have to be matched.

Takes the decoded view of a batch. A kernel scans all characters for lines, sentences and brackets that begin with a
known head; patterns are matched at these positions only, so that a document without marks costs one scan of its
characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.patterns.furniture import match_char, match_lines
from stages.kernels.text.hashing import ODD_A, ODD_B, step
from stages.kernels.text.tables import DIGIT, HAN, LATIN, NEWLINE, SPACE, load_tables

WINDOW_CHARS = 72  # text passed to a pattern, enough for the longest mark: a header with a remark in brackets
DECORATION_CHARS = 12  # list markers, brackets, emphasis, numbers before the word of a mark
HEAD_CHARS = 4
N_SLOTS = 1024
RESULT_CHARS = 24
HASH_MARK, LESS = ord("#"), ord("<")

BEFORE = 1  # a segment begins after this character
BEFORE_BLANK = 2  # it begins after this character and a blank
AT = 4  # it begins at this character
_BREAKS = {BEFORE: "。！？!?；;．：>〉》】]）", BEFORE_BLANK: ".:)", AT: "【[<〖{\\"}


class Mark(NamedTuple):
    """One mark in a document. begin: offset of its decorations; start, end: of its word; in code points."""

    begin: int
    start: int
    end: int
    role: str


def break_table() -> np.ndarray:
    """Return how characters begin segments: uint8 (0x10000,), bits BEFORE, BEFORE_BLANK and AT."""
    table = np.zeros(0x10000, np.uint8)
    for bit, chars in _BREAKS.items():
        for char in chars:
            table[ord(char)] |= bit
    return table


def head_table(heads: Iterable[str]) -> np.ndarray:
    """Return a hash set of heads: uint64 (1024,), 0 in free slots."""
    keys = np.zeros(N_SLOTS, np.uint64)
    for head in heads:
        key = ODD_B
        n_chars = 2 if load_tables().classes[ord(head[0])] >= HAN else HEAD_CHARS
        for char in head[:n_chars]:
            key = np.uint64(step(key, np.uint32(ord(char)), ODD_A))
        slot = int(key >> np.uint64(54))
        while keys[slot] not in (0, key):
            slot = (slot + 1) % N_SLOTS
        keys[slot] = key
    return keys


@njit(cache=True, nogil=True)
def _has(keys, key):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Whether a hash set contains a key."""
    slot = np.int64(key >> np.uint64(54))
    while keys[slot]:
        if keys[slot] == key:
            return True
        slot = (slot + 1) % len(keys)
    return False


@njit(cache=True, nogil=True)
def _head_at(codes, classes, fold, i, end, keys):  # type: ignore[no-untyped-def]
    """Whether there is a head at i: two Han characters, a single one, or up to four letters of a word."""
    key = ODD_B
    if classes[i] >= HAN:
        key = step(key, match_char(codes[i], fold), ODD_A)
        if i + 1 < end and classes[i + 1] >= HAN:
            key = step(key, match_char(codes[i + 1], fold), ODD_A)
        return _has(keys, key)
    for k in range(i, min(i + HEAD_CHARS, end)):
        if not LATIN <= classes[k] < HAN:
            break
        key = step(key, match_char(codes[k], fold), ODD_A)
    return _has(keys, key)


@njit(cache=True, nogil=True)
def _result_at(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Whether a result line as in GSM8K begins at i: four hash marks, a blank, a number and no words."""
    for k in range(i, i + 4):
        if k >= end or codes[k] != HASH_MARK:
            return False
    seen = False
    for k in range(i + 4, min(i + RESULT_CHARS, end)):
        if classes[k] == NEWLINE or codes[k] == LESS:
            return seen
        if classes[k] > DIGIT or codes[k] == HASH_MARK:
            return False
        seen = seen or classes[k] == DIGIT
    return seen


@njit(cache=True, nogil=True)
def find_places(codes, starts, classes, fold, breaks, keys):  # type: ignore[no-untyped-def]
    """Find the segments of all texts that begin with a head.

    Args: codes, uint32 (n_codes,), starts, int64 (n_docs + 1,), and classes, uint8 (n_codes,), of the decoded view;
    fold, of the tables; breaks, from `break_table`; keys, from `head_table`.
    Returns: int64 (n_places, 3): index of the text, offset in codes of the decorations, offset of the word.
    """
    places = np.empty((64, 3), np.int64)
    n_places = 0
    for doc in range(len(starts) - 1):
        end = starts[doc + 1]
        fresh = True  # a segment begins here
        last = -1
        previous = np.uint8(NEWLINE)
        for i in range(starts[doc], end):
            char_class = classes[i]
            spaced = previous == SPACE and char_class >= HAN  # no blanks inside a Chinese sentence
            previous = char_class
            if char_class >= LATIN and not (fresh or spaced):
                continue
            kind = breaks[codes[i]] if codes[i] < 0x10000 else np.uint8(0)
            if not (fresh or spaced or kind & AT):
                fresh = char_class == NEWLINE or bool(kind & BEFORE)
                if char_class == SPACE and i > starts[doc] and codes[i - 1] < 0x10000:
                    fresh = bool(breaks[codes[i - 1]] & BEFORE_BLANK)
                continue
            if char_class <= NEWLINE:
                continue
            fresh = bool(kind & BEFORE)
            k = i
            while k < min(i + DECORATION_CHARS, end) and classes[k] < LATIN and classes[k] != NEWLINE:
                if _result_at(codes, classes, k, end):
                    break
                k += 1
            if k == end or k == last or classes[k] == NEWLINE:
                continue
            is_result = codes[k] == HASH_MARK and _result_at(codes, classes, k, end)
            if is_result or (classes[k] >= LATIN and _head_at(codes, classes, fold, k, end, keys)):
                if n_places == len(places):
                    places = np.concatenate((places, np.empty_like(places)))
                places[n_places] = (doc, i, k)
                n_places += 1
                last = k
    return places[:n_places]


@njit(cache=True, nogil=True)
def find_asking(codes, starts, classes):  # type: ignore[no-untyped-def]
    """Find the lines that may begin a question without a mark.

    These are headings, items, quotations and bold type that end in a question mark, and a quotation, a link or what
    may state a task below a heading.

    Args: codes, uint32 (n_codes,), starts, int64 (n_docs + 1,), and classes, uint8 (n_codes,), of the decoded view.
    Returns: int64 (n_lines, 2): index of the text, offset in it of the first visible character.
    """
    found = np.empty((64, 2), np.int64)
    n_found = 0
    for doc in range(len(starts) - 1):
        first = before = last = np.uint32(
            0
        )  # the first visible character of this line and of the line before, the last
        begin = begin_before = np.int64(0)
        end = starts[doc + 1]
        for i in range(starts[doc], end + 1):
            char_class = classes[i] if i < end else np.uint8(NEWLINE)
            if char_class == NEWLINE:
                if not first:
                    continue
                place = np.int64(-1)
                if last == 63 or last == 65311:  # a question mark
                    if _may_ask(first):
                        place = begin
                    elif 48 <= before <= 57:
                        place = begin_before
                elif before == 35 and (first == 62 or first == 91 or _may_task(first)):
                    place = begin
                if place >= 0:
                    if n_found == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[n_found] = (doc, place - starts[doc])
                    n_found += 1
                before, begin_before = first, begin
                first = last = np.uint32(0)
            elif char_class != SPACE and char_class != 0:
                code = codes[i]
                if not first:
                    first, begin = code, np.int64(i)
                if not (code == 42 or code == 95 or code == 41 or code == 65289 or code == 34 or code == 96):
                    last = code
    return found[:n_found]


@njit(cache=True, nogil=True)
def _may_ask(code):  # type: ignore[no-untyped-def]
    """Whether a heading, an item, a quotation or bold type may begin with a character: # * _ ( ( - [ > or a digit."""
    return (
        code == 35 or code == 42 or code == 95 or code == 40 or code == 65288 or code == 45 or code == 62
        or code == 91 or 48 <= code <= 57
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _may_task(code):  # type: ignore[no-untyped-def]
    """Whether the statement of a task may begin with a character, as in Given, Find, Write, 给定, 求, 编写."""
    return (
        code == 71 or code == 70 or code == 87 or code == 73 or code == 68 or code == 89
        or code == 0x7ED9 or code == 0x6C42 or code == 0x7F16 or code == 0x5B9E or code == 0x8BBE or code == 0x5199
        or code == 0x7D66 or code == 0x7DE8 or code == 0x5BE6 or code == 0x8A2D or code == 0x5BEB
    )  # fmt: skip


def read_marks(
    codes: np.ndarray, starts: np.ndarray, places: np.ndarray, pattern: re.Pattern[str]
) -> Iterator[tuple[int, list[Mark]]]:
    """Match the pattern of marks at the positions found.

    Args: codes, uint32 (n_codes,); starts, int64 (n_docs + 1,); places, int64 (n_places, 3), of `find_places`.
    Yields: index of a text and its marks in order, for texts with marks.
    """
    if not len(places):
        return
    fold = load_tables().fold
    doc, begin, word = places.T
    slash = (word > starts[doc]) & (codes[np.maximum(word - 1, 0)] == ord("/"))  # of a closing tag
    word = word - slash
    ends = np.minimum(word + WINDOW_CHARS, starts[doc + 1])
    text = match_lines(codes, fold, np.stack([doc, word, ends], 1)).tobytes().decode("utf-32-le")
    cuts = np.cumsum(ends - word).tolist()
    marks: list[Mark] = []
    current = -1
    firsts, words = (begin - starts[doc]).tolist(), (word - starts[doc]).tolist()
    for number, first, start, cut, limit in zip(
        doc.tolist(), firsts, words, [0, *cuts[:-1]], cuts, strict=True
    ):
        if number != current:
            if marks:
                yield current, marks
            marks, current = [], number
        match = pattern.match(text, cut, limit)
        if match and match.lastgroup:
            marks.append(Mark(first, start, start + match.end() - cut, match.lastgroup))
    if marks:
        yield current, marks


def match_text(codes: np.ndarray, start: int, end: int) -> str:
    """Return codes[start:end] as a string of match characters, of the same length; codes, uint32 (n_codes,)."""
    return match_lines(codes, load_tables().fold, np.array([[0, start, end]])).tobytes().decode("utf-32-le")
