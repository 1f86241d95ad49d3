"""Near duplicates: candidates, verification against sets in Python, clusters, and the corpus in memory."""

from __future__ import annotations

import random
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.mapreduce.shuffle import sort_keyed
from stages import dedup, minhash
from stages.dedup import candidates, cluster_texts, keepers
from stages.kernels.dedup.jaccard import count_shared, sort_sets
from stages.kernels.dedup.unionfind import components, locate
from tests.helpers.near_duplicates import chinese, corpus, english, run_steps, shards_of
from tests.helpers.oracles.match_text import match_reference
from tests.helpers.oracles.similarity import share_of_single, similarity
from tests.helpers.paths import DEV_DATA
from tests.helpers.run_global import run_global


@pytest.mark.parametrize("seed", [1, 2])
def test_verified_pairs_are_those_of_the_reference(seed: int) -> None:
    """All pairs with Jaccard index 0.8 or more, and no others, are verified, each on both ends; a copy has
    one pair, with the first of its kind.
    """
    texts = corpus(seed)
    table = run_steps(shards_of(texts, [len(texts)], range(len(texts))), 4, dedup.Config())
    assert table.select([f"dedup.{name}" for name in dedup.SCHEMA.names]).schema.types == dedup.SCHEMA.types
    found = {}
    for i, pairs in enumerate(table["dedup.pairs"].to_pylist()):
        for pair in pairs or ():
            found[i, int(pair["doc_id"][3:])] = pair["similarity"]
            assert pair["row"] == int(pair["doc_id"][3:])
    expected = {}
    for i, left in enumerate(texts):
        for j, right in enumerate(texts):
            if i != j and similarity(left, right) >= 0.8:
                expected[i, j] = similarity(left, right)
    folded = [match_reference(text) for text in texts]
    first = [folded.index(text) for text in folded]
    star = {(i, j) for i, j in expected if first[i] == first[j] and first[i] in (i, j)}
    near = {(i, j) for i, j in expected if first[i] == i and first[j] == j}
    assert set(found) == star | near
    assert all(value == pytest.approx(expected[pair], abs=1e-6) for pair, value in found.items())
    assert len(near) > 20


@settings(max_examples=15)
@given(seed=st.integers(0, 99), data=st.data())
def test_partitions_and_order_of_shards_do_not_matter(seed: int, data: st.DataObject) -> None:
    """Clusters and keepers are the same for 1, 4 and 7 partitions and for any order and cut of the shards."""
    texts = corpus(seed, 3)
    n = len(texts)
    order = data.draw(st.permutations(range(n)))
    cut = data.draw(st.integers(0, n))
    names = ["doc_id", "dedup.cluster", "dedup.cluster_size", *(f"keepers.{c}" for c in keepers.SCHEMA.names)]
    whole = run_steps(shards_of(texts, [n], range(n)), 1, dedup.Config())
    n_partitions = data.draw(st.sampled_from([1, 4, 7]))
    other = run_steps(shards_of(texts, [cut, n - cut], order), n_partitions, dedup.Config())
    assert other.select(names).to_pylist() == whole.select(names).to_pylist()
    same_order = run_steps(shards_of(texts, [n], range(n)), n_partitions, dedup.Config())
    assert same_order.equals(whole)


