"""Normalised form of URLs, in which equal addresses are equal bytes: the host, then the rest.

Scheme, user, port and fragment are removed; the host is in lower case without a final dot; percent escapes are decoded
once. Entries of lists are normalised in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Plain(NamedTuple):
    """Normalised addresses.

    data: uint8 (n_bytes,). starts: int64 (n + 1,), start of each address. hosts: int64 (n,), end of each host. foreign:
    bool (n,), whether the host has non-ASCII characters.
    """

    data: np.ndarray
    starts: np.ndarray
    hosts: np.ndarray
    foreign: np.ndarray


@njit(cache=True, nogil=True)
def plain_form(
    data: np.ndarray, offsets: np.ndarray, is_entry: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Normalise addresses.

    An address without a scheme has a host only if the host has a dot and no further colon; an entry always has one.

    Args: data, uint8 (n_bytes,), and offsets, int64 (n + 1,), the addresses; is_entry, whether they are entries of
    lists.
    Returns: the fields of Plain.
    """
    n = len(offsets) - 1
    out = np.empty(offsets[n] - offsets[0], np.uint8)
    starts, hosts, foreign = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.zeros(n, np.bool_)
    at = 0
    for row in range(n):
        starts[row] = at
        i, end = offsets[row], offsets[row + 1]
        while i < end and data[i] <= 32:
            i += 1
        while end > i and data[end - 1] <= 32:
            end -= 1
        host, host_end, rest = _split(data, i, end, is_entry)
        at, other = _decode(data, host, host_end, out, at, True)
        while at > starts[row] and out[at - 1] == ord("."):
            at -= 1
        hosts[row], foreign[row] = at, other
        at, _ = _decode(data, rest, end, out, at, False)
    starts[n] = at
    return out[:at].copy(), starts, hosts, foreign


@njit(cache=True, nogil=True)
def _split(data, i, end, is_entry):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    """Return start and end of the host of an address and the start of its rest; see RFC 3986, section 3."""
    start, has_scheme = i, False
    while i < end and (is_word(data[i]) or data[i] == ord("+") or data[i] == ord("-") or data[i] == ord(".")):
        i += 1
    if i + 2 < end and data[i] == ord(":") and data[i + 1] == ord("/") and data[i + 2] == ord("/"):
        i, has_scheme = i + 3, True
    elif i == start and i + 1 < end and data[i] == ord("/") and data[i + 1] == ord("/"):
        i, has_scheme = i + 2, True
    else:
        i = start
    rest, host, has_dot = i, i, False
    while rest < end and data[rest] != ord("/") and data[rest] != ord("?") and data[rest] != ord("#"):
        if data[rest] == ord("\\"):
            break
        if data[rest] == ord("@"):
            host, has_dot = rest + 1, False
        has_dot = has_dot or data[rest] == ord(".")
        rest += 1
    host_end = rest
    if host < rest and data[host] == ord("["):
        host += 1
        host_end = host
        while host_end < rest and data[host_end] != ord("]"):
            host_end += 1
        return host, host_end, rest
    while host_end > host and data[host_end - 1] >= ord("0") and data[host_end - 1] <= ord("9"):
        host_end -= 1
    if host_end > host and data[host_end - 1] == ord(":"):
        host_end -= 1
    else:
        host_end = rest
    if not has_scheme and not is_entry:
        for k in range(host, host_end):
            has_dot = has_dot and data[k] != ord(":")
        if not has_dot:
            return start, start, start
    return host, host_end, rest


@njit(cache=True, nogil=True)
def _decode(data, i, end, out, at, is_host):  # type: ignore[no-untyped-def]
    """Copy bytes up to a fragment, with percent escapes decoded; a host in lower case.

    Returns: the end of the copy in out, and whether it has non-ASCII bytes.
    """
    foreign = False
    while i < end:
        byte = data[i]
        if byte == ord("%") and i + 2 < end and _hex(data[i + 1]) >= 0 and _hex(data[i + 2]) >= 0:
            byte = np.uint8(_hex(data[i + 1]) * 16 + _hex(data[i + 2]))
            i += 2
        elif not is_host and byte == ord("#"):
            break
        elif not is_host and byte == ord("\\"):
            byte = np.uint8(ord("/"))
        if is_host and byte >= ord("A") and byte <= ord("Z"):
            byte = np.uint8(byte + 32)
        foreign = foreign or byte >= 0x80
        out[at] = byte
        at += 1
        i += 1
    return at, foreign


@njit(cache=True, nogil=True)
def _hex(byte):  # type: ignore[no-untyped-def]
    if byte >= ord("0") and byte <= ord("9"):
        return byte - ord("0")
    lower = byte | 32
    return lower - ord("a") + 10 if lower >= ord("a") and lower <= ord("f") else -1


@njit(cache=True, nogil=True)
def is_word(byte):  # type: ignore[no-untyped-def]
    """Whether a byte is an ASCII letter or digit."""
    lower = byte | 32
    return (byte >= ord("0") and byte <= ord("9")) or (lower >= ord("a") and lower <= ord("z"))


@njit(cache=True, nogil=True)
def cut(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copy ranges of bytes one after another.

    Args: data, uint8 (n_bytes,); starts and ends, int64 (n,).
    Returns: uint8, the bytes; int32 (n + 1,), offsets.
    """
    offsets = np.zeros(len(starts) + 1, np.int32)
    for row in range(len(starts)):
        offsets[row + 1] = offsets[row] + ends[row] - starts[row]
    out = np.empty(offsets[-1], np.uint8)
    for row in range(len(starts)):
        out[offsets[row] : offsets[row + 1]] = data[starts[row] : ends[row]]
    return out, offsets


@njit(cache=True, nogil=True)
def cut_lines(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the entries of a list file: the first word of each line, without `*.` or a dot before it.

    Blank lines and lines that begin with `#` have no entry.

    Args: data, uint8 (n_bytes,), content of the file.
    Returns: uint8, bytes of the entries; int64 (n + 1,), offsets; int64 (n,), line numbers from 1 on.
    """
    n_lines = 1
    for byte in data:
        n_lines += byte == 10
    out, offsets, lines = (
        np.empty(len(data), np.uint8),
        np.zeros(n_lines + 1, np.int64),
        np.empty(n_lines, np.int64),
    )
    n, at, i = 0, 0, 0
    for line in range(n_lines):
        while i < len(data) and data[i] <= 32 and data[i] != 10:
            i += 1
        comment = i < len(data) and data[i] == ord("#")
        if i + 1 < len(data) and data[i] == ord("*") and data[i + 1] == ord("."):
            i += 2
        elif i < len(data) and data[i] == ord("."):
            i += 1
        while i < len(data) and data[i] > 32 and not comment:
            out[at] = data[i]
            at += 1
            i += 1
        while i < len(data) and data[i] != 10:
            i += 1
        i += 1
        if at > offsets[n]:
            lines[n] = line + 1
            n += 1
            offsets[n] = at
    return out[:at].copy(), offsets[: n + 1].copy(), lines[:n].copy()
