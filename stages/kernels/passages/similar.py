"""Sentences of texts, and which of them are similar to an earlier sentence of their document.

Candidates are found by MinHash: for each of N_HASHES hash functions, a sentence has one minimal gram, the gram of its
match text with the least hash. Each minimal gram is stored with the first sentence that has it, so a sentence is
compared with at most N_HASHES others, regardless of their number. Two sentences with Jaccard index s over grams share a
minimal gram with probability 1 - (1 - s) ** N_HASHES (Broder et al., JCSS 60(3), 2000).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.text.firsts import clear, first_place, new_firsts
from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.lines import (
    CLOSER,
    SENTENCE,
    SENTENCE_BEFORE_BLANK,
    is_sentence_end,
    next_line,
    role,
)
from stages.kernels.text.tables import DIGIT, MARK, PUNCT, SPACE

N_HASHES = 8
FAR = 1 << 30
"""A distance above every limit."""


@nb.njit(cache=True, nogil=True)
def cut_sentences(
    codes: np.ndarray,
    starts: np.ndarray,
    classes: np.ndarray,
    offsets: np.ndarray,
    roles: np.ndarray,
    wide: np.ndarray,
    wide_chars: int,
    narrow_chars: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the sentences that are long enough.

    A sentence ends after a mark that ends sentences and the closing marks and blanks behind it, or before the line
    break. A sentence that is a whole line includes the line break and the empty lines after it. A wide character weighs
    narrow_chars and any other character of a word wide_chars; a sentence must weigh at least their product.

    Args: codes, starts, classes, of the view; offsets, int64 (n_docs + 1,), start of each text in the UTF-8 buffer;
    roles, uint8 (0x10000,), see `kernels.text.lines`; wide, bool (0x110000,).
    Returns: the columns of passages.Units, int64 (n_sentences,) each.
    """
    target = np.int64(wide_chars) * narrow_chars
    sentences = np.empty((5, len(codes) * max(wide_chars, narrow_chars) // target + len(starts)), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        low, high = starts[doc], starts[doc + 1]
        i, byte, open_line = low, offsets[doc], -1  # the latest sentence, if it is a whole line
        while i < high:
            first, last, following = next_line(codes, classes, i, high)
            begin = i
            if last > first:
                open_line = -1
            while begin < last:
                stop = _sentence_end(codes, classes, roles, begin, last, low, high)
                end = following if begin == i and stop == last else stop
                weight, n_bytes = _weigh(codes, classes, wide, begin, end, wide_chars, narrow_chars)
                if weight >= target:
                    sentences[0, n], sentences[1, n], sentences[2, n] = doc, begin - low, end - low
                    sentences[3, n], sentences[4, n] = byte, byte + n_bytes
                    open_line = n if end == following else -1
                    n += 1
                byte += n_bytes
                begin = end
            byte += _weigh(codes, classes, wide, begin, following, wide_chars, narrow_chars)[1]
            if last == first and open_line >= 0:
                sentences[2, open_line], sentences[4, open_line] = following - low, byte
            i = following
    return sentences[0, :n], sentences[1, :n], sentences[2, :n], sentences[3, :n], sentences[4, :n]


@nb.njit(cache=True, nogil=True)
def _sentence_end(codes, classes, roles, begin, last, low, high):  # type: ignore[no-untyped-def]
    """Return the end, within its line, of the sentence that begins at `begin`."""
    for k in range(begin, last):
        mark_roles = role(roles, codes[k]) if classes[k] == PUNCT else np.uint8(0)
        if mark_roles and is_sentence_end(codes, classes, roles, mark_roles, k, low, high):
            stop = k + 1
            while stop < last and (
                classes[stop] == SPACE
                or role(roles, codes[stop]) & (SENTENCE | SENTENCE_BEFORE_BLANK | CLOSER)
            ):
                stop += 1
            return stop
    return last


@nb.njit(cache=True, nogil=True)
def _weigh(codes, classes, wide, begin, end, wide_chars, narrow_chars):  # type: ignore[no-untyped-def]
    """Return the weight of the word characters of a range and its size in UTF-8, in bytes."""
    weight, n_bytes = np.int64(0), np.int64(0)
    for k in range(begin, end):
        code = codes[k]
        n_bytes += 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
        if classes[k] >= MARK:
            weight += narrow_chars if wide[code] else wide_chars
    return weight, n_bytes


@nb.njit(cache=True, nogil=True)
def find_leaders(
    codes: np.ndarray,
    starts: np.ndarray,
    docs: np.ndarray,
    drawn: np.ndarray,
    table: np.ndarray,
    max_distance: float,
    max_chars: int,
    same_digits: bool,
) -> np.ndarray:
    """Find the leader of each sentence: an earlier, similar sentence of its document that has no leader itself.

    Args: codes, uint32, and starts, int64 (n + 1,), match text of the sentences; docs, int64 (n,), sorted, their
    documents; drawn, uint32 (2, N_HASHES), permutations; table, uint8 (0x110000,), the class of every code point;
    max_distance, greatest edit distance as a share of the length of the longer sentence; max_chars, length above which
    sentences must be equal; same_digits, whether their digits must be equal.
    Returns: int64 (n,), index of the leader, or of the sentence itself if it has none.
    """
    leaders = np.arange(len(docs))
    max_sentences = np.int64(0)  # sentences in one document
    for sentence in range(len(docs)):
        max_sentences = max(max_sentences, sentence + 1 - np.searchsorted(docs, docs[sentence]))
    seen = new_firsts(max_sentences * (N_HASHES + 1))
    least, row = np.empty(N_HASHES, np.uint32), np.empty(max_chars + 2, np.int64)
    first_of_doc = 0
    for sentence in range(len(docs)):
        low, high = starts[sentence], starts[sentence + 1]
        if sentence == 0 or docs[sentence] != docs[sentence - 1]:
            first_of_doc = sentence
            clear(seen, (np.searchsorted(docs, docs[sentence], side="right") - sentence) * (N_HASHES + 1))
        if low == high:
            continue
        state = ODD_B
        for k in range(low, high):
            state = step(state, codes[k], ODD_A)
        other = first_of_doc + first_place(seen, mix(state), sentence - first_of_doc)
        if other < sentence:
            leaders[sentence] = leaders[other]
            continue
        if high - low > max_chars:
            continue
        _least_grams(codes, low, high, drawn, least)
        for i in range(N_HASHES):
            key = mix(np.uint64(least[i]) + (np.uint64(i + 1) << np.uint64(32)))
            other = leaders[first_of_doc + first_place(seen, key, sentence - first_of_doc)]
            if leaders[sentence] == sentence and other < sentence:
                if _is_similar(codes, starts, table, other, sentence, max_distance, same_digits, row):
                    leaders[sentence] = other
    return leaders


@nb.njit(cache=True, nogil=True)
def _least_grams(codes, low, high, drawn, least):  # type: ignore[no-untyped-def]
    """Write the least gram of three characters by each permutation x -> a x + b mod 2**32; short texts are one gram."""
    least[:] = np.uint32(0xFFFFFFFF)
    gram = np.uint64(0)
    for k in range(low, high):
        gram = (gram << np.uint64(21) | np.uint64(codes[k])) & np.uint64((1 << 63) - 1)
        if k >= low + 2 or k == high - 1:
            x = np.uint32(mix(gram) >> np.uint64(32))
            for i in range(N_HASHES):
                least[i] = min(least[i], np.uint32(drawn[0, i] * x + drawn[1, i]))


@nb.njit(cache=True, nogil=True)
def _is_similar(codes, starts, table, left, right, max_distance, same_digits, row):  # type: ignore[no-untyped-def]
    """Whether the edit distance of two sentences is at most max_distance times the length of the longer one."""
    a, a_end, b, b_end = starts[left], starts[left + 1], starts[right], starts[right + 1]
    most = np.int64(max_distance * max(a_end - a, b_end - b) + 1e-9)
    if abs((a_end - a) - (b_end - b)) > most or (
        same_digits and not _same_digits(codes, table, a, a_end, b, b_end)
    ):
        return False
    while a < a_end and b < b_end and codes[a] == codes[b]:
        a, b = a + 1, b + 1
    while a < a_end and b < b_end and codes[a_end - 1] == codes[b_end - 1]:
        a_end, b_end = a_end - 1, b_end - 1
    return _within(codes, a, a_end, b, b_end, most, row)


@nb.njit(cache=True, nogil=True)
def _same_digits(codes, table, a, a_end, b, b_end):  # type: ignore[no-untyped-def]
    """Whether two ranges have the same digits in the same order."""
    while True:
        while a < a_end and table[codes[a]] != DIGIT:
            a += 1
        while b < b_end and table[codes[b]] != DIGIT:
            b += 1
        if a == a_end or b == b_end:
            return a == a_end and b == b_end
        if codes[a] != codes[b]:
            return False
        a, b = a + 1, b + 1


@nb.njit(cache=True, nogil=True)
def _within(codes, a, a_end, b, b_end, most, row):  # type: ignore[no-untyped-def]
    """Whether the edit distance of two ranges is at most `most`: a band of 2 most + 1 diagonals (Ukkonen, 1985)."""
    n, m = a_end - a, b_end - b
    for j in range(min(m, most) + 1):
        row[j] = j
    for i in range(1, n + 1):
        low, high = max(1, i - most), min(m, i + most)
        diagonal = row[low - 1]
        row[low - 1] = i if low == 1 else FAR
        best = row[low - 1]
        if high == i + most:
            row[high] = FAR
        for j in range(low, high + 1):
            above = row[j]
            row[j] = min(diagonal + (codes[a + i - 1] != codes[b + j - 1]), above + 1, row[j - 1] + 1)
            diagonal = above
            best = min(best, row[j])
        if best > most:
            return False
    return row[m] <= most