def test_short_chinese_texts_neither_vanish_nor_merge() -> None:
    """Texts with fewer than five characters or clauses are duplicates only if they are identical, marks included."""
    texts = [
        "你好",
        "谢谢",
        "你好！",
        "早",
        "晚",
        "今天，天气，很好",
        "明天，天气，很好",
        "",
        "……",
        "？？？",
        "ok",
        "OK!",
    ]
    result = cluster_texts(texts)
    assert result.schema.types == [pa.int64(), pa.int32(), pa.int64()]
    assert result["cluster"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert result["cluster_size"].to_pylist() == [1] * 12
    assert result["keeper"].to_pylist() == [*range(12)]


def test_simplified_and_traditional_copies_meet() -> None:
    """A text and its Traditional copy are one cluster, also when a sentence was added."""
    hans = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧。"
    hant = "市圖書館昨天宣佈，從下個月起延長開放時間。工作日的閉館時間推遲到晚上九點，周末則照舊。"
    result = cluster_texts([hans, "毫无关系的另一段话。", hant, hant + "（完）"])
    assert result["cluster"].to_pylist() == [0, 1, 0, 0]
    assert result["keeper"].to_pylist() == [3, 1, 3, 3]


def test_unrelated_documents_do_not_chain() -> None:
    """In a chain of texts each similar to the next, a text is removed only in favour of one similar to itself."""
    rng = np.random.default_rng(5)
    units = chinese(rng, 300)
    texts = ["".join(units)]
    for place in range(0, 288, 12):
        units[place : place + 12] = chinese(rng, 12)
        texts.append("".join(units))
    result = cluster_texts(texts)
    kept = result["keeper"].to_pylist()
    assert len(set(result["cluster"].to_pylist())) == 1
    assert similarity(texts[0], texts[-1]) < 0.1
    assert len(set(kept)) > 5
    assert all(similarity(texts[i], texts[keeper]) >= 0.8 for i, keeper in enumerate(kept))


def test_template_pages_above_the_largest_group_leave_one() -> None:
    """Two hundred pages that differ in one word are compared with leaders only, and one of them is kept."""
    rng = np.random.default_rng(6)
    page = english(rng, 300)
    texts = []
    for n in range(200):
        page[150] = f"number{n} "
        texts.append("".join(page))
    result = cluster_texts(texts)
    assert set(result["cluster_size"].to_pylist()) == {200}
    assert len(set(result["keeper"].to_pylist())) == 1


@pytest.mark.parametrize("n_changed", [4, 6])
def test_near_copies_above_the_largest_group_leave_two(n_changed: int) -> None:
    """2,000 copies with some characters of their own, similar to each other by 0.87 or 0.82: two of them stay."""
    draw = random.Random(3)
    body = [chr(0x4E00 + draw.randrange(4000)) for _ in range(600)]
    texts = []
    for _ in range(2000):
        copy = body[:]
        for place in draw.sample(range(600), n_changed):
            copy[place] = chr(0x4E00 + draw.randrange(4000))
        texts.append("".join(copy))
    found = cluster_texts(texts)
    assert len(set(found["keeper"].to_pylist())) == 2


def test_copies_cost_one_pair_each() -> None:
    """A thousand copies of a page and of a page like it make as many pairs as copies, and one between
    them."""
    rng = np.random.default_rng(7)
    page = chinese(rng, 200)
    texts = ["".join(page)] * 500 + ["".join(page[1:])] * 500
    shards = shards_of(texts, [300, 700], range(1000))
    outcome = run_global(candidates.GLOBAL, shards, candidates.Config(), 4)
    assert outcome.rows is not None
    assert pc.sum(pc.list_value_length(outcome.rows["partners"])).as_py() == 2 * (499 + 499 + 1)
    assert pc.sum(outcome.rows["is_copy"]).as_py() == 998
    keyed = sort_keyed(pa.concat_tables([candidates.GLOBAL.map(s, candidates.Config()) for s in shards]))
    assert candidates.GLOBAL.reduce(keyed, candidates.Config()).num_rows <= 998 + minhash.Config().n_bands
    assert outcome.artefacts["summary"].to_pylist() == [
        {"documents": 1000, "copies": 998, "pairs": 999, "groups": 1, "largest_group": 1000}
    ]
    result = cluster_texts(texts)
    assert set(result["keeper"].to_pylist()) == {0}


def test_derived_documents_meet_only_each_other() -> None:
    """A document made of another is no copy of it, but of one that was made of a copy."""
    rng = np.random.default_rng(5)
    text = "".join(chinese(rng, 200))
    (shard,) = shards_of([text] * 4, [4], range(4))
    place = shard.column_names.index("parent_id")
    shard = shard.set_column(place, "parent_id", pa.array([None, None, "doc0000", "doc0001"]))
    found = run_steps([shard], 3, dedup.Config())
    assert found["dedup.cluster"].to_pylist() == ["doc0000", "doc0000", "doc0002", "doc0002"]


@pytest.mark.parametrize(("size", "n_pairs"), [(2, 1), (6, 15), (7, 2 * 7 - 3), (40, 2 * 40 - 3)])
def test_groups_above_the_limit_link_to_leaders(size: int, n_pairs: int) -> None:
    """Up to max_group all pairs are candidates, above it those with the leaders, in any order."""
    config = candidates.Config(max_group=6, leaders=2)
    keyed = pa.table(
        {
            "key": pa.array([7] * size, pa.uint64()),
            "row": pa.array(range(size), pa.uint64()),
            "content": pa.array([n * 31 % 101 + 8 for n in range(size)], pa.uint64()),
        }
    )
    pairs = candidates.GLOBAL.reduce(keyed, config)
    assert pairs.num_rows == len(set(zip(*pairs.select([0, 1]).to_pydict().values(), strict=True))) == n_pairs
    assert pc.all(pc.less(pairs["left"], pairs["right"])).as_py()
    if size > config.max_group:
        heads = sorted(range(size), key=lambda n: n * 31 % 101)[:2]
        assert all(
            left in heads or right in heads
            for left, right, _ in zip(*pairs.to_pydict().values(), strict=True)
        )


def test_the_threshold_is_included() -> None:
    """A pair with exactly the similarity or containment asked for is verified; the next smaller number is not."""
    at, below = np.float32(0.8), np.nextafter(np.float32(0.8), np.float32(0))
    values = {name: pa.array([False] * 3) for name in dedup.MEMORY.names if name.startswith("other_")}
    values |= {"jaccard": pa.array([at, below, below]), "containment": pa.array([at, below, at])}
    pairs = pa.table(values)
    assert dedup.is_verified(pairs, dedup.Config(threshold=0.8)).tolist() == [True, False, False]
    assert dedup.is_verified(pairs, dedup.Config(threshold=0.8, containment=0.8)).tolist() == [
        True,
        False,
        True,
    ]
    for name in ("other_numbers", "other_names", "other_scripts", "other_signs"):
        apart = pa.table({**values, name: pa.array([True] * 3)})
        assert not dedup.is_verified(apart, dedup.Config()).any()
        assert dedup.is_verified(apart, dedup.Config(**{name: True})).tolist() == [True, False, False]


def test_containment_is_an_option() -> None:
    """A long quotation is a pair only with `containment`; its similarity is the Jaccard index."""
    rng = np.random.default_rng(8)
    whole = chinese(rng, 400)
    texts = ["".join(whole), "".join(whole[:300])]
    shards = shards_of(texts, [2], [0, 1])
    assert run_steps(shards, 1, dedup.Config())["dedup.cluster"].to_pylist() == [None, None]
    table = run_steps(shards, 1, dedup.Config(containment=0.9))
    assert table["dedup.cluster"].to_pylist() == ["doc0000"] * 2
    (pair,) = table["dedup.pairs"].to_pylist()[0]
    assert pair["similarity"] == pytest.approx(similarity(*texts), abs=1e-6)
    assert pair["similarity"] < 0.8


def test_copies_across_the_line_between_the_kinds_still_meet() -> None:
    """English with a little Chinese, just above and just below the share, is compared by characters."""
    rng = np.random.default_rng(9)
    words = english(rng, 370)
    texts = ["".join([*words, *chinese(rng, n)]) for n in (44, 39)]
    assert share_of_single(texts[0]) > dedup.CHARACTERS_SHARE > share_of_single(texts[1])
    shards = shards_of(texts, [1, 1], [0, 1])
    (pair,) = run_steps(shards, 1, dedup.Config())["dedup.pairs"].to_pylist()[0]
    assert pair["similarity"] == pytest.approx(similarity(*texts), abs=1e-6)


def test_erased_and_missing_texts_stay_alone() -> None:
    """Null texts join no cluster, and an empty corpus gives an empty table."""
    result = cluster_texts(pa.chunked_array([["same text", None], ["same text"], [None]], pa.string()))
    assert result["cluster"].to_pylist() == [0, 1, 0, 3]
    assert result["keeper"].to_pylist() == [0, 1, 0, 3]
    assert cluster_texts([]).num_rows == 0


def test_the_longest_text_is_kept() -> None:
    """Length in characters decides, then order."""
    rng = np.random.default_rng(10)
    page = chinese(rng, 200)
    texts = ["".join(page[:190]), "".join(page), "".join(page[:195]), "".join(page)]
    assert cluster_texts(texts)["keeper"].to_pylist() == [1, 1, 1, 1]


@given(st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=2, max_size=5))
def test_shared_values_are_counted_like_sets(rows: list[list[int]]) -> None:
    """sort_sets and count_shared agree with Python sets."""
    starts = np.cumsum([0, *map(len, rows)])
    values, starts = sort_sets(np.array([*chain.from_iterable(rows)], np.uint64), starts)
    assert [values[a:b].tolist() for a, b in pairwise(starts)] == [sorted(set(row)) for row in rows]
    ranges = np.stack([starts[:-1], starts[1:]], axis=1)
    shared = count_shared(values, ranges[:-1], ranges[1:])
    assert shared.tolist() == [len(set(a) & set(b)) for a, b in pairwise(rows)]


