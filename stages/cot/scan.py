"""Scan a batch for lines and for the few positions at which a mark may begin.

Takes the decoded view of a batch; kernels return positions. Of all characters only line breaks, punctuation and some
blanks matter, so a first pass without branches collects those, and everything after it reads these alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.patterns.furniture import match_char
from stages.kernels.text.hashing import ODD_A, ODD_B, step
from stages.kernels.text.tables import DIGIT, HAN, LATIN, NEWLINE, PUNCT, SPACE, SYMBOL, load_tables

DECORATION_CHARS = 12  # list markers, brackets, emphasis, numbers before the word of a mark
HEAD_CHARS = 4
N_SLOTS = 1024
SLOT_BITS = 54
N_CODES = 0x10000  # of tables by code point; no head and no sign is beyond it
RESULT_CHARS = 24
HASH_MARK, LESS, QUOTE = ord("#"), ord("<"), ord(">")
ITEM_LINES = 10  # at most, of an item that asks
LINE_FEED, RETURN, BLANK = 10, 13, 32
ONE, TWO = np.uint64(1), np.uint64(2)

BEFORE = 1  # a segment begins after this character
BEFORE_BLANK = 2  # it begins after this character and a blank
AT = 4  # it begins at this character
_BREAKS = {BEFORE: "。！？!?；;．：>〉》】]）", BEFORE_BLANK: ".:)", AT: "【[<〖{\\"}


class Heads(NamedTuple):
    """How marks begin.

    keys: uint64 (1024,), a hash set of heads, 0 in free slots. firsts: bool (0x10000,), whether a head begins with a
    character as written.
    """

    keys: np.ndarray
    firsts: np.ndarray


@cache
def break_table() -> np.ndarray:
    """Return how characters begin segments: uint8 (0x10000,), bits BEFORE, BEFORE_BLANK and AT."""
    table = np.zeros(N_CODES, np.uint8)
    for bit, chars in _BREAKS.items():
        for char in chars:
            table[ord(char)] |= bit
    return table


def head_tables(heads: Iterable[str]) -> Heads:
    """Return the tables of heads: two Han characters, up to four letters, or such a word, a blank and a letter."""
    heads = list(heads)
    keys = np.zeros(N_SLOTS, np.uint64)
    for head in heads:
        n_chars = 2 if load_tables().classes[ord(head[0])] >= HAN else HEAD_CHARS
        word, _, after = head.partition(" ")
        key = ODD_B
        for char in word[:n_chars] + (" " + after[0] if after else ""):
            key = np.uint64(step(key, np.uint32(ord(char)), ODD_A))
        slot = int(key >> np.uint64(SLOT_BITS))
        while keys[slot] not in (0, key):
            slot = (slot + 1) % N_SLOTS
        keys[slot] = key
    fold = load_tables().fold[:N_CODES]
    folded = np.where(fold == 0, np.arange(N_CODES), fold)
    return Heads(keys, np.isin(folded, [ord(head[0]) for head in heads]))


class Signs(NamedTuple):
    """Positions of a batch, each int32, ascending.

    begins: where a segment may begin, blanks before it included; some are repeated. breaks: of line breaks.
    """

    begins: np.ndarray
    breaks: np.ndarray


@njit(cache=True, nogil=True)
def _find_signs(classes, starts):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Positions of line breaks, punctuation, symbols, and blanks after or before what may matter, and starts of texts.

    The first loop has no branches, so that it becomes vector operations.
    """
    n_codes = len(classes)
    flags = np.zeros(n_codes, np.bool_)
    for i in range(1, n_codes - 1):
        char_class = classes[i]
        is_sign = (char_class >= NEWLINE) & (char_class <= SYMBOL)
        flags[i] = is_sign | ((char_class == SPACE) & ((classes[i - 1] == PUNCT) | (classes[i + 1] >= HAN)))
    if n_codes:
        flags[n_codes - 1] = True
    for doc in range(len(starts) - 1):
        if starts[doc] < n_codes:
            flags[starts[doc]] = True
    signs = np.empty(n_codes, np.int32)
    n_signs = 0
    for i in range(n_codes):
        signs[n_signs] = i
        n_signs += flags[i]
    return signs[:n_signs]


