"""Text of language parts in the plain form that a language model was trained on, as UTF-8.

Models know words between ASCII blanks in mixed case. Full-width letters, other blanks of Unicode, soft hyphens and text
in capitals are words to a reader and to match text, but unknown characters to the model, which then takes English for
Catalan. They are folded in the copy that is predicted; every other text is read as it is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.scripts.scripts import LATN, SHORT, TERM, Survey, encode
from stages.kernels.text.tables import DIGIT, LATIN, LETTER, NEWLINE, PUNCT, SPACE, SYMBOL, load_tables
from stages.kernels.text.text import TextView

FOLDED, CAPITALS = 1, 2
"""Bits of find_forms: forms to fold; more capitals than small letters."""

_COMPATIBLE = 0x2000
"""Latin letters and digits from here on are forms of others: full width, mathematical, circled."""
_WIDE = 0xFF01
_WIDE_SPAN = 0x5E
_SOFT_HYPHEN, _WORD_JOINER, _BYTE_ORDER_MARK = 0xAD, 0x2060, 0xFEFF


def find_forms(text: TextView) -> np.ndarray:
    """Return which forms a document has: uint8 (n_docs,), bits FOLDED and CAPITALS."""
    forms = np.zeros(len(text.starts) - 1, np.uint8)
    _find_forms(*text, load_tables().fold, forms)
    return forms


def copy_parts(
    text: TextView,
    found: Survey,
    docs: np.ndarray,
    groups: np.ndarray,
    terms: np.ndarray,
    whole: np.ndarray,
    forms: np.ndarray,
    n_bytes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Write the text of some groups of some documents in plain form, with one blank for each gap.

    Args: docs and groups, int64 (n_parts,), document and group of each language part; terms, bool (n_parts,), whether
    the part includes the TERM text of the document; whole, bool (n_parts,), whether it is the text of all groups;
    forms, uint8 (n_docs,), from find_forms; n_bytes, int64 (n_docs,), size of each document.
    Returns: uint8 (n_bytes,), text of the parts; int64 (n_parts + 1,) offsets.
    """
    room = (
        int(n_bytes[docs].sum()) * 3 // 2
    )  # a small letter may take three bytes where its capital takes two
    out = np.empty(room + len(docs), np.uint8)
    offsets = np.zeros(len(docs) + 1, np.int64)
    _copy_parts(
        *text,
        found.groups,
        found.short_group,
        docs,
        groups,
        terms,
        whole,
        forms,
        load_tables().fold,
        out,
        offsets,
    )
    return out, offsets


@njit(cache=True, nogil=True)
def _find_forms(codes, starts, classes, fold, forms):  # type: ignore[no-untyped-def]  # numba infers types
    for doc in range(len(forms)):
        n_upper, n_cased, n_folded = 0, 0, 0
        for i in range(starts[doc], starts[doc + 1]):
            code, char_class = codes[i], classes[i]
            if code < 0x80:
                n_upper += 0x41 <= code <= 0x5A
                n_cased += char_class == LATIN
                continue
            if char_class == LATIN and code >= _COMPATIBLE:
                wide = code - np.uint32(0xFEE0)
                n_cased += 1
                n_upper += 0x41 <= wide <= 0x5A
            elif char_class == LATIN or char_class == LETTER:
                n_cased += 1
                n_upper += fold[code] != code and fold[code] != 0
            n_folded += _is_folded(code, char_class)
        forms[doc] = FOLDED * (n_folded > 0) + CAPITALS * (2 * n_upper > n_cased)


@njit(cache=True, nogil=True, inline="always")
def _is_folded(code, char_class):  # type: ignore[no-untyped-def]
    """Whether a character outside ASCII is a blank, a form of an ASCII letter or digit, or invisible inside a word."""
    if char_class == SPACE or code == _SOFT_HYPHEN or code == _WORD_JOINER or code == _BYTE_ORDER_MARK:
        return True
    return code >= _COMPATIBLE and (char_class == LATIN or char_class == DIGIT)


@njit(cache=True, nogil=True)
def _plain(code, char_class, fold, latin, capitals):  # type: ignore[no-untyped-def]
    """Return the plain form of a character, 0 for one that is left out.

    Full-width punctuation is folded in Latin text only: in Chinese and Japanese it is the usual form.
    """
    if code < 0x80:
        return code + np.uint32(0x20) if capitals and 0x41 <= code <= 0x5A else code
    if char_class == NEWLINE:
        return code
    if _is_folded(code, char_class):
        if char_class != LATIN and char_class != DIGIT:
            return np.uint32(0x20) if char_class == SPACE else np.uint32(0)
        if code - np.uint32(_WIDE) < _WIDE_SPAN and not capitals:
            return code - np.uint32(0xFEE0)
        return fold[code]
    if capitals and (char_class == LATIN or char_class == LETTER) and fold[code] != 0:
        return fold[code]
    if latin and (char_class == PUNCT or char_class == SYMBOL) and code - np.uint32(_WIDE) < _WIDE_SPAN:
        return code - np.uint32(0xFEE0)
    return code


@njit(cache=True, nogil=True)
def _copy_parts(  # type: ignore[no-untyped-def]
    codes, starts, classes, groups, short_group, docs, part_groups, terms, whole, forms, fold, out, offsets
):
    size = 0
    for part in range(len(docs)):
        doc, gap = docs[part], False
        latin, is_plain = part_groups[part] == LATN, forms[doc] == 0
        capitals = (forms[doc] & CAPITALS) != 0
        for i in range(starts[doc], starts[doc + 1]):
            group = short_group[doc] if groups[i] == SHORT else groups[i]
            if not whole[part] and group != part_groups[part] and not (terms[part] and group == TERM):
                gap = True
                continue
            if gap:
                out[size] = ord(" ")
                size += 1
                gap = False
            code = codes[i] if is_plain else _plain(codes[i], classes[i], fold, latin, capitals)
            if code != 0:
                size = encode(code, out, size)
        offsets[part + 1] = size