@given(n=st.integers(1, 12), data=st.data())
def test_components_are_named_by_their_smallest_member(n: int, data: st.DataObject) -> None:
    """Union-find equals repeated propagation of the smallest label along the edges."""
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
    labels = list(range(n))
    for _ in range(n):
        for a, b in edges:
            labels[a] = labels[b] = min(labels[a], labels[b])
    left, right = (np.array([edge[end] for edge in edges], np.int64) for end in (0, 1))
    assert components(n, left, right).tolist() == labels


@given(st.sets(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_rows_are_found_where_they_are(rows: set[int], wanted: list[int]) -> None:
    """`locate` returns the position of every row that is present and a mask of the present ones."""
    rows_list = sorted(rows, key=lambda row: row * 7 % 51)
    place, found = locate(np.array(rows_list, np.uint64), np.array(wanted, np.uint64))
    assert found.tolist() == [row in rows for row in wanted]
    assert [rows_list[i] for i in place[found]] == [row for row in wanted if row in rows]


@pytest.mark.parametrize("setting", [{"threshold": 0.0}, {"threshold": 1.01}, {"containment": -0.5}])
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:  # Any: types of the fields
    """A threshold that cannot be a share is an error that names it."""
    with pytest.raises(ConfigError, match=rf"dedup\.{next(iter(setting))} is"):
        dedup.Config(**setting)
    with pytest.raises(ConfigError, match=r"candidates\.leaders"):
        candidates.Config(max_group=4, leaders=5)


def test_known_pairs_of_real_documents() -> None:
    """On revisions of real files no removal is unlike its keeper, and hardly a pair keeps both ends."""
    if not (DEV_DATA / "dedup_docs.parquet").exists():
        pytest.skip(f"no development data in {DEV_DATA}; set BICORPUS_DEV_DATA to the folder that holds it")
    documents = pq.read_table(DEV_DATA / "dedup_docs.parquet", columns=["doc_id", "text"])
    place = {doc_id: i for i, doc_id in enumerate(documents["doc_id"].to_pylist())}
    truth = {}
    for pair in pq.read_table(DEV_DATA / "dedup_pairs.parquet").to_pylist():
        ends = place[pair["id_a"]], place[pair["id_b"]]
        truth[ends] = truth[ends[::-1]] = pair["jaccard5"]
    keeper = cluster_texts(documents["text"])["keeper"].to_pylist()
    removed = [(i, kept) for i, kept in enumerate(keeper) if i != kept]
    assert len(removed) > 1500
    assert not [pair for pair in removed if truth.get(pair, 0.0) < 0.5]
    alike = [(a, b) for (a, b), value in truth.items() if value >= 0.8 and a < b]
    both_kept = [(a, b) for a, b in alike if keeper[a] == a and keeper[b] == b]
    assert len(both_kept) <= 0.01 * len(alike)
