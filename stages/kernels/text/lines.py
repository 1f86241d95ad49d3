"""Counts over the lines, paragraphs and sentences of one text.

A line is the text between line breaks, without blanks and invisible characters at its ends; empty lines are not
counted. A paragraph is a run of lines without an empty line between them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.firsts import clear, first_place
from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.line_shapes import ends_with, is_cue, is_heading, label_end, parts_cells, separators
from stages.kernels.text.tables import HAN, LATIN, NEWLINE, PUNCT, SPACE

LINE_END = 1
SENTENCE = 2
SENTENCE_BEFORE_BLANK = 4
CLOSER = 8
BULLET = 16
BULLET_BEFORE_BLANK = 32
ELLIPSIS = 64
ELLIPSIS_BY_THREE = 128
"""Roles of a character, bits of a uint8 table over the first 0x10000 (`languages/punctuation.yaml`)."""

LINE_COUNTS = (
    "n_newlines",
    "n_lines",
    "line_chars",
    "max_line_chars",
    "n_short_lines",
    "n_terminal_lines",
    "n_bullet_lines",
    "n_ellipsis_lines",
    "n_duplicate_lines",
    "duplicate_line_chars",
    "n_paragraphs",
    "n_duplicate_paragraphs",
    "duplicate_paragraph_chars",
    "n_long_lines",
    "n_read_more_lines",
    "n_closed_lines",
    "n_heading_lines",
    "n_cue_lines",
    "n_table_lines",
    "n_speaker_lines",
)
SENTENCE_COUNTS = ("n_sentences", "n_ellipses")

LONG_CHARS = 200
"""Characters of a line that mC4 counts as a paragraph (arXiv 2010.11934, section 3.1)."""


@njit(cache=True, nogil=True)
def max_lines(classes, start, end):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Return an upper bound on the number of lines of a text."""
    n = 1
    for i in range(start, end):
        n += classes[i] == NEWLINE
    return n


@njit(cache=True, nogil=True)
def role(roles, code):  # type: ignore[no-untyped-def]
    """Return the roles of a character, uint8 bits; roles is uint8 (0x10000,)."""
    return roles[code] if code < 0x10000 else np.uint8(0)