@njit(cache=True, nogil=True)
def _find_begins(codes, classes, signs, bits):  # type: ignore[no-untyped-def]
    """Positions behind or at signs at which segments begin, and those of line breaks; no branches, as above.

    A blank at the start of a text may count as one after the end of the text before: its segment begins there anyhow.
    """
    begins, breaks = np.empty(len(signs), np.int32), np.empty(len(signs), np.int32)
    n_begins = n_breaks = 0
    last = np.uint64(len(codes) - 1)
    for n in range(len(signs)):
        i = np.uint64(signs[n])
        before, after = max(i, ONE) - ONE, min(i + ONE, last)
        char_class = classes[i]
        own = bits[codes[i] if codes[i] < N_CODES else np.uint32(0)]
        is_break = char_class == NEWLINE
        is_blank = (char_class == SPACE) & (
            (classes[after] >= HAN)
            | ((bits[codes[before] if codes[before] < N_CODES else np.uint32(0)] & BEFORE_BLANK) > 0)
        )
        is_at = (own & AT) > 0
        begins[n_begins] = i + np.uint64(not is_at)
        n_begins += is_break | is_blank | is_at | ((own & BEFORE) > 0)
        breaks[n_breaks] = i
        n_breaks += is_break
    return begins[:n_begins], breaks[:n_breaks].copy()


def find_signs(codes: np.ndarray, starts: np.ndarray, classes: np.ndarray) -> Signs:
    """Find where segments may begin, and the line breaks.

    Args: codes, uint32 (n_codes,), starts, int64 (n_docs + 1,), and classes, uint8 (n_codes,), of the decoded view of a
    batch of fewer than 2**31 characters.
    """
    return Signs(*_find_begins(codes, classes, _find_signs(classes, starts), break_table()))


@njit(cache=True, nogil=True)
def find_places(codes, starts, classes, begins, fold, keys, firsts):  # type: ignore[no-untyped-def]
    """Find the segments of all texts that begin with a head.

    Args: codes, starts, classes, of the decoded view; begins, of `find_signs`; fold, of the tables; keys and firsts,
    from `head_tables`.
    Returns: int64 (n_places, 3): index of the text, offset in codes of the decorations, offset of the word.
    """
    places = np.empty(
        (len(begins) + len(starts), 3), np.int64
    )  # an upper bound; untouched pages cost nothing
    n_places = n = 0
    for doc in range(len(starts) - 1):
        begin, end = np.uint64(starts[doc]), np.uint64(starts[doc + 1])
        done, last = end, end  # the last begin and the last word read; end for none
        while True:
            while begin < end and classes[begin] <= NEWLINE:
                begin += ONE
            if begin < end and begin != done:
                done, word = begin, begin
                stop = min(begin + np.uint64(DECORATION_CHARS), end)
                while word < stop and classes[word] < LATIN and classes[word] != NEWLINE:
                    if codes[word] == HASH_MARK and _result_at(codes, classes, word, end):
                        break
                    word += ONE
                if word < end and word != last:
                    if classes[word] < LATIN:
                        is_mark = codes[word] == HASH_MARK and _result_at(codes, classes, word, end)
                    elif codes[word] < N_CODES and firsts[codes[word]]:
                        is_mark = _head_at(codes, classes, fold, word, end, keys)
                    else:
                        is_mark = False
                    if is_mark:
                        places[n_places, 0], places[n_places, 1], places[n_places, 2] = doc, begin, word
                        n_places += 1
                        last = word
            if n == len(begins) or np.uint64(begins[n]) >= end:
                break
            begin = np.uint64(begins[n])
            n += 1
    return places[:n_places].copy()


@njit(cache=True, nogil=True)
def _has(keys, key):  # type: ignore[no-untyped-def]
    """Whether a hash set contains a key."""
    slot = key >> np.uint64(SLOT_BITS)
    while keys[slot]:
        if keys[slot] == key:
            return True
        slot = (slot + ONE) & np.uint64(N_SLOTS - 1)
    return False


