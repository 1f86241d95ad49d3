"""Classification of single lines as code or prose: signs of code weighed against words.

Reads code points of a text; writes the positions of possible signs and a verdict for each line. `code_lines` combines
the verdicts of neighbouring lines.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from stages.kernels.text.tables import HANGUL, LATIN, LETTER, MARK, NEWLINE, SPACE, load_tables

PLAIN, LIKELY, SURE, EMPTY = 0, 1, 2, 3
"""Verdicts: prose, code if a neighbouring line is code, code, blank."""

WORDS_BESIDE = 1
WORDS_PER_SIGN = 2
WORDS_PER_LIKELY_SIGN = 6
"""Greatest numbers of words: a line of code has WORDS_BESIDE more than WORDS_PER_SIGN for each sign of code (`return
a[i]` has three words and one sign), a line that may be code WORDS_PER_LIKELY_SIGN for each sign. A line with more words
is a sentence about code."""

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
"""Pairs of a character and the ASCII symbol it replaces: up to U+FE6B by NFKC, then replacements made by editors, input
methods and formulas."""

_EDGES = "()[]{}\"'_$"
"""Symbols that can begin or end an operand."""

_HEARD = (
    ("={}<>$", "012 012"),
    ("([", "2 012"),
    ("]\\", "012 2"),
    ("#", "1 012"),
    ("/%", "1 01"),
    ("_", "2 2"),
    ("+", "012 0", "1 1", "2 2"),
    ("*", "12 0", "1 1", "2 2"),
    ("^", "1 1", "2 2"),
    ("-&|", "012 0", "1 1"),
    (":", "012 0"),
    (";", "2 0"),
    ('"', "012 0"),
)
"""Symbols that `judge` evaluates, with the neighbours (before and after, numbered as in `_neighbour`) between which
they can be a sign, alone or as the first of a run. A hyphen between letters, for example, never is. This filter skips
most symbols of prose. The character before the line counts as a neighbour here; a blank after a symbol counts only
before an operand."""

_LETTER, _IN_WORD, _BLANK, _OPERAND, _WITHIN, _SINGLE, _STOP = (
    np.uint8(bit) for bit in (0, 1, 2, 3, 4, 5, 7)
)
"""Bits of `load_line_bits`: a letter; part of a word; a blank; an operand or its edge; part of a word or an underscore;
a word of one character; a line break or a symbol of _HEARD."""

_ONE = np.uint8(1)
ONE, TWO = np.uint64(1), np.uint64(2)
_GOES_ON, _BREAK = np.uint32(16), np.uint32(17)
"""Bits of `load_heard`: also evaluated inside a run of the symbol; a line break."""


@cache
def load_symbols() -> np.ndarray:
    """Load the ASCII symbol that each character below U+10000 replaces in code, 0 for none: uint32 (0x10000,)."""
    symbols = np.zeros(0x10000, np.uint32)
    for char in _ASCII:
        symbols[ord(char)] = symbols[ord(char) + 0xFEE0] = ord(char)  # full width forms are in ASCII order
    for pair in _OTHERS.split():
        symbols[ord(pair[0])] = ord(pair[1])
    symbols.setflags(write=False)
    return symbols


@cache
def load_line_bits() -> np.ndarray:
    """Load properties of code points: uint8 (0x110000,), the bits named above."""
    classes, symbols = load_tables().classes, np.zeros(0x110000, np.uint32)
    symbols[:0x10000] = load_symbols()
    heard = [ord(char) for chars, *_ in _HEARD for char in chars]
    in_word = (classes >= MARK) & (classes < HANGUL)
    flags = (
        (_LETTER, (classes == LATIN) | (classes == LETTER)),
        (_IN_WORD, in_word),
        (_BLANK, classes <= SPACE),
        (
            _OPERAND,
            (classes >= MARK) | (np.isin(symbols, [ord(char) for char in _EDGES]) & (classes > SPACE)),
        ),
        (_STOP, (classes == NEWLINE) | ((classes < MARK) & np.isin(symbols, heard))),
        (_WITHIN, in_word | (symbols == ord("_"))),
        (_SINGLE, classes >= HANGUL),
    )
    line_bits = np.zeros(0x110000, np.uint8)
    for bit, has in flags:
        line_bits |= has.astype(np.uint8) << bit
    line_bits.setflags(write=False)
    return line_bits


@cache
def load_heard() -> np.ndarray:
    """Load the neighbours between which symbols are evaluated: uint32 (0x10000,), bits 4 * before + after and above."""
    by_symbol = np.zeros(0x80, np.uint32)
    for chars, *pairs in _HEARD:
        for befores, afters in map(str.split, pairs):
            for char in chars:
                for before in befores:
                    for after in afters:
                        by_symbol[ord(char)] |= 1 << (4 * int(before) + int(after))
    by_symbol[0] = 1 << _BREAK
    by_symbol[ord(">")] |= 1 << _GOES_ON  # the first of a run may end a tag
    heard = by_symbol[load_symbols()]
    heard.setflags(write=False)
    return heard


@njit(cache=True, nogil=True)
def mark_signs(codes, line_bits, heard, start, end, marks, ends, firsts):  # type: ignore[no-untyped-def]
    """Find the lines of a document and the possible signs of code in them; return the number of lines.

    Both loops write every position and advance only if it counts, because a branch at each symbol would be mispredicted
    about half of the time.

    Args: line_bits, from load_line_bits; heard, from load_heard. Writes marks, int64, positions of symbols in codes;
    ends, int64, ends of lines; firsts, int64, the first mark of each line and, last, the number of marks.
    """
    n_stops, i = np.uint64(0), np.uint64(start)
    for code in codes[start:end]:
        marks[n_stops] = i
        n_stops += np.uint64(line_bits[code] >> _STOP)
        i += ONE
    n, line = np.uint64(0), np.uint64(0)
    firsts[line] = 0
    low, high = np.uint64(start), np.uint64(end) - ONE
    for k in range(n_stops):
        i = np.uint64(marks[k])
        code = codes[i]
        last = codes[max(i, ONE) - ONE]
        next_bits = line_bits[codes[min(i + ONE, high)]]
        second_bits = line_bits[codes[min(i + TWO, high)]]
        before, after = (line_bits[last] >> _BLANK) & np.uint8(3), (next_bits >> _BLANK) & np.uint8(3)
        after &= np.uint8(2) | (second_bits >> _OPERAND)
        allowed = heard[code]
        marks[n] = i
        ends[line], firsts[line + ONE] = i, n
        in_run = np.uint32(code == last) & np.uint32(i > low) & ~(allowed >> _GOES_ON)
        n += np.uint64(
            (allowed >> (np.uint32(before) * np.uint32(4) + np.uint32(after))) & ~in_run & np.uint32(1)
        )
        line += np.uint64((allowed >> _BREAK) & np.uint32(1))
    ends[line], firsts[line + ONE] = end, n
    return line + ONE


@njit(cache=True, nogil=True, inline="always")
def judge(codes, classes, symbols, line_bits, marks, low, high, start, end, skipped):  # type: ignore[no-untyped-def]
    """Return the verdict on a line: PLAIN, LIKELY or SURE.

    Signs of code are assignment, comparison, braces, calls, subscripts and operators between operands. Other marks are
    only likely signs, because prose has them too: a dash between words, a capitalised name before a bracket, a
    semicolon at the end. Tags, addresses, targets of links and comments are skipped.

    Args: symbols, from load_symbols; line_bits, from load_line_bits; marks[low:high], the marks of the line;
    codes[start:end], the line, which is not blank; skipped, int64 (n, 2), scratch memory for skipped ranges, with at
    least as many rows as marks.
    """
    while classes[end - 1] <= SPACE:
        end -= 1
    at = start
    while classes[at] <= SPACE:
        at += 1
    if codes[at] == ord("|") or _is_heading(codes, classes, at, end):
        return PLAIN
    signs, likely, n_skipped, text_end, run = 0, 0, 0, end, at
    called = False
    for mark in range(low, high):
        i = marks[mark]
        if i < run:
            continue  # skipped
        symbol = symbols[codes[i]]
        run = i + 1
        while run < end and codes[run] == codes[i]:
            run += 1
        n = run - i
        before, after = (
            _neighbour(line_bits, codes, i - 1, at, end),
            _neighbour(line_bits, codes, run, at, end),
        )
        following = symbols[codes[run]] if run < end and codes[run] < 0x10000 else np.uint32(0)
        if signs > 0 and before == 1 and (symbol == ord("#") or (symbol == ord("/") and n == 2)):
            text_end = i  # a comment
            break
        if symbol == ord("_"):
            likely += before == 2 and after == 2
        elif symbol == ord("$"):
            if (i > at and (classes[i - 1] >= MARK or codes[i - 1] == ord("}"))) or after != 2:
                return PLAIN  # the end of a formula: in code a dollar begins a name
        elif symbol == ord("\\"):
            if n == 1 and _is_command(classes, run, end):
                return PLAIN
        elif symbol == ord("("):
            if before == 2 and not _is_plural(codes, i, end):
                lower = not _is_capital(codes, line_bits, at, i)
                signs += lower
                likely += not lower
                called = True
        elif symbol == ord("["):
            signs += before == 2 and (classes[i - 1] >= MARK or codes[i - 1] == ord(")"))
        elif symbol == ord(":") and n != 2 and run == end:
            signs += called and before == 2
        elif symbol == ord(";") and run == end:
            signs += before == 2 and i > at and classes[i - 1] < MARK
            likely += before == 2 and classes[i - 1] >= MARK
        elif symbol == ord('"'):
            signs += following == ord(":") and i > at and n == 1
        else:
            stop = _skip(codes, classes, marks, mark + 1, high, symbol, following, i, run, end)
            if stop > run:
                skipped[n_skipped, 0], skipped[n_skipped, 1] = i, stop
                n_skipped += 1
                run = stop
            else:
                operands = _has_operands(line_bits, codes, i, run, at, end)
                beside_mark = operands and before == 2 and (classes[i - 1] < MARK or classes[run] < MARK)
                sign, likely_sign = _weigh(symbol, n, operands, beside_mark, before, following, i > at)
                signs += sign
                likely += likely_sign
    if signs + likely == 0:
        return PLAIN
    n_words, n_single = _count_words(codes, line_bits, at, text_end, skipped[:n_skipped])
    last = symbols[codes[end - 1]] if codes[end - 1] < 0x10000 else np.uint32(0)
    if (
        text_end == end
        and (last == ord(".") or last == ord("?") or last == ord("!"))
        and n_words + n_single >= 2
    ):
        return PLAIN
    if at - start >= INDENT or codes[start] == ord("\t"):
        signs, likely = signs + likely, 0
    if n_single == 0 and signs > 0 and n_words <= WORDS_PER_SIGN * signs + likely + WORDS_BESIDE:
        return SURE
    return LIKELY if n_words + n_single <= WORDS_PER_LIKELY_SIGN * (signs + likely) else PLAIN


@njit(cache=True, nogil=True, inline="always")
def _weigh(symbol, n, operands, beside_mark, before, following, within):  # type: ignore[no-untyped-def]
    """Return signs and likely signs of code in a run of n operators or braces: 0 or 1 of each."""
    sign, likely_sign, blank = False, False, before == 1
    if symbol == ord("="):
        sign = n <= 2 or (n == 3 and operands)
    elif symbol == ord("{") or symbol == ord("}"):
        sign = n <= 2
    elif symbol == ord("*"):
        sign = operands and not beside_mark  # beside a mark it is emphasis
    elif symbol == ord("+") or symbol == ord("^"):
        sign = operands and n == 1
        likely_sign = not sign and n == 2 and symbol == ord("+")
    elif symbol == ord("<"):
        sign = (n == 1 and operands) or n == 2
    elif symbol == ord(">"):
        sign = within and ((n == 1 and operands) or n == 2)
    elif symbol == ord("-"):
        sign = following == ord(">") and n == 1
        likely_sign = not sign and operands and blank and n == 1
    elif symbol == ord("/") or symbol == ord("%"):
        likely_sign = operands and blank and n <= 2
    elif symbol == ord("&") or symbol == ord("|"):
        sign, likely_sign = n == 2, operands and blank and n == 1
    elif symbol == ord(":"):
        likely_sign = operands and n == 2
    return np.int64(sign), np.int64(likely_sign)


@njit(cache=True, nogil=True, inline="always")
def _skip(codes, classes, marks, low, high, symbol, following, i, run, end):  # type: ignore[no-untyped-def]
    """Return the end of the tag, address or link target that begins with a run of a symbol; `run` if none does.

    Args: marks[low:high], the marks after the symbol, among them every `<` and `>`.
    """
    if symbol == ord("<"):
        if begins_tag(codes, classes, i, run, end):
            for mark in range(low, high):
                if codes[marks[mark]] == ord(">"):
                    return marks[mark] + 1
                if codes[marks[mark]] == ord("<"):
                    break
    elif symbol == ord("]") and following == ord("("):
        while run < end and codes[run] != ord(")") and classes[run] > SPACE:
            run += 1
    elif symbol == ord(":") and run - i == 1 and following == ord("/") and run + 1 < end:
        if codes[run + 1] == ord("/"):
            while run < end and classes[run] > SPACE and classes[run] < HANGUL:
                run += 1
    return run


@njit(cache=True, nogil=True, inline="always")
def _count_words(codes, line_bits, at, end, skipped):  # type: ignore[no-untyped-def]
    """Count words of letters and words of one character outside the skipped ranges; an underscore joins words.

    There is no branch on the ends of words, which would be mispredicted.
    """
    n_words, n_single = np.uint64(0), np.uint64(0)
    for part in range(len(skipped) + 1):
        word = np.uint8(0)
        for code in codes[at : skipped[part, 0] if part < len(skipped) else end]:
            bits = line_bits[code]
            n_words += np.uint64(bits & ~word & _ONE)
            n_single += np.uint64((bits >> _SINGLE) & _ONE)
            word = (word | bits) & (bits >> _WITHIN) & _ONE
        if part < len(skipped):
            at = skipped[part, 1]
    return np.int64(n_words), np.int64(n_single)


@njit(cache=True, nogil=True, inline="always")
def _neighbour(line_bits, codes, i, start, end):  # type: ignore[no-untyped-def]
    """Classify position i of a line: 0 a symbol or outside the line, 1 a blank, 2 an operand or the edge of one."""
    if i < start or i >= end:
        return np.uint8(0)
    return (line_bits[codes[i]] >> _BLANK) & np.uint8(3)


@njit(cache=True, nogil=True, inline="always")
def _has_operands(line_bits, codes, i, run, start, end):  # type: ignore[no-untyped-def]
    """Whether a run of a symbol is between operands, with a blank on both sides or on neither."""
    before = _neighbour(line_bits, codes, i - 1, start, end)
    after = _neighbour(line_bits, codes, run, start, end)
    if before == 1 and after == 1:
        before = _neighbour(line_bits, codes, i - 2, start, end)
        after = _neighbour(line_bits, codes, run + 1, start, end)
    return before == 2 and after == 2


@njit(cache=True, nogil=True, inline="always")
def _is_heading(codes, classes, at, end):  # type: ignore[no-untyped-def]
    """Whether a line is a Markdown heading, or a comment that begins with `#`."""
    while at < end and codes[at] == ord("#"):
        at += 1
        if at < end and classes[at] == SPACE:
            return True
    return False


@njit(cache=True, nogil=True, inline="always")
def _is_capital(codes, line_bits, start, end):  # type: ignore[no-untyped-def]
    """Whether the word before a bracket begins with an ASCII capital; underscores join words."""
    at, first = end - 1, np.uint32(0)
    while at >= start:
        bits = line_bits[codes[at]]
        if bits & _ONE:
            first = codes[at]
        elif (bits >> _IN_WORD) & _ONE == 0:
            if codes[at] != ord("_"):
                break
        at -= 1
    return ord("A") <= first <= ord("Z")


@njit(cache=True, nogil=True, inline="always")
def _is_plural(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether a bracket is that of a plural such as author(s) or class(es)."""
    i += 1
    if i < end and codes[i] == ord("e"):
        i += 1
    return i + 1 < end and codes[i] == ord("s") and codes[i + 1] == ord(")")


@njit(cache=True, nogil=True, inline="always")
def begins_tag(codes, classes, i, run, end):  # type: ignore[no-untyped-def]
    """Whether a tag may begin at i, a run of `<` that ends at `run`."""
    return (
        run - i == 1
        and run < end
        and (classes[run] == LATIN or codes[run] == ord("/") or codes[run] == ord("!"))
    )


@njit(cache=True, nogil=True, inline="always")
def _is_command(classes, i, end):  # type: ignore[no-untyped-def]
    """Whether a TeX command of at least two letters follows the backslash."""
    return i + 1 < end and classes[i] == LATIN and classes[i + 1] == LATIN
