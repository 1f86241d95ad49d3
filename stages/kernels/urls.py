"""Lists of addresses: which of them has a host, a domain above it, the beginning of a path, a word.

A list is a sorted array of 64-bit hashes with a directory by their first bits: 9 bytes an entry and about one cache
line a look-up. With n entries, a name that is in none is taken for one of them with probability n / 2**64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.automaton import Automaton
from stages.kernels.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.url_form import Plain, is_word

WHOLE, UTF8, GBK = 1, 2, 4
"""Flags of a word: it counts only between other characters than ASCII letters and digits; only in an address that is
UTF-8; only in one that is not. A Chinese word stands there in both encodings, because addresses are written in both."""

NORMAL, WILDCARD, EXCEPTION = 0, 1, 2
"""What a rule of the Public Suffix List says: `com.cn`, `*.ck`, `!www.ck`."""

HOST_ONLY, REST_TOO = 0, 1
"""Which part of an entry counts."""


class Index(NamedTuple):
    """Hashes and what they stand for. keys: uint64 (n,), sorted; values: uint8 or int32 (n,); directory: int64, where
    hashes with the same first 64 - shift bits begin."""

    keys: np.ndarray
    values: np.ndarray
    directory: np.ndarray
    shift: int


class Words(NamedTuple):
    """Words that an automaton finds.

    rows: int64 (n_patterns + 1,), the rows of each pattern; flags: uint8 (n_rows,); lists: int32 (n_rows,); soft: bool
    (n_rows,), whether every row of a list counts and not the first alone.
    """

    rows: np.ndarray
    flags: np.ndarray
    lists: np.ndarray
    soft: np.ndarray


class Found(NamedTuple):
    """What is in lists, by address. urls, lists, starts, ends: int64 (n,), bytes of `Plain.data`; rows: int64 (n,), of
    Words, -1 for a host or prefix. domains: int64 (n_urls,), where the registered domain of each begins."""

    urls: np.ndarray
    lists: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    rows: np.ndarray
    domains: np.ndarray


def make_index(keys: np.ndarray, values: np.ndarray) -> Index:
    """Index hashes; one that stands for several values is there for each. Args: uint64 (n,), int32 (n,)."""
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    bits = max(len(keys).bit_length() - 3, 1)
    edges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    return Index(keys, values, np.append(np.searchsorted(keys, edges), len(keys)).astype(np.int64), 64 - bits)


@njit(cache=True, nogil=True)
def _skip_www(data, start, end):  # type: ignore[no-untyped-def]
    """Where a host begins without `www.`."""
    if end - start > 4 and data[start + 3] == ord("."):
        if data[start] == ord("w") and data[start + 1] == ord("w") and data[start + 2] == ord("w"):
            return start + 4
    return start


@njit(cache=True, nogil=True)
def _finish(state, n_bytes):  # type: ignore[no-untyped-def]
    return mix(state ^ np.uint64(n_bytes))


@njit(cache=True, nogil=True)
def entry_keys(data, starts, hosts, part, skip_www):  # type: ignore[no-untyped-def]
    """Hash entries of lists in their plain form: hosts from their end, hosts with the rest from their beginning.

    Args: fields of Plain; part, HOST_ONLY or REST_TOO. Returns: uint64 (n,).
    """
    keys = np.empty(len(hosts), np.uint64)
    for row in range(len(hosts)):
        start, host_end, end = starts[row], hosts[row], starts[row + 1]
        if skip_www:
            start = _skip_www(data, start, host_end)
        state = ODD_B
        if part == HOST_ONLY:
            for i in range(host_end - 1, start - 1, -1):
                state = step(state, data[i], ODD_A)
            keys[row] = _finish(state, host_end - start)
        else:
            while end > host_end and data[end - 1] == ord("/"):
                end -= 1
            for i in range(start, end):
                state = step(state, data[i], ODD_A)
            keys[row] = _finish(state, end - start)
    return keys


@njit(cache=True, nogil=True)
def _place(index, key):  # type: ignore[no-untyped-def]
    """Where a hash first stands in an index, -1 for not at all."""
    bucket = np.int64(key >> np.uint64(index.shift))
    for i in range(index.directory[bucket], index.directory[bucket + 1]):
        if index.keys[i] >= key:
            return i if index.keys[i] == key else -1
    return -1


@njit(cache=True, nogil=True)
def is_utf8(data, i, end):  # type: ignore[no-untyped-def]
    """Whether bytes are UTF-8, as far as lead and continuation bytes go."""
    while i < end:
        byte = data[i]
        n = 0 if byte < 0x80 else 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        if 0x80 <= byte < 0xC2 or byte >= 0xF5 or i + n >= end:
            return False
        for k in range(1, n + 1):
            if data[i + k] & 0xC0 != 0x80:
                return False
        i += n + 1
    return True


def find(plain: Plain, suffixes: Index, hosts: Index, below: Index, prefixes: Index, automaton: Automaton, words: Words,
         n_lists: int) -> Found:  # fmt: skip
    """Find what lists hold of each address.

    Args: suffixes, rules of the Public Suffix List by NORMAL, WILDCARD or EXCEPTION; hosts, below and prefixes, entries
    by list: a host alone, a domain with all below it, a host with the beginning of a path that ends before `/` or `?`.
    """
    return Found(*_find(*plain[:3], suffixes, hosts, below, prefixes, automaton, words, n_lists))


@njit(cache=True, nogil=True)
def _find(data, starts, host_ends, suffixes, hosts, below, prefixes, automaton, words, n_lists):  # type: ignore[no-untyped-def]
    n = len(host_ends)
    events, n_events = np.empty((max(n, 16), 5), np.int64), 0
    domains = np.empty(n, np.int64)
    seen, seen_rows = np.full(n_lists + 1, -1, np.int64), np.full(len(words.flags) + 1, -1, np.int64)
    room = n_lists + len(words.flags)
    labels = np.empty(256, np.int64)
    for url in range(n):
        if n_events + room > len(events):
            more = np.empty((2 * len(events) + room, 5), np.int64)
            more[:n_events] = events[:n_events]
            events = more
        start, host_end, end = starts[url], host_ends[url], starts[url + 1]
        plain_start = _skip_www(data, start, host_end)
        domains[url], n_events = _host(
            data, url, start, plain_start, host_end, suffixes, hosts, below, labels, seen, events, n_events
        )
        if len(prefixes.keys) and host_end > start:
            n_events = _prefixes(data, url, plain_start, host_end, end, prefixes, seen, events, n_events)
        if len(words.flags):
            n_events = _words(data, url, start, end, automaton, words, seen, seen_rows, events, n_events)
    found = events[:n_events]
    return (
        found[:, 0].copy(),
        found[:, 1].copy(),
        found[:, 2].copy(),
        found[:, 3].copy(),
        found[:, 4].copy(),
        domains,
    )


@njit(cache=True, nogil=True)
def _note(index, key, url, start, end, seen, events, n_events):  # type: ignore[no-untyped-def]
    """Note every list that a hash is in, once for each address."""
    at = _place(index, key)
    while 0 <= at < len(index.keys) and index.keys[at] == key:
        named = index.values[at]
        if seen[named] != url:
            seen[named] = url
            events[n_events, 0], events[n_events, 1], events[n_events, 4] = url, named, -1
            events[n_events, 2], events[n_events, 3] = start, end
            n_events += 1
        at += 1
    return n_events


@njit(cache=True, nogil=True)
def _host(data, url, start, plain_start, end, suffixes, hosts, below, labels, seen, events, n_events):  # type: ignore[no-untyped-def]
    """Look up a host and all domains above it; returns where its registered domain begins, and the events."""
    state, n_labels, n_suffix, fixed, is_name = ODD_B, 0, 1, False, False
    for i in range(end - 1, start - 1, -1):
        state = step(state, data[i], ODD_A)
        is_name = is_name or not ((ord("0") <= data[i] <= ord("9")) or data[i] == ord("."))
        if data[i] == ord(":"):
            return start, n_events
        if i == plain_start and len(hosts.keys):
            n_events = _note(hosts, _finish(state, end - i), url, i, end, seen, events, n_events)
        if i > start and data[i - 1] != ord("."):
            continue
        key = _finish(state, end - i)
        if n_labels < len(labels):
            labels[n_labels] = i
            n_labels += 1
        at = _place(suffixes, key)
        while 0 <= at < len(suffixes.keys) and suffixes.keys[at] == key and not fixed:
            kind = suffixes.values[at]
            if kind == EXCEPTION:
                n_suffix, fixed = n_labels - 1, True
            elif kind == NORMAL or i > start:
                n_suffix = max(n_suffix, n_labels + (kind == WILDCARD))
            at += 1
        if len(below.keys):
            n_events = _note(below, key, url, i, end, seen, events, n_events)
    if not is_name or n_suffix >= n_labels:
        return start, n_events  # a number, or a suffix itself
    return labels[n_suffix], n_events


@njit(cache=True, nogil=True)
def _prefixes(data, url, start, host_end, end, prefixes, seen, events, n_events):  # type: ignore[no-untyped-def]
    state = ODD_B
    for i in range(start, end + 1):
        is_end = i == end or (i >= host_end and (data[i] == ord("/") or data[i] == ord("?")))
        if is_end and (i == host_end or data[i - 1] != ord("/")):
            n_events = _note(prefixes, _finish(state, i - start), url, start, i, seen, events, n_events)
        if i < end:
            state = step(state, data[i], ODD_A)
    return n_events


@njit(cache=True, nogil=True)
def _words(data, url, start, end, automaton, words, seen, seen_rows, events, n_events):  # type: ignore[no-untyped-def]
    valid, node = is_utf8(data, start, end), np.int32(0)
    for i in range(start, end):
        node = automaton.steps[node, automaton.classes[data[i]]]
        hit = node if automaton.ends[node] >= 0 else automaton.shorter[node]
        while hit > 0:
            pattern = automaton.ends[hit]
            first = i + 1 - automaton.sizes[pattern]
            whole = (first == start or not is_word(data[first - 1])) and (
                i + 1 == end or not is_word(data[i + 1])
            )
            for row in range(words.rows[pattern], words.rows[pattern + 1]):
                named = words.lists[row]
                if (seen_rows[row] if words.soft[row] else seen[named]) == url:
                    continue
                flags = words.flags[row]
                if (flags & WHOLE and not whole) or flags & (GBK if valid else UTF8):
                    continue
                seen[named] = seen_rows[row] = url
                events[n_events, 0], events[n_events, 1], events[n_events, 4] = url, named, row
                events[n_events, 2], events[n_events, 3] = first, i + 1
                n_events += 1
            hit = automaton.shorter[hit]
    return n_events
