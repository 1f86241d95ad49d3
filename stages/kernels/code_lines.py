"""Which lines of a text are code: there match text keeps operators and brackets, which in code are what is said.

Reads the text view; writes one flag per line. A line is judged by itself, by the lines beside it and by the fence
around it, so that an edit changes what is around it and no more: a lost fence never turns prose into code.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.tables import HANGUL, LATIN, LETTER, MARK, NEWLINE, SPACE, load_tables
from stages.kernels.text import TextView

PLAIN, LIKELY, SURE, EMPTY = 0, 1, 2, 3
"""What a line is by itself: prose, code if something beside it is, code, blank."""

WORDS_BESIDE = 1
WORDS_PER_SIGN = 2
WORDS_PER_LIKELY_SIGN = 6
"""Code has at most WORDS_BESIDE words more than WORDS_PER_SIGN for each sign of code (`return a[i]` has three and
one), a line that may be code WORDS_PER_LIKELY_SIGN for each. More words are a sentence about code."""

INDENT = 4

_ASCII = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_OTHERS = (
    "\u037e; \u1fef` \u2024. \u207a+ \u207c= \u207d( \u207e) \u208a+ \u208c= \u208d( \u208e) \ufb29+ \ufe10, "
    "\ufe13: \ufe14; \ufe15! \ufe16? \ufe33_ \ufe34_ \ufe35( \ufe36) \ufe37{ \ufe38} \ufe47[ \ufe48] \ufe4d_ \ufe4e_ "
    "\ufe4f_ \ufe50, \ufe52. \ufe54; \ufe55: \ufe56? \ufe57! \ufe59( \ufe5a) \ufe5b{ \ufe5c} \ufe5f# \ufe60& \ufe61* "
    "\ufe62+ \ufe63- \ufe64< \ufe65> \ufe66= \ufe68\\ \ufe69$ \ufe6a% \ufe6b@ "
    "\u3001, \u3002. \u2018' \u2019' \u201c\" \u201d\" \u2010- \u2011- \u2012- \u2013- \u2014- \u2212- \u00d7* \u00f7/ "
    "\u2264< \u2265> \u2260! \u2248~ \u2190< \u2192> \u21d2> \u2227& \u2228| \u00ac!"
)
"""By NFKC as far as U+FE6B; the rest is what editors, input methods and formulas have for ASCII."""

_SILENT, _EDGES = "',.", "()[]{}\"'_$"
"""Symbols that say nothing of code, and those that may be the edge of an operand."""

_LETTER = np.uint64(1)
_IN_WORD, _OPERAND, _BLANK, _SYMBOL, _SINGLE = (np.uint64(bit) for bit in range(1, 6))
"""Bits of `load_line_bits` above that of a letter: inside of a word, an operand or its edge, blank, a symbol that may
say something, a word of one character."""


@cache
def load_symbols() -> np.ndarray:
    """The ASCII symbol that each character below U+10000 stands for in code, 0 for none: uint32 (0x10000,)."""
    symbols = np.zeros(0x10000, np.uint32)
    for char in _ASCII:
        symbols[ord(char)] = symbols[ord(char) + 0xFEE0] = ord(char)  # full width forms are in ASCII order
    for pair in _OTHERS.split():
        symbols[ord(pair[0])] = ord(pair[1])
    symbols.setflags(write=False)
    return symbols


@cache
def load_line_bits() -> np.ndarray:
    """What is counted of each code point on the way to the next symbol: uint32 (0x110000,), bits named above."""
    classes, symbols = load_tables().classes, np.zeros(0x110000, np.uint32)
    symbols[:0x10000] = load_symbols()
    edges = np.isin(symbols, [ord(char) for char in _EDGES]) & (classes > SPACE)
    flags = (
        (0, (classes == LATIN) | (classes == LETTER)),
        (_IN_WORD, (classes >= MARK) & (classes < HANGUL)),
        (_OPERAND, (classes >= MARK) | edges),
        (_BLANK, classes <= SPACE),
        (_SYMBOL, (classes < MARK) & (symbols != 0) & ~np.isin(symbols, [ord(char) for char in _SILENT])),
        (_SINGLE, classes >= HANGUL),
    )
    line_bits = np.zeros(0x110000, np.uint32)
    for bit, has in flags:
        line_bits |= has.astype(np.uint32) << np.uint32(bit)
    line_bits.setflags(write=False)
    return line_bits


class CodeLines(NamedTuple):
    """Lines of a batch.

    is_code: bool (n_lines,). ends: int64 (n_lines,), before the line break or with the document. starts: int64
    (n_docs + 1,), the first line of each document.
    """

    is_code: np.ndarray
    ends: np.ndarray
    starts: np.ndarray


class _Last:
    """The lines of the last view: language and match text of a batch share them."""

    entry: tuple[TextView, CodeLines] | None = None


def find_code(text: TextView) -> CodeLines:
    """Judge every line of a batch."""
    last = _Last.entry
    if last is not None and last[0] is text:
        return last[1]
    lines = judge_code(text)
    _Last.entry = (text, lines)
    return lines


def judge_code(text: TextView) -> CodeLines:
    """Judge every line of a batch that is not asked for again: as `find_code`, whose last result stays."""
    return CodeLines(*_find_code(*text, load_symbols(), load_line_bits()))


@njit(cache=True, nogil=True)
def _find_code(codes, starts, classes, symbols, line_bits):  # type: ignore[no-untyped-def]  # numba infers types
    n_lines = len(starts) - 1
    for i in range(starts[0], starts[len(starts) - 1]):
        n_lines += classes[i] == NEWLINE
    kinds, inside = np.empty(n_lines, np.uint8), np.zeros(n_lines, np.bool_)
    ends = np.empty(n_lines, np.int64)
    line_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        line_starts[doc] = n
        at, end, fenced, formula = starts[doc], starts[doc + 1], False, False
        while at <= end:
            rest, stop = classes[at:end], end
            for j in range(len(rest)):
                if rest[j] == NEWLINE:
                    stop = at + j
                    break
            kind = _judge(codes, classes, symbols, line_bits, at, stop)
            if kind == EMPTY:
                formula = False  # TeX has no blank line inside a displayed formula
            elif is_fence(codes, classes, at, stop):
                fenced = not fenced or _is_named(classes, at, stop)
                kind = PLAIN
            elif _is_dollars(codes, classes, at, stop):
                formula = not formula
                kind = PLAIN
            elif formula:
                kind = PLAIN
            kinds[n], inside[n], ends[n] = kind, fenced, stop
            n += 1
            at = stop + 1
        _settle(kinds, inside, line_starts[doc], n)
    line_starts[len(starts) - 1] = n
    return inside, ends, line_starts


@njit(cache=True, nogil=True)
def _settle(kinds, inside, low, high):  # type: ignore[no-untyped-def]
    """Turn what lines are by themselves, and whether a fence is around them, into whether they are code."""
    before = EMPTY
    for line in range(low, high):
        own = kinds[line]
        if own == EMPTY:
            inside[line] = False
            continue
        if own == LIKELY and not inside[line] and before != SURE:
            after = line + 1
            while after < high and kinds[after] == EMPTY:
                after += 1
            inside[line] = after < high and kinds[after] == SURE
        else:
            inside[line] = own == SURE or own == LIKELY
        before = own


@njit(cache=True, nogil=True)
def is_fence(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line begins or ends a fenced code block of Markdown: blanks, then three backticks or tildes."""
    while at < end and classes[at] == SPACE:
        at += 1
    first = codes[at] if at + 3 <= end else 0
    return (first == ord("`") or first == ord("~")) and codes[at + 1] == first and codes[at + 2] == first


