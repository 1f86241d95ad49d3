"""Find the candidate spans of a batch to which patterns of personal data are applied.

A candidate is a span of a text around a sign that every match contains: an at sign, a run of digits of the right shape,
a hextet and its colon, the head of a key, a word that introduces an account. It extends to the first character that
cannot be part of a match, so a pattern applied to the candidate and a little context finds the same matches as in the
whole text. Han and kana are not word characters here: 邮箱a@b.cn谢谢 contains an address.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EMAIL, NUMBER, IPV6, TOKEN, KEY_BLOCK, ACCOUNT = range(6)
"""Signs, which determine the patterns that are applied to a candidate."""

BEFORE_CHARS, AFTER_CHARS = 40, 16
"""Characters of context before and after a candidate that patterns may read."""

MAX_LOCAL, MAX_DOMAIN, MAX_IPV6 = 64, 255, 45
"""Greatest lengths of parts of an address in characters: RFC 5321, section 4.5.3.1; INET6_ADDRSTRLEN less its NUL."""

MAX_BLOCK = 16384
"""Greatest length of a private key block in characters: an RSA key of 16,384 bits takes 12.8 KB."""

ACCOUNT_CHARS = 48
ACCOUNT_GAP, MIN_ACCOUNT = 16, 5
"""A number or name of five characters or more begins within 16 characters of the word that introduces it."""

HEADS = {
    TOKEN: tuple("AKIA ASIA ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ eyJ aws_secret AWS_SECRET".split()),
    KEY_BLOCK: ("-----BEGIN ",),
    ACCOUNT: tuple("QQ qq Qq 扣扣 微信 WeChat wechat Wechat WECHAT VX vx Vx V信 v信".split()),
}
_HEADS = [(sign, [ord(char) for char in head]) for sign, heads in HEADS.items() for head in heads]
_N_HEAD = max(len(head) for _, head in _HEADS)
_HEAD_SIGNS = np.array([sign for sign, _ in _HEADS], np.int64)
_HEAD_CODES = np.array([head + [0] * (_N_HEAD - len(head)) for _, head in _HEADS], np.uint32)
_WEI, _KOU = 0x5FAE, 0x6263
"""The two heads that begin with an ideograph: 微信 and 扣扣."""

_DIGIT, _LETTER, _LOCAL, _DOMAIN, _HEX, _JOINT = 1, 2, 4, 8, 16, 32


def _roles() -> np.ndarray:
    """Build the roles of ASCII characters, as bits: uint8 (128,)."""
    roles = np.zeros(128, np.uint8)
    for code in range(128):
        char = chr(code)
        roles[code] |= _DIGIT * char.isdigit() | _LETTER * char.isalpha()
        roles[code] |= _LOCAL * (char.isalnum() or char in "._%+-")
        roles[code] |= _DOMAIN * (char.isalnum() or char in ".-")
        roles[code] |= _HEX * (char in "0123456789abcdefABCDEF") | _JOINT * (char in " -.()")
    return roles


def _stops() -> np.ndarray:
    """Build the pairs of characters, by their lower seven bits, at which the search stops: bool (2**14,)."""
    stops = np.zeros((128, 128), np.bool_)
    stops[[ord(char) for char in "0123456789@:"]] = True
    stops[_HEAD_CODES[:, 0] & 0x7F, _HEAD_CODES[:, 1] & 0x7F] = True
    wide = np.where(_HEAD_CODES[:, 1] < 0x80, _HEAD_CODES[:, 1] + 0xFEE0, _HEAD_CODES[:, 1])
    stops[_HEAD_CODES[:, 0] & 0x7F, wide & 0x7F] = True
    return stops.ravel()


_ROLES, _STOPS = _roles(), _stops()


@njit(cache=True, nogil=True)
def plain(code):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Fold a full-width character, dash or blank to ASCII; other characters are returned unchanged.

    The full-width comma is one of these: it separates numbers and is never a part of one.
    """
    if code < 0x80 or code == 0xFF0C:
        return code
    if 0xFF01 <= code <= 0xFF5E:
        return np.uint32(code - np.uint32(0xFEE0))
    if code == 0x3000 or code == 0xA0:
        return np.uint32(0x20)
    if 0x2010 <= code <= 0x2015 or code == 0x2212:
        return np.uint32(0x2D)
    return code


@njit(cache=True, nogil=True)
def _is(code, role):  # type: ignore[no-untyped-def]
    """Whether a character, after folding, has one of the given roles."""
    code = plain(code)
    return code < 0x80 and (_ROLES[code] & role) != 0


