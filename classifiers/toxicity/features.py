"""Features of the toxicity model: hashed n-grams of words and characters, robust to disguised spellings.

Tokens are single ideographs, kana and emoji, and words of other scripts, all in match text. Spaces and marks such as *
or . between ideographs are ignored. In a word, asterisks are kept, digits and marks between letters are replaced by the
letters that they represent, a letter repeated three or more times counts once, and letters spelled one by one form one
word. The features of a token are the token itself, the 2-gram and, for ideographs, the 3-gram that end with it; for
words, also their first and last letters. Other punctuation and line breaks end n-grams and are no tokens, so that
runs of marks say nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, mix, step
from stages.kernels.text.tables import DIGIT, HAN, HANGUL, LATIN, MARK, OTHER, SPACE, SYMBOL
from stages.kernels.text.units import unit_end

HASH_BITS = 18
N_CELLS = 2 << HASH_BITS
"""Cells of n-grams that end with an ideograph, kana or emoji, then as many of those that end with a word. In one table
English words would add noise to Chinese n-grams and the reverse."""
N_FAMILIES = 2
"""Languages written without spaces between words, and all others; see `classifiers.linear.families.find_families`."""
N_ROWS = N_CELLS + N_FAMILIES
"""Rows of the weight table: one cell per feature hash, then one per family."""
LEAST = 48
"""A window with fewer features counts as having this many, so that two or three words do not weigh like a passage."""
N_SCORERS = 3
"""Columns of the weight table: abuse against any text, self-harm, and contempt against other posts on its topics."""
BLOCK = 32
"""Tokens per block; a window, the unit of scoring, consists of two adjacent blocks."""
MAX_LETTERS = 24
"""Maximum number of letters of a word that are used."""
PER_TOKEN = 6
"""Maximum number of features per token."""

_EMOJI = 0x1F000
_WORD = np.uint64(7)
_HEAD, _TAIL = np.uint64(13), np.uint64(17)
_LONGEST_NUMBER = 4
_STAR = np.uint32(ord("*"))
_MASKS = np.zeros(128, np.bool_)
_MASKS[[ord(c) for c in "*._-~|/\\+=#@&^$%"]] = True
_STANDS_FOR = np.zeros(128, np.uint32)
for _mark, _letter in zip("013457@$!*#", "oieastasi**", strict=True):
    _STANDS_FOR[ord(_mark)] = ord(_letter)
_FIRST_LETTER = np.uint32(ord("a"))
"""Repeats are collapsed from this code on, so repeated digits and asterisks are kept."""


@njit(cache=True, nogil=True)
def list_features(codes, classes, starts, fold):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Distinct features of each document as a whole, for training.

    Returns: int32, cells of all documents; int64 (n_docs + 1,), offsets of the documents in them.
    """
    n_docs = len(starts) - 1
    begins, out = np.zeros(n_docs + 1, np.int64), np.empty(PER_TOKEN * len(codes), np.int32)
    rows, ends = make_room(starts)
    seen = np.zeros(N_CELLS, np.int32)
    for doc in range(n_docs):
        n_blocks = note_features(codes, classes, fold, starts[doc], starts[doc + 1], rows, ends)
        at = begins[doc]
        for i in range(ends[n_blocks - 1] if n_blocks else 0):
            if seen[rows[i]] != doc + 1:
                seen[rows[i]] = doc + 1
                out[at] = rows[i]
                at += 1
        begins[doc + 1] = at
    return out[: begins[n_docs]], begins


