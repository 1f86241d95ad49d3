"""Numbers of a text, each with the unit before it, by which texts from one template are distinguished.

Reads the text view; writes one hash per number. Two problems or notices from one template can be near duplicates but
have different content, because their numbers differ. A decimal, a date, a time, a version, an IP address or a number
with separators is one number. Addresses of pages, digests, identifiers, the numbers of sections and list items, and
front matter contain no numbers: they differ between two versions of a page without a difference in content.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.dedup.blanks import skip_blanks
from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.tables import DIGIT, HANGUL, LATIN, LETTER, MARK, NEWLINE, OTHER, SPACE

POINT, COLON, SLASH = ord("."), ord(":"), ord("/")
"""What is hashed between the parts of a number: of a decimal or a version, of a time, of a date or a fraction."""

MIN_DIGEST = 7
"""Least length of a word of hexadecimal digits, letters among them, that is a digest, as Git abbreviates its own ..."""

MIN_ID = 20
"""... and of any word of letters and digits that is an identifier."""

MIN_ENCODED = 40
"""Least length of a run of letters, digits and `+/=`, with letters of both cases, that is a key or a file in base64."""

MIN_OF_EACH = 3
"""Least number of capitals, of small letters and of digits in base64."""

MAX_MARKER = 3
"""Most digits of the number of a list item; a longer one at the beginning of a line is a year."""

MONTHS = np.array(
    [
        ord(name[0]) << 16 | ord(name[1]) << 8 | ord(name[2])
        for name in "jan feb mar apr may jun jul aug sep oct nov dec".split()
    ],
    np.int64,
)
"""First three letters of the English names of months."""

YEAR, MONTH, DAY, NUMBERED, HOUR, O_CLOCK, MINUTE, SECOND = (ord(char) for char in "年月日号时点分秒")
"""Words between the parts of Chinese dates and times, as match text has them."""


@nb.njit(cache=True, nogil=True)
def hash_numbers(codes, starts, classes, fold, wanted):  # type: ignore[no-untyped-def]  # numba infers types
    """Hash each number with the word or the ideograph before it.

    Args: codes, starts and classes, of a TextView; fold, of Tables; wanted, bool (n_docs,), documents to read.
    Returns: uint64 (n_numbers,), hashes; int64 (n_docs + 1,), where the numbers of each document begin.
    """
    hashes = np.empty(len(codes), np.uint64)
    hash_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        hash_starts[doc] = n
        context, in_word = ODD_B, False
        low, high = starts[doc], starts[doc + 1] if wanted[doc] else starts[doc]
        i = _end_of_front_matter(codes, classes, low, high)
        while i < high:
            code = fold[codes[i]]
            if _is_digit(code, classes[i]):
                stop = _end_of_digest(codes, classes, low, i, high)
                if stop == i:
                    stop = _end_of_marker(codes, classes, low, i, high)
                if stop == i:
                    number, stop = _read_number(codes, classes, fold, context, low, i, high)
                    hashes[n] = mix(number)
                    n += 1
                # of a list of numbers, only the first has the word before it: else one changed word changes all
                i, in_word, context = stop, False, ODD_B
            elif (
                code == 0 or classes[i] < MARK
            ):  # a blank or a symbol ends a word, which is still the context
                in_word = in_word and classes[i] == OTHER
                i = _end_of_address(codes, classes, i, high)
            else:
                in_word = in_word and classes[i] < HANGUL
                context = step(context if in_word else ODD_B, code, ODD_A)
                in_word = classes[i] < HANGUL
                i += 1
    hash_starts[len(starts) - 1] = n
    return hashes[:n], hash_starts


@nb.njit(cache=True, nogil=True)
def _is_digit(code, char_class):  # type: ignore[no-untyped-def]
    """Whether a character is a digit; `code` is its match code point: `①` counts as 1."""
    return char_class == DIGIT or ord("0") <= code <= ord("9")


@nb.njit(cache=True, nogil=True)
def _end_of_front_matter(codes, classes, low, high):  # type: ignore[no-untyped-def]
    """Return the end of the metadata between two lines of `---` at the beginning, low if there are none.

    They are dates, positions in menus and identifiers. A text that is mostly such data is read as a whole.
    """
    i = low
    while i < high and classes[i] <= NEWLINE:
        i += 1
    if not _is_rule(codes, classes, i, high):
        return low
    for at in range(i + 3, low + (high - low) // 2):
        if classes[at - 1] == NEWLINE and _is_rule(codes, classes, at, high):
            return at + 3
    return low


@nb.njit(cache=True, nogil=True)
def _is_rule(codes, classes, i, high):  # type: ignore[no-untyped-def]
    """Whether a line of three hyphens begins at i."""
    if i + 3 >= high or codes[i] != ord("-") or codes[i + 1] != ord("-") or codes[i + 2] != ord("-"):
        return False
    end = skip_blanks(classes, i + 3, high)
    return end < high and classes[end] == NEWLINE


@nb.njit(cache=True, nogil=True)
def _end_of_marker(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Return the end of the number of a list item or a section that the digit at i belongs to, i if it is none.

    At the beginning of a line, up to MAX_MARKER digits with a full stop, a bracket or a comma of enumeration after them
    (`1. `, `2) `, `（3）`, `4、`); after the marks of a heading also `12.7 `.
    """
    at, marked = i - 1, False
    while at >= low and classes[at] != NEWLINE:
        code = codes[at]
        if classes[at] > SPACE and code != ord("#") and code != ord("(") and code != 0xFF08:
            return i
        marked = marked or code == ord("#")
        at -= 1
    stop = _end_of_digits(classes, i, high)
    if stop - i > MAX_MARKER:
        return i
    if marked:
        while stop + 1 < high and codes[stop] == ord(".") and classes[stop + 1] == DIGIT:
            stop = _end_of_digits(classes, stop + 1, high)
        if stop < high and classes[stop] == SPACE:
            return stop
    if stop >= high or not _ends_marker(codes[stop]):
        return i
    after = skip_blanks(classes, stop + 1, high)
    if after >= high or classes[after] == NEWLINE or (classes[after] == DIGIT and after == stop + 1):
        return i  # the number is all that the line has, or it is a decimal
    return stop


