"""Find the candidate spans of a batch to which patterns of personal data are applied.

A candidate is a span of a text around a sign that every match contains: an at sign, a run of digits of the right shape,
a hextet and its colon, the head of a key, a word that introduces an account or a document. It extends to the first
character that cannot be part of a match, so a pattern applied to the candidate and a little context finds the same
matches as in the whole text. Its signs, as bits, are the patterns that can match. Han and kana are not word characters
here: 邮箱a@b.cn谢谢 contains an address.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.pii.characters import DIGIT, LETTER, LOCAL, ROLES, SIGN, has_role, lower, plain
from stages.kernels.pii.heads import Heads, hash_triple, word_at
from stages.kernels.pii.numbers import number_at, short_number_at
from stages.kernels.pii.shapes import (
    ACCOUNT_CHARS,
    account_end,
    assigned_end,
    block_end,
    email_at,
    hash_mark_at,
    iban_at,
    ipv6_at,
    is_marked,
    mac_at,
    spelled_at,
    token_end,
    url_at,
)
from stages.kernels.pii.signs import (
    AFTER_CHARS,
    ASSIGNED,
    BEFORE_CHARS,
    EMAIL,
    HANDLE,
    IBAN,
    IPV6,
    KEY_BLOCK,
    MAC,
    NAME,
    PLACE,
    PLATE,
    SPELLED,
    TOKEN,
    URL,
)

AFTER_NUMBER = 12
"""Characters after a number that may belong to it: an extension, the check character in brackets."""


@njit(cache=True, nogil=True)
def _atword_at(codes, i, start, end, words, buckets):  # type: ignore[no-untyped-def]
    """Return sign, start and end of the candidate with its head at i; the end is i if there is none."""
    if codes[i] < 0x80 and i > start:
        if has_role(codes[i - 1], DIGIT | LETTER):
            return 0, i, i
    if lower(codes[i]) == 0x61 and i + 1 < end and lower(codes[i + 1]) == 0x74:
        first, last = spelled_at(codes, i, start, end)
        if last > first:
            return SPELLED, first, last
    head = word_at(codes, i, end, words, buckets, np.int64(-1))
    while head >= 0 and words[head, 0] == ASSIGNED:
        last = assigned_end(codes, i, end)
        if last > i:
            return ASSIGNED, i, last
        # keys of some issuers begin with a name, as secret_
        head = word_at(codes, i, end, words, buckets, head)
    if head < 0:
        return 0, i, i
    sign = np.int64(words[head, 0])
    if sign == TOKEN:  # only at the start of a run, so that no run is read twice
        return sign, i, i if i > start and has_role(codes[i - 1], LOCAL) else token_end(codes, i, end)
    if sign == KEY_BLOCK:
        return sign, i, block_end(codes, i, end)
    if sign == PLATE:
        return sign, i, min(i + 10, end)
    if sign & (NAME | PLACE):
        return sign, i, min(i + ACCOUNT_CHARS, end)
    if sign == HANDLE and not is_marked(codes, i, end):
        return 0, i, i
    return sign, i, account_end(codes, i, end)


@njit(cache=True, nogil=True)
def _candidate(codes, i, start, end, words, buckets):  # type: ignore[no-untyped-def]
    """Return signs, start and end of the candidate with its sign at i, and where the search continues."""
    code = plain(codes[i])
    if code == 0x40:
        first, last = email_at(codes, i, start, end)
        return EMAIL, first, last, i + 1
    if code == 0x3A or code == 0x2D:
        first, last = mac_at(codes, i, start, end)
        if last > first:
            return MAC, first, last, i + 1
        if code == 0x2D:
            sign, first, last = _atword_at(codes, i, start, end, words, buckets)
            return sign, first, last, i + 1
        first, last = url_at(codes, i, start, end)
        if last > first:
            return URL, first, last, i + 1
        first, last = ipv6_at(codes, i, start, end)
        return IPV6, first, last, i + 1
    if code == 0x23:
        first, last = hash_mark_at(codes, i, start, end)
        return SPELLED, first, last, i + 1
    sign, first, last = _atword_at(codes, i, start, end, words, buckets)
    return sign, first, last, i + 1


@njit(cache=True, nogil=True)
def _may_begin(code, codes, i, end, triples):  # type: ignore[no-untyped-def]
    """Whether three characters at i may be those of a head, or the first is a sign of another kind; code: folded."""
    if code == 0x2D:  # a run of dashes is read where it may begin a key block
        return plain(codes[i + 1]) != 0x2D or (i + 5 < end and plain(codes[i + 5]) == 0x42)
    if i + 2 >= end or code >= 0x80 or ROLES[code] & (DIGIT | SIGN):
        return True
    return triples[hash_triple(lower(code), lower(codes[i + 1]), lower(codes[i + 2]))]


@njit(cache=True, nogil=True)
def _next_stop(codes, i, start, end, firsts, stops, triples):  # type: ignore[no-untyped-def]
    """Return the first position from i on where a candidate may have its sign; the last one, or behind it, for none.

    A function of its own, since the loop is four times as fast without the code for candidates around it.
    """
    while i + 1 < end:  # no candidate begins at the last character
        code = codes[i]
        if code < 0x80:
            if i > start and ROLES[code] & LETTER and has_role(codes[i - 1], DIGIT | LETTER):
                i += 1  # inside a word no head begins
                continue
        else:
            if code < 0xFF00 and not firsts[code]:
                i += 1
                continue
            code = plain(code)
        pair = (code & np.uint32(0x7F)) << np.uint32(7) | (codes[i + 1] & np.uint32(0x7F))
        if stops[0 if code < 0x80 else 1, pair] and _may_begin(code, codes, i, end, triples):
            break
        i += 1
    return i


@njit(cache=True, nogil=True)
def find_candidates(codes: np.ndarray, starts: np.ndarray, heads: Heads) -> np.ndarray:
    """Find the candidates of all texts.

    Args: codes and starts, of the view; heads, from make_heads.
    Returns: int64 (n_candidates, 4): index of the text, signs, start and end in codes, in order of the
    positions of their signs.
    """
    candidates = np.empty((64, 4), np.int64)
    n_candidates = 0
    words, buckets, firsts, stops, triples, labels = heads
    for doc in range(len(starts) - 1):
        start, end = starts[doc], starts[doc + 1]
        i = start
        while True:
            i = _next_stop(codes, i, start, end, firsts, stops, triples)
            if i + 1 >= end:
                break
            code = plain(codes[i])
            if n_candidates + 2 > len(candidates):
                candidates = np.concatenate((candidates, np.empty_like(candidates)))
            if has_role(code, DIGIT):
                first, last = iban_at(codes, i, start, end)
                if last > first:
                    candidates[n_candidates] = (doc, IBAN, first, last)
                    n_candidates += 1
                else:
                    for mark in range(
                        i + 1, min(i + 3, end)
                    ):  # hyphens join digits, so the search skips them
                        if last == i and plain(codes[mark]) == 0x2D:
                            first, last = mac_at(codes, mark, start, end)
                            if last > first:
                                candidates[n_candidates] = (doc, MAC, first, last)
                                n_candidates += 1
                            else:
                                last = i
                short = short_number_at(codes, i, start, end)
                if short > i:
                    i = short
                    continue
                first, last, signs = number_at(codes, i, start, end, labels)
                following = last
                last = min(last + AFTER_NUMBER, end) if signs else first
            else:
                signs, first, last, following = _candidate(codes, i, start, end, words, buckets)
            if last > first:
                candidates[n_candidates] = (doc, signs, first, last)
                n_candidates += 1
            i = following
    return candidates[:n_candidates]


@njit(cache=True, nogil=True)
def candidate_text(
    codes: np.ndarray, starts: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copy candidates and their context, folded by `plain`, one after another.

    Args: codes and starts, of the view; found, int64 (n_candidates, 4), from find_candidates.
    Returns: uint32 (n_chars,), code points; int64 (n_candidates + 1,), where each candidate begins in them; int64
    (n_candidates,), start of the context in codes.
    """
    context_starts = np.empty(len(found), np.int64)
    text_starts = np.zeros(len(found) + 1, np.int64)
    for k in range(len(found)):
        doc = found[k, 0]
        context_starts[k] = max(found[k, 2] - BEFORE_CHARS, starts[doc])
        text_starts[k + 1] = (
            text_starts[k] + min(found[k, 3] + AFTER_CHARS, starts[doc + 1]) - context_starts[k]
        )
    text = np.empty(text_starts[-1], np.uint32)
    for k in range(len(found)):
        for n in range(text_starts[k + 1] - text_starts[k]):
            text[text_starts[k] + n] = plain(codes[context_starts[k] + n])
    return text, text_starts, context_starts