@njit(cache=True, nogil=True)
def _email(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of the run around the at sign at i; an empty range if a side or a dot is missing."""
    first, last = i, i + 1
    while first > start and i - first <= MAX_LOCAL and _is(codes[first - 1], _LOCAL):
        first -= 1
    has_dot = False
    while last < end and last - i <= MAX_DOMAIN + 1 and _is(codes[last], _DOMAIN):
        has_dot |= plain(codes[last]) == 0x2E
        last += 1
    return (first, last) if first < i and has_dot else (i, i)


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
def _is_joined(codes, i, start):  # type: ignore[no-untyped-def]
    """Whether a number ends before i, with one of `/ 、 , ， ; 或 和` and at most two blanks between."""
    k = i - 1
    if k > start and plain(codes[k]) == 0x20:
        k -= 1
    if k <= start or plain(codes[k]) not in (0x2F, 0x3001, 0x2C, 0xFF0C, 0x3B, 0x6216, 0x548C):
        return False
    k -= 1
    if k > start and plain(codes[k]) == 0x20:
        k -= 1
    return _is(codes[k], _DIGIT)


@njit(cache=True, nogil=True)
def _number(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Read groups of digits from i on, with at most two joints between groups.

    Returns: start, including a bracket or plus before it; end; whether the groups have a known shape: a long group, a
    group after an area code or another number, 3-3-4, 3-2-4 or 3-4-4, 4-6-5 of a card, four numbers with dots, or a
    plus.
    """
    first = i
    has_plus = False
    while first > start and i - first < 2 and plain(codes[first - 1]) in (0x28, 0x2B):  # ( +
        first -= 1
        has_plus |= plain(codes[first]) == 0x2B
    last_size, second_last_size, n_dots, n_digits = 0, 0, 0, 0
    after_dot, shaped = False, False
    while True:
        group = i
        while i < end and _is(codes[i], _DIGIT):
            i += 1
        group_size = i - group
        n_digits += group_size
        if group == first and 7 <= group_size <= 8:
            shaped |= _is_joined(codes, group, start)
        if not after_dot:  # digits after a decimal point identify nobody
            shaped |= group_size == 9 or 11 <= group_size <= 19 or (group_size >= 7 and last_size >= 2)
        shaped |= (group_size == 4 and 2 <= last_size <= 4 and second_last_size >= 3) or (
            group_size >= 4 and second_last_size + last_size + group_size >= 13
        )
        n_dots = n_dots + 1 if after_dot and group_size <= 3 else 0
        shaped |= n_dots >= 3
        last_size, second_last_size = group_size, last_size
        joint = i
        while joint < end and joint < i + 2 and _is(codes[joint], _JOINT):
            joint += 1
        if joint == i or joint == end or not _is(codes[joint], _DIGIT):
            break
        after_dot = joint == i + 1 and plain(codes[i]) == 0x2E
        i = joint
    if i < end and plain(codes[i]) in (0x58, 0x78):  # the check character X of an identity number
        i += 1
    return first, i, shaped or (has_plus and n_digits >= 10)


@njit(cache=True, nogil=True)
def _head(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the index of the head that begins at i, -1 for none."""
    for head in range(len(_HEAD_CODES)):
        k = 0
        while k < _N_HEAD and i + k < end and _HEAD_CODES[head, k] == plain(codes[i + k]):
            k += 1
        if k == _N_HEAD or _HEAD_CODES[head, k] == 0:
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
def _account_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the candidate after an introducing word at i; i if no number or name follows."""
    run = 0
    for k in range(i + 2, min(i + ACCOUNT_GAP + MIN_ACCOUNT, end)):
        run = run + 1 if _is(codes[k], _DIGIT | _LETTER) else 0
        if run == MIN_ACCOUNT:
            return min(i + ACCOUNT_CHARS, end)
    return i


@njit(cache=True, nogil=True)
def _at_head(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return sign and end of the candidate with its head at i; the end is i if there is none."""
    if codes[i] < 0x80 and i > start:
        if codes[i - 1] == codes[i] or _is(codes[i - 1], _DIGIT | _LETTER):
            return NUMBER, i
    head = _head(codes, i, end)
    if head < 0:
        return NUMBER, i
    sign = _HEAD_SIGNS[head]
    if sign == TOKEN:  # only at the start of a run, so that no run is read twice
        return sign, i if i > start and _is(codes[i - 1], _LOCAL) else _token_end(codes, i, end)
    if sign == KEY_BLOCK:
        return sign, _block_end(codes, i, end)
    return sign, _account_end(codes, i, end)


@njit(cache=True, nogil=True)
def find_candidates(codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Find the candidates of all texts.

    Args: codes and starts, of the view.
    Returns: int64 (n_candidates, 4): index of the text, sign, start and end in codes, in order of the
    positions of their signs.
    """
    candidates = np.empty((64, 4), np.int64)
    n_candidates = 0
    for doc in range(len(starts) - 1):
        start, end = starts[doc], starts[doc + 1]
        i = start
        while i + 1 < end:  # no candidate begins at the last character
            code = codes[i]
            if code >= 0x80:
                if code < 0xFF00 and code != _WEI and code != _KOU:
                    i += 1
                    continue
                code = plain(code)
            if not _STOPS[(code & np.uint32(0x7F)) << np.uint32(7) | (codes[i + 1] & np.uint32(0x7F))]:
                i += 1
                continue
            sign, first, last, following = NUMBER, i, i, i + 1
            if _is(code, _DIGIT):
                first, last, shaped = _number(codes, i, start, end)
                following = last
                if not shaped:
                    last = first
            elif code == 0x40:
                sign = EMAIL
                first, last = _email(codes, i, start, end)
            elif code == 0x3A:
                sign = IPV6
                first, last = _ipv6(codes, i, start, end)
            else:
                sign, last = _at_head(codes, i, start, end)
            if last > first:
                if n_candidates == len(candidates):
                    candidates = np.concatenate((candidates, np.empty_like(candidates)))
                candidates[n_candidates] = (doc, sign, first, last)
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
