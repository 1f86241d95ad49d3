"""Headings and the names in them: what pages of one template are about.

Two reference pages, two notices or two lists may be alike in all but the thing that they are about. It stands in the
heading, and mostly again in the text. Reads hashed units of texts and of their first lines.
"""

from __future__ import annotations

import numba as nb
import numpy as np

MAX_HEADING = 40
"""A first line of more units is text, no heading."""

MIN_HEADING = 3
"""A heading of fewer units says what part of a page follows, not what it is about: `## Introduction`."""

MIN_TIMES = 2
"""A name stands in the heading and at least once more."""

UNITS_TO_A_NAME = 200
"""A text names what it is about at least once in so many units. A site or an author around an article is named less
often than that, so two sites with one article are told apart by nothing."""


@nb.njit(cache=True, nogil=True)
def find_names(
    units: np.ndarray, starts: np.ndarray, head: np.ndarray, head_starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units of headings that come again in their texts.

    Args: units and starts, of the texts, sorted within each; head and head_starts, of their first lines.
    Returns: uint64 (n_names,), distinct within a text; int64 (n_names,), how often each stands in it; int64
    (n_docs + 1,), where the names of each text begin.
    """
    names, times = np.empty(len(head), np.uint64), np.empty(len(head), np.int64)
    name_starts = np.empty(len(starts), np.int64)
    n = 0
    for doc in range(len(starts) - 1):
        name_starts[doc] = n
        own = units[starts[doc] : starts[doc + 1]]
        first = np.sort(head[head_starts[doc] : head_starts[doc + 1]])
        if len(first) > MAX_HEADING or len(first) == len(own):
            continue
        for i in range(len(first)):
            if i and first[i] == first[i - 1]:
                continue
            count = np.searchsorted(own, first[i], "right") - np.searchsorted(own, first[i])
            if count >= MIN_TIMES:
                names[n], times[n] = first[i], count
                n += 1
    name_starts[len(starts) - 1] = n
    return names[:n], times[:n], name_starts


@nb.njit(cache=True, nogil=True)
def weigh_names(
    names: np.ndarray, times: np.ndarray, left: np.ndarray, units: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """How often a text says the names of its heading that another text never says, for many pairs.

    Args: names and times, of find_names; left, int64 (n_pairs, 2), the range of them that is the one text's; units,
    sorted within each text; right, int64 (n_pairs, 2), the range that is the other text.
    Returns: int64 (n_pairs,).
    """
    weights = np.zeros(len(left), np.int64)
    for pair in range(len(left)):
        other = units[right[pair, 0] : right[pair, 1]]
        for i in range(left[pair, 0], left[pair, 1]):
            place = np.searchsorted(other, names[i])
            if place == len(other) or other[place] != names[i]:
                weights[pair] += times[i]
    return weights


def have_other_names(
    weights: tuple[np.ndarray, np.ndarray], n_units: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Whether each text of a pair has names in its first line, and again below, that the other never says.

    Args, int64 (n_pairs,) for either end: weights, of weigh_names; n_units, units of the texts.
    Returns: bool (n_pairs,).
    """
    found = [w >= np.maximum(MIN_TIMES, n / UNITS_TO_A_NAME) for w, n in zip(weights, n_units, strict=True)]
    return np.logical_and(*found)


def have_other_headings(shared: np.ndarray, n_left: np.ndarray, n_right: np.ndarray) -> np.ndarray:
    """Whether two marked headings of one form name other things: half of one is in the other, and not all of either.

    Args, int64 (n_pairs,): shared, units that both have; n_left and n_right, distinct units of the two, 0 where a text
    begins with no marked heading. Returns: bool (n_pairs,).
    """
    least = np.minimum(n_left, n_right)
    return (least >= MIN_HEADING) & (shared < least) & (2 * shared >= least)
