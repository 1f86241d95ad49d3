"""Look-up of URLs in lists of hosts, domains, prefixes of paths and words.

A list is a sorted array of 64-bit hashes with a directory by their leading bits: 9 bytes per entry and about one cache
line per look-up. With n entries, the probability of a false positive is n / 2**64 per look-up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.kernels.patterns.automaton import Automaton
from stages.kernels.patterns.url_form import Plain, is_word
from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step

WHOLE, UTF8, GBK = 1, 2, 4
"""Flags of a word: it matches only between characters other than ASCII letters and digits; only in an address that is
valid UTF-8; only in one that is not. Chinese words are listed in both encodings, because both occur in addresses."""

NORMAL, WILDCARD, EXCEPTION = 0, 1, 2
"""Kinds of rules of the Public Suffix List: `com.cn`, `*.ck`, `!www.ck`."""

HOST_ONLY, REST_TOO = 0, 1
"""The part of an entry that is hashed: its host alone, or host and path."""


class Index(NamedTuple):
    """A map from hashes to values.

    keys: uint64 (n,), sorted. values: uint8 or int32 (n,). directory: int64 (2**(64 - shift) + 1,), where the keys with
    the same leading 64 - shift bits begin.
    """

    keys: np.ndarray
    values: np.ndarray
    directory: np.ndarray
    shift: int


class Words(NamedTuple):
    """Words searched by an automaton; a word has one row for each list that contains it.

    rows: int64 (n_patterns + 1,), where the rows of each pattern begin. flags: uint8 (n_rows,). lists: int32 (n_rows,).
    soft: bool (n_rows,), whether every row of a list counts rather than the first one only.
    """

    rows: np.ndarray
    flags: np.ndarray
    lists: np.ndarray
    soft: np.ndarray


class Found(NamedTuple):
    """Matches of addresses in lists.

    urls, lists: int64 (n,), index of the address and of the list. starts, ends: int64 (n,), span of the match in
    `Plain.data`. rows: int64 (n,), row of Words, -1 for a host or prefix. domains: int64 (n_urls,), start of the
    registered domain of each address.
    """

    urls: np.ndarray
    lists: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    rows: np.ndarray
    domains: np.ndarray


def make_index(keys: np.ndarray, values: np.ndarray) -> Index:
    """Build an index from keys, uint64 (n,), to values, uint8 or int32 (n,); a key with several values is repeated."""
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    bits = max(len(keys).bit_length() - 3, 1)
    edges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    return Index(keys, values, np.append(np.searchsorted(keys, edges), len(keys)).astype(np.int64), 64 - bits)


@njit(cache=True, nogil=True)
def _skip_www(data, start, end):  # type: ignore[no-untyped-def]
    """Return the start of a host without `www.`."""
    if end - start > 4 and data[start + 3] == ord("."):
        if data[start] == ord("w") and data[start + 1] == ord("w") and data[start + 2] == ord("w"):
            return start + 4
    return start


@njit(cache=True, nogil=True)
def _finish(state, n_bytes):  # type: ignore[no-untyped-def]
    return mix(state ^ np.uint64(n_bytes))


@njit(cache=True, nogil=True)
def entry_keys(
    data: np.ndarray, starts: np.ndarray, hosts: np.ndarray, part: int, skip_www: bool
) -> np.ndarray:
    """Hash normalised entries of lists: hosts from their end, hosts with a path from their beginning.

    Args: data, starts and hosts, fields of Plain; part, HOST_ONLY or REST_TOO; skip_www, whether to skip `www.`.
    Returns: uint64 (n,).
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
    """Return the first position of a key in an index, -1 if it is absent."""
    bucket = np.int64(key >> np.uint64(index.shift))
    for i in range(index.directory[bucket], index.directory[bucket + 1]):
        if index.keys[i] >= key:
            return i if index.keys[i] == key else -1
    return -1


@njit(cache=True, nogil=True)
def is_utf8(data, i, end):  # type: ignore[no-untyped-def]
    """Whether bytes are UTF-8, judged by lead and continuation bytes only."""
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
    """Find the matches of each address in lists.

    Args: suffixes, rules of the Public Suffix List, with NORMAL, WILDCARD or EXCEPTION as values; hosts, below and
    prefixes, entries with their list as value: single hosts, domains with all domains below them, and hosts with a
    prefix of a path that ends before `/` or `?`; words, those of the automaton; n_lists, number of lists.
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
    matches = events[:n_events]
    return (
        matches[:, 0].copy(),
        matches[:, 1].copy(),
        matches[:, 2].copy(),
        matches[:, 3].copy(),
        matches[:, 4].copy(),
        domains,
    )


@njit(cache=True, nogil=True)
def _note(index, key, url, start, end, seen, events, n_events):  # type: ignore[no-untyped-def]
    """Append a match for every list that contains a key, once per address; return the number of matches."""
    at = _place(index, key)
    while 0 <= at < len(index.keys) and index.keys[at] == key:
        list_index = index.values[at]
        if seen[list_index] != url:
            seen[list_index] = url
            events[n_events, 0], events[n_events, 1], events[n_events, 4] = url, list_index, -1
            events[n_events, 2], events[n_events, 3] = start, end
            n_events += 1
        at += 1
    return n_events


@njit(cache=True, nogil=True)
def _host(data, url, start, plain_start, end, suffixes, hosts, below, labels, seen, events, n_events):  # type: ignore[no-untyped-def]
    """Look up a host and all domains above it; return the start of its registered domain and the number of matches."""
    state, n_labels, n_suffix, is_final, is_name = ODD_B, 0, 1, False, False
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
        while 0 <= at < len(suffixes.keys) and suffixes.keys[at] == key and not is_final:
            kind = suffixes.values[at]
            if kind == EXCEPTION:
                n_suffix, is_final = n_labels - 1, True
            elif kind == NORMAL or i > start:
                n_suffix = max(n_suffix, n_labels + (kind == WILDCARD))
            at += 1
        if len(below.keys):
            n_events = _note(below, key, url, i, end, seen, events, n_events)
    if not is_name or n_suffix >= n_labels:
        return start, n_events  # a numeric address, or a public suffix
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
                list_index = words.lists[row]
                if (seen_rows[row] if words.soft[row] else seen[list_index]) == url:
                    continue
                flags = words.flags[row]
                if (flags & WHOLE and not whole) or flags & (GBK if valid else UTF8):
                    continue
                seen[list_index] = seen_rows[row] = url
                events[n_events, 0], events[n_events, 1], events[n_events, 4] = url, list_index, row
                events[n_events, 2], events[n_events, 3] = first, i + 1
                n_events += 1
            hit = automaton.shorter[hit]
    return n_events
