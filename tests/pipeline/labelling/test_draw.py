"""The draw of documents for labelling."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.labelling.draw import DrawSettings, choose, classes, even, in_turn
from tests.helpers.mix_corpus import doc_ids

SETTINGS = DrawSettings(documents=20, score="a.b", quantiles=5, domain="c.d")


def facts(n: int, seed: int = 0) -> pa.Table:
    """Documents of two languages and three domains with scores and sizes."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "doc_id": doc_ids(n),
            "language": [("zho_Hans", "eng_Latn", "zho_Hans")[i % 3] for i in range(n)],
            "domain": [("a", "b", "")[i % 7 % 3] for i in range(n)],
            "score": pa.array([None if i % 11 == 0 else float(rng.random()) for i in range(n)], pa.float64()),
            "bytes": rng.integers(1, 9000, n),
        }
    )


def test_a_draw_is_spread_evenly() -> None:
    """Each language has the same number, each quantile of it too, missing scores included, and lengths vary."""
    drawn = choose(facts(600), DrawSettings(documents=60, score="a.b", quantiles=5, domain="c.d")).to_pylist()
    assert len(drawn) == 60 == len({row["doc_id"] for row in drawn})
    for language in ("zho_Hans", "eng_Latn"):
        rows = [row for row in drawn if row["language"] == language]
        assert len(rows) == 30
        assert {q: sum(row["quantile"] == q for row in rows) for q in range(-1, 5)} == dict.fromkeys(
            range(-1, 5), 5
        )
        assert {row["length"] for row in rows} == {0, 1, 2}
        assert {row["domain"] for row in rows} == {"a", "b", ""}
        low = max(row["score"] for row in rows if row["quantile"] == 0)
        assert all(row["score"] > low for row in rows if row["quantile"] == 4)
        assert all(row["score"] is None for row in rows if row["quantile"] == -1)
    assert all(row["drawn"] == 5 and row["population"] > 5 for row in drawn)


def test_a_draw_depends_on_the_seed_alone() -> None:
    """Another order of the documents draws the same ones, another seed others."""
    table = facts(300)
    backwards = table.take(list(range(300))[::-1])
    ids = set(choose(table, SETTINGS)["doc_id"].to_pylist())
    assert set(choose(backwards, SETTINGS)["doc_id"].to_pylist()) == ids
    other = DrawSettings(documents=20, score="a.b", quantiles=5, domain="c.d", seed=1)
    assert set(choose(table, other)["doc_id"].to_pylist()) != ids


@given(st.lists(st.integers(0, 40), min_size=1), st.integers(0, 300))
def test_shares_are_as_even_as_sizes_allow(sizes: list[int], total: int) -> None:
    """The total is shared out, none gets more than it has, and no two with something left differ by more than one."""
    taken = even(sizes, total)
    assert sum(taken) == min(total, sum(sizes))
    assert all(n <= size for n, size in zip(taken, sizes, strict=True))
    unfilled = [n for n, size in zip(taken, sizes, strict=True) if n < size]
    assert not unfilled or max(taken) - min(unfilled) <= 1


@given(st.lists(st.floats(-5, 5), min_size=1), st.integers(1, 9))
def test_classes_follow_the_order(values: list[float], n_classes: int) -> None:
    """Equal values share a class, larger ones have no lower one, and classes are numbered from 0."""
    found = classes(np.array(values), n_classes)
    assert found.min() >= 0 and found.max() < n_classes
    for a, x in zip(values, found.tolist(), strict=True):
        assert all((y <= x if b <= a else y >= x) for b, y in zip(values, found.tolist(), strict=True))


def test_groups_take_turns() -> None:
    """Every group has one document before any has two."""
    group, hashes = np.array([0, 0, 0, 1, 2, 2]), np.array([5, 3, 9, 7, 1, 2], np.uint64)
    assert in_turn(np.arange(6), group, hashes).tolist() == [4, 1, 3, 5, 0, 2]
