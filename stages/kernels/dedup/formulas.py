"""Signs of mathematics in prose: which symbols of a text are content, judged from the characters around each.

Reads the text view; writes positions. `2x+3` and `2x-3` are two formulas, but a dash between words, a bullet or a
bracket around a remark is punctuation, in which copies of a text differ. A symbol is judged by its neighbours alone, so
an edit elsewhere changes nothing. docs/dedup.md lists the rules.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numba as nb
import numpy as np

from stages.kernels.code.signs import load_symbols
from stages.kernels.dedup.blanks import skip_blanks, skip_blanks_back
from stages.kernels.text.tables import (
    DIGIT,
    HAN,
    HANGUL,
    LATIN,
    MARK,
    NEWLINE,
    PUNCT,
    SPACE,
    SYMBOL,
    load_tables,
)

ALWAYS, LOOSE, COMPARE, STRICT, DASH, RAISE, ROOT, UNIT, BANG, ASK, BAR, OPEN, CLOSE, POWER = range(1, 15)
"""Kinds of symbols by the rule that decides whether they are signs; 0 for all other characters."""

_KINDS = (
    (LOOSE, "+="),
    (COMPARE, "<>"),
    (STRICT, "*/"),
    (DASH, "-"),
    (RAISE, "^_"),
    (UNIT, "%"),
    (BANG, "!"),
    (ASK, "?"),
    (BAR, "|"),
    (OPEN, "([{"),
    (CLOSE, ")]}"),
)
"""Kinds of ASCII symbols, and of the characters that replace them (`load_symbols`)."""

_OWN = ((UNIT, "\u00b0\u2030\u2103\u2109"), (ROOT, "\u221a"), (ALWAYS, "\u00b1\u00ac"))
_OPERATORS = ((0x2200, 0x2300), (0x27C0, 0x27F0), (0x2980, 0x2B00))
"""Blocks of mathematical operators, which prose does not use ..."""

_TYPOGRAPHY = "\u2212\u2215\u2216\u2217\u2219\u221a\u2223\u22c5\u2236\u223c\u22ee\u22ef\u22f0\u22f1"
"""... except for these, which also serve as dashes, slashes, bullets, bars, colons, tildes, ellipses and ticks."""

MAX_TOKEN = 16
"""Most characters that are read of a word beside a symbol; a longer word is no operand."""

SHORT = 300
"""Texts of fewer code points of match text are short: in these, question and exclamation marks are content too. At 300
code points, about fifty words, the Jaccard index after a change of one symbol is 0.8."""

MAX_LINK = 500
"""Most characters that are read of the words or the address of a link."""

_AREA = ord("m")
"""The unit of length, alone or as the end of `km`: `km²` is written `km2` as well."""


@cache
def load_kinds() -> np.ndarray:
    """Load the kind of symbol of each character: uint8 (0x110000,), 0 from U+10000 on."""
    kinds, symbols, classes = np.zeros(0x10000, np.uint8), load_symbols(), load_tables().classes
    for low, high in _OPERATORS:
        kinds[low:high] = ALWAYS
    kinds[[ord(char) for char in _TYPOGRAPHY]] = 0
    for kind, chars in _KINDS:
        replaced = np.isin(symbols, [ord(char) for char in chars])
        kinds[replaced & (kinds == 0)] = kind
    for kind, chars in _OWN:
        kinds[[ord(char) for char in chars]] = kind
    for code in range(0x80, 0x3000):
        if unicodedata.decomposition(chr(code)).startswith("<super>") and chr(code).isdigit():
            kinds[code] = POWER
    kinds[(classes[:0x10000] != PUNCT) & (classes[:0x10000] != SYMBOL)] = 0
    kinds = np.pad(kinds, (0, len(classes) - len(kinds)))
    kinds.setflags(write=False)
    return kinds


@cache
def load_signs() -> np.ndarray:
    """Load what match text has for each sign below U+10000: uint32 (0x10000,), 0 for other characters."""
    kinds, symbols = load_kinds()[:0x10000], load_symbols()
    signs = np.where(symbols > 0, symbols, np.arange(0x10000, dtype=np.uint32))
    own = kinds == ALWAYS
    signs[own] = np.flatnonzero(
        own
    )  # in code `≤` may be written for `<`; in a formula it is another relation
    signs[[0x2103, 0x2109]] = 0xB0
    signs[kinds == POWER] = ord("^")
    signs = np.where(kinds > 0, signs, np.uint32(0)).astype(np.uint32)
    signs.setflags(write=False)
    return signs


@cache
def load_sign_set() -> np.ndarray:
    """Load whether a symbol of match text is an operator, a bracket, a unit or a mark: bool (0x10000,)."""
    is_sign = np.zeros(0x10000, bool)
    is_sign[np.unique(load_signs())[1:]] = True
    is_sign[[ord(char) for char in "&|~"]] = True  # operators of code
    is_sign.setflags(write=False)
    return is_sign


@cache
def load_code_symbols() -> np.ndarray:
    """Load what match text has in lines of code for each symbol below U+10000: uint32 (0x10000,), 0 for none.

    A sign of mathematics without a key of its own is itself; in `load_symbols`, `≤` is written for `<`.
    """
    signs, symbols = load_signs(), load_symbols()
    symbols = np.where((signs >= 0x80) & (load_kinds()[:0x10000] != POWER), signs, symbols).astype(np.uint32)
    symbols.setflags(write=False)
    return symbols


@nb.njit(cache=True, nogil=True)
def find_signs(codes, classes, starts, kinds, signs, fold, marks):  # type: ignore[no-untyped-def]  # numba infers types
    """Find the symbols of each text that are content.

    Args: codes, classes and starts, of a TextView; kinds and signs, from load_kinds and load_signs; fold, of Tables;
    marks, whether question and exclamation marks of short texts are content.
    Returns: int64 (n_signs,), positions in codes, ascending.
    """
    found = np.empty(len(codes), np.int64)
    n_found = np.uint64(0)
    for i in range(len(codes)):  # without branches: a symbol in ten characters would be mispredicted
        found[n_found] = i
        n_found += np.uint64(kinds[codes[i]] > 0)
    n, mark = 0, np.int64(0)
    for doc in range(len(starts) - 1):
        low, high = starts[doc], starts[doc + 1]
        with_marks = marks and _is_short(codes, fold, low, high)
        tag, depth = False, 0
        row_end = low  # of the row of a table that was seen last
        opened = np.int64(0)  # whether each open bracket is kept, a bit each, the innermost lowest
        while mark < n_found and found[mark] < high:
            i = found[mark]
            mark += 1
            kind = kinds[codes[i]]
            keep = False
            if kind == OPEN:
                target = _end_of_target(codes, classes, low, i, high)
                if target > i:  # the address of a link in Markdown contains no signs
                    while mark < n_found and found[mark] < target:
                        mark += 1
                elif not _is_link(codes, classes, i, high):
                    keep = _opens(codes, classes, kinds, signs, low, i, high)
                opened, depth = (opened << 1 | np.int64(keep)) & 0xFFFFFF, depth + 1
            elif kind == CLOSE:
                keep = bool(depth > 0 and opened & 1 > 0)
                opened, depth = opened >> 1, max(depth - 1, 0)
            elif kind == COMPARE:
                sign = signs[codes[i]]
                if sign == ord("<") and _begins_tag(codes, classes, low, i, high):
                    tag = True
                elif sign == ord(">") and tag:
                    tag = False
                else:
                    keep = _is_sign(codes, classes, kinds, signs, low, i, high, kind)
            elif kind == BAR:
                if i >= row_end and _begins_line(classes, low, i):
                    row_end = _end_of_row(codes, classes, kinds, i, high)
                keep = i >= row_end and _is_bar(codes, classes, kinds, signs, low, i, high)
            elif kind == BANG or kind == ASK:
                keep = _is_mark(codes, low, i, high) if with_marks else False
                keep = keep or (kind == BANG and _is_factorial(codes, classes, low, i, high))
            else:
                keep = _is_sign(codes, classes, kinds, signs, low, i, high, kind)
            if keep:
                found[n] = i  # n never passes mark
                n += 1
    return found[:n].copy()


@nb.njit(cache=True, nogil=True)
def _is_short(codes, fold, low, high):  # type: ignore[no-untyped-def]
    """Whether match text has code points of a text, and fewer than SHORT."""
    n = 0
    for code in codes[low:high]:
        n += fold[code] > 0
        if n == SHORT:
            return False
    return n > 0


@nb.njit(cache=True, nogil=True)
def _is_sign(codes, classes, kinds, signs, low, i, high, kind):  # type: ignore[no-untyped-def]
    """Whether the symbol at i, which is no bracket, mark or tag, is a sign of mathematics."""
    if kind == ALWAYS:
        return True
    before, after = skip_blanks_back(classes, low, i - 1), skip_blanks(classes, i + 1, high)
    left = _operand(codes, classes, kinds, signs, low, before, high, -1)
    right = _operand(codes, classes, kinds, signs, low, after, high, 1)
    touches_left, touches_right = before == i - 1 and left > 0, after == i + 1 and right > 0
    if kind == UNIT:
        return left == 2 and classes[before] == DIGIT
    if kind == POWER:
        if not touches_left or left < 2 or (codes[before] < 0x10000 and kinds[codes[before]] == POWER):
            return False  # the second digit of an exponent needs no sign
        return codes[before] | 0x20 != _AREA
    if kind == ROOT:
        return right >= 2
    if before < low and not touches_right:  # a bullet, a quotation, a heading
        return False
    if before >= low and classes[before] == NEWLINE and not touches_right:
        return False
    sign = signs[codes[i]]
    run = (i > low and codes[i - 1] == codes[i]) or (i + 1 < high and codes[i + 1] == codes[i])
    if run and (sign == ord("*") or sign == ord("-") or sign == ord("_") or sign == ord("/")):
        return False
    if sign == ord("="):
        if i + 2 < high and i >= low + 2 and codes[i + 1] == codes[i] and codes[i - 1] == codes[i]:
            return False  # a line under a heading
    if kind == LOOSE:
        return (
            (left > 0 and right > 0) or (sign == ord("+") and touches_left) or (touches_right and right == 2)
        )
    if kind == COMPARE:
        return left > 0 and right > 0 and max(left, right) >= 2
    if kind == RAISE:
        return touches_left and touches_right and left >= 2 and right >= 2
    if left >= 2 and right >= 2:
        if classes[before] == DIGIT and classes[after] == DIGIT:
            return not _is_date(codes, classes, low, i, high)
        if sign == ord("/"):  # between links it separates
            return touches_left and touches_right and max(classes[before], classes[after]) >= MARK
        return True
    if kind == DASH and touches_right and right >= 2 and before != i - 1:
        return _is_hyphen(codes[i])  # a negative number after a blank or at the beginning
    return kind == DASH and touches_right and right >= 2 and (left == 0 or classes[before] >= HAN)


@nb.njit(cache=True, nogil=True)
def _begins_line(classes, low, i):  # type: ignore[no-untyped-def]
    """Whether only blanks are before i on its line."""
    before = skip_blanks_back(classes, low, i - 1)
    return before < low or classes[before] == NEWLINE


@nb.njit(cache=True, nogil=True)
def _end_of_row(codes, classes, kinds, i, high):  # type: ignore[no-untyped-def]
    """The end of the row of a table that begins with the bar at i, and ends with one; i for any other line."""
    end = last = i
    while end < high and classes[end] != NEWLINE:
        if classes[end] != SPACE:
            last = end
        end += 1
    return end if last > i and codes[last] < 0x10000 and kinds[codes[last]] == BAR else i


@nb.njit(cache=True, nogil=True)
def _is_bar(codes, classes, kinds, signs, low, i, high):  # type: ignore[no-untyped-def]
    """Whether the bar at i touches a number, a variable, a bracket or a sign: `|x-1|`, `P(A|B)`."""
    if i + 1 < high and codes[i + 1] == codes[i]:
        return False  # `a || b`, and the separator of a wide table
    if i > low and codes[i - 1] == codes[i]:
        return False
    touches_left = _operand(codes, classes, kinds, signs, low, i - 1, high, -1) == 2
    return touches_left or _operand(codes, classes, kinds, signs, low, i + 1, high, 1) == 2


@nb.njit(cache=True, nogil=True)
def _operand(codes, classes, kinds, signs, low, i, high, way):  # type: ignore[no-untyped-def]
    """Classify what begins (way 1) or ends (way -1) at i: 0 nothing, 1 a word or an ideograph, 2 a number, a variable,
    a bracket or a sign.

    A variable is a single letter or a word with a digit.
    """
    if i < low or i >= high:
        return 0
    char_class = classes[i]
    if char_class >= HANGUL:
        return 1
    if char_class >= MARK:
        n, at, digits = 0, i, 0
        while low <= at < high and MARK <= classes[at] < HANGUL and n <= MAX_TOKEN:
            digits += classes[at] == DIGIT
            n, at = n + 1, at + way
        return 2 if n == 1 or (0 < digits and n <= MAX_TOKEN) else 1
    if codes[i] >= 0x10000:
        return 0
    kind = kinds[codes[i]]
    if kind == OPEN or kind == CLOSE:
        return 2 if (kind == OPEN) == (way == 1) else 0
    if kind == ALWAYS or kind == ROOT or kind == POWER or codes[i] == ord("\\"):
        return 2
    if kind == UNIT:
        return 2 if way == -1 else 0
    if kind == BAR:  # of `|x|`, if a number or a variable is inside
        inside = i + way
        return 2 if low <= inside < high and MARK <= classes[inside] < HANGUL else 0
    if way == 1 and (kind == DASH or (kind == LOOSE and signs[codes[i]] == ord("+"))):
        following = skip_blanks(classes, i + 1, high)
        return 2 if following == i + 1 and following < high and MARK <= classes[following] < HANGUL else 0
    return 0


@nb.njit(cache=True, nogil=True)
def _is_hyphen(code):  # type: ignore[no-untyped-def]
    """Whether a dash is one that a negative number is written with."""
    return code == ord("-") or code == 0x2212 or code == 0xFF0D or code == 0xFE63 or code == 0x2010


@nb.njit(cache=True, nogil=True)
def _is_date(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Whether a symbol between digits separates a date of three numbers, which has other separators in other copies."""
    left, right = i - 1, i + 1
    while left >= low and classes[left] == DIGIT:
        left -= 1
    while right < high and classes[right] == DIGIT:
        right += 1
    if i - left > 5 or right - i > 5:
        return False
    second = right + 1 < high and codes[right] == codes[i] and classes[right + 1] == DIGIT
    first = left > low and codes[left] == codes[i] and classes[left - 1] == DIGIT
    return first or second


