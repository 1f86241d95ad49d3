"""Which lines of a document are code, with what belongs to it: fenced blocks, comments, and short lines beside it.

Reads the text view; writes one flag per line. Finer than `code_lines`, which judges a line for what match text keeps
of it: here a block is set apart whole, so that a document's language comes from its prose. A fence counts only
where it is closed, and where code is inside and prose outside: a lost one turns no prose into code, and a page that
is fenced whole is read as if it were not.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.code_lines import find_code
from stages.kernels.tables import LATIN, LETTER, NEWLINE, SPACE
from stages.kernels.text import TextView

_PROSE, _OWN, _BESIDE, _FENCED = range(4)
"""What a line is: prose, code by its own signs, by what is beside it, by the fence around it."""
_TEXT, _EMPTY, _SHORT, _COMMENT, _FENCE, _NAMED_FENCE = range(6)
"""What a line looks like: Latin words only, few of them or indented (`else:`), a comment, a fence with or without a
name."""
_MOST_SHORT, _INDENT = 3, 4
"""So many short lines on either side of a line of code are code as well; a line is indented by so many blanks."""


def mark_code(text: TextView, min_words: int) -> np.ndarray:
    """Flag the lines that are code, fences included.

    Args: min_words, a line of so many Latin words is prose where nothing else says that it is code.
    Returns: bool (n_lines,); a line ends with its line break, the last one with the document.
    """
    own, _, first_lines = find_code(text)
    marks = np.zeros(len(own), np.uint8)
    _mark(text.codes, text.starts, text.classes, first_lines, min_words, own, marks)
    return marks > _PROSE


@njit(cache=True, nogil=True)
def _mark(codes, starts, classes, first_lines, min_words, own, marks):  # type: ignore[no-untyped-def]  # numba infers types
    looks = np.empty(len(marks), np.uint8)
    for doc in range(len(starts) - 1):
        low, high = first_lines[doc], first_lines[doc + 1]
        at, end = starts[doc], starts[doc + 1]
        for line in range(low, high):
            stop = at
            while stop < end and classes[stop] != NEWLINE:
                stop += 1
            looks[line] = _look(codes, classes, at, stop, min_words)
            at = stop + 1
        _close_fences(looks, marks, low, high)
        believed = _believe_fences(looks, own, marks, low, high)
        for line in range(low, high):
            if marks[line] == _PROSE or not believed:
                marks[line] = _OWN if own[line] else _PROSE
            if looks[line] >= _FENCE:
                marks[line] = _FENCED
        _spread(looks, marks, low, high)


@njit(cache=True, nogil=True)
def _close_fences(looks, marks, low, high):  # type: ignore[no-untyped-def]
    """Mark what is between a fence and the next one without a name; a named one begins anew."""
    opened = -1
    for line in range(low, high):
        if looks[line] == _NAMED_FENCE or (looks[line] == _FENCE and opened < 0):
            opened = line
        elif looks[line] == _FENCE:
            marks[opened : line + 1] = _FENCED
            opened = -1


@njit(cache=True, nogil=True)
def _believe_fences(looks, own, marks, low, high):  # type: ignore[no-untyped-def]
    """Whether lines of code are inside of fences and prose is outside, rather than the other way round."""
    balance = 0
    for line in range(low, high):
        if own[line]:
            balance += 1 if marks[line] == _FENCED else -1
        elif looks[line] == _TEXT:
            balance += 1 if marks[line] == _PROSE else -1
    return balance >= 0


@njit(cache=True, nogil=True)
def _spread(looks, marks, low, high):  # type: ignore[no-untyped-def]
    """Take in what stands beside code without a blank line between: comments, and a few short lines on either side."""
    for sweep in range(2):
        beside, n_short = False, 0
        for i in range(high - low):
            line = low + i if sweep == 0 else high - 1 - i
            if marks[line] == _OWN:
                beside, n_short = True, 0
                continue
            n_short += looks[line] == _SHORT
            beside = beside and marks[line] != _FENCED and n_short <= _MOST_SHORT
            beside = beside and (looks[line] == _SHORT or looks[line] == _COMMENT)
            if beside:
                marks[line] = _BESIDE


@njit(cache=True, nogil=True)
def _look(codes, classes, start, end, min_words):  # type: ignore[no-untyped-def]
    """What a line looks like by itself."""
    at = start
    while at < end and classes[at] <= SPACE:
        at += 1
    if at == end:
        return _EMPTY
    first = codes[at]
    second = codes[at + 1] if at + 1 < end else np.uint32(0)
    third = codes[at + 2] if at + 2 < end else np.uint32(0)
    if (first == ord("`") or first == ord("~")) and second == first and third == first:
        while at < end and (codes[at] == first or classes[at] <= SPACE):
            at += 1
        return _NAMED_FENCE if at < end else _FENCE
    if first == ord("#") or (first == ord("/") and (second == ord("/") or second == ord("*"))):
        return _COMMENT
    if (first == ord("*") and at > start) or (first == ord("-") and second == ord("-")):
        return _COMMENT
    n_words, in_word = 0, False
    for i in range(at, end):
        if classes[i] >= LETTER:
            return _TEXT
        n_words += classes[i] == LATIN and not in_word
        in_word = classes[i] == LATIN
    indented = at - start >= _INDENT or codes[start] == ord("\t")
    return _SHORT if n_words < min_words or indented else _TEXT
