"""Sentences of texts, and which of them are like an earlier one of their document.

A sentence is looked for among the earlier ones that share a least gram with it: of the grams of its match text the one
of least hash, by each of N_HASHES hash functions. Each least gram knows the first sentence that had it, so that a
sentence is compared with N_HASHES others at most, however many there are. Two sentences that share a share s of their
grams have a least one in common with probability 1 - (1 - s) ** N_HASHES (Broder et al., JCSS 60(3), 2000).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from stages.kernels.firsts import clear, first_place, new_firsts
from stages.kernels.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.lines import CLOSER, SENTENCE, SENTENCE_BEFORE_BLANK, _ends_sentence, next_line, role
from stages.kernels.tables import DIGIT, MARK, PUNCT, SPACE

N_HASHES = 8
FAR = 1 << 30
"""A distance that is too great."""


@nb.njit(cache=True, nogil=True)
def cut_sentences(codes, starts, classes, offsets, roles, wide, wide_chars, narrow_chars):  # type: ignore[no-untyped-def]
    """Find the sentences that are long enough: columns of passages.Units.

    A sentence ends at a mark that ends sentences, with the closing marks and blanks after it, or before the line break.
    One that is a whole line takes the break and the empty lines after it as well. A wide character weighs narrow_chars,
    any other of a word wide_chars; their product is enough.
    """
    target = np.int64(wide_chars) * narrow_chars
    found = np.empty((5, len(codes) * max(wide_chars, narrow_chars) // target + len(starts)), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        low, high = starts[doc], starts[doc + 1]
        i, byte, open_line = low, offsets[doc], -1  # the last sentence, if it is a whole line
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
                    found[0, n], found[1, n], found[2, n] = doc, begin - low, end - low
                    found[3, n], found[4, n] = byte, byte + n_bytes
                    open_line = n if end == following else -1
                    n += 1
                byte += n_bytes
                begin = end
            byte += _weigh(codes, classes, wide, begin, following, wide_chars, narrow_chars)[1]
            if last == first and open_line >= 0:
                found[2, open_line], found[4, open_line] = following - low, byte
            i = following
    return found[0, :n], found[1, :n], found[2, :n], found[3, :n], found[4, :n]


@nb.njit(cache=True, nogil=True)
def _sentence_end(codes, classes, roles, begin, last, low, high):  # type: ignore[no-untyped-def]
    """Where the sentence that begins at `begin` ends in its line."""
    for k in range(begin, last):
        kind = role(roles, codes[k]) if classes[k] == PUNCT else np.uint8(0)
        if kind and _ends_sentence(codes, classes, roles, kind, k, low, high):
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
    """Weight of the characters of words in a range, and its bytes in UTF-8."""
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
    """Find for each sentence the earlier one of its document that it is like and that is like no earlier one itself.

    Args: codes and starts, match text of the sentences; docs, int64 (n,), sorted, their documents; drawn, uint32
    (2, N_HASHES), permutations; table, the character class of every code point; max_distance, of edits to the length of
    the longer one; max_chars, above which sentences must be equal; same_digits, whether digits must be equal.
    Returns: int64 (n,), numbers of sentences, its own where there is none.
    """
    leaders = np.arange(len(docs))
    most = np.int64(0)  # sentences of a document
    for u in range(len(docs)):
        most = max(most, u + 1 - np.searchsorted(docs, docs[u]))
    seen = new_firsts(most * (N_HASHES + 1))
    least, row = np.empty(N_HASHES, np.uint32), np.empty(max_chars + 2, np.int64)
    head = 0
    for u in range(len(docs)):
        low, high = starts[u], starts[u + 1]
        if u == 0 or docs[u] != docs[u - 1]:
            head = u
            clear(seen, (np.searchsorted(docs, docs[u], side="right") - u) * (N_HASHES + 1))
        if low == high:
            continue
        whole = ODD_B
        for k in range(low, high):
            whole = step(whole, codes[k], ODD_A)
        other = head + first_place(seen, mix(whole), u - head)
        if other < u:
            leaders[u] = leaders[other]
            continue
        if high - low > max_chars:
            continue
        _least_grams(codes, low, high, drawn, least)
        for i in range(N_HASHES):
            key = mix(np.uint64(least[i]) + (np.uint64(i + 1) << np.uint64(32)))
            other = leaders[head + first_place(seen, key, u - head)]
            if leaders[u] == u and other < u:
                if _is_like(codes, starts, table, other, u, max_distance, same_digits, row):
                    leaders[u] = other
    return leaders


@nb.njit(cache=True, nogil=True)
def _least_grams(codes, low, high, drawn, least):  # type: ignore[no-untyped-def]
    """The least gram of three characters by each permutation x -> a x + b mod 2**32; a shorter text is one gram."""
    least[:] = np.uint32(0xFFFFFFFF)
    gram = np.uint64(0)
    for k in range(low, high):
        gram = (gram << np.uint64(21) | np.uint64(codes[k])) & np.uint64((1 << 63) - 1)
        if k >= low + 2 or k == high - 1:
            x = np.uint32(mix(gram) >> np.uint64(32))
            for i in range(N_HASHES):
                least[i] = min(least[i], np.uint32(drawn[0, i] * x + drawn[1, i]))


@nb.njit(cache=True, nogil=True)
def _is_like(codes, starts, table, left, right, max_distance, same_digits, row):  # type: ignore[no-untyped-def]
    """Whether so few insertions, deletions and substitutions of characters make one sentence of the other."""
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
    """Whether the edit distance of two ranges is at most so much: a band of 2 most + 1 diagonals (Ukkonen, 1985)."""
    n, m = a_end - a, b_end - b
    for j in range(min(m, most) + 1):
        row[j] = j
    for i in range(1, n + 1):
        low, high = max(1, i - most), min(m, i + most)
        before = row[low - 1]
        row[low - 1] = i if low == 1 else FAR
        best = row[low - 1]
        if high == i + most:
            row[high] = FAR
        for j in range(low, high + 1):
            above = row[j]
            row[j] = min(before + (codes[a + i - 1] != codes[b + j - 1]), above + 1, row[j - 1] + 1)
            before = above
            best = min(best, row[j])
        if best > most:
            return False
    return row[m] <= most
