"""The script of each code point of a document, and the amount of text in each script.

Reads a text view; writes one group per code point and counts per document. Chinese and Japanese are distinguished by
line; Latin prose is distinguished from terms, names and addresses by runs of words; lines of code (`code_blocks`) are
counted apart. `classifiers.language` decides on the language of each group.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.code.blocks import mark_code
from stages.kernels.code.signs import begins_tag
from stages.kernels.text.text import (
    DIGIT,
    HAN,
    HANGUL,
    KANA,
    LATIN,
    LETTER,
    MARK,
    NEWLINE,
    PUNCT,
    SPACE,
    TextView,
)

HANI, JPAN, HANG, LATN, OTHERS = 0, 1, 2, 3, 4
"""Groups: Chinese lines, Japanese lines, Hangul, Latin prose; from 4 on the scripts of the caller's table."""
NONE, SHORT, TERM, CODE = 255, 254, 253, 252
"""No text of any group; short Han lines without kana, which follow the rest of the document; single Latin words and
short runs of them; lines of code."""

UNITS_HAN, UNITS_KANA, UNITS_HANGUL, UNITS_LETTER = 6, 3, 5, 2
"""Information per character, in half Latin letters: how much text of another script has the same content.

Measured on translations of the same documents: XQuAD and Open Source Guides in English, Chinese (3.1 and 3.5 letters
per Han character), Japanese (1.6 per kana with Han at 3) and Korean (2.6 per syllable). It is close to UTF-8 bytes.
"""

HANS_FLAG, HANT_FLAG, YUE_FLAG, JPN_FLAG, NOT_JPN_FLAG, SYMBOL_FLAG, BREAK_FLAG, JOIN_FLAG = (
    1 << i for i in range(8)
)
"""Bits of the table of flags: five kinds of Han characters, symbols of code, and characters that end a run of Latin
words: BREAK_FLAG anywhere, JOIN_FLAG between a letter and anything but a blank (a.b, a_b, a:b, a(b, a%20b)."""

(
    LETTERS, HAN_LETTERS, CODE_UNITS, BARE_UNITS, VISIBLE, PLAIN_LETTERS, PLAIN_UNITS, LATIN_LETTERS, TERM_LETTERS,
    NAME_LETTERS, SYMBOLS, CHINESE_HAN, HANS, HANT, YUE, JPN, NOT_JPN,
) = range(17)  # fmt: skip
"""Columns of Survey.counts. Of the whole document: letters of any script, Han letters, units of text in lines of code,
and units of text in lines of code outside fences. Of all other lines: visible code points, letters, units of text,
Latin letters, code points of terms and of identifiers outside prose and addresses, symbols of code. Of Chinese lines:
Han characters, and those of each of the five kinds."""
N_COUNTS = 17
N_KINDS = 5
_GLUE = BREAK_FLAG | JOIN_FLAG

_WORDS, _START, _END, _LETTERS, _TERMS, _NAMES = range(6)
"""State of a run of Latin words: number of words, where it begins and ends, letters, letters of terms and of names."""
_N_RUN = 6

_SHORT_HAN = 20
"""Least number of Han characters of a Chinese line without kana; in Japanese, particles in kana are more frequent."""
_NAME_HAN = 6
"""Longest run of Han characters that is a name or a term in a line of mostly Latin prose."""


class Survey(NamedTuple):
    """Groups and counts of a batch.

    groups: uint8 (n_codes,), group of each code point; blanks and punctuation belong to the letters before them.
    units: int64 (n_docs, n_groups), amount of text by group in half Latin letters; of Latin text, prose only.
    counts: int64 (n_docs, N_COUNTS).
    short_group: uint8 (n_docs,), the group of the lines marked SHORT, HANI or JPAN.
    """

    groups: np.ndarray
    units: np.ndarray
    counts: np.ndarray
    short_group: np.ndarray


def survey(
    text: TextView,
    scripts: np.ndarray,
    flags: np.ndarray,
    n_groups: int,
    min_run_words: int,
    min_kana_share: float,
) -> Survey:
    """Group the code points of documents by script, and count them.

    Args: scripts, uint8 (0x110000,), group of each letter that is not Latin, Han, kana or Hangul; flags, uint8
    (0x110000,); n_groups, number of groups; min_run_words, least number of Latin words of a run of prose;
    min_kana_share, least share of kana among the Han and kana of a Japanese line.
    """
    n_docs = len(text.starts) - 1
    result = Survey(
        np.full(len(text.codes), NONE, np.uint8),
        np.zeros((n_docs, n_groups), np.int64),
        np.zeros((n_docs, N_COUNTS), np.int64),
        np.zeros(n_docs, np.uint8),
    )
    is_code = mark_code(text, min_run_words)
    _survey(*text, scripts, flags, is_code, min_run_words, min_kana_share, *result)
    return result