@njit(cache=True, nogil=True)
def _head_at(codes, classes, fold, i, end, keys):  # type: ignore[no-untyped-def]
    """Whether there is a head at i: two Han characters, a single one, or up to four letters of a word.

    A single letter is one only before a sign, as in `Q:`; a word of up to four letters may need the letter that begins
    the next word, as in `the answer`.
    """
    key = step(ODD_B, match_char(codes[i], fold), ODD_A)
    k = i + ONE
    if classes[i] >= HAN:
        if k < end and classes[k] >= HAN:
            key = step(key, match_char(codes[k], fold), ODD_A)
        return _has(keys, key)
    stop = min(i + np.uint64(HEAD_CHARS), end)
    while k < stop and LATIN <= classes[k] < HAN:
        key = step(key, match_char(codes[k], fold), ODD_A)
        k += ONE
    follows = k + ONE < end and classes[k] == SPACE and LATIN <= classes[k + ONE] < HAN
    is_letter = k == i + ONE
    if is_letter and (follows or (k < end and classes[k] >= LATIN)):
        return False
    if _has(keys, key):
        return True
    if not follows:
        return False
    key = step(step(key, np.uint32(BLANK), ODD_A), match_char(codes[k + ONE], fold), ODD_A)
    return _has(keys, key)