@nb.njit(cache=True, nogil=True)
def _ends_marker(code):  # type: ignore[no-untyped-def]
    return (
        code == ord(".") or code == ord(")") or code == 0x3001 or code == 0xFF09 or code == 0xFF0E  # 、 ） ．
    )


@nb.njit(cache=True, nogil=True)
def _read_number(codes, classes, fold, number, low, i, high):  # type: ignore[no-untyped-def]
    """Read the number at i: the hash of what is before it, extended by the number, and the end of the number.

    Blanks between the parts of a Chinese date, separators of thousands and zeros before a day or a month are left out.
    """
    first = i
    number, i = _read_digits(codes, classes, fold, number, i, high)
    n_parts, width, separator = 1, i - first, np.uint32(0)
    if width <= 2:
        year = _year_after(codes, classes, fold, low, first, i, high)
        if year > 0:
            month = _month_at(codes, classes, fold, low, first, i, high)
            return _read_digits(codes, classes, fold, step(number, month, ODD_B), year, high)
        year = _year_after_words(codes, classes, i, high)
        if year > 0:
            for at in range(i, year):
                if classes[at] >= MARK:
                    number = step(number, fold[codes[at]], ODD_B)
            return _read_digits(codes, classes, fold, number, year, high)
    while i + 1 < high:
        mark, joint, part = codes[i], 0, i + 1
        stop = _end_of_digits(classes, part, high)
        size = stop - part
        if mark == ord(".") or mark == 0xFF0E:
            joint = POINT if size > 0 else 0
        elif n_parts == 1 and width <= 3 and size == 3 and _separates_thousands(mark):
            number, i = _read_digits(codes, classes, fold, number, part, high)
            continue
        elif mark == ord(":") or mark == 0xFF1A:
            joint = COLON if width <= 2 and size == 2 else 0
        elif size > 0 and (mark == SLASH or mark == ord("-")):
            three = stop + 1 < high and codes[stop] == mark and classes[stop + 1] == DIGIT
            if separator == mark or (
                n_parts == 1 and size <= 2 and (three or mark == SLASH or (width == 4 and size == 2))
            ):
                joint, separator = SLASH, mark
        else:
            part = _next_part(codes, classes, fold, i, high)
            if part > 0:
                mark = fold[codes[skip_blanks(classes, i, high)]]
                joint = SLASH if mark == YEAR or mark == MONTH else COLON
        if joint == 0:
            break
        if joint == SLASH:
            while part + 1 < high and codes[part] == ord("0") and classes[part + 1] == DIGIT:
                part += 1
        n_parts, first = n_parts + 1, part
        number, i = _read_digits(codes, classes, fold, step(number, joint, ODD_B), part, high)
        width = i - first
    return number, i


@nb.njit(cache=True, nogil=True)
def _read_digits(codes, classes, fold, number, i, high):  # type: ignore[no-untyped-def]
    """Hash the digits from i on; return the hash and their end."""
    while i < high and _is_digit(fold[codes[i]], classes[i]):
        number = step(number, fold[codes[i]], ODD_A)
        i += 1
    return number, i


