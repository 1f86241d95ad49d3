"""Find the candidate spans of a batch to which patterns of personal data are applied.

A candidate is a span of a text around a sign that every match contains: an at sign, a run of digits of the right shape,
a hextet and its colon, the head of a key, a word that introduces an account or a document. It extends to the first
character that cannot be part of a match, so a pattern applied to the candidate and a little context finds the same
matches as in the whole text. Its signs, as bits, are the patterns that can match. Han and kana are not word characters
here: 邮箱a@b.cn谢谢 contains an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

(
    EMAIL, SPELLED, URL, IPV6, MAC, IBAN, PLATE, TOKEN, ASSIGNED, KEY_BLOCK, QQ, WECHAT, HANDLE, DOCUMENT, VEHICLE,
    LONG, NUMBER, QUAD, PLUS, LABELLED, LETTERED, NAME, PLACE,
) = (1 << bit for bit in range(23))  # fmt: skip
"""Signs, as bits, which determine the patterns that are applied to a candidate. SPELLED: an address with at and dot as
words; ASSIGNED: a password or key after its name; LONG: eleven digits or more; NUMBER: groups of digits of the shape of
a telephone number; QUAD: four numbers with dots; LABELLED: digits after a word of contact; LETTERED: digits behind
capitals; NAME, PLACE: words that introduce a person's name or a postal address."""

INTRODUCED = QQ | WECHAT | HANDLE | DOCUMENT | VEHICLE | NAME | PLACE
"""Signs of words that introduce a value."""

AT_HEAD = INTRODUCED | PLATE | TOKEN | ASSIGNED | KEY_BLOCK
"""Signs of which every match begins where the candidate does."""

BEFORE_CHARS, AFTER_CHARS = 64, 48
"""Characters of context before and after a candidate that patterns may read."""

MAX_LOCAL, MAX_DOMAIN, MAX_IPV6 = 64, 255, 45
"""Greatest lengths of parts of an address in characters: RFC 5321, section 4.5.3.1; INET6_ADDRSTRLEN less its NUL."""

MAX_BLOCK = 16384
"""Greatest length of a private key block in characters: an RSA key of 16,384 bits takes 12.8 KB."""

MAX_URL = 2048
"""Greatest length of a URL in characters that is searched for personal values."""

ACCOUNT_CHARS = 128
ACCOUNT_GAP, MIN_ACCOUNT = 24, 4
"""A number or name of four characters or more begins within 24 characters of the word that introduces it."""

AFTER_NUMBER = 12
"""Characters after a number that may belong to it: an extension, the check character in brackets."""

PHONE_SIGNS = (0x1F4DE, 0x1F4F1, 0x1F4F2, 0x260E, 0x260F, 0x2706)
"""Pictures of telephones before a number."""

MAX_ASSIGNED = 160
"""Greatest length of the name of a secret and the secret, in characters."""

_DIGIT, _LETTER, _LOCAL, _DOMAIN, _HEX, _JOINT, _CAPITAL, _SIGN = 1, 2, 4, 8, 16, 32, 64, 128


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


def _roles() -> np.ndarray:
    """Build the roles of ASCII characters, as bits: uint8 (128,)."""
    roles = np.zeros(128, np.uint8)
    for code in range(128):
        char = chr(code)
        roles[code] |= _DIGIT * char.isdigit() | _LETTER * char.isalpha() | _CAPITAL * char.isupper()
        roles[code] |= _LOCAL * (char.isalnum() or char in "._%+-")
        roles[code] |= _DOMAIN * (char.isalnum() or char in ".-")
        roles[code] |= _HEX * (char in "0123456789abcdefABCDEF") | _JOINT * (char in " -.()/[]")
        roles[code] |= _SIGN * (char in "@:#")
    return roles


_ROLES = _roles()
_HANDLE_MARKS = (0x3A, 0x3D, 0x40, ord("是"), ord("为"), ord("為"), ord("号"), ord("號"))
_MARKS = (0x20, 0x28, 0x29, 0x5B, 0x5D, 0x3C, 0x3E, 0x7B, 0x7D, 0x5F, 0x2D)
"""Blanks, brackets and dashes around the words at and dot."""