@njit(cache=True, nogil=True)
def _result_at(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Whether a result line as in GSM8K begins at i: four hash marks, a blank, a number and no words."""
    for k in range(i, i + np.uint64(4)):
        if k >= end or codes[k] != HASH_MARK:
            return False
    seen = False
    for k in range(i + np.uint64(4), min(i + np.uint64(RESULT_CHARS), end)):
        if classes[k] == NEWLINE or codes[k] == LESS:
            return seen
        if classes[k] > DIGIT or codes[k] == HASH_MARK:
            return False
        seen = seen or classes[k] == DIGIT
    return seen


class Lines(NamedTuple):
    """The lines of a batch that have a visible character other than `>`.

    lines: int32 (n_lines, 4): start and end of the visible part, relative to the text; number of line breaks since the
    line before; first visible character. starts: int64 (n_docs + 1,), the first line of each text. fences: int32
    (n_fences,), the lines of all texts that begin with a character that may open or close code. asking: int64
    (n_asking, 4), the lines that may begin a question without a mark: index of the text, offset in it; start and end in
    codes of what such a question may consist of.
    """

    lines: np.ndarray
    starts: np.ndarray
    fences: np.ndarray
    asking: np.ndarray

    def of(self, doc: int) -> tuple[np.ndarray, list[int]]:
        """Return the lines of one text, int32 (n_lines, 4), and which of them may open or close code."""
        first, last = self.starts[doc], self.starts[doc + 1]
        low, high = np.searchsorted(self.fences, (first, last))
        return self.lines[first:last], (self.fences[low:high] - first).tolist()


@njit(cache=True, nogil=True)
def _find_lines(codes, starts, classes, breaks):  # type: ignore[no-untyped-def]
    """Find the lines of all texts; see `Lines`. Of `asking` the third column is the index of the line."""
    n_most = len(breaks) + len(starts)  # untouched pages cost nothing
    lines, asking = np.empty((n_most, 4), np.int32), np.empty((n_most, 4), np.int64)
    fences = np.empty(n_most, np.int32)
    line_starts = np.zeros(len(starts), np.int64)
    n_lines = n_fences = n_asking = n = 0
    for doc in range(len(starts) - 1):
        start, end = np.uint64(starts[doc]), np.uint64(starts[doc + 1])
        first_before = np.uint32(0)  # of the line before, its first visible character, its offset and index
        place_before = index_before = np.int64(0)
        begin, n_breaks = start, 0
        while begin < end:
            while n < len(breaks) and np.uint64(breaks[n]) < begin:
                n += 1
            stop = min(np.uint64(breaks[n]), end) if n < len(breaks) else end
            first, last = begin, stop
            while first < stop and classes[first] <= SPACE:
                first += ONE
            while last > first and classes[last - ONE] <= SPACE:
                last -= ONE
            if first < last:
                char = codes[first]
                place, index = np.int64(first - start), np.int64(-1)
                asks = _asks(codes, classes, first, last)
                if asks and _may_ask(char):
                    index = np.int64(n_lines)
                elif asks and 48 <= first_before <= 57:
                    place, index = place_before, index_before
                elif not asks and first_before == HASH_MARK and _may_task(char):
                    index = np.int64(n_lines)
                if index >= 0:
                    asking[n_asking] = (doc, place, index, 0)
                    n_asking += 1
                first_before, place_before, index_before = char, np.int64(first - start), np.int64(n_lines)
                if not _is_empty_quote(codes, classes, first, last):
                    lines[n_lines, 0], lines[n_lines, 1] = first - start, last - start
                    lines[n_lines, 2], lines[n_lines, 3] = n_breaks, np.int32(char)
                    if char == 96 or char == 126 or char == LESS:
                        fences[n_fences] = n_lines
                        n_fences += 1
                    n_lines += 1
                    n_breaks = 0
            if stop + ONE < end and codes[stop] == RETURN and codes[stop + ONE] == LINE_FEED:
                stop += ONE
            begin = stop + ONE
            n_breaks += 1
        line_starts[doc + 1] = n_lines
    return lines[:n_lines].copy(), line_starts, fences[:n_fences].copy(), asking[:n_asking].copy()


@njit(cache=True, nogil=True, inline="always")
def _asks(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Whether a line ends in a question mark, but for emphasis, brackets and quotation marks."""
    i = last
    while i > first:
        i -= ONE
        code = codes[i]
        is_behind = code == 42 or code == 95 or code == 41 or code == 65289 or code == 34 or code == 96
        if classes[i] > SPACE and not is_behind:
            return code == 63 or code == 65311
    return False


@njit(cache=True, nogil=True, inline="always")
def _is_empty_quote(codes, classes, first, last):  # type: ignore[no-untyped-def]
    """Whether a line has no visible character other than `>`."""
    i = first
    while i < last and (codes[i] == QUOTE or classes[i] <= SPACE):
        i += ONE
    return i == last


@njit(cache=True, nogil=True, inline="always")
def _may_ask(code):  # type: ignore[no-untyped-def]
    """Whether a heading, an item, a quotation or bold type may begin with a character: # * _ ( ( - [ > or a digit."""
    return (
        code == 35 or code == 42 or code == 95 or code == 40 or code == 65288 or code == 45 or code == 62
        or code == 91 or 48 <= code <= 57
    )  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def _may_task(code):  # type: ignore[no-untyped-def]
    """Whether a quotation, a link or a task may begin with a character: > [ or as in Given, Find, Write, 给定, 求."""
    return (
        code == 62 or code == 91
        or code == 71 or code == 70 or code == 87 or code == 73 or code == 68 or code == 89
        or code == 0x7ED9 or code == 0x6C42 or code == 0x7F16 or code == 0x5B9E or code == 0x8BBE or code == 0x5199
        or code == 0x7D66 or code == 0x7DE8 or code == 0x5BE6 or code == 0x8A2D or code == 0x5BEB
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _set_ranges(asking, lines, line_starts, starts):  # type: ignore[no-untyped-def]
    """Set in `asking` the range of codes that decides on a question from its line on.

    Of a heading it is the line, of an item what precedes an empty line, of a quotation the line before it too.
    """
    n_kept = 0
    for row in range(len(asking)):
        doc, k = asking[row, 0], asking[row, 2]
        if k >= line_starts[doc + 1]:
            continue  # only lines of `>` follow
        first = last = k
        char = lines[k, 3]
        if char == QUOTE:
            while first > line_starts[doc] and lines[first - 1, 3] == QUOTE:
                first -= 1
            while last + 1 < line_starts[doc + 1] and lines[last + 1, 3] == QUOTE:
                last += 1
            first = max(first - 1, line_starts[doc])
        elif char != HASH_MARK:
            stop = min(k + ITEM_LINES, line_starts[doc + 1])
            while last + 1 < stop and lines[last + 1, 2] < 2:
                last += 1
        asking[n_kept] = asking[row]
        asking[n_kept, 2] = starts[doc] + lines[first, 0]
        asking[n_kept, 3] = starts[doc] + lines[last, 1]
        n_kept += 1
    return asking[:n_kept]


def find_lines(codes: np.ndarray, starts: np.ndarray, classes: np.ndarray, breaks: np.ndarray) -> Lines:
    """Find the lines of all texts.

    Lines that may begin a question without a mark are headings, items, quotations and bold type that end in a question
    mark, and a quotation, a link or what may state a task below a heading.

    Args: codes, starts, classes, of the decoded view; breaks, of `find_signs`.
    """
    lines, line_starts, fences, asking = _find_lines(codes, starts, classes, breaks)
    return Lines(lines, line_starts, fences, _set_ranges(asking, lines, line_starts, starts))
