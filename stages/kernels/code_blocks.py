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
from stages.kernels.commands import find_key, is_command, load_signs, load_words
from stages.kernels.tables import LATIN, LETTER, NEWLINE, SPACE
from stages.kernels.text import TextView

_PROSE, _OWN, _BESIDE, _FENCED = range(4)
"""What a line is: prose, code by its own signs, by what is beside it, by the fence around it."""
_TEXT, _EMPTY, _SHORT, _COMMENT, _HASH, _STAR, _BLOCK, _FENCE, _NAMED_FENCE = range(9)
"""What a line looks like: Latin words only, few of them or indented (`else:`), a comment by `//` or `--`, one by `#`
or a heading, one by ` *` or a list, a comment or string of several lines, a fence with or without a name."""
_MOST_LINES = 200
"""A comment or string that goes on for longer is none."""
_LEAST_KEYS = 3
"""So many lines of `key: value` are configuration; dialogues and glossaries do not indent them."""
_MOST_SHORT, _INDENT = 3, 4
"""So many short lines on either side of a line of code are code as well; a line is indented by so many blanks."""


def mark_code(text: TextView, min_words: int) -> np.ndarray:
    """Flag the lines that are code, fences included.

    Args: min_words, a line of so many Latin words is prose where nothing else says that it is code.
    Returns: uint8 (n_lines,), 0 for prose, 1 for code, 2 for code in a fence; a line ends with its line break, the
    last one with the document.
    """
    own, _, first_lines = find_code(text)
    marks = np.zeros(len(own), np.uint8)
    words, signs = load_words(), load_signs()
    _mark(text.codes, text.starts, text.classes, first_lines, min_words, words, signs, own.copy(), marks)
    return np.array([0, 1, 1, 2], np.uint8)[marks]


@njit(cache=True, nogil=True)
def _mark(codes, starts, classes, first_lines, min_words, words, signs, own, marks):  # type: ignore[no-untyped-def]  # numba infers types
    looks, keys = np.empty(len(marks), np.uint8), np.empty(len(marks), np.uint8)
    for doc in range(len(starts) - 1):
        low, high = first_lines[doc], first_lines[doc + 1]
        at, end, quote, opened = starts[doc], starts[doc + 1], 0, low
        for line in range(low, high):
            stop = at
            while stop < end and classes[stop] != NEWLINE:
                stop += 1
            looks[line] = _look(codes, classes, at, stop, min_words)
            keys[line] = find_key(codes, classes, at, stop)
            own[line] = own[line] or is_command(codes, classes, at, stop, words, signs)
            if quote == 0:
                quote, opened = _opens(codes, classes, at, stop), line
                found = quote != 0 and _closes(codes, quote, at, stop, True)
            else:
                found = _closes(codes, quote, at, stop, False)
            if found:
                looks[opened : line + 1] = _BLOCK
            if found or line - opened >= _MOST_LINES:
                quote = 0
            at = stop + 1
        _mark_keys(keys, looks, own, low, high)
        _close_fences(looks, marks, low, high)
        _mark_comments(looks, own, low, high)
        believed = _believe_fences(looks, own, marks, low, high)
        for line in range(low, high):
            if marks[line] == _PROSE or not believed:
                marks[line] = _OWN if own[line] else _PROSE
            if looks[line] >= _FENCE:
                marks[line] = _FENCED
        _spread(looks, marks, low, high)


@njit(cache=True, nogil=True)
def _mark_keys(keys, looks, own, low, high):  # type: ignore[no-untyped-def]
    """Take runs of keys for configuration: _LEAST_KEYS without another line between, one of them unlike a glossary."""
    first, n_keys, best = low, 0, 0
    for line in range(low, high + 1):
        if line < high and keys[line] > 0:
            n_keys, best = n_keys + 1, max(best, keys[line])
        elif line == high or looks[line] != _EMPTY:
            if n_keys >= _LEAST_KEYS and best == 2:
                for i in range(first, line):
                    own[i] = own[i] or keys[i] > 0
            first, n_keys, best = line + 1, 0, 0


@njit(cache=True, nogil=True)
def _mark_comments(looks, own, low, high):  # type: ignore[no-untyped-def]
    """In a document with code, take comments for code wherever they are, those by `#` and ` *` from two lines on."""
    n_own = 0
    for line in range(low, high):
        n_own += own[line]
    if n_own == 0:
        return
    for line in range(low, high):
        look = looks[line]
        twice = (line > low and looks[line - 1] == look) or (line + 1 < high and looks[line + 1] == look)
        if look == _COMMENT or look == _BLOCK or (twice and (look == _HASH or look == _STAR)):
            own[line] = True


@njit(cache=True, nogil=True)
def _opens(codes, classes, start, end):  # type: ignore[no-untyped-def]
    """What ends the comment or string of several lines that begins with this line: `*`, a quote, or 0 for none."""
    while start < end and classes[start] <= SPACE:
        start += 1
    if start + 1 < end and codes[start] == ord("/") and codes[start + 1] == ord("*"):
        return ord("*")
    if start < end and (codes[start] == ord("r") or codes[start] == ord("b") or codes[start] == ord("f")):
        start += 1  # a prefix of a string
    if start + 2 < end and (codes[start] == ord('"') or codes[start] == ord("'")):
        if codes[start + 1] == codes[start] and codes[start + 2] == codes[start]:
            return np.int64(codes[start])
    return 0


@njit(cache=True, nogil=True)
def _closes(codes, quote, start, end, first):  # type: ignore[no-untyped-def]
    """Whether a comment or string of several lines ends in this line, which may be its first."""
    skip = first  # what opens it
    for i in range(start, end - 1):
        if quote == ord("*"):
            if codes[i] == quote and codes[i + 1] == ord("/"):
                return True
        elif codes[i] == quote and codes[i + 1] == quote and i + 2 < end and codes[i + 2] == quote:
            if not skip:
                return True
            skip = False
    return False


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
            beside = beside and (looks[line] == _SHORT or _COMMENT <= looks[line] <= _BLOCK)
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
    if first == ord("#"):
        lower = ord("a") <= second <= ord("z")  # #include
        return _HASH if lower or second == 0 or second == ord(" ") or second == ord("!") else _TEXT
    if (first == ord("/") and second == ord("/")) or (first == ord("-") and second == ord("-")):
        return _COMMENT
    if first == ord("*") and at == start + 1:
        return _STAR
    n_words, in_word = 0, False
    for i in range(at, end):
        if classes[i] >= LETTER:
            return _TEXT
        n_words += classes[i] == LATIN and not in_word
        in_word = classes[i] == LATIN
    indented = at - start >= _INDENT or codes[start] == ord("\t")
    return _SHORT if n_words < min_words or indented else _TEXT
