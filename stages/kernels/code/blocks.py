"""Which lines of a document are code, including fenced blocks, comments and short lines beside code.

Reads the text view; writes one flag per line. `code_lines` classifies single lines, to choose the characters that match
text keeps; here whole blocks are marked, so that the language of a document is detected from its prose. A fence counts
only if it is closed and has code inside and prose outside: a missing fence turns no prose into code, and fences around
a whole page are ignored.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.code.commands import find_key, is_command, load_signs, load_words
from stages.kernels.code.lines import find_code
from stages.kernels.text.tables import LATIN, LETTER, NEWLINE, SPACE
from stages.kernels.text.text import TextView

_PROSE, _OWN, _BESIDE, _FENCED = range(4)
"""Classes of lines: prose; code by its own signs, by neighbouring lines, by the fence around it."""
_TEXT, _EMPTY, _SHORT, _COMMENT, _HASH, _STAR, _BLOCK, _FENCE, _NAMED_FENCE = range(9)
"""Forms of lines: text, empty, few Latin words or indented (`else:`), a comment with `//` or `--`, a comment or heading
with `#`, a comment or list item with ` *`, part of a comment or string of several lines, a fence without and with a
name."""
_MOST_LINES = 200
"""Most lines of a comment or string; the opening mark of a longer one is ignored."""
_LEAST_KEYS = 3
"""Least number of lines of `key: value` that are configuration; dialogues and glossaries do not indent them."""
_MOST_SHORT, _INDENT = 3, 4
"""Most short lines on either side of a line of code that are code as well; least number of blanks of an indentation."""


def mark_code(text: TextView, min_words: int) -> np.ndarray:
    """Flag the lines that are code, fences included.

    Args: min_words, least number of Latin words of a line that is prose unless it has signs of code.
    Returns: uint8 (n_lines,), 0 for prose, 1 for code, 2 for code in a fence. The lines of a document are the texts
    between its line breaks.
    """
    is_code, _, first_lines = find_code(text)
    marks = np.zeros(len(is_code), np.uint8)
    words, signs = load_words(), load_signs()
    _mark(text.codes, text.starts, text.classes, first_lines, min_words, words, signs, is_code.copy(), marks)
    return np.array([0, 1, 1, 2], np.uint8)[marks]


@njit(cache=True, nogil=True)
def _mark(codes, starts, classes, first_lines, min_words, words, signs, is_code, marks):  # type: ignore[no-untyped-def]  # numba infers types
    forms, keys = np.empty(len(marks), np.uint8), np.empty(len(marks), np.uint8)
    for doc in range(len(starts) - 1):
        low, high = first_lines[doc], first_lines[doc + 1]
        at, end, quote, opened = starts[doc], starts[doc + 1], 0, low
        for line in range(low, high):
            stop = at
            while stop < end and classes[stop] != NEWLINE:
                stop += 1
            forms[line] = _look(codes, classes, at, stop, min_words)
            keys[line] = find_key(codes, classes, at, stop)
            is_code[line] = is_code[line] or is_command(codes, classes, at, stop, words, signs)
            if quote == 0:
                quote, opened = _opens(codes, classes, at, stop), line
                closed = quote != 0 and _closes(codes, quote, at, stop, True)
            else:
                closed = _closes(codes, quote, at, stop, False)
            if closed:
                forms[opened : line + 1] = _BLOCK
            if closed or line - opened >= _MOST_LINES:
                quote = 0
            at = stop + 1
        _mark_keys(keys, forms, is_code, low, high)
        _close_fences(forms, marks, low, high)
        _mark_comments(forms, is_code, low, high)
        fences_count = _believe_fences(forms, is_code, marks, low, high)
        for line in range(low, high):
            if marks[line] == _PROSE or not fences_count:
                marks[line] = _OWN if is_code[line] else _PROSE
            if forms[line] >= _FENCE:
                marks[line] = _FENCED
        _spread(forms, marks, low, high)


@njit(cache=True, nogil=True)
def _mark_keys(keys, forms, is_code, low, high):  # type: ignore[no-untyped-def]
    """Mark runs of at least _LEAST_KEYS lines with keys as configuration, if one is indented or has no value."""
    first, n_keys, best = low, 0, 0
    for line in range(low, high + 1):
        if line < high and keys[line] > 0:
            n_keys, best = n_keys + 1, max(best, keys[line])
        elif line == high or forms[line] != _EMPTY:
            if n_keys >= _LEAST_KEYS and best == 2:
                for i in range(first, line):
                    is_code[i] = is_code[i] or keys[i] > 0
            first, n_keys, best = line + 1, 0, 0


@njit(cache=True, nogil=True)
def _mark_comments(forms, is_code, low, high):  # type: ignore[no-untyped-def]
    """Mark all comments of a document with code as code; those with `#` or ` *` only if they have two lines or more."""
    n_own = 0
    for line in range(low, high):
        n_own += is_code[line]
    if n_own == 0:
        return
    for line in range(low, high):
        form = forms[line]
        twice = (line > low and forms[line - 1] == form) or (line + 1 < high and forms[line + 1] == form)
        if form == _COMMENT or form == _BLOCK or (twice and (form == _HASH or form == _STAR)):
            is_code[line] = True


@njit(cache=True, nogil=True)
def _opens(codes, classes, start, end):  # type: ignore[no-untyped-def]
    """Return what closes the comment or string of several lines that this line opens: `*`, a quote, or 0 for none."""
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
    """Whether a comment or string of several lines ends in this line; `first` if it also begins here."""
    skip = first  # the opening quotes
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
def _close_fences(forms, marks, low, high):  # type: ignore[no-untyped-def]
    """Mark the lines from a fence to the next one without a name; a fence with a name always opens a block."""
    opened = -1
    for line in range(low, high):
        if forms[line] == _NAMED_FENCE or (forms[line] == _FENCE and opened < 0):
            opened = line
        elif forms[line] == _FENCE:
            marks[opened : line + 1] = _FENCED
            opened = -1


@njit(cache=True, nogil=True)
def _believe_fences(forms, is_code, marks, low, high):  # type: ignore[no-untyped-def]
    """Whether fences have code inside and prose outside rather than the reverse."""
    balance = 0
    for line in range(low, high):
        if is_code[line]:
            balance += 1 if marks[line] == _FENCED else -1
        elif forms[line] == _TEXT:
            balance += 1 if marks[line] == _PROSE else -1
    return balance >= 0


@njit(cache=True, nogil=True)
def _spread(forms, marks, low, high):  # type: ignore[no-untyped-def]
    """Extend code to adjacent comments and to a few short lines on either side, up to a blank line."""
    for sweep in range(2):
        beside, n_short = False, 0
        for i in range(high - low):
            line = low + i if sweep == 0 else high - 1 - i
            if marks[line] == _OWN:
                beside, n_short = True, 0
                continue
            n_short += forms[line] == _SHORT
            beside = beside and marks[line] != _FENCED and n_short <= _MOST_SHORT
            beside = beside and (forms[line] == _SHORT or _COMMENT <= forms[line] <= _BLOCK)
            if beside:
                marks[line] = _BESIDE


@njit(cache=True, nogil=True)
def _look(codes, classes, start, end, min_words):  # type: ignore[no-untyped-def]
    """Return the form of a line."""
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
