"""Keepers: preference, verified pairs, proven similarity, and nothing by chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.dedup.clusters import PAIRS
from stages.dedup.keepers import GLOBAL, SCHEMA, Config, walk
from tests.helpers.run_global import align, number_rows, run_global

Pairs = Mapping[tuple[str, str], float]


def decide(
    names: str,
    pairs: Pairs,
    order: Sequence[Sequence[float | None]] | None = None,
    ineligible: str = "",
    fixed: str = "",
    n_partitions: int = 1,
    clusters: Sequence[str | None] | None = None,
) -> dict[str, tuple[bool | None, str | None, float | None]]:
    """Run the step on documents named by one letter; see `tables`."""
    shards = tables(names, pairs, order, ineligible, fixed, clusters)
    outcome = run_global(GLOBAL, shards, Config(), n_partitions)
    (aligned,) = align(outcome, shards, GLOBAL)
    columns = [aligned[f"keepers.{name}"].to_pylist() for name in SCHEMA.names]
    rounded = [None if value is None else round(value, 4) for value in columns[2]]
    return dict(zip(names, zip(columns[0], columns[1], rounded, strict=True), strict=True))


def tables(
    names: str,
    pairs: Pairs,
    order: Sequence[Sequence[float | None]] | None = None,
    ineligible: str = "",
    fixed: str = "",
    clusters: Sequence[str | None] | None = None,
) -> list[pa.Table]:
    """A shard of documents named by one letter, in one cluster, best first unless `order` says otherwise."""
    rows = {name: i for i, name in enumerate(names)}
    partners: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for (a, b), similarity in pairs.items():
        partners[a].append({"row": rows[b], "doc_id": b, "similarity": similarity})
        partners[b].append({"row": rows[a], "doc_id": a, "similarity": similarity})
    table = pa.table(
        {
            "doc_id": list(names),
            "cluster": pa.array(clusters or ["c"] * len(names), pa.string()),
            "pairs": pa.array([partners[name] for name in names], pa.list_(PAIRS)),
            "eligible": [name not in ineligible for name in names],
            "fixed": [name in fixed for name in names],
            "exact.match_hash": pa.array([name.lower().encode() * 16 for name in names], pa.binary(16)),
            "exact.raw_hash": pa.array([name.encode() * 16 for name in names], pa.binary(16)),
            "order": pa.array(order or [[float(-i)] for i in range(len(names))], pa.list_(pa.float64())),
        }
    )
    return number_rows([table])


KEPT = (True, None, None)


def test_the_best_stays_and_its_partners_go() -> None:
    """Members with a verified pair to the best one are removed in its favour, with their similarity."""
    found = decide("abc", {("a", "b"): 0.9, ("a", "c"): 0.85, ("b", "c"): 0.95})
    assert found == {"a": KEPT, "b": (False, "a", 0.9), "c": (False, "a", 0.85)}


def test_nothing_chains() -> None:
    """In a chain a~b~c whose ends are not similar, both ends are kept and the middle is removed for the better one."""
    found = decide("abc", {("a", "b"): 0.82, ("b", "c"): 0.82})
    assert found == {"a": KEPT, "b": (False, "a", 0.82), "c": KEPT}
    found = decide("bac", {("a", "b"): 0.82, ("b", "c"): 0.82})
    assert found == {"b": KEPT, "a": (False, "b", 0.82), "c": (False, "b", 0.82)}


def test_a_member_goes_for_the_first_keeper_that_it_is_like() -> None:
    """The first keeper in order counts, not the most similar one."""
    found = decide("abc", {("a", "c"): 0.8, ("b", "c"): 0.99})
    assert found["c"] == (False, "a", 0.8)
    assert found["a"] == found["b"] == KEPT


def test_larger_is_better_then_the_smaller_doc_id() -> None:
    """Values compare from the first to the last, null and NaN are worst, ties go to the smaller doc_id."""
    pairs = {("a", "b"): 0.9, ("a", "c"): 0.9, ("b", "c"): 0.9}

    def best(order: list[list[float | None]]) -> str:
        found = decide("abc", pairs, order)
        return next(name for name, decision in found.items() if decision == KEPT)

    assert best([[1.0, 9.0], [2.0, 1.0], [2.0, 3.0]]) == "c"
    assert best([[None], [float("nan")], [-5.0]]) == "c"
    assert best([[1.0], [7.0], [7.0]]) == "b"
    assert best([[], [], []]) == "a"


def test_fixed_members_stand_whatever_they_are_like() -> None:
    """Two similar references are both kept, and a document similar to the second alone is removed in its favour."""
    found = decide("abcd", {("a", "b"): 0.9, ("b", "c"): 0.82, ("c", "d"): 0.9}, fixed="ab")
    assert found == {"a": KEPT, "b": KEPT, "c": (False, "b", 0.82), "d": KEPT}
    assert decide("ab", {("a", "b"): 1.0}, fixed="ab") == {"a": KEPT, "b": KEPT}
    assert decide("abc", {("a", "b"): 1.0, ("b", "c"): 0.9}, fixed="b")["b"] == KEPT


def test_kind_says_how_a_member_is_like_its_keeper() -> None:
    """The same text, the same match text or a near copy; and whether the two were compared themselves."""
    names = "aAbc"
    pairs = {("a", "A"): 1.0, ("a", "b"): 0.9, ("b", "c"): 0.95}
    shards = tables(names, pairs)
    outcome = run_global(GLOBAL, shards, Config())
    (found,) = align(outcome, shards, GLOBAL)
    assert found["keepers.kind"].to_pylist() == [None, "exact", "near", "near"]
    assert found["keepers.keeper_id"].to_pylist() == [None, "a", "a", "a"]
    assert found["keepers.verified"].to_pylist() == [None, True, True, False]
    same = tables("ab", {("a", "b"): 1.0})
    place = same[0].schema.get_field_index("exact.raw_hash")
    same = [same[0].set_column(place, "exact.raw_hash", pa.array([bytes(16)] * 2, pa.binary(16)))]
    (found,) = align(run_global(GLOBAL, same, Config()), same, GLOBAL)
    assert found["keepers.kind"].to_pylist() == [None, "raw"]


def test_half_of_a_hash_is_not_the_same_text() -> None:
    """Both halves of the 128 bits have to agree for the same text or the same match text."""
    shards = tables("ab", {("a", "b"): 0.9})
    half = pa.array([bytes(16), bytes(8) + b"x" * 8], pa.binary(16))
    for name in ("exact.raw_hash", "exact.match_hash"):
        shards = [shards[0].set_column(shards[0].schema.get_field_index(name), name, half)]
    (found,) = align(run_global(GLOBAL, shards, Config()), shards, GLOBAL)
    assert found["keepers.kind"].to_pylist() == [None, "near"]


def test_ineligible_members_neither_stay_nor_push_out() -> None:
    """A document dropped by rules removes no other; it only records its most similar keeper."""
    found = decide("abc", {("a", "b"): 0.9, ("a", "c"): 0.9}, ineligible="a")
    assert found == {"a": (False, "b", 0.9), "b": KEPT, "c": KEPT}
    assert decide("ab", {("a", "b"): 0.9}, ineligible="ab") == dict.fromkeys("ab", (False, None, None))


def test_members_that_were_compared_with_a_leader_only_settle_by_proof() -> None:
    """J(x, z) >= J(x, l) + J(l, z) - 1: enough proof removes, too little does not."""
    found = decide("xyzl", {("x", "l"): 0.95, ("y", "l"): 0.9, ("z", "l"): 0.84})
    assert found["x"] == KEPT
    assert found["y"] == (False, "x", 0.85)
    assert found["z"] == KEPT
    assert found["l"] == (False, "x", 0.95)


def test_copies_count_as_one_document() -> None:
    """Pairs of a document apply to its copies, on whichever copy they were verified."""
    pairs = {("l", "x"): 1.0, ("l", "y"): 1.0, ("l", "m"): 0.82, ("m", "z"): 1.0}
    found = decide("xyzlm", pairs)
    assert found["x"] == KEPT
    assert found["y"] == (False, "x", 1.0)
    assert found["z"] == (False, "x", 0.82)
    assert [found[name][1] for name in "lm"] == ["x", "x"]


def test_a_partner_that_was_erased_is_forgotten() -> None:
    """A pair with a document that is in no cluster any more decides nothing."""
    found = decide("abc", {("a", "b"): 0.9, ("b", "c"): 0.9}, clusters=[None, "c", "c"])
    assert found == {"a": (None, None, None), "b": KEPT, "c": (False, "b", 0.9)}


def settle(
    n: int, pairs: list[tuple[int, int]], similarity: float = 0.85, **columns: np.ndarray
) -> np.ndarray:
    """Keepers of n documents in order of preference, of which `pairs` are verified; columns: eligible, fixed."""
    ends = np.array([*pairs, *((b, a) for a, b in pairs)], np.int64)
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    starts = np.searchsorted(ends[:, 0], np.arange(n + 1))
    values = np.full(len(ends), similarity)
    eligible, fixed = columns.get("eligible", np.ones(n, bool)), columns.get("fixed", np.zeros(n, bool))
    keeper, bounds = walk(eligible, fixed, np.arange(n), starts, ends[:, 1], values, 0.8)
    known = {*pairs, *((b, a) for a, b in pairs)}
    for member, found in enumerate(keeper.tolist()):
        assert found < 0 or found == member or ((member, found) in known and bounds[member] == similarity)
        assert found < 0 or keeper[found] == found
    return keeper


@pytest.mark.parametrize("n", [200, 3000])
def test_a_leader_stands_for_those_that_were_compared_with_leaders_only(n: int) -> None:
    """All of n copies are similar to five leaders; the best copy and one leader stay, where n - 5 stayed before."""
    leaders = (7, 40, 41, n // 2, n - 1)
    pairs = [
        (copy, leader) for copy in range(n) for leader in leaders if copy not in leaders or copy < leader
    ]
    keeper = settle(n, pairs)
    kept = np.flatnonzero(keeper == np.arange(n))
    assert kept[0] == 0 and len(kept) == 2 and kept[1] in leaders


def test_a_leader_that_may_not_be_kept_stands_for_nobody() -> None:
    """The next one does, and fixed members stay beside it."""
    n, leaders = 300, (5, 9)
    pairs = [
        (copy, leader) for copy in range(n) for leader in leaders if copy not in leaders or copy < leader
    ]
    eligible, fixed = np.arange(n) != 5, np.isin(np.arange(n), [0, 20])
    keeper = settle(n, pairs, eligible=eligible, fixed=fixed)
    assert np.flatnonzero(keeper == np.arange(n)).tolist() == [0, 9, 20]


def test_a_document_with_many_partners_of_a_group_that_was_compared_whole_stays_removed() -> None:
    """80 documents similar to one that is removed, and to each other: the best of them stays, as in a small group."""
    pairs = [(0, 1), *((1, other) for other in range(2, 82))]
    pairs += [(a, b) for a in range(2, 82) for b in range(a + 1, 82)]
    keeper = settle(82, pairs)
    assert np.flatnonzero(keeper == np.arange(82)).tolist() == [0, 2]


SETS = st.lists(st.frozensets(st.integers(0, 11), min_size=1), min_size=1, max_size=9)


@given(sets=SETS, bad=st.sets(st.integers(0, 8)), n_partitions=st.sampled_from([1, 4, 7]), compared=st.data())
def test_every_removal_is_justified(
    sets: list[frozenset[int]], bad: set[int], n_partitions: int, compared: st.DataObject
) -> None:
    """Every removal names a keeper of the stated similarity, and no two keepers of a known similarity are similar."""
    names = "abcdefghi"[: len(sets)]

    def similarity(a: str, b: str) -> float:
        left, right = sets[names.index(a)], sets[names.index(b)]
        return len(left & right) / len(left | right)

    alike = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if similarity(a, b) >= 0.8]
    known = compared.draw(st.lists(st.sampled_from(alike), unique=True)) if alike else []
    pairs = {(a, b): float(np.float32(similarity(a, b))) for a, b in known}
    ineligible = "".join(names[i] for i in bad if i < len(names))
    found = decide(names, pairs, ineligible=ineligible, n_partitions=n_partitions)
    for name, (kept, keeper, at_least) in found.items():
        assert kept is (name not in ineligible and keeper is None)
        if keeper is not None and at_least is not None:
            assert found[keeper] == KEPT
            assert similarity(name, keeper) >= at_least - 1e-3
            assert at_least >= 0.8 - 1e-3
    assert not [pair for pair in known if found[pair[0]] == found[pair[1]] == KEPT]


@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    """The threshold is a similarity above 0."""
    with pytest.raises(ConfigError, match=r"keepers\.threshold"):
        Config(threshold=threshold)