@nb.njit(cache=True, nogil=True)
def _is_link(codes, classes, i, high):  # type: ignore[no-untyped-def]
    """Whether the square bracket at i begins the words of a link in Markdown: `[chapter 2](02.md)`."""
    if codes[i] != ord("["):
        return False
    depth, at = 0, i
    while at + 1 < high and at < i + MAX_LINK and classes[at] != NEWLINE:
        depth += (codes[at] == ord("[")) - (codes[at] == ord("]"))
        if depth == 0:
            return _end_of_target(codes, classes, i, at + 1, high) > at + 1
        at += 1
    return False


@nb.njit(cache=True, nogil=True)
def _end_of_target(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Return the end of the address of a link in Markdown that begins with the bracket at i, i if it is none.

    An address follows `](`, has no blanks, and begins with a point, a slash or `#`, or has `://`, a name of two letters
    or more before or after a slash, or an extension of letters at its end: `[a](b)` is a product.
    """
    if codes[i] != ord("(") or i <= low or codes[i - 1] != ord("]"):
        return i
    at, n_letters, is_address = i + 1, 0, False
    while at < high and at < i + MAX_LINK and classes[at] > NEWLINE and codes[at] != ord(")"):
        code = codes[at]
        if code == ord("/") or code == ord("#") or code == ord("."):
            is_address = is_address or at == i + 1 or (n_letters >= 2 and code == ord("/"))
            is_address = is_address or (code == ord("/") and codes[at - 1] == ord(":"))
            n_letters = 0
        elif classes[at] == LATIN or classes[at] == DIGIT:
            n_letters += 1
        else:
            n_letters = 0
        at += 1
    if at >= high or at == i + 1 or (codes[at] != ord(")") and classes[at] > SPACE):
        return i
    first = at
    while classes[first - 1] == LATIN:
        first -= 1
    has_extension = at - first >= 2 and codes[first - 1] == ord(".")
    return at if is_address or has_extension else i


@nb.njit(cache=True, nogil=True)
def _begins_tag(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Whether `<` begins a tag, a comment or an address rather than a comparison."""
    if i + 1 >= high:
        return False
    following = codes[i + 1]
    if following == ord("/") or following == ord("!") or following == ord("?"):
        return True
    if classes[i + 1] != LATIN:
        return False
    if i > low and (classes[i - 1] == DIGIT or classes[i - 1] == LATIN):
        single = i < low + 2 or not MARK <= classes[i - 2] < HANGUL
        return not (classes[i - 1] == DIGIT or single)  # 5<x, a<b
    return True


@nb.njit(cache=True, nogil=True)
def _is_mark(codes, low, i, high):  # type: ignore[no-untyped-def]
    """Whether a question or exclamation mark is the first of its run and no mark of an image or a comment."""
    if i > low and codes[i - 1] == codes[i]:
        return False
    return not (i + 1 < high and codes[i + 1] == ord("[")) and not (i > low and codes[i - 1] == ord("<"))


@nb.njit(cache=True, nogil=True)
def _is_factorial(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Whether an exclamation mark follows a number, a single letter or a bracket and does not end a sentence."""
    if i == low or i + 1 >= high or codes[i + 1] == codes[i]:
        return False
    before = classes[i - 1]
    single = before == LATIN and (i < low + 2 or not MARK <= classes[i - 2] < HANGUL)
    if not (
        before == DIGIT or single or (codes[i - 1] == ord(")") and i > low + 1 and classes[i - 2] == LATIN)
    ):
        return False
    after = skip_blanks(classes, i + 1, high)
    return after < high and classes[after] != NEWLINE and (classes[after] >= HAN or after == i + 1)


@nb.njit(cache=True, nogil=True)
def _opens(codes, classes, kinds, signs, low, i, high):  # type: ignore[no-untyped-def]
    """Whether a bracket belongs to a formula: its content begins like one, and a formula is beside it or in it."""
    if i + 1 >= high or codes[i + 1] >= 0x10000:
        return False
    inner = _operand(codes, classes, kinds, signs, low, i + 1, high, 1)
    if inner < 2:
        return False
    if classes[i + 1] < MARK:  # a sign, or another bracket
        return True
    if i > low:
        before = classes[i - 1]
        outer = _operand(codes, classes, kinds, signs, low, i - 1, high, -1)
        if outer == 2 or (before == LATIN and classes[i + 1] == LATIN):
            return True
    end = i + 1
    while end < high and MARK <= classes[end] < HANGUL:
        end += 1
    after = skip_blanks(classes, end, high)
    if after >= high or codes[after] >= 0x10000:
        return False
    kind = kinds[codes[after]]
    if codes[after] == ord(",") or kind == LOOSE or kind == COMPARE or kind == RAISE or kind == ALWAYS:
        return True
    if kind == STRICT or kind == DASH:
        return _is_sign(codes, classes, kinds, signs, low, after, high, kind)
    if kind != CLOSE or after + 1 >= high or codes[after + 1] >= 0x10000:
        return False
    kind = kinds[codes[after + 1]]  # (a)^2, (a)(b)
    return kind == RAISE or kind == POWER or kind == OPEN