@nb.njit(cache=True, nogil=True)
def _end_of_digits(classes, i, high):  # type: ignore[no-untyped-def]
    while i < high and classes[i] == DIGIT:
        i += 1
    return i


@nb.njit(cache=True, nogil=True)
def _separates_thousands(code):  # type: ignore[no-untyped-def]
    """Whether a character separates groups of three digits: a comma, an apostrophe, a narrow or a no-break space."""
    return (
        code == ord(",")
        or code == ord("'")
        or code == 0x2019
        or code == 0xA0
        or code == 0x2009
        or code == 0x202F
    )


@nb.njit(cache=True, nogil=True)
def _next_part(codes, classes, fold, i, high):  # type: ignore[no-untyped-def]
    """Return where the next number of a Chinese date or time begins that goes on at i, as in `5 月 3 日`, 0 if none."""
    at = skip_blanks(classes, i, high)
    if at >= high:
        return 0
    word = fold[codes[at]]
    if word != YEAR and word != MONTH and word != HOUR and word != O_CLOCK and word != MINUTE:
        return 0
    part = skip_blanks(classes, at + 1, high)
    stop = _end_of_digits(classes, part, high)
    after = skip_blanks(classes, stop, high)
    if stop == part or stop > part + 2 or after >= high:
        return 0
    following = fold[codes[after]]
    if word == YEAR:
        fits = following == MONTH
    elif word == MONTH:
        fits = following == DAY or following == NUMBERED
    elif word == MINUTE:
        fits = following == SECOND
    else:
        fits = following == MINUTE
    return part if fits else 0


@nb.njit(cache=True, nogil=True)
def _year_after(codes, classes, fold, low, first, i, high):  # type: ignore[no-untyped-def]
    """Return where the year of an English date begins whose day is at [first, i), 0 if there is none."""
    at = i
    if _month_before(codes, classes, fold, low, first) == 0:
        at = skip_blanks(classes, at, high)
        stop = at
        while stop < high and classes[stop] == LATIN:
            stop += 1
        if at == i or not _is_month(codes, fold, at, stop):
            return 0
        at = stop
    if at < high and (codes[at] == ord(",") or codes[at] == ord(".")):
        at += 1
    year = skip_blanks(classes, at, high)
    return year if year > at and _end_of_digits(classes, year, high) == year + 4 else 0


@nb.njit(cache=True, nogil=True)
def _year_after_words(codes, classes, i, high):  # type: ignore[no-untyped-def]
    """Return where the year of a date in another language begins whose day ends at i, 0 if there is none.

    Between both is one word of three letters or more, the month, and words of two at most, as in `1 de noviembre de
    2023`, `26 août 2015`, `3. Mai 1999`; the year is of the twentieth century or later.
    """
    at, n_months = i + 1 if i < high and codes[i] == ord(".") else i, 0
    for _ in range(4):  # the words, then the year
        word = at
        while word < high and classes[word] == SPACE:
            word += 1
        if word == at or word >= high:
            return 0
        if classes[word] == DIGIT:
            century = codes[word] == ord("1") and codes[word + 1] == ord("9") if word + 1 < high else False
            if word + 1 < high and codes[word] == ord("2") and codes[word + 1] == ord("0"):
                century = True
            return (
                word if century and n_months == 1 and _end_of_digits(classes, word, high) == word + 4 else 0
            )
        at = word
        while at < high and (classes[at] == LATIN or classes[at] == LETTER or classes[at] == MARK):
            at += 1
        if at == word:
            return 0
        n_months += at > word + 2
        if at < high and (codes[at] == ord(".") or codes[at] == ord(",")):
            at += 1
    return 0


@nb.njit(cache=True, nogil=True)
def _month_at(codes, classes, fold, low, first, i, high):  # type: ignore[no-untyped-def]
    """Return the packed letters of the month beside the day at [first, i)."""
    before = _month_before(codes, classes, fold, low, first)
    at = skip_blanks(classes, i, high)
    return before if before else _pack(codes, fold, at)


@nb.njit(cache=True, nogil=True)
def _month_before(codes, classes, fold, low, first):  # type: ignore[no-untyped-def]
    """Return the packed letters of the month that a blank separates from position `first`, 0 if there is none."""
    stop = first
    while stop > low and classes[stop - 1] <= SPACE:
        stop -= 1
    if stop == first:
        return 0
    if stop > low and codes[stop - 1] == ord("."):
        stop -= 1
    at = stop
    while at > low and classes[at - 1] == LATIN:
        at -= 1
    return _pack(codes, fold, at) if _is_month(codes, fold, at, stop) else 0


