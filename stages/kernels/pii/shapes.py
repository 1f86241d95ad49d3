"""Shapes of values around a sign: addresses, links, devices, accounts, and where values behind a word end."""

from __future__ import annotations

from numba import njit

from stages.kernels.pii.characters import CAPITAL, DIGIT, DOMAIN, HEX, LETTER, LOCAL, has_role, lower, plain

MAX_LOCAL, MAX_DOMAIN, MAX_IPV6 = 64, 255, 45
"""Greatest lengths of parts of an address in characters: RFC 5321, section 4.5.3.1; INET6_ADDRSTRLEN less its NUL."""

MAX_BLOCK = 16384
"""Greatest length of a private key block in characters: an RSA key of 16,384 bits takes 12.8 KB."""

MAX_URL = 2048
"""Greatest length of a URL in characters that is searched for personal values."""

ACCOUNT_CHARS = 128
ACCOUNT_GAP, MIN_ACCOUNT = 24, 4
"""A number or name of four characters or more begins within 24 characters of the word that introduces it."""

MAX_ASSIGNED = 160
"""Greatest length of the name of a secret and the secret, in characters."""

_MARKS = (0x20, 0x28, 0x29, 0x5B, 0x5D, 0x3C, 0x3E, 0x7B, 0x7D, 0x5F, 0x2D)
"""Blanks, brackets and dashes around the words at and dot."""

HANDLE_MARKS = (0x3A, 0x3D, 0x40, ord("是"), ord("为"), ord("為"), ord("号"), ord("號"))
"""Behind the name of a network: colon, equals and at sign, is, number."""


@njit(cache=True, nogil=True)
def email_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of the run around the at sign at i; an empty range if a side or a dot is missing."""
    first, last = i, i + 1
    if (
        i - 1 > start
        and last < end
        and plain(codes[i - 1]) in (0x28, 0x5B)
        and plain(codes[last]) in (0x29, 0x5D)
    ):
        first, last = i - 1, last + 1  # name [@] domain.org
    if first - 1 > start and plain(codes[first - 1]) == 0x20 and has_role(codes[first - 2], LOCAL):
        first -= 1  # name @ domain.org
    if last + 1 < end and plain(codes[last]) == 0x20:
        last += 1
    while first > start and i - first <= MAX_LOCAL and has_role(codes[first - 1], LOCAL):
        first -= 1
    has_dot = False
    while last < end and last - i <= MAX_DOMAIN + 1 and has_role(codes[last], DOMAIN):
        has_dot |= plain(codes[last]) == 0x2E
        last += 1
    return (first, last) if has_role(codes[first], LOCAL) and has_dot else (i, i)


@njit(cache=True, nogil=True)
def spelled_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end around the word at that begins at i, between a name and a domain; an empty range if not."""
    if i == start or i + 4 >= end or plain(codes[i - 1]) not in _MARKS or plain(codes[i + 2]) not in _MARKS:
        return i, i
    k = i + 2
    while k < end and k < i + 6 and plain(codes[k]) in _MARKS:
        k += 1
    name = k
    while (
        k < end and k < name + MAX_LOCAL and (has_role(codes[k], DIGIT | LETTER) or plain(codes[k]) == 0x2D)
    ):
        k += 1
    if k == name or k + 2 >= end:
        return i, i
    if plain(codes[k]) != 0x2E:
        while k + 2 < end and k < name + MAX_LOCAL + 4 and plain(codes[k]) in _MARKS:
            k += 1
        is_word = lower(codes[k]) == 0x64 and lower(codes[k + 1]) == 0x6F and lower(codes[k + 2]) == 0x74
        if not is_word and plain(codes[k]) != 0x2E:
            return i, i
    return max(start, i - MAX_LOCAL - 6), min(end, i + 160)


@njit(cache=True, nogil=True)
def hash_mark_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end around a # between a name and a host with a dot; an empty range if not."""
    k = i - 1
    if k > start and plain(codes[k]) == 0x20:
        k -= 1
    if k < start or not has_role(codes[k], LOCAL):
        return i, i
    k, has_dot = i + 1, False
    if k < end and plain(codes[k]) == 0x20:
        k += 1
    name = k
    while k < end and k < name + MAX_LOCAL and has_role(codes[k], DOMAIN):
        has_dot |= plain(codes[k]) == 0x2E
        k += 1
    return (max(start, i - MAX_LOCAL - 2), min(end, i + 160)) if has_dot else (i, i)