@njit(cache=True, nogil=True)
def next_line(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Find the line that begins at i.

    Returns: start and end of its visible part (equal if the line is empty), and the start of the next line; CR LF is
    one break.
    """
    first = last = i
    has_visible = False
    while i < end and classes[i] != NEWLINE:
        if classes[i] >= PUNCT:
            if not has_visible:
                first = i
                has_visible = True
            last = i + 1
        i += 1
    if i < end:
        i += 2 if codes[i] == 0x0D and i + 1 < end and codes[i + 1] == 0x0A else 1
    return first, last, i


@njit(cache=True, nogil=True)
def ends_prose(codes, roles, first, last):  # type: ignore[no-untyped-def]
    """Whether a line ends in terminal punctuation, ignoring closing brackets and quotes."""
    for i in range(last - 1, first - 1, -1):
        if role(roles, codes[i]) & LINE_END:
            return True
        if not role(roles, codes[i]) & CLOSER:
            return False
    return False


@njit(cache=True, nogil=True)
def opens_item(codes, classes, roles, first, last):  # type: ignore[no-untyped-def]
    """Whether a line begins with a list marker."""
    mark_roles = role(roles, codes[first])
    before_blank = first + 1 < last and classes[first + 1] == SPACE
    return bool(mark_roles & BULLET) or bool(mark_roles & BULLET_BEFORE_BLANK and before_blank)


@njit(cache=True, nogil=True)
def ends_cut(codes, roles, first, last):  # type: ignore[no-untyped-def]
    """Whether a line ends in an ellipsis of one character or of three."""
    code = codes[last - 1]
    if role(roles, code) & ELLIPSIS:
        return True
    is_triple = last - first >= 3 and codes[last - 2] == code and codes[last - 3] == code
    return bool(is_triple and role(roles, code) & ELLIPSIS_BY_THREE)


@njit(cache=True, nogil=True)
def count_lines(  # type: ignore[no-untyped-def]
    codes, classes, fold, start, end, roles, short_chars, read_more, table, paragraphs, labels, counts
):
    """Count the lines and paragraphs of one text.

    Duplicates are all occurrences but the first. A speaker line begins with a name and a colon with which an earlier
    line began. A line belongs to a table if it has as many separators as a neighbouring line.

    Args: codes, classes, of the view; fold, uint32 (0x110000,); start, end, of the text in codes; roles, uint8
    (0x10000,); short_chars, length up to which a line is short; read_more, from `line_shapes.ending_table`; table,
    paragraphs and labels, Firsts with room for as many keys as there are lines. Writes counts, int64 (20,), in the
    order of LINE_COUNTS.
    """
    counts[:] = 0
    n_lines = max_lines(classes, start, end)
    clear(table, n_lines)
    clear(paragraphs, n_lines)
    clear(labels, n_lines)
    paragraph_hash = ODD_B
    paragraph_chars = 0
    cells_before = np.int64(0)
    in_table = False
    i = start
    while i < end:
        first, last, following = next_line(codes, classes, i, end)
        counts[0] += classes[following - 1] == NEWLINE
        i = following
        n_chars = last - first
        if n_chars:
            counts[1] += 1
            counts[2] += n_chars
            counts[3] = max(counts[3], n_chars)
            counts[4] += n_chars <= short_chars
            counts[5] += ends_prose(codes, roles, first, last)
            counts[6] += opens_item(codes, classes, roles, first, last)
            counts[7] += ends_cut(codes, roles, first, last)
            key = ODD_B
            n_marks = 0
            for k in range(first, last):
                key = step(key, codes[k], ODD_A)
                n_marks += parts_cells(codes[k])
            if first_place(table, mix(key), first) != first:
                counts[8] += 1
                counts[9] += n_chars
            paragraph_hash = step(paragraph_hash, mix(key), ODD_A)
            paragraph_chars += n_chars
            counts[13] += n_chars >= LONG_CHARS
            counts[14] += ends_with(codes, fold, first, last, read_more)
            counts[15] += classes[last - 1] == PUNCT
            counts[16] += is_heading(codes, classes, first, last)
            counts[17] += is_cue(codes, classes, first, last)
            cells = separators(codes, classes, first, last) if n_marks else np.int64(0)
            if cells and cells == cells_before:
                counts[18] += 1 if in_table else 2
                in_table = True
            else:
                in_table = False
            label = label_end(codes, classes, first, last)
            if label > first:
                key = ODD_B
                for k in range(first, label):
                    key = step(key, codes[k], ODD_A)
                counts[19] += first_place(labels, mix(key), first) != first
            cells_before = cells
        if paragraph_chars and (n_chars == 0 or i >= end):
            counts[10] += 1
            if first_place(paragraphs, mix(paragraph_hash), i) != i:
                counts[11] += 1
                counts[12] += paragraph_chars
            paragraph_hash = ODD_B
            paragraph_chars = 0


@njit(cache=True, nogil=True)
def count_sentences(codes, classes, start, end, roles, counts):  # type: ignore[no-untyped-def]
    """Count sentences, which contain a letter and end in a mark, and ellipses of one character or of three.

    Writes counts, int64 (2,), in the order of SENTENCE_COUNTS.
    """
    n_sentences = n_ellipses = 0
    has_letter = False
    run_length = 0
    for i in range(start, end):
        if classes[i] >= LATIN:
            has_letter = True
            continue
        mark_roles = role(roles, codes[i]) if classes[i] == PUNCT else 0
        run_length = run_length + 1 if i > start and codes[i] == codes[i - 1] else 1
        is_single = mark_roles & ELLIPSIS and run_length == 1
        n_ellipses += bool(is_single or (mark_roles & ELLIPSIS_BY_THREE and run_length == 3))
        if has_letter and mark_roles and is_sentence_end(codes, classes, roles, mark_roles, i, start, end):
            n_sentences += 1
            has_letter = False
    counts[0], counts[1] = n_sentences, n_ellipses


@njit(cache=True, nogil=True)
def is_sentence_end(codes, classes, roles, mark_roles, i, start, end):  # type: ignore[no-untyped-def]
    """Whether the mark at i, which has the roles mark_roles, ends a sentence; the dots in 3.14 and node.js do not."""
    if mark_roles & SENTENCE:
        return True
    if not mark_roles & SENTENCE_BEFORE_BLANK:
        return False
    after = i + 1
    while after < end and role(roles, codes[after]) & (SENTENCE | SENTENCE_BEFORE_BLANK | CLOSER):
        after += 1
    if after == end or classes[after] == SPACE or classes[after] == NEWLINE:
        return True
    return classes[after] >= HAN and i > start and classes[i - 1] >= HAN
