"""Tokens and backoff of an n-gram language model, over the shared view.

An n-gram is hashed from its last token to its first, so that the n-grams that end in a token are looked up, order by
order, by extending one hash. `classifiers.fluency.ngram` describes the model.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.tables import DIGIT, HAN, PUNCT
from stages.kernels.text.units import hash_unit, unit_end

PAUSE, NUMBER, WORD, UNKNOWN = range(4)
"""Kinds of tokens: a run of punctuation, digits, any other run of letters, a single character."""

CHAR = 4  # behind the kinds in `specials`: the class of single characters, in models of words

TOTAL, ALONE, N_TOKENS, N_CHARS, N_UNKNOWN = range(5)
"""Sums over the scored tokens of a document: log probabilities, log probabilities without context, tokens, characters
of them, and tokens that the model does not know."""

MAX_ORDER = 6  # as KenLM is built

WINDOW_TOKENS = 125
CONTEXT_TOKENS = 4
"""Tokens of a window, and tokens at its beginning that are context only: the history of a 5-gram model."""


@njit(cache=True, nogil=True)
def read_tokens(codes, classes, fold, i, bound, end, keys, kinds, sizes):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Read the tokens that begin in [i, bound) of a text that ends at `end`, until `keys` is full.

    Writes keys, uint64; kinds, uint8: PAUSE, NUMBER, WORD, or UNKNOWN for a single character; sizes, uint8, in
    characters.
    Returns: the number of tokens.
    """
    n = 0
    while i < bound and n < len(keys):
        char_class = classes[i]
        if char_class < DIGIT:
            if char_class == PUNCT and n and kinds[n - 1] != PAUSE:
                keys[n], kinds[n], sizes[n] = 0, PAUSE, 1
                n += 1
            i += 1
            continue
        stop = unit_end(codes, classes, i, end)
        if char_class >= HAN:
            kinds[n] = UNKNOWN
        else:
            kinds[n] = NUMBER
            for k in range(i, stop):
                if classes[k] != DIGIT:
                    kinds[n] = WORD
        keys[n] = np.uint64(0) if kinds[n] == NUMBER else hash_unit(codes, fold, i, stop)
        sizes[n] = min(stop - i, 255)
        n += 1
        i = stop
    return n


@njit(cache=True, nogil=True)
def fingerprint_of(hashed, n_bytes):  # type: ignore[no-untyped-def]
    """Return the low 2 or 4 bytes of a mixed hash, never 0."""
    return np.uint32(hashed) & (np.uint32(0xFFFFFFFF) >> np.uint32(32 - 8 * n_bytes)) | np.uint32(1)


@njit(cache=True, nogil=True)
def find(fingerprints, slots, state):  # type: ignore[no-untyped-def]
    """Return the row of the model's `values` for the n-gram with this hash, -1 if the model does not contain it."""
    hashed = mix(state)
    fingerprint = fingerprint_of(hashed, fingerprints.itemsize)
    slot = np.int64((hashed >> np.uint64(32)) * np.uint64(len(fingerprints)) >> np.uint64(32))
    while fingerprints[slot]:
        if np.uint32(fingerprints[slot]) == fingerprint:
            return np.int64(slots[slot])
        slot += 1
        if slot == len(fingerprints):
            slot = np.int64(0)
    return -1