@njit(cache=True, nogil=True)
def mac_at(codes, i, start, end):  # type: ignore[no-untyped-def]
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
        if not (has_role(codes[i + k], HEX) and has_role(codes[i + k + 1], HEX)):
            return i, i
    return i - 2, i + 15


@njit(cache=True, nogil=True)
def url_at(codes, i, start, end):  # type: ignore[no-untyped-def]
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
def ipv6_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of an address with a hextet of 2000::/3 before the colon at i; an empty range if none."""
    first = i - 4
    if first < start or plain(codes[first]) not in (0x32, 0x33) or i + 1 == end:
        return i, i
    if first > start and has_role(codes[first - 1], HEX | LETTER):
        return i, i
    if first > start and plain(codes[first - 1]) == 0x3A:  # of a label, not of an address
        if first - 1 == start or has_role(codes[first - 2], HEX) or plain(codes[first - 2]) == 0x3A:
            return i, i
    for k in range(first, i):
        if not has_role(codes[k], HEX):
            return i, i
    last = i
    while (
        last < end and last - first <= MAX_IPV6 and (has_role(codes[last], HEX) or plain(codes[last]) == 0x3A)
    ):
        last += 1
    return first, last


@njit(cache=True, nogil=True)
def iban_at(codes, i, start, end):  # type: ignore[no-untyped-def]
    """Return start and end of an account number with its two check digits at i; an empty range if it is too short."""
    if (
        i - 2 < start
        or i + 13 > end
        or not (has_role(codes[i - 1], CAPITAL) and has_role(codes[i - 2], CAPITAL))
    ):
        return i, i
    if i - 3 >= start and has_role(codes[i - 3], LETTER | DIGIT):
        return i, i
    if not (has_role(codes[i], DIGIT) and has_role(codes[i + 1], DIGIT)):
        return i, i
    last, n = i + 2, 0
    while (
        last < end and last < i + 42 and (has_role(codes[last], DIGIT | LETTER) or plain(codes[last]) == 0x20)
    ):
        n += has_role(codes[last], DIGIT | LETTER)
        last += 1
    return (i - 2, last) if n >= 11 else (i, i)


@njit(cache=True, nogil=True)
def token_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of a token with its head at i: 96 characters, room for an assignment, and the rest of the run."""
    last = min(i + 96, end)
    while last < end and has_role(codes[last], LOCAL):
        last += 1
    return last


@njit(cache=True, nogil=True)
def block_end(codes, i, end):  # type: ignore[no-untyped-def]
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
def assigned_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the candidate after the name of a secret at i; i without a mark and a value of eight
    characters."""
    k = i
    while k < end and k < i + 40 and plain(codes[k]) not in (0x3A, 0x3D, 0x0A):  # : = line break
        k += 1
    if k + 9 > end or plain(codes[k]) not in (0x3A, 0x3D):
        return i
    return min(i + MAX_ASSIGNED, end)


@njit(cache=True, nogil=True)
def account_end(codes, i, end):  # type: ignore[no-untyped-def]
    """Return the end of the candidate after an introducing word at i; i if no number or name follows."""
    run = 0
    for k in range(i + 2, min(i + ACCOUNT_GAP + MIN_ACCOUNT, end)):
        if plain(codes[k]) == 0x40:
            return min(i + ACCOUNT_CHARS, end)
        run = run + 1 if has_role(codes[k], DIGIT | LETTER) or plain(codes[k]) == 0x5F else 0
        if run == MIN_ACCOUNT:
            return min(i + ACCOUNT_CHARS, end)
    return i


@njit(cache=True, nogil=True)
def is_marked(codes, i, end):  # type: ignore[no-untyped-def]
    """Whether a colon, an equals or at sign, a verb, `ID` or the word number is behind the name of a network at i."""
    for k in range(i + 2, min(i + ACCOUNT_GAP + MIN_ACCOUNT, end)):
        code = lower(codes[k])
        if code in HANDLE_MARKS or (code == 0x64 and lower(codes[k - 1]) == 0x69):
            return True
    return False
