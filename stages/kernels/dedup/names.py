"""Names in headings, by which pages of one template about different subjects are distinguished.

Two reference pages, two notices or two lists can be near duplicates although their subjects differ. The subject occurs
in the heading, and mostly again in the text. Reads hashed units of texts and of their first lines.
"""

from __future__ import annotations

import numba as nb
import numpy as np

MAX_HEADING = 40
"""Most units of a heading; a longer first line is text."""

MIN_HEADING = 3
"""Least number of units of a heading that names a subject; a shorter one names a section: `## Introduction`."""

MIN_WEIGHT = 2
"""Least weight of the missing units of a heading: one word, or two ideographs."""

PART, ORDINAL, WORD = range(1, 4)
"""Kinds of units of a heading: an ideograph that is only a part of a name; a numeral, a letter or an ideograph of order
(these distinguish pages of a series and need not occur below); any other word."""

LONG = 2000
"""Units from which a text is long: a name in its heading occurs in its text too. If only the heading of a long text
differs, the page or the book it belongs to was renamed."""

MIN_EXCESS = 2
"""Least excess of a name in a long text over the other text: once in the heading, once more below."""

MIN_TIMES = 2
"""Least number of occurrences of a name in its text: once in the heading and once more."""

UNITS_TO_A_NAME = 200
"""Most units per occurrence of the names of a text. The name of a site or an author around an article is less frequent,
so the same article on two sites is not taken for two subjects."""


@nb.njit(cache=True, nogil=True)
def find_names(
    units: np.ndarray, starts: np.ndarray, head: np.ndarray, head_starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the units of headings that occur again in their texts.

    Args: units, uint64, and starts, int64 (n_docs + 1,), units of the texts, sorted within each; head and head_starts,
    the same of their first lines, not sorted.
    Returns: uint64 (n_names,), names, distinct within a text; int64 (n_names,), number of occurrences of each in its
    text; int64 (n_docs + 1,), where the names of each text begin.
    """
    names, times = np.empty(len(head), np.uint64), np.empty(len(head), np.int64)
    name_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        name_starts[doc] = n
        text_units = units[starts[doc] : starts[doc + 1]]
        heading = np.sort(head[head_starts[doc] : head_starts[doc + 1]])
        if len(heading) > MAX_HEADING or len(heading) == len(text_units):
            continue
        for i in range(len(heading)):
            if i and heading[i] == heading[i - 1]:
                continue
            count = _count(text_units, heading[i])
            if count >= MIN_TIMES:
                names[n], times[n] = heading[i], count
                n += 1
    name_starts[len(starts) - 1] = n
    return names[:n], times[:n], name_starts


@nb.njit(cache=True, nogil=True)
def weigh_names(
    names: np.ndarray, times: np.ndarray, left: np.ndarray, units: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Count occurrences, in one text of each pair, of the names of its heading that the other text does not contain.

    Args: names and times, from find_names; left, int64 (n_pairs, 2), range of the names of the one text; units, uint64,
    sorted within each text; right, int64 (n_pairs, 2), range of the units of the other text.
    Returns: int64 (n_pairs,).
    """
    weights = np.zeros(len(left), np.int64)
    for pair in range(len(left)):
        other_units = units[right[pair, 0] : right[pair, 1]]
        for i in range(left[pair, 0], left[pair, 1]):
            index = np.searchsorted(other_units, names[i])
            if index == len(other_units) or other_units[index] != names[i]:
                weights[pair] += times[i]
    return weights


@nb.njit(cache=True, nogil=True)
def weigh_headings(heading, kinds, own, other, units, own_units, other_units):  # type: ignore[no-untyped-def]
    """Weigh the units of one heading of each pair that name another subject than the other heading.

    A word or an ordinal that the other heading lacks weighs MIN_WEIGHT, in a LONG text only if the text has the word
    more often than the other one, by MIN_EXCESS; an ideograph that the other text lacks weighs 1.

    Args: heading, uint64, units of headings, sorted within each; kinds, uint8, PART, ORDINAL or WORD of each; own and
    other, int64 (n_pairs, 2), ranges of both headings; units, uint64, units of texts, sorted within each; own_units and
    other_units, ranges of both texts.
    Returns: int64 (n_pairs,).
    """
    weights = np.zeros(len(own), np.int64)
    for pair in range(len(own)):
        theirs = heading[other[pair, 0] : other[pair, 1]]
        mine = units[own_units[pair, 0] : own_units[pair, 1]]
        others = units[other_units[pair, 0] : other_units[pair, 1]]
        is_long = min(len(mine), len(others)) >= LONG
        for i in range(own[pair, 0], own[pair, 1]):
            unit = heading[i]
            if kinds[i] == PART:
                weights[pair] += _count(others, unit) == 0
            elif _count(theirs, unit) == 0:
                is_name = not is_long or kinds[i] == ORDINAL
                if is_name or _count(mine, unit) - _count(others, unit) >= MIN_EXCESS:
                    weights[pair] += MIN_WEIGHT
    return weights


@nb.njit(cache=True, nogil=True)
def _count(values, value):  # type: ignore[no-untyped-def]
    """Occurrences of a value among sorted values."""
    return np.searchsorted(values, value, "right") - np.searchsorted(values, value)


def have_other_names(
    weights: tuple[np.ndarray, np.ndarray], n_units: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Whether each text of a pair has frequent names in its heading that the other text does not contain.

    Args: weights, from weigh_names, and n_units, units of the texts: int64 (n_pairs,) for each end of the pairs.
    Returns: bool (n_pairs,).
    """
    has_names = [
        w >= np.maximum(MIN_TIMES, n / UNITS_TO_A_NAME) for w, n in zip(weights, n_units, strict=True)
    ]
    return np.logical_and(*has_names)


def have_other_headings(shared: np.ndarray, n_units: list[np.ndarray], n_missing: np.ndarray) -> np.ndarray:
    """Whether two marked headings share a form but name different subjects: they share half of the shorter, and
    each has a name of its own, a word or two ideographs: a Chinese heading that was worded anew has ideographs of its
    text.

    Args: int64 (n_pairs,) each: shared, distinct units in both headings; n_units, distinct units of either heading, 0
    for a text that does not begin with a marked heading; n_missing, the smaller weight of either heading, from
    weigh_headings.
    Returns: bool (n_pairs,).
    """
    least = np.minimum(*n_units)
    return (least >= MIN_HEADING) & (shared < least) & (n_missing >= MIN_WEIGHT) & (2 * shared >= least)