@njit(cache=True, nogil=True)
def score_tokens(keys, kinds, sizes, n, skip, model, sums):  # type: ignore[no-untyped-def]
    """Add up the log probabilities of tokens, each given the tokens before it; the first token has no context.

    Tokens of a class (numbers, foreign words and the punctuation behind these) are context of others and are not
    scored: they are easy to predict, so that their share would decide the mean.

    Args: keys, uint64, kinds and sizes, uint8, of which the first n are read; skip, number of tokens that are context
    only; model, a Model of `classifiers.fluency.ngram`. Adds to sums, float64 (5,), from TOTAL to N_UNKNOWN.
    """
    recent, backoffs, found_backoffs = (
        np.zeros(MAX_ORDER, np.uint64),
        np.zeros(MAX_ORDER),
        np.zeros(MAX_ORDER),
    )
    n_context, is_scored = 0, False  # n_context: tokens before this one that form a known n-gram
    for i in range(n):
        special_key = model.specials[kinds[i]]
        if kinds[i] == PAUSE and special_key == 0:
            continue
        row, key, is_known = -1, keys[i], True
        is_scored = kinds[i] == PAUSE and is_scored  # punctuation belongs to the run of words that it ends
        state = step(ODD_B, key, ODD_A)
        if kinds[i] >= WORD:
            row = find(model.fingerprints, model.slots, state)
            is_known = row >= 0
            if kinds[i] == UNKNOWN and model.specials[CHAR]:
                special_key = model.specials[CHAR]
            is_scored = is_known or special_key == 0 or special_key == model.specials[UNKNOWN]
        if row < 0:
            key = special_key if special_key else model.specials[UNKNOWN]
            state = step(ODD_B, key, ODD_A)
            row = find(model.fingerprints, model.slots, state)
        n_found, log_prob, alone = 0, 0.0, np.float64(model.values[row, 0])
        while row >= 0:
            log_prob = np.float64(model.values[row, 0])
            found_backoffs[n_found] = model.values[row, 1]
            n_found += 1
            if n_found > n_context:
                break
            state = step(state, recent[n_found - 1], ODD_A)
            row = find(model.fingerprints, model.slots, state)
        for length in range(n_found, n_context + 1):
            log_prob += backoffs[length - 1]
        if is_scored and i >= skip:
            sums[TOTAL] += log_prob
            sums[ALONE] += (
                alone if is_known else log_prob
            )  # unknown words predict each other, as all are <unk>
            sums[N_TOKENS] += 1
            sums[N_CHARS] += sizes[i]
            sums[N_UNKNOWN] += not is_known
        n_context = min(n_found, model.order - 1)
        for k in range(n_context - 1, 0, -1):
            recent[k] = recent[k - 1]
        recent[0] = key
        backoffs, found_backoffs = found_backoffs, backoffs


@njit(cache=True, nogil=True)
def hash_grams(keys: np.ndarray) -> np.ndarray:
    """Hash n-grams given as token keys, uint64 (n_grams, order), the last token last."""
    hashes = np.empty(len(keys), np.uint64)
    for row in range(len(keys)):
        state = ODD_B
        for k in range(keys.shape[1] - 1, -1, -1):
            state = step(state, keys[row, k], ODD_A)
        hashes[row] = state
    return hashes


@njit(cache=True, nogil=True)
def insert(hashes: np.ndarray, rows: np.ndarray, fingerprints: np.ndarray, slots: np.ndarray) -> None:
    """Insert n-grams into an empty table with more slots than n-grams: hashes, uint64, and their `rows` of values."""
    for i in range(len(hashes)):
        hashed = mix(hashes[i])
        slot = np.int64((hashed >> np.uint64(32)) * np.uint64(len(fingerprints)) >> np.uint64(32))
        while fingerprints[slot]:
            slot = (slot + 1) % len(fingerprints)
        fingerprints[slot] = fingerprint_of(hashed, fingerprints.itemsize)
        slots[slot] = rows[i]


@njit(cache=True, nogil=True)
def score_documents(text, rows, fold, model, max_tokens, windows, sums):  # type: ignore[no-untyped-def]
    """Score the documents `rows` of a TextView with one model.

    Args: text, a TextView; rows, int64, indices of documents; fold, uint32 (0x110000,); max_tokens, greatest number of
    tokens of a document that is read whole; windows, number of windows read of a longer one. Writes sums, float64
    (n_docs, 5), from TOTAL to N_UNKNOWN, at `rows`.
    """
    n_keys = max(max_tokens + 1, WINDOW_TOKENS)
    keys, kinds, sizes = np.empty(n_keys, np.uint64), np.empty(n_keys, np.uint8), np.empty(n_keys, np.uint8)
    window_keys, window_kinds = keys[:WINDOW_TOKENS], kinds[:WINDOW_TOKENS]
    for row in rows:
        start, end = text.starts[row], text.starts[row + 1]
        n = read_tokens(text.codes, text.classes, fold, start, end, end, keys, kinds, sizes)
        sums[row] = 0.0
        if n <= max_tokens:
            score_tokens(keys, kinds, sizes, n, 0, model, sums[row])
            continue
        for window in range(windows):
            i = token_start(text.classes, start, start + (end - start) * window // windows, end)
            bound = start + (end - start) * (window + 1) // windows
            n = read_tokens(text.codes, text.classes, fold, i, bound, end, window_keys, window_kinds, sizes)
            score_tokens(keys, kinds, sizes, n, CONTEXT_TOKENS, model, sums[row])


@njit(cache=True, nogil=True)
def token_start(classes, start, i, end):  # type: ignore[no-untyped-def]
    """Return the first position from i on that is not inside a word."""
    while start < i < end and DIGIT <= classes[i - 1] < HAN and DIGIT <= classes[i] < HAN:
        i += 1
    return i