@njit(cache=True, nogil=True)
def hash_triple(a, b, c):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Hash of the lower seven bits of three small characters, 16 bits."""
    low = np.uint32(0x7F)
    packed = (a & low) << np.uint32(14) | (b & low) << np.uint32(7) | (c & low)
    return ((packed * np.uint32(0x9E3779B1)) >> np.uint32(16)) & np.uint32(0xFFFF)


@njit(cache=True, nogil=True)
def plain(code):  # type: ignore[no-untyped-def]
    """Fold a full-width or mathematical character, dash or blank to ASCII; others are returned unchanged.

    The full-width comma is one of these: it separates numbers and is never a part of one.
    """
    if code < 0x80 or code == 0xFF0C:
        return code
    if 0xFF01 <= code <= 0xFF5E:
        return np.uint32(code - np.uint32(0xFEE0))
    if code == 0x3000 or code == 0xA0 or 0x2000 <= code <= 0x200A or code == 0x202F:
        return np.uint32(0x20)
    if 0x2010 <= code <= 0x2015 or code == 0x2212:
        return np.uint32(0x2D)
    if 0x1D7CE <= code <= 0x1D7FF:
        return np.uint32(0x30 + (code - np.uint32(0x1D7CE)) % np.uint32(10))
    return code


@njit(cache=True, nogil=True)
def _lower(code):  # type: ignore[no-untyped-def]
    """Fold a character to plain and small."""
    code = plain(code)
    return np.uint32(code + np.uint32(32)) if 0x41 <= code <= 0x5A else code


@njit(cache=True, nogil=True)
def _is(code, role):  # type: ignore[no-untyped-def]
    """Whether a character, after folding, has one of the given roles."""
    code = plain(code)
    return code < 0x80 and (_ROLES[code] & role) != 0


@njit(cache=True, nogil=True)
def _email(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of the run around the at sign at i; an empty range if a side or a dot is missing."""
    first, last = i, i + 1
    if i - 1 > start and plain(codes[i - 1]) == 0x20 and _is(codes[i - 2], _LOCAL):
        first -= 1  # name @ domain.org
    if last + 1 < end and plain(codes[last]) == 0x20:
        last += 1
    while first > start and i - first <= MAX_LOCAL and _is(codes[first - 1], _LOCAL):
        first -= 1
    has_dot = False
    while last < end and last - i <= MAX_DOMAIN + 1 and _is(codes[last], _DOMAIN):
        has_dot |= plain(codes[last]) == 0x2E
        last += 1
    return (first, last) if _is(codes[first], _LOCAL) and has_dot else (i, i)