@njit(cache=True, nogil=True)
def _survey(  # type: ignore[no-untyped-def]  # numba infers types
    codes, starts, classes, scripts, flags, is_code, min_words, min_kana, groups, units, counts, short_group
):
    line_kinds, short_kinds = np.zeros(N_KINDS, np.int64), np.zeros(N_KINDS, np.int64)
    run = np.zeros(_N_RUN, np.int64)
    line = 0
    for doc in range(len(starts) - 1):
        short_kinds[:] = 0
        n_short, at, end = 0, starts[doc], starts[doc + 1]
        while at <= end:
            stop = at
            while stop < end and classes[stop] != NEWLINE:
                stop += 1
            if is_code[line]:
                _survey_code(codes, classes, at, stop, is_code[line] == 1, groups, counts[doc])
                line, at = line + 1, stop + 1
                continue
            n_han, n_kana = _survey_line(
                codes,
                classes,
                scripts,
                flags,
                at,
                stop,
                min_words,
                run,
                groups,
                units[doc],
                counts[doc],
                line_kinds,
            )
            if n_han + n_kana > 0:
                foreign = 4 * line_kinds[NOT_JPN - HANS]
                if n_kana > foreign and n_kana >= min_kana * (n_han + n_kana):
                    _regroup(groups, at, stop, JPAN)
                    units[doc, JPAN] += UNITS_HAN * n_han + UNITS_KANA * n_kana
                elif n_kana > 0 or n_han >= _SHORT_HAN:
                    units[doc, HANI] += UNITS_HAN * n_han + UNITS_KANA * n_kana
                    counts[doc, CHINESE_HAN] += n_han
                    counts[doc, HANS:] += line_kinds
                else:
                    _regroup(groups, at, stop, SHORT)
                    n_short += n_han
                    short_kinds += line_kinds
            line, at = line + 1, stop + 1
        if units[doc, JPAN] > units[doc, HANI] and 10 * short_kinds[NOT_JPN - HANS] <= n_short:
            short_group[doc] = JPAN
        else:
            short_group[doc] = HANI
            counts[doc, CHINESE_HAN] += n_short
            counts[doc, HANS:] += short_kinds
        units[doc, short_group[doc]] += UNITS_HAN * n_short


@njit(cache=True, nogil=True)
def _survey_code(codes, classes, start, end, bare, groups, counts):  # type: ignore[no-untyped-def]
    """Mark one line as code and count its letters; bare if no fence is around it."""
    n_letters, n_han, n_units = 0, 0, 0
    for i in range(start, end):
        groups[i] = CODE
        char_class = classes[i]
        if char_class == LATIN or char_class >= LETTER:
            n_letters += 1
            n_han += char_class == HAN
            n_units += _units(char_class)
    counts[LETTERS] += n_letters
    counts[HAN_LETTERS] += n_han
    counts[CODE_UNITS] += n_units
    counts[BARE_UNITS] += n_units if bare else 0


@njit(cache=True, nogil=True, inline="always")
def _units(char_class):  # type: ignore[no-untyped-def]
    if char_class == HAN:
        return UNITS_HAN
    if char_class == KANA:
        return UNITS_KANA
    return UNITS_HANGUL if char_class == HANGUL else UNITS_LETTER


@njit(cache=True, nogil=True)
def _survey_line(  # type: ignore[no-untyped-def]
    codes, classes, scripts, flags, start, end, min_words, run, groups, units, counts, han_kinds
):
    """Group and count one line of text.

    Chinese names in Latin prose get no group, like Latin terms in Chinese.

    Args: run, int64 (_N_RUN,), scratch memory. Writes groups[start:end] and han_kinds, int64 (N_KINDS,), Han characters
    by kind; adds to units and counts of the document.
    Returns: number of Han characters and of kana.
    """
    n_latin, n_han, n_kana, longest_han = _survey_letters(
        codes, classes, scripts, flags, start, end, groups, units, counts, han_kinds
    )
    prose_units = 0
    if n_latin > 0:
        prose_units = _survey_words(codes, classes, flags, start, end, min_words, run, groups, counts)
        units[LATN] += prose_units
    if n_kana == 0 and longest_han <= _NAME_HAN and UNITS_HAN * n_han < prose_units:
        _regroup(groups, start, end, NONE)
        n_han = 0
    return n_han, n_kana


