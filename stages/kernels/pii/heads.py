"""Words that begin a candidate: tables of them, and look-up at a position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.pii.characters import CAPITAL, has_role, lower, plain
from stages.kernels.pii.signs import KEY_BLOCK, PLATE, TOKEN


@njit(cache=True, nogil=True)
def hash_triple(a, b, c):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Hash of the lower seven bits of three small characters, 16 bits."""
    low = np.uint32(0x7F)
    packed = (a & low) << np.uint32(14) | (b & low) << np.uint32(7) | (c & low)
    return ((packed * np.uint32(0x9E3779B1)) >> np.uint32(16)) & np.uint32(0xFFFF)


class Heads(NamedTuple):
    """Words that begin a candidate.

    words: uint32 (n_heads, 2 + width), sorted by bucket: sign; 1 where capitals count, else 0; the characters, zeros
    behind the word. One array, since a call counts references to each. buckets: int64 (129,), where the words of a
    first character begin, by its lower seven bits. firsts: bool (65536,), first characters of words beyond ASCII.
    stops: bool (2, 2**14), pairs of characters, by their lower seven bits, at which the search stops; the first ones
    are for ASCII, the second for other first characters. triples: bool (2**16,), hashes of the first three characters
    of words in ASCII. labels: bool (2, 2**14), pairs of characters of words of contact.
    """

    words: np.ndarray
    buckets: np.ndarray
    firsts: np.ndarray
    stops: np.ndarray
    triples: np.ndarray
    labels: np.ndarray


def make_heads(words: Mapping[int, Sequence[str]], labels: Sequence[str]) -> Heads:
    """Build the tables of words.

    Args: words, by sign; those of TOKEN and KEY_BLOCK match with their capitals, the others in any case; PLATE has the
    characters that begin a plate, followed by any capital. labels, words of contact, whose first two characters count.
    """
    heads = sorted(
        (
            (word if sign & (TOKEN | KEY_BLOCK) else word.lower(), sign)
            for sign, list_ in words.items()
            for word in list_
        ),
        key=lambda head: (ord(head[0][0].lower()) & 0x7F, head),
    )
    width = max(len(word) for word, _ in heads)
    exact = [bool(sign & (TOKEN | KEY_BLOCK)) for _, sign in heads]
    table = [
        [sign, is_exact, *map(ord, word), *[0] * (width - len(word))]
        for (word, sign), is_exact in zip(heads, exact, strict=True)
    ]
    firsts, both = np.zeros(65536, np.bool_), np.zeros((2, 128, 128), np.bool_)
    stops = both[0]
    stops[[ord(char) for char in "0123456789@"]] = True
    for char in "0123456789abcdefABCDEF:/":  # behind the colon of a URL, a device or a host
        stops[ord(":"), [ord(char), (ord(char) + 0xFEE0) & 0x7F]] = True
    stops[ord(":"), [code & 0x7F for code in range(0x1D7CE, 0x1D800)]] = True
    stops[ord("-")] = [chr(code) in "0123456789abcdefABCDEF" for code in range(128)]
    for (word, sign), is_exact in zip(heads, exact, strict=True):
        seconds = [chr(c) for c in range(ord("A"), ord("Z") + 1)] if sign == PLATE else [word[1]]
        for first in {word[0], word[0] if is_exact else word[0].upper()}:
            firsts[min(ord(first), 65535)] |= ord(first) >= 0x80
            own = both[int(ord(first) >= 0x80), ord(first) & 0x7F]
            for second in seconds + [c.upper() for c in seconds if not is_exact]:
                own[ord(second) & 0x7F] = True
                if ord(second) < 0x80:
                    own[(ord(second) + 0xFEE0) & 0x7F] = True
    stops[ord("#")] = [chr(code).isalnum() or chr(code) == " " for code in range(128)]
    for first in "aA":  # at, with a bracket or a blank on both sides
        stops[ord(first), [ord("t"), ord("T"), (ord("t") + 0xFEE0) & 0x7F, (ord("T") + 0xFEE0) & 0x7F]] = True
    pairs = np.zeros((2, 128, 128), np.bool_)
    for word in labels:
        pairs[0, ord(word[0].lower()) & 0x7F, ord(word[1].lower()) & 0x7F] = True
        thirds = ord(word[2].lower()) & 0x7F if len(word) > 2 else slice(None)
        pairs[1, ord(word[1].lower()) & 0x7F, thirds] = True
    buckets = np.searchsorted([ord(word[0].lower()) & 0x7F for word, _ in heads], np.arange(129))
    return Heads(
        np.array(table, np.uint32), buckets.astype(np.int64), firsts, both.reshape(2, -1),
        _triples([word for word, _ in heads]), pairs.reshape(2, -1),
    )  # fmt: skip


def _triples(words: Sequence[str]) -> np.ndarray:
    """Hashes of the first three characters of words that begin with ASCII, and of `at`: bool (2**16,)."""
    triples = np.zeros(1 << 16, np.bool_)
    for word in (*words, "at"):
        small = [np.uint32(ord(char)) for char in word.lower()]
        if small[0] < 0x80:
            for third in small[2:3] or np.arange(128, dtype=np.uint32):
                triples[hash_triple(small[0], small[1], third)] = True
    return triples


@njit(cache=True, nogil=True)
def word_at(codes, i, end, words, buckets, before):  # type: ignore[no-untyped-def]
    """Return the index of the next word behind `before` that begins at i, -1 for none."""
    exact, small = plain(codes[i]), lower(codes[i])
    width = words.shape[1]
    bucket = small & np.uint32(0x7F)
    for at in range(max(buckets[bucket], before + 1), buckets[bucket + 1]):
        head = np.int64(at)
        if words[head, 2] != (exact if words[head, 1] else small):
            continue
        if words[head, 0] == PLATE:
            if i + 6 < end and has_role(codes[i + 1], CAPITAL):
                return head
            continue
        k = 1
        while 2 + k < width and words[head, 2 + k] != 0 and i + k < end:
            code = plain(codes[i + k]) if words[head, 1] else lower(codes[i + k])
            if code != words[head, 2 + k]:
                break
            k += 1
        if 2 + k == width or words[head, 2 + k] == 0:
            return head
    return -1