@njit(cache=True, nogil=True)
def sum_windows(codes, classes, starts, fold, weights, floors):  # type: ignore[no-untyped-def]
    """Sum the weights of each window of each document, divided by the square root of its number of features.

    A window with one of the first two sums above its floor, which few are, is summed again with each distinct feature
    counted once, so that a word repeated through a table or a cheer does not decide.

    Args: codes, classes, starts, a TextView; fold, of match text; weights, int16 (N_ROWS, N_SCORERS); floors, float64
    (n_docs, N_SCORERS), in steps of the weights; that of the third is not used.
    Returns: float64 (n_windows, N_SCORERS), sums of all windows; int64 (n_docs + 1,), offsets of the documents in them.
    """
    n_docs = len(starts) - 1
    begins, sums = np.zeros(n_docs + 1, np.int64), np.empty((len(codes) // BLOCK + n_docs + 1, N_SCORERS))
    rows, ends = make_room(starts)
    seen, now = np.zeros(N_CELLS, np.int32), 0
    for doc in range(n_docs):
        n_blocks = note_features(codes, classes, fold, starts[doc], starts[doc + 1], rows, ends)
        at = begins[doc]
        begin = done = toxic_before = harm_before = post_before = 0
        for block in range(n_blocks):
            toxic = harm = post = 0  # a loop over scorers takes a quarter longer
            for i in range(done, ends[block]):
                toxic += weights[rows[i], 0]
                harm += weights[rows[i], 1]
                post += weights[rows[i], 2]
            if block > 0 or n_blocks == 1:
                size = np.sqrt(max(ends[block] - begin, LEAST))
                sums[at, 0], sums[at, 1] = (toxic_before + toxic) / size, (harm_before + harm) / size
                sums[at, 2] = (post_before + post) / size
                if sums[at, 0] > floors[doc, 0] or sums[at, 1] > floors[doc, 1]:
                    now += 1
                    sum_distinct(rows, begin, ends[block], weights, seen, now, sums[at])
                at += 1
            begin, done = done, ends[block]
            toxic_before, harm_before, post_before = toxic, harm, post
        begins[doc + 1] = at
    return sums[: begins[n_docs]], begins


@njit(cache=True, nogil=True)
def sum_distinct(rows, begin, end, weights, seen, now, sums):  # type: ignore[no-untyped-def]
    """Sum one window with each feature counted once.

    Args: rows[begin:end], the cells of its features; seen, int32 (N_CELLS,), with `now` for no cell yet.
    Writes sums, float64 (N_SCORERS,), and seen.
    """
    toxic = harm = post = n = 0
    for i in range(begin, end):
        row = rows[i]
        if seen[row] != now:
            seen[row] = now
            n += 1
            toxic += weights[row, 0]
            harm += weights[row, 1]
            post += weights[row, 2]
    size = np.sqrt(max(n, LEAST))
    sums[0], sums[1], sums[2] = toxic / size, harm / size, post / size


@njit(cache=True, nogil=True)
def make_room(starts):  # type: ignore[no-untyped-def]
    """Buffers for the features and blocks of the longest document; memory pages never written are not allocated."""
    longest = 0
    for doc in range(len(starts) - 1):
        longest = max(longest, starts[doc + 1] - starts[doc])
    return np.empty(PER_TOKEN * longest, np.int32), np.empty(longest // BLOCK + 1, np.int64)


@njit(cache=True, nogil=True)
def note_features(codes, classes, fold, start, end, rows, ends):  # type: ignore[no-untyped-def]
    """Compute the features of one document.

    Writes rows, int32, the cell of each feature; ends, int64, the number of features up to the end of each block.
    Returns: the number of blocks.
    """
    letters = np.empty(MAX_LETTERS, np.uint32)
    last = pair = np.uint64(0)  # hashes of the previous token and of the previous two; 0 after a break
    n_tokens = n_rows = 0
    i = start
    while i < end:
        kind, code = classes[i], codes[i]
        n_letters = 0
        if kind >= HAN or (kind == SYMBOL and code >= _EMOJI):
            stop = unit_end(codes, classes, i, end) if kind >= HAN else i + 1
            key = mix((fold[code] if fold[code] else code) ^ ODD_A)  # match text has no emoji
        elif kind >= DIGIT:
            stop, n_letters = read_word(codes, classes, fold, i, end, letters)
            key = hash_letters(letters, 0, n_letters, _WORD)
            if n_letters == 0 or (kind == DIGIT and n_letters > _LONGEST_NUMBER):
                i = stop
                continue
        else:
            if breaks(codes, classes, i, end):
                last = pair = np.uint64(0)
            i += 1
            continue
        if n_tokens and n_tokens % BLOCK == 0:
            ends[n_tokens // BLOCK - 1] = n_rows
        n_tokens += 1
        first = 0 if n_letters == 0 else N_CELLS // 2
        n_rows = note_cell(key, first, rows, n_rows)
        both = np.uint64(0)
        if last:
            both = mix(last * ODD_A + key)
            n_rows = note_cell(both, first, rows, n_rows)
            if pair and kind >= HAN:
                n_rows = note_cell(mix(pair * ODD_A + key), first, rows, n_rows)
        for size in range(4, min(n_letters, 5) + 1):
            n_rows = note_cell(hash_letters(letters, 0, size, _HEAD), first, rows, n_rows)
            n_rows = note_cell(hash_letters(letters, n_letters - size, n_letters, _TAIL), first, rows, n_rows)
        last, pair, i = key, both, stop
    if n_tokens:
        ends[(n_tokens - 1) // BLOCK] = n_rows
    return (n_tokens + BLOCK - 1) // BLOCK


@njit(cache=True, nogil=True, inline="always")
def note_cell(key, first, rows, n_rows):  # type: ignore[no-untyped-def]
    """Append the cell of a feature, in the half of the table that begins at `first`; returns the number of features."""
    rows[n_rows] = first + np.int32(key >> np.uint64(64 - HASH_BITS))
    return n_rows + 1


@njit(cache=True, nogil=True)
def hash_letters(letters, start, stop, salt):  # type: ignore[no-untyped-def]
    """Hash part of a word, with different salts for words, heads and tails; never 0."""
    state = salt
    for i in range(start, stop):
        state = step(state, letters[i], ODD_A)
    return mix(state) | np.uint64(1)


@njit(cache=True, nogil=True)
def breaks(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Whether the character at i ends an n-gram: punctuation, symbols and line breaks do, except possible disguises."""
    kind = classes[i]
    if kind in (SPACE, MARK, OTHER):
        return False
    masks = codes[i] < 128 and _MASKS[codes[i]]
    return not masks or i + 1 == end or classes[i + 1] == SPACE


@njit(cache=True, nogil=True)
def read_word(codes, classes, fold, start, end, letters):  # type: ignore[no-untyped-def]
    """Read a word in match text and undo its disguise.

    Writes letters, uint32 (MAX_LETTERS,). Returns: end of the word; number of letters written.
    """
    stop = spelled_end(codes, classes, start, end)
    spelled = stop > start
    n, run, i, last, second = 0, 0, start, np.uint32(0), False
    while i < (stop if spelled else end):
        kind, letter = classes[i], np.uint32(0)
        if DIGIT <= kind <= HANGUL:
            letter = fold[codes[i]]
            if kind == DIGIT and i > start and between_letters(classes, i, i + 1, end):
                letter = stands_for(codes[i], letter)
        elif kind not in (MARK, OTHER) and not spelled:
            if (codes[i] == 0x27 or codes[i] == 0x2019) and between_letters(classes, i, i + 1, end):
                i += 1
                continue
            after = i + 1
            letter = stands_for(codes[i], np.uint32(0))
            while letter and after < end and codes[after] == codes[i]:
                after += 1
            if not letter or not n or after >= end or classes[after] != LATIN:
                break
        i += 1
        if not letter:
            continue
        run = run + 1 if letter == last and letter >= _FIRST_LETTER else 1
        last = letter
        if run == 3:
            n -= second  # fuuun and fuuuuun become fun
        elif run < 3:
            second = run == 2 and n < MAX_LETTERS
            if n < MAX_LETTERS:
                letters[n] = letter
                n += 1
    return i, n


@njit(cache=True, nogil=True, inline="always")
def between_letters(classes, i, after, end):  # type: ignore[no-untyped-def]
    """Whether a character at i > 0 has Latin letters on both sides."""
    return classes[i - 1] == LATIN and after < end and classes[after] == LATIN


@njit(cache=True, nogil=True, inline="always")
def stands_for(code, other):  # type: ignore[no-untyped-def]
    """The letter that a digit or mark represents, or `other`."""
    return _STANDS_FOR[code] if code < 128 and _STANDS_FOR[code] else other


@njit(cache=True, nogil=True)
def spelled_end(codes, classes, start, end):  # type: ignore[no-untyped-def]
    """End of a word spelled as three or more Latin letters with the same separator, or `start` if there is none."""
    i, n = start, 0
    while i < end and classes[i] == LATIN and (i + 1 == end or classes[i + 1] < DIGIT):
        n += 1
        if i + 2 >= end or codes[i + 1] != codes[start + 1] or codes[i + 1] >= 128:
            break
        if not (_MASKS[codes[i + 1]] or classes[i + 1] == SPACE) or classes[i + 2] != LATIN:
            break
        if i + 3 < end and classes[i + 3] >= DIGIT:
            break
        i += 2
    return i + 1 if n > 2 else start