@njit(cache=True, nogil=True)
def _survey_letters(codes, classes, scripts, flags, start, end, groups, units, counts, han_kinds):  # type: ignore[no-untyped-def]
    """Group the code points of a line by the letter before them, and count letters, units and symbols; skip tags.

    Latin letters get no group here: see `_survey_words`.

    Returns: number of Latin letters, Han characters and kana; length of the longest run of Han characters.
    """
    han_kinds[:] = 0
    n_latin, n_han, n_kana, n_letters, n_units, n_visible, n_symbols = 0, 0, 0, 0, 0, 0, 0
    han_run, longest_han, group = 0, 0, NONE
    i = start
    while i < end:
        char_class = classes[i]
        if char_class == LATIN:
            n_latin += 1
            han_run, group = 0, NONE
            i += 1
            continue
        if codes[i] == ord("<"):
            after_tag = _tag_end(codes, classes, i, i + 1, end)
            if after_tag > i + 1:
                i = after_tag
                continue
        flag = flags[codes[i]]
        n_visible += char_class > SPACE
        n_symbols += (flag & SYMBOL_FLAG) != 0
        if char_class == HAN:
            group = HANI
            n_han += 1
            han_run += 1
            longest_han = max(longest_han, han_run)
            for bit in range(N_KINDS):
                han_kinds[bit] += (flag >> bit) & 1
        else:
            han_run = 0
            if char_class == KANA:
                group = HANI
                n_kana += 1
            elif char_class == HANGUL:
                group = HANG
                units[HANG] += UNITS_HANGUL
            elif char_class >= LETTER:
                group = scripts[codes[i]]
                units[group] += UNITS_LETTER
        if char_class >= LETTER:
            n_letters += 1
            n_units += _units(char_class)
        groups[i] = group
        i += 1
    counts[VISIBLE] += n_visible + n_latin
    counts[LETTERS] += n_letters + n_latin
    counts[HAN_LETTERS] += n_han
    counts[PLAIN_LETTERS] += n_letters + n_latin
    counts[PLAIN_UNITS] += n_units + UNITS_LETTER * n_latin
    counts[LATIN_LETTERS] += n_latin
    counts[SYMBOLS] += n_symbols
    return n_latin, n_han, n_kana, longest_han


@njit(cache=True, nogil=True)
def _survey_words(codes, classes, flags, start, end, min_words, run, groups, counts):  # type: ignore[no-untyped-def]
    """Group the Latin words of a line: runs of at least min_words words are prose, words of shorter runs are terms.

    Words in paths and addresses belong to a run but are no terms. Tags are skipped and do not end a run.

    Returns: units of prose.
    """
    prose_units, in_address = 0, False
    run[_WORDS] = 0
    i = start
    while i <= end:
        word_start = i
        if i < end and classes[i] == LATIN:
            i = _add_word(codes, classes, i, end, run)
        after_word = i > word_start
        following = i + 1
        if i < end and codes[i] == ord("<"):
            following = _tag_end(codes, classes, i, i + 1, end)
        is_tag = following > i + 1
        if is_tag and not after_word:
            i = following
            continue
        if after_word and not in_address and (i == end or codes[i] != ord("/")):
            groups[word_start:i] = TERM
            is_name = _is_name(codes, classes, flags, word_start, i, start, end, is_tag)
            run[_NAMES if is_name else _TERMS] += i - word_start
        if i == end or _ends_run(codes, classes, flags, i, end, after_word, is_tag):
            prose_units += _end_run(run, min_words, groups, counts)
        if i < end:
            in_address = not is_tag and _is_in_address(codes[i], classes[i], flags[codes[i]], in_address)
        i = following
    return prose_units