@nb.njit(cache=True, nogil=True)
def _is_month(codes, fold, at, stop):  # type: ignore[no-untyped-def]
    """Whether a word begins like the English name of a month and is no longer than one."""
    if stop - at < 3 or stop - at > 9:
        return False
    packed = _pack(codes, fold, at)
    for month in MONTHS:
        if month == packed:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _pack(codes, fold, at):  # type: ignore[no-untyped-def]
    """Pack three letters."""
    return (
        np.int64(fold[codes[at]]) << 16 | np.int64(fold[codes[at + 1]]) << 8 | np.int64(fold[codes[at + 2]])
    )


@nb.njit(cache=True, nogil=True)
def _end_of_digest(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Return the end of the digest or identifier that the digit at i belongs to, i if it belongs to none."""
    first, stop = i, i
    while first > low and (classes[first - 1] == LATIN or classes[first - 1] == DIGIT):
        first -= 1
    n_letters, n_hex, n_digits = 0, 0, 0
    stop = first
    while stop < high and (classes[stop] == LATIN or classes[stop] == DIGIT):
        code = codes[stop] | 0x20
        n_letters += classes[stop] == LATIN
        n_digits += classes[stop] == DIGIT
        n_hex += classes[stop] == DIGIT or ord("a") <= code <= ord("f")
        stop += 1
    size = stop - first
    encoded = _end_of_encoded(codes, classes, low, i, high)
    if encoded > i:
        return encoded
    if n_letters == 0 or size < MIN_DIGEST or (n_hex < size and (size < MIN_ID or n_digits < 4)):
        return i
    while stop < high and codes[stop] == ord("-"):  # the parts of a UUID
        part = stop + 1
        while part < high and (classes[part] == DIGIT or ord("a") <= (codes[part] | 0x20) <= ord("f")):
            part += 1
        if part != stop + 5 and part != stop + 13:
            break
        stop = part
    return stop


@nb.njit(cache=True, nogil=True)
def _end_of_encoded(codes, classes, low, i, high):  # type: ignore[no-untyped-def]
    """Return the end of the base64 that the digit at i is in, i if it is in none."""
    first, stop = i, i
    while first > low and _is_encoded(codes[first - 1]):
        first -= 1
    while stop < high and _is_encoded(codes[stop]):
        stop += 1
    if stop - first < MIN_ENCODED:
        return i
    n_upper, n_lower, n_digits = 0, 0, 0
    for code in codes[first:stop]:
        n_upper += ord("A") <= code <= ord("Z")
        n_lower += ord("a") <= code <= ord("z")
        n_digits += ord("0") <= code <= ord("9")
    return stop if min(n_upper, n_lower, n_digits) >= MIN_OF_EACH else i


@nb.njit(cache=True, nogil=True)
def _is_encoded(code):  # type: ignore[no-untyped-def]
    return (
        ord("a") <= code <= ord("z")
        or ord("A") <= code <= ord("Z")
        or ord("/") <= code <= ord("9")
        or code == ord("+")
        or code == ord("=")
    )


@nb.njit(cache=True, nogil=True)
def _end_of_address(codes, classes, i, high):  # type: ignore[no-untyped-def]
    """Return the end of the address that goes on with `://` or begins with `](` at i, i + 1 if there is none."""
    if i + 3 >= high:
        return i + 1
    is_url = codes[i] == ord(":") and codes[i + 1] == SLASH and codes[i + 2] == SLASH
    if not is_url and (codes[i] != ord("]") or codes[i + 1] != ord("(")):
        return i + 1
    while i < high and classes[i] > NEWLINE and classes[i] < HANGUL and codes[i] != ord(")"):
        i += 1
    return i


MIN_NUMBERS = 10
"""Least count of numbers that are content in a text of any length; fewer may be dates, versions or counters ..."""

UNITS_TO_A_NUMBER = 200
"""... unless the text has at most this many units per number: then they are content too."""

MIN_SHARED = 0.5
"""Least share of the numbers of the text with fewer numbers that its near duplicate shares."""


def tell_apart(
    shared: np.ndarray, n_left: np.ndarray, n_right: np.ndarray, n_shingles: np.ndarray
) -> np.ndarray:
    """Whether the texts of each pair, similar by their words, differ too much in their numbers to be near duplicates.

    Args: int64 (n_pairs,) each: shared, size of the intersection of the sets of hash_numbers; n_left and n_right, sizes
    of the sets; n_shingles, size of the smaller set of shingles.
    Returns: bool (n_pairs,).
    """
    n_fewer = np.minimum(n_left, n_right)
    has_enough = (n_fewer >= MIN_NUMBERS) | ((n_fewer > 0) & (n_fewer * UNITS_TO_A_NUMBER >= n_shingles))
    return has_enough & (shared < MIN_SHARED * n_fewer)