@njit(cache=True, nogil=True)
def _spelled(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end around the word at that begins at i, between a name and a domain; an empty range if not."""
    if i == start or i + 4 >= end or plain(codes[i - 1]) not in _MARKS or plain(codes[i + 2]) not in _MARKS:
        return i, i
    k = i + 2
    while k < end and k < i + 6 and plain(codes[k]) in _MARKS:
        k += 1
    name = k
    while k < end and k < name + MAX_LOCAL and (_is(codes[k], _DIGIT | _LETTER) or plain(codes[k]) == 0x2D):
        k += 1
    if k == name or k + 2 >= end:
        return i, i
    if plain(codes[k]) != 0x2E:
        while k + 2 < end and k < name + MAX_LOCAL + 4 and plain(codes[k]) in _MARKS:
            k += 1
        is_word = _lower(codes[k]) == 0x64 and _lower(codes[k + 1]) == 0x6F and _lower(codes[k + 2]) == 0x74
        if not is_word and plain(codes[k]) != 0x2E:
            return i, i
    return max(start, i - MAX_LOCAL - 6), min(end, i + 160)


@njit(cache=True, nogil=True)
def _hash_mark(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end around a # between a name and a host with a dot; an empty range if not."""
    k = i - 1
    if k > start and plain(codes[k]) == 0x20:
        k -= 1
    if k < start or not _is(codes[k], _LOCAL):
        return i, i
    k, has_dot = i + 1, False
    if k < end and plain(codes[k]) == 0x20:
        k += 1
    name = k
    while k < end and k < name + MAX_LOCAL and _is(codes[k], _DOMAIN):
        has_dot |= plain(codes[k]) == 0x2E
        k += 1
    return (max(start, i - MAX_LOCAL - 2), min(end, i + 160)) if has_dot else (i, i)


@njit(cache=True, nogil=True)
def _mac(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of six pairs of hexadecimal digits with one of their marks at i; an empty range if none."""
    mark = plain(codes[i])
    if mark != 0x3A and mark != 0x2D:
        return i, i
    for _ in range(4):
        if i - 5 >= start and plain(codes[i - 3]) == mark:
            i -= 3
    if i - 2 < start or i + 15 > end:
        return i, i
    for k in range(-2, 15, 3):
        if k + 2 > 0 and k + 2 < 15 and plain(codes[i + k + 2]) != mark:
            return i, i
        if not (_is(codes[i + k], _HEX) and _is(codes[i + k + 1], _HEX)):
            return i, i
    return i - 2, i + 15


@njit(cache=True, nogil=True)
def _url(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of the part of a URL behind the colon at i; an empty range without user info or query."""
    if i + 4 >= end or plain(codes[i + 1]) != 0x2F or plain(codes[i + 2]) != 0x2F:
        return i, i
    last, has_value = i + 3, False
    while last < end and last < i + MAX_URL:
        code = plain(codes[last])
        if code <= 0x20 or code >= 0x80 or code in (0x22, 0x27, 0x3C, 0x3E, 0x60):  # blanks and quotes
            break
        has_value |= code in (0x40, 0x3D)  # @ =
        last += 1
    return (i, last) if has_value else (i, i)


@njit(cache=True, nogil=True)
def _ipv6(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of an address with a hextet of 2000::/3 before the colon at i; an empty range if none."""
    first = i - 4
    if first < start or plain(codes[first]) not in (0x32, 0x33) or i + 1 == end:
        return i, i
    if first > start and (_is(codes[first - 1], _HEX | _LETTER) or plain(codes[first - 1]) == 0x3A):
        return i, i
    for k in range(first, i):
        if not _is(codes[k], _HEX):
            return i, i
    last = i
    while last < end and last - first <= MAX_IPV6 and (_is(codes[last], _HEX) or plain(codes[last]) == 0x3A):
        last += 1
    return first, last


@njit(cache=True, nogil=True)
def _is_labelled(codes, i, start, labels):  # type: ignore[no-untyped-def]
    """Whether a word or sign of contact may begin within BEFORE_CHARS before i; blanks may be between its
    characters."""
    second, rest = np.uint32(0), np.uint32(0)
    for k in range(i - 1, max(start, i - BEFORE_CHARS) - 1, -1):
        code = _lower(codes[k])
        if code == 0x20:
            continue
        if code == 0x40 or code in PHONE_SIGNS:
            return True
        pair = (code & np.uint32(0x7F)) << np.uint32(7) | (second & np.uint32(0x7F))
        if (
            labels[0, pair]
            and labels[1, (second & np.uint32(0x7F)) << np.uint32(7) | (rest & np.uint32(0x7F))]
        ):
            return True
        second, rest = code, second
    return False


@njit(cache=True, nogil=True)
def _is_before_mail(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether an at sign or a hidden address in brackets is in the context behind i."""
    for k in range(i, min(i + AFTER_CHARS, end)):
        if plain(codes[k]) == 0x40:
            return True
        if plain(codes[k]) == 0x5B and k + 1 < end and _lower(codes[k + 1]) == 0x65:
            return True
    return False


@njit(cache=True, nogil=True)
def _is_joined(codes, i, start):  # type: ignore[no-untyped-def]
    """Whether a number ends before i, with one of `/ 、 , ， ; 或 和`, blanks, line breaks or a note in brackets
    between."""
    k = i - 1
    while k > start and i - k < 16 and plain(codes[k]) in (0x20, 0x0A, 0x09):
        k -= 1
    if k > start and plain(codes[k]) in (0x2F, 0x3001, 0x2C, 0xFF0C, 0x3B, 0x6216, 0x548C):
        k -= 1
    while k > start and i - k < 20 and plain(codes[k]) == 0x20:
        k -= 1
    if k > start and plain(codes[k]) == 0x29:
        bracket = k
        while k > start and bracket - k < 10 and plain(codes[k]) != 0x28:
            k -= 1
        k -= 1
        while k > start and bracket - k < 12 and plain(codes[k]) == 0x20:
            k -= 1
    return k >= start and k < i - 1 and _is(codes[k], _DIGIT)


@njit(cache=True, nogil=True)
def _number(codes, i, start, end, labels):  # type: ignore[no-untyped-def]
    """Read groups of digits from i on, with at most three joints between groups.

    Returns: start, including a bracket, a plus or capitals before it; end; the signs: LONG, QUAD, PLUS, LABELLED by the
    number of digits and what is before them, LETTERED for six digits and a bracket, or nine, behind a capital,
    NUMBER for a
    shape of telephone, identity and card numbers: a long group, a group after an area code or another number,
    3-3-4, 3-2-4
    or 3-4-4, 4-6-5 of a card, 400 and seven digits.
    """
    first = i
    has_plus = False
    for k in range(i - 1, max(start, i - 4) - 1, -1):
        code = plain(codes[k])
        if code in (0x28, 0x2B, 0x5B):  # ( + [
            first = k
            has_plus |= code == 0x2B
        elif code != 0x20:
            break
    last_size, second_last_size, n_dots, n_digits = 0, 0, 0, 0
    after_dot, shaped, is_service = False, False, False
    signs, begin = 0, i
    while True:
        group = i
        while i < end and _is(codes[i], _DIGIT):
            i += 1
        group_size = i - group
        n_digits += group_size
        if group == begin:
            if 7 <= group_size <= 8:
                shaped |= _is_joined(codes, group, start)
            is_service = group_size >= 3 and plain(codes[group]) in (0x34, 0x38)
            is_service &= plain(codes[group + 1]) == 0x30 and plain(codes[group + 2]) == 0x30
            if group_size == 3 and plain(codes[group]) == 0x38:  # 852, 853, 886
                is_service |= plain(codes[group + 1]) == 0x35 or plain(codes[group + 1]) == 0x38
            if 6 <= group_size <= 9 and group > start and _is(codes[group - 1], _CAPITAL):
                is_card = i < end and (plain(codes[i]) == 0x28 or plain(codes[i]) == 0x20)
                if group_size == 9 or (group_size == 6 and is_card):
                    first, signs = max(start, group - 2), LETTERED
            if group_size == 7 and i + 2 < end and plain(codes[i]) == 0x28 and plain(codes[i + 2]) == 0x29:
                signs |= LETTERED
        if not after_dot:  # digits after a decimal point identify nobody
            shaped |= group_size == 9 or 11 <= group_size <= 19 or (group_size >= 6 and last_size >= 2)
        shaped |= group_size == 4 and 2 <= last_size <= 4 and second_last_size >= 3
        shaped |= group_size == 4 and 3 <= last_size <= 4 and second_last_size == 2
        shaped |= group_size >= 4 and second_last_size + last_size + group_size >= 13
        shaped |= group_size >= 3 and last_size >= 3 and second_last_size == 4
        n_dots = n_dots + 1 if after_dot and group_size <= 3 else 0
        if n_dots >= 3:
            signs |= QUAD
        last_size, second_last_size = group_size, last_size
        joint = i
        while joint < end and joint < i + 3 and _is(codes[joint], _JOINT):
            joint += 1
        if joint == i or joint == end or not _is(codes[joint], _DIGIT):
            break
        after_dot = joint == i + 1 and plain(codes[i]) == 0x2E
        i = joint
    if i < end and plain(codes[i]) in (0x58, 0x78):  # the check character X of an identity number
        i += 1
    if shaped or (is_service and n_digits >= 10):
        signs |= NUMBER
    if n_digits >= 11 and shaped:
        signs |= LONG
    if has_plus and n_digits >= 8:
        signs |= PLUS
    if n_digits >= 7 and (_is_labelled(codes, begin, start, labels) or _is_before_mail(codes, i, end)):
        signs |= LABELLED
    return first, i, signs


@njit(cache=True, nogil=True)
def _short_number(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return the end of the digits from i on if they and their joints are too short for any sign; else i.

    Every sign takes seven characters of digits and joints, or six digits and a bracket.
    """
    last = i
    for k in range(i, min(i + 6, end)):
        if not _is(codes[k], _DIGIT | _JOINT):
            break
        last = k + 1
    if last == i + 6:
        return i
    while not _is(codes[last - 1], _DIGIT):
        last -= 1
    if last < end and plain(codes[last]) in (0x58, 0x78):
        last += 1
    return last


@njit(cache=True, nogil=True)
def _iban(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of an account number with its two check digits at i; an empty range if it is too short."""
    if i - 2 < start or i + 13 > end or not (_is(codes[i - 1], _CAPITAL) and _is(codes[i - 2], _CAPITAL)):
        return i, i
    if i - 3 >= start and _is(codes[i - 3], _LETTER | _DIGIT):
        return i, i
    if not (_is(codes[i], _DIGIT) and _is(codes[i + 1], _DIGIT)):
        return i, i
    last, n = i + 2, 0
    while last < end and last < i + 42 and (_is(codes[last], _DIGIT | _LETTER) or plain(codes[last]) == 0x20):
        n += _is(codes[last], _DIGIT | _LETTER)
        last += 1
    return (i - 2, last) if n >= 11 else (i, i)


@njit(cache=True, nogil=True)
def _head(codes, i, end, words, buckets, before):  # type: ignore[no-untyped-def]
    """Return the index of the next word behind `before` that begins at i, -1 for none."""
    exact, small = plain(codes[i]), _lower(codes[i])
    width = words.shape[1]
    bucket = small & np.uint32(0x7F)
    for at in range(max(buckets[bucket], before + 1), buckets[bucket + 1]):
        head = np.int64(at)
        if words[head, 2] != (exact if words[head, 1] else small):
            continue
        if words[head, 0] == PLATE:
            if i + 6 < end and _is(codes[i + 1], _CAPITAL):
                return head
            continue
        k = 1
        while 2 + k < width and words[head, 2 + k] != 0 and i + k < end:
            code = plain(codes[i + k]) if words[head, 1] else _lower(codes[i + k])
            if code != words[head, 2 + k]:
                break
            k += 1
        if 2 + k == width or words[head, 2 + k] == 0:
            return head
    return -1


@njit(cache=True, nogil=True)
def _token_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of a token with its head at i: 96 characters, room for an assignment, and the rest of the run."""
    last = min(i + 96, end)
    while last < end and _is(codes[last], _LOCAL):
        last += 1
    return last


@njit(cache=True, nogil=True)
def _block_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of a key block that begins at i: after the next line that begins with five dashes."""
    run, n_runs = 0, 0
    last = i
    while last < end and last < i + MAX_BLOCK and n_runs < 4:
        run = run + 1 if plain(codes[last]) == 0x2D else 0
        n_runs += run == 5
        last += 1
        if n_runs == 3 and run == 5 and not (last + 2 < end and plain(codes[last]) == 0x45):
            return last - 5  # no -----E: the block is not closed, another one begins
    return last


@njit(cache=True, nogil=True)
def _assigned_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the candidate after the name of a secret at i; i without a mark and a value of eight
    characters."""
    k = i
    while k < end and k < i + 40 and plain(codes[k]) not in (0x3A, 0x3D, 0x0A):  # : = line break
        k += 1
    if k + 9 > end or plain(codes[k]) not in (0x3A, 0x3D):
        return i
    return min(i + MAX_ASSIGNED, end)


@njit(cache=True, nogil=True)
def _account_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the candidate after an introducing word at i; i if no number or name follows."""
    run = 0
    for k in range(i + 2, min(i + ACCOUNT_GAP + MIN_ACCOUNT, end)):
        if plain(codes[k]) == 0x40:
            return min(i + ACCOUNT_CHARS, end)
        run = run + 1 if _is(codes[k], _DIGIT | _LETTER) else 0
        if run == MIN_ACCOUNT:
            return min(i + ACCOUNT_CHARS, end)
    return i


@njit(cache=True, nogil=True)
def _is_marked(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether a colon, an equals or at sign, a verb, `ID` or the word number is behind the name of a network at i."""
    for k in range(i + 2, min(i + ACCOUNT_GAP + MIN_ACCOUNT, end)):
        code = _lower(codes[k])
        if code in _HANDLE_MARKS or (code == 0x64 and _lower(codes[k - 1]) == 0x69):
            return True
    return False


@njit(cache=True, nogil=True)
def _at_head(codes, i, start, end, words, buckets):  # type: ignore[no-untyped-def]
    """Return sign, start and end of the candidate with its head at i; the end is i if there is none."""
    if codes[i] < 0x80 and i > start:
        if _is(codes[i - 1], _DIGIT | _LETTER):
            return 0, i, i
    if _lower(codes[i]) == 0x61 and i + 1 < end and _lower(codes[i + 1]) == 0x74:
        first, last = _spelled(codes, i, start, end)
        if last > first:
            return SPELLED, first, last
    head = _head(codes, i, end, words, buckets, np.int64(-1))
    while head >= 0 and words[head, 0] == ASSIGNED:
        last = _assigned_end(codes, i, end)
        if last > i:
            return ASSIGNED, i, last
        head = _head(
            codes, i, end, words, buckets, head
        )  # keys of some issuers begin with a name, as secret_
    if head < 0:
        return 0, i, i
    sign = np.int64(words[head, 0])
    if sign == TOKEN:  # only at the start of a run, so that no run is read twice
        return sign, i, i if i > start and _is(codes[i - 1], _LOCAL) else _token_end(codes, i, end)
    if sign == KEY_BLOCK:
        return sign, i, _block_end(codes, i, end)
    if sign == PLATE:
        return sign, i, min(i + 10, end)
    if sign & (NAME | PLACE):
        return sign, i, min(i + ACCOUNT_CHARS, end)
    if sign == HANDLE and not _is_marked(codes, i, end):
        return 0, i, i
    return sign, i, _account_end(codes, i, end)


@njit(cache=True, nogil=True)
def _candidate(codes, i, start, end, words, buckets):  # type: ignore[no-untyped-def]
    """Return signs, start and end of the candidate with its sign at i, and where the search continues."""
    code = plain(codes[i])
    if code == 0x40:
        first, last = _email(codes, i, start, end)
        return EMAIL, first, last, i + 1
    if code == 0x3A or code == 0x2D:
        first, last = _mac(codes, i, start, end)
        if last > first:
            return MAC, first, last, i + 1
        if code == 0x2D:
            sign, first, last = _at_head(codes, i, start, end, words, buckets)
            return sign, first, last, i + 1
        first, last = _url(codes, i, start, end)
        if last > first:
            return URL, first, last, i + 1
        first, last = _ipv6(codes, i, start, end)
        return IPV6, first, last, i + 1
    if code == 0x23:
        first, last = _hash_mark(codes, i, start, end)
        return SPELLED, first, last, i + 1
    sign, first, last = _at_head(codes, i, start, end, words, buckets)
    return sign, first, last, i + 1


@njit(cache=True, nogil=True)
def _may_begin(code, codes, i, end, triples):  # type: ignore[no-untyped-def]
    """Whether three characters at i may be those of a head, or the first is a sign of another kind; code: folded."""
    if code == 0x2D:  # a run of dashes is read where it may begin a key block
        return plain(codes[i + 1]) != 0x2D or (i + 5 < end and plain(codes[i + 5]) == 0x42)
    if i + 2 >= end or code >= 0x80 or _ROLES[code] & (_DIGIT | _SIGN):
        return True
    return triples[hash_triple(_lower(code), _lower(codes[i + 1]), _lower(codes[i + 2]))]


@njit(cache=True, nogil=True)
def _next_stop(codes, i, start, end, firsts, stops, triples):  # type: ignore[no-untyped-def]
    """Return the first position from i on where a candidate may have its sign; the last one, or behind it, for none.

    A function of its own, since the loop is four times as fast without the code for candidates around it.
    """
    while i + 1 < end:  # no candidate begins at the last character
        code = codes[i]
        if code < 0x80:
            if i > start and _ROLES[code] & _LETTER and _is(codes[i - 1], _DIGIT | _LETTER):
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
            if _is(code, _DIGIT):
                first, last = _iban(codes, i, start, end)
                if last > first:
                    candidates[n_candidates] = (doc, IBAN, first, last)
                    n_candidates += 1
                else:
                    for mark in range(
                        i + 1, min(i + 3, end)
                    ):  # hyphens join digits, so the search skips them
                        if last == i and plain(codes[mark]) == 0x2D:
                            first, last = _mac(codes, mark, start, end)
                            if last > first:
                                candidates[n_candidates] = (doc, MAC, first, last)
                                n_candidates += 1
                            else:
                                last = i
                short = _short_number(codes, i, start, end)
                if short > i:
                    i = short
                    continue
                first, last, signs = _number(codes, i, start, end, labels)
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
