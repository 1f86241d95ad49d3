"""Parts of a release: of bounded size, consecutive, and the same for any division of the sequence into ranges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.release.parts import Open, based, cut_marked, cut_range, join_cuts


def cut_parts(sizes: np.ndarray, part_bytes: int, ends: list[int]) -> tuple[np.ndarray, np.ndarray, int]:
    """Part and row of every document, and the number of parts, of a sequence divided at `ends`."""
    total = int(sizes.sum())
    bounds = [0, *sorted(min(end, len(sizes)) for end in ends), len(sizes)]
    found = [cut_range(sizes[a:b], int(sizes[:a].sum()), total, part_bytes) for a, b in pairwise(bounds)]
    bases, n_parts = join_cuts([cut for _, _, cut in found])
    joined = [based(part, row, base) for (part, row, _), base in zip(found, bases, strict=True)]
    part, row = (np.concatenate(columns) for columns in zip(*joined, strict=True))
    return part, row, n_parts


@given(
    st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100), st.lists(st.integers(0, 60), max_size=5)
)
def test_parts_are_consecutive_and_rows_count_within_them(
    sizes: list[int], part_bytes: int, ends: list[int]
) -> None:
    """Parts follow the order without gaps, rows restart at 0 in each, and ranges do not show."""
    whole = np.array(sizes, np.int64)
    part, row, n_parts = cut_parts(whole, part_bytes, ends)
    expected_row = 0
    for i in range(len(sizes)):
        new_part = i == 0 or part[i] != part[i - 1]
        expected_row = 0 if new_part else expected_row + 1
        assert row[i] == expected_row
        assert part[i] == (0 if i == 0 else part[i - 1] + new_part)
    assert n_parts == (part[-1] + 1 if sizes else 0)
    before, total = np.cumsum(whole) - whole, int(whole.sum())
    n = max(1, round(total / part_bytes))
    at_once = np.unique(np.minimum(before * n // max(total, 1), n - 1), return_inverse=True)[1]
    assert part.tolist() == at_once.tolist()


def test_parts_hold_about_the_bytes_asked_for() -> None:
    """Many small documents give parts within one document of the even share."""
    part, _, _ = cut_parts(np.full(1000, 10, np.int64), 2500, [500])
    assert np.bincount(part).tolist() == [250, 250, 250, 250]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60),
    st.integers(1, 100),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_marks_cut_the_same_parts_in_any_ranges(
    documents: list[tuple[int, bool]], part_bytes: int, ends: list[int]
) -> None:
    """A part ends before the first mark after half of the size, or before twice the size, also across ranges."""
    sizes = np.array([size for size, _ in documents], np.int64)
    is_mark = np.array([mark for _, mark in documents], bool)
    left, found = Open(), []
    bounds = [0, *sorted(min(end, len(sizes)) for end in ends), len(sizes)]
    for a, b in pairwise(bounds):
        part, row, left = cut_marked(sizes[a:b], is_mark[a:b], part_bytes, left)
        found += list(zip(part.tolist(), row.tolist(), strict=True))
    expected: list[tuple[int, int]] = []
    number = n_rows = n_bytes = 0
    for size, mark in documents:
        full = n_bytes + size >= 2 * part_bytes
        if n_rows and (full or (mark and n_bytes >= part_bytes // 2)):
            number, n_rows, n_bytes = number + 1, 0, 0
        expected.append((number, n_rows))
        n_rows, n_bytes = n_rows + 1, n_bytes + size
    assert found == expected