@njit(cache=True, nogil=True)
def _is_named(classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a fence names a language, as only the first of a block may."""
    for i in range(at, end):
        if classes[i] == LATIN:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_dollars(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line is the two dollar signs around a displayed formula."""
    n = 0
    for i in range(at, end):
        if codes[i] == ord("$"):
            n += 1
        elif classes[i] != SPACE:
            return False
    return n == 2


@njit(cache=True, nogil=True)
def _judge(codes, classes, symbols, line_bits, start, end):  # type: ignore[no-untyped-def]
    """What a line is by itself.

    Signs of code are assignment, comparison, braces, calls, subscripts and operators between operands. Other marks
    are likely signs, because prose has them too: a dash between words, a capitalised name before a bracket, a
    semicolon at the end. What is inside tags, addresses and targets of links is left out, and so is a comment.
    """
    while end > start and classes[end - 1] <= SPACE:
        end -= 1
    at = start
    while at < end and classes[at] <= SPACE:
        at += 1
    if at == end:
        return EMPTY
    indented = at - start >= INDENT or codes[start] == ord("\t")
    if codes[at] == ord("|") or _is_heading(codes, classes, at, end):
        return PLAIN
    signs, likely, word = 0, 0, np.uint64(0)
    letters, singles = np.uint64(0), np.uint64(0)
    called = False
    i = at
    while True:
        rest = codes[i:end]
        n = len(rest)
        for j in range(len(rest)):  # to the next symbol, without a branch that depends on where words end
            bits = np.uint64(line_bits[rest[j]])
            if (bits >> _SYMBOL) & _LETTER:
                n = j
                break
            letters += bits & ~word & _LETTER
            singles += bits >> _SINGLE
            word = (word | bits) & (bits >> _IN_WORD) & _LETTER
        i += n
        if i >= end:
            break
        symbol = symbols[codes[i]]
        run = i + 1
        while run < end and codes[run] == codes[i]:
            run += 1
        n = run - i
        before, after = _kind(line_bits, codes, i - 1, at, end), _kind(line_bits, codes, run, at, end)
        following = symbols[codes[run]] if run < end and codes[run] < 0x10000 else np.uint32(0)
        operands = (before == 2 and after == 2) or (
            before == 1
            and after == 1
            and _kind(line_bits, codes, i - 2, at, end) == 2
            and _kind(line_bits, codes, run + 1, at, end) == 2
        )
        if signs > 0 and before == 1 and (symbol == ord("#") or (symbol == ord("/") and n == 2)):
            break  # a comment
        if symbol == ord("_") and before == 2 and after == 2:
            likely += 1
            i = run
            continue  # the word goes on
        if symbol == ord("="):
            signs += n <= 2 or (n == 3 and operands)
        elif symbol == ord("{") or symbol == ord("}"):
            signs += n <= 2
        elif symbol == ord("+") or symbol == ord("*") or symbol == ord("^"):
            stars = symbol == ord("*") and before == 2 and (classes[i - 1] < MARK or classes[run] < MARK)
            if operands and not stars and (n == 1 or symbol == ord("*")):
                signs += 1  # and no emphasis beside a bracket
            elif n == 2 and symbol == ord("+"):
                likely += 1
        elif symbol == ord("(") and before == 2:
            if not _is_plural(codes, i, end):
                lower = not _is_capital(codes, line_bits, at, i)
                signs += lower
                likely += not lower
                called = True
        elif symbol == ord("["):
            signs += before == 2 and (classes[i - 1] >= MARK or codes[i - 1] == ord(")"))
        elif symbol == ord("]") and following == ord("("):
            while run < end and codes[run] != ord(")") and classes[run] > SPACE:
                run += 1
        elif symbol == ord("<"):
            stop = tag_end(codes, classes, i, run, end)
            if stop > run:
                run = stop
            else:
                signs += (n == 1 and operands) or n == 2
        elif symbol == ord(">"):
            signs += i > at and ((n == 1 and operands) or n == 2)
        elif symbol == ord("-"):
            if following == ord(">") and n == 1:
                signs += 1
            else:
                likely += operands and before == 1 and n == 1
        elif symbol == ord("/") or symbol == ord("%"):
            likely += operands and before == 1 and n <= 2
        elif symbol == ord("&") or symbol == ord("|"):
            signs += n == 2
            likely += operands and before == 1 and n == 1
        elif symbol == ord(":"):
            if n == 1 and following == ord("/") and run + 1 < end and codes[run + 1] == ord("/"):
                while run < end and classes[run] > SPACE and classes[run] < HANGUL:
                    run += 1  # an address
            elif n == 2:
                likely += operands
            elif run == end:
                signs += called and before == 2
        elif symbol == ord(";") and run == end:
            signs += before == 2 and i > at and classes[i - 1] < MARK
            likely += before == 2 and classes[i - 1] >= MARK
        elif symbol == ord('"'):
            signs += following == ord(":") and i > at and run + 1 <= end and n == 1
        elif symbol == ord("$"):
            if (i > at and (classes[i - 1] >= MARK or codes[i - 1] == ord("}"))) or after != 2:
                return PLAIN  # the end of a formula: in code a dollar begins a name
        elif symbol == ord("\\") and n == 1 and _is_command(classes, run, end):
            return PLAIN
        word = np.uint64(0)
        i = run
    n_words, n_single = np.int64(letters), np.int64(singles)
    last = symbols[codes[end - 1]] if codes[end - 1] < 0x10000 else np.uint32(0)
    if i >= end and (last == ord(".") or last == ord("?") or last == ord("!")) and n_words + n_single >= 2:
        return PLAIN
    if indented:
        signs, likely = signs + likely, 0
    if n_single == 0 and signs > 0 and n_words <= WORDS_PER_SIGN * signs + likely + WORDS_BESIDE:
        return SURE
    if n_words + n_single <= WORDS_PER_LIKELY_SIGN * (signs + likely) and signs + likely > 0:
        return LIKELY
    return PLAIN


@njit(cache=True, nogil=True, inline="always")
def _kind(line_bits, codes, i, start, end):  # type: ignore[no-untyped-def]
    """What is at a place of a line: 0 nothing or a symbol, 1 a blank, 2 an operand or the edge of one."""
    if i < start or i >= end:
        return 0
    bits = np.uint64(line_bits[codes[i]])
    return np.int64((bits >> _OPERAND) & _LETTER) * 2 + np.int64((bits >> _BLANK) & _LETTER)


@njit(cache=True, nogil=True)
def _is_heading(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line is a heading of Markdown, or a comment."""
    while at < end and codes[at] == ord("#"):
        at += 1
        if at < end and classes[at] == SPACE:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_capital(codes, line_bits, start, end):  # type: ignore[no-untyped-def]
    """Whether the word before a bracket begins with a capital; underscores join words."""
    at, first = end - 1, np.uint32(0)
    while at >= start:
        bits = np.uint64(line_bits[codes[at]])
        if bits & _LETTER:
            first = codes[at]
        elif (bits >> _IN_WORD) & _LETTER == 0:
            if codes[at] != ord("_"):
                break
        at -= 1
    return ord("A") <= first <= ord("Z")


@njit(cache=True, nogil=True)
def _is_plural(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether a bracket is that of author(s) or class(es)."""
    i += 1
    if i < end and codes[i] == ord("e"):
        i += 1
    return i + 1 < end and codes[i] == ord("s") and codes[i + 1] == ord(")")


@njit(cache=True, nogil=True)
def tag_end(codes, classes, i, run, end):  # type: ignore[no-untyped-def]
    """The end of the tag that begins at i, a run of `<` that ends at `run`; `run` if there is none."""
    if (
        run - i != 1
        or run >= end
        or not (classes[run] == LATIN or codes[run] == ord("/") or codes[run] == ord("!"))
    ):
        return run
    for j in range(run, end):
        if codes[j] == ord(">"):
            return j + 1
        if codes[j] == ord("<"):
            return run
    return run


@njit(cache=True, nogil=True)
def _is_command(classes, i, end):  # type: ignore[no-untyped-def]
    """Whether a command of TeX follows its backslash: two letters or more."""
    return i + 1 < end and classes[i] == LATIN and classes[i + 1] == LATIN
