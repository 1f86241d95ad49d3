"""Placement: parts of bounded size, every kept document once in data, mixes as planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load_run
from pipeline.release.placement import cut_parts, fitted_mixes, place
from tests.helpers.build import tiny, write_run
from tests.helpers.mix_corpus import doc_ids

N = 100


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100))
def test_parts_are_consecutive_and_rows_count_within_them(sizes: list[int], part_bytes: int) -> None:
    """Parts follow the order without gaps; rows restart at 0 in each."""
    part, row = cut_parts(np.array(sizes, np.int64), part_bytes)
    expected_row = 0
    for i in range(len(sizes)):
        new_part = i == 0 or part[i] != part[i - 1]
        expected_row = 0 if new_part else expected_row + 1
        assert row[i] == expected_row
        assert part[i] == (0 if i == 0 else part[i - 1] + new_part)


def test_parts_hold_about_the_bytes_asked_for() -> None:
    """Many small documents give parts within one document of the even share."""
    sizes = np.full(1000, 10, np.int64)
    part, _ = cut_parts(sizes, 2500)
    assert np.bincount(part).tolist() == [250, 250, 250, 250]


def test_seeds_of_the_release_and_of_a_mix_draw_the_orders(tmp_path: Path) -> None:
    """The order of data/ follows the seed of the release, the choice and order of a mix follow its own."""

    def placed(release: int, mix: int) -> tuple[list[int], list[str]]:
        mixes = {"m": {"by": "source", "share": {"docs": 1}, "documents": 50, "seed": mix}}
        page = tiny(
            tmp_path, mix={"default": "m", "max_discard": 1.0, "mixes": mixes}, release={"seed": release}
        )
        run = load_run(str(write_run(tmp_path, page)))
        facts = pa.table(
            {
                "row": pa.array(np.arange(N, dtype=np.uint64)), "doc_id": doc_ids(N), "language": ["eng_Latn"] * N,
                "n_tokens": pa.array([10] * N, pa.int64()), "text_bytes": pa.array([40] * N, pa.int64()),
                "module": pa.nulls(N, pa.string()), "source": ["docs"] * N,
            }
        )  # fmt: skip
        placement = place(run, facts, fitted_mixes(run, []))
        data = placement.table.filter(pa.array(placement.table["output"].to_numpy() == 0))
        return data.sort_by("position")["row"].to_pylist(), placement.orders["m"]["doc_id"].to_pylist()

    first, other_release, other_mix = placed(1, 1), placed(2, 1), placed(1, 2)
    assert first == placed(1, 1) and len(first[0]) == N and len(first[1]) == 50
    assert other_release[0] != first[0] and other_release[1] == first[1]
    assert other_mix[0] == first[0] and set(other_mix[1]) != set(first[1])