@njit(cache=True, nogil=True, inline="always")
def _add_word(codes, classes, i, end, run):  # type: ignore[no-untyped-def]
    """Add the word that begins at i to the run; return where the word ends.

    Hyphens between letters are part of a word, so the slug of a URL is one word.
    """
    if run[_WORDS] == 0:
        run[_START], run[_LETTERS], run[_TERMS], run[_NAMES] = i, 0, 0, 0
        run[_WORDS] = 1
    else:
        run[_WORDS] += classes[i - 1] != DIGIT  # c7f01 is one word
    n_letters = 0
    while i < end:
        if classes[i] == LATIN:
            n_letters += 1
        elif classes[i] != MARK and not (codes[i] == ord("-") and i + 1 < end and classes[i + 1] == LATIN):
            break
        i += 1
    run[_LETTERS] += n_letters
    run[_END] = i
    return i


@njit(cache=True, nogil=True, inline="always")
def _ends_run(codes, classes, flags, i, end, after_word, is_tag):  # type: ignore[no-untyped-def]
    """Whether the code point at i ends a run of words: a letter of another script, or a mark that breaks or joins."""
    flag = flags[codes[i]]
    if classes[i] >= LETTER or (flag & BREAK_FLAG and not is_tag):
        return True
    return (flag & JOIN_FLAG) != 0 and after_word and i + 1 < end and classes[i + 1] != SPACE


@njit(cache=True, nogil=True, inline="always")
def _end_run(run, min_words, groups, counts):  # type: ignore[no-untyped-def]
    """End a run of words: group it as prose or count its terms and names; return its units of prose."""
    n_words = run[_WORDS]
    run[_WORDS] = 0
    if n_words >= min_words:
        groups[run[_START] : run[_END]] = LATN
        return UNITS_LETTER * run[_LETTERS]
    if n_words > 0:
        counts[TERM_LETTERS] += run[_TERMS]
        counts[NAME_LETTERS] += run[_NAMES]
    return 0


@njit(cache=True, nogil=True, inline="always")
def _is_in_address(code, char_class, flag, in_address):  # type: ignore[no-untyped-def]
    """Whether the text after this code point is part of a path or an address, given whether the text before it is.

    A slash, a backslash or an at sign begins one; a blank, another script, a quote or a bracket ends it.
    """
    if code == ord("/") or code == ord("\\") or code == ord("@"):
        return True
    return in_address and not (
        char_class == SPACE or char_class > LATIN or (char_class == PUNCT and flag == 0)
    )


@njit(cache=True, nogil=True)
def _is_name(codes, classes, flags, word, stop, start, end, is_tag):  # type: ignore[no-untyped-def]
    """Whether a word is part of an identifier, judged by the characters next to it."""
    if word > start:
        before = codes[word - 1]
        if classes[word - 1] == DIGIT or (
            flags[before] & _GLUE and before != ord("(") and before != ord(">")
        ):
            return True
    if stop >= end or is_tag:
        return False
    if classes[stop] == DIGIT or flags[codes[stop]] & BREAK_FLAG:
        return True
    return (flags[codes[stop]] & JOIN_FLAG) != 0 and stop + 1 < end and classes[stop + 1] != SPACE


@njit(cache=True, nogil=True)
def _regroup(groups, start, end, group):  # type: ignore[no-untyped-def]
    """Move the Han and kana of a line to another group."""
    for i in range(start, end):
        if groups[i] == HANI:
            groups[i] = group


@njit(cache=True, nogil=True)
def encode(code, out, size):  # type: ignore[no-untyped-def]
    """Append a code point as UTF-8; return the new size."""
    if code < 0x80:
        out[size] = code
        return size + 1
    if code < 0x800:
        out[size] = 0xC0 | code >> 6
    elif code < 0x10000:
        out[size] = 0xE0 | code >> 12
        size += 1
        out[size] = 0x80 | (code >> 6 & 0x3F)
    else:
        out[size] = 0xF0 | code >> 18
        out[size + 1] = 0x80 | (code >> 12 & 0x3F)
        size += 2
        out[size] = 0x80 | (code >> 6 & 0x3F)
    out[size + 1] = 0x80 | (code & 0x3F)
    return size + 2


@njit(cache=True, nogil=True)
def _tag_end(codes, classes, i, run, end):  # type: ignore[no-untyped-def]
    """Return the end of the tag that begins at i, a run of `<` that ends at `run`; `run` if there is none."""
    if begins_tag(codes, classes, i, run, end):
        for j in range(run, end):
            if codes[j] == ord(">"):
                return j + 1
            if codes[j] == ord("<"):
                return run
    return run
