"""Repeats in mixes: exact accounting, weights by class, the rates that they are fitted to, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, MixError
from pipeline.mix.order import (
    Mix,
    MixPlan,
    cell_index,
    copies,
    count_tokens,
    keyed_hash,
    parse_mix,
    plan_quotas,
    positions,
)
from pipeline.mix.repeat import BOUNDS, MAX_TIMES, Repeat
from tests.helpers.build import build, cli, ledger, tiny, write_run
from tests.helpers.mix_corpus import corpus, doc_ids

SIZE = "dedup.cluster_size"
WEIGHTS = {1: 1, 2: 2, 5: 4, 10: 5, 30: 3, 75: 1}


def a_mix(repeat: dict[str, Any] | None, **settings: Any) -> Mix:
    """Parse one mix that repeats documents."""
    more = {} if repeat is None else {"repeat": {"column": SIZE, **repeat}}
    return parse_mix({"mixes": {"m": {**more, **settings}}}, "run.yaml: mix").mixes["m"]


def a_repeat(**settings: Any) -> Repeat:
    """Parse one `repeat`."""
    repeat = a_mix(settings, max_epochs=MAX_TIMES).repeat
    assert repeat is not None
    return repeat


def mixed(docs: dict[str, Any], sizes: pa.ChunkedArray, mix: Mix) -> tuple[MixPlan, np.ndarray, np.ndarray]:
    """Plan a mix over documents: the plan, how often each comes in a pass, and in the mix."""
    times = mix.repeat.of(sizes) if mix.repeat else np.ones(len(sizes), np.int64)
    labels = docs["labels"] if mix.by else pa.chunked_array([pa.repeat("", len(sizes))])
    planned = plan_quotas(count_tokens(labels, docs["tokens"] * times), mix, 1.0)
    groups = cell_index(docs["labels"], planned)
    return planned, times, copies(groups, docs["tokens"], docs["hashes"], planned, times)


def some_sizes(n: int, seed: int = 0) -> pa.ChunkedArray:
    """Sizes of clusters, most of them null for none."""
    sizes = np.random.default_rng(seed).choice([1, 1, 1, 2, 3, 5, 11, 29, 30, 200], n)
    return pa.chunked_array([pa.array(sizes, pa.int32(), mask=sizes == 1)])


def test_classes_have_least_values_and_null_is_one() -> None:
    """A value belongs to the class of the largest bound that it reaches; below all bounds it comes once."""
    values = pa.chunked_array(
        [pa.array([None, 1, 2, 4, 5], pa.int32()), pa.array([9, 10, 74, 75, 10**9], pa.int32())]
    )
    assert a_repeat(weights=WEIGHTS).of(values).tolist() == [1, 1, 2, 2, 4, 4, 5, 3, 1, 1]
    assert a_repeat(weights={10: 3, 4: 2}).of(values).tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    assert a_repeat(weights={1: 2}).of(pa.chunked_array([pa.array([None, 0.5, 1.0])])).tolist() == [2, 1, 2]


def test_one_pass_holds_every_document_as_often_as_its_class_says() -> None:
    """Without a ratio nothing is drawn: the mix is the weighted corpus, epochs count from 0, tokens add up."""
    docs, sizes = corpus(500), some_sizes(500)
    planned, times, n_copies = mixed(docs, sizes, a_mix({"weights": WEIGHTS}, max_epochs=5))
    assert n_copies.tolist() == times.tolist()
    assert planned.total == planned.available == int((docs["tokens"] * times).sum())
    order = positions(docs["hashes"], n_copies, np.zeros(500, np.int32), docs["tokens"], planned)
    document, epoch = order["document"].to_numpy(), order["epoch"].to_numpy()
    assert np.bincount(document, minlength=500).tolist() == times.tolist()
    for row in np.flatnonzero(times > 1)[:50]:
        assert epoch[document == row].tolist() == list(range(times[row]))
    page = planned.mix.repeat.report(planned.mix.repeat.tally(sizes, docs["tokens"], n_copies))  # type: ignore[union-attr]
    assert sum(row["tokens"] for row in page["classes"]) == planned.total
    assert sum(row["copies"] for row in page["classes"]) == len(order)
    assert sum(row["documents"] for row in page["classes"]) == 500
    assert [(row["from"], row["times"]) for row in page["classes"]] == list(WEIGHTS.items())


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=40),
    st.integers(1, 25),
    st.integers(1, 3),
    st.randoms(),
)
def test_copies_are_exact_and_bounded(
    docs: list[tuple[int, int]], tenths: int, passes: int, random: Any
) -> None:
    """Whole passes repeat by weight; the rest is a walk over single copies; no document exceeds max_epochs.

    The tokens are within half the shortest copy that is left of what was asked, and the order of rows is no matter.
    """
    tokens, times = (np.array(column, np.int64) for column in zip(*docs, strict=True))
    pool = int((tokens * times).sum())
    weights = {n: n for n in range(1, 6)}
    asked = pool * tenths // 10
    mix = a_mix({"weights": weights}, max_epochs=5 * passes, **({"tokens": asked} if asked else {}))
    order = list(range(len(docs)))
    random.shuffle(order)
    hashes = np.array(order, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    try:
        planned = plan_quotas({"": pool}, mix, 1.0)
    except MixError:
        assert asked > passes * pool
        return
    n_copies = copies(np.zeros(len(docs), np.int32), tokens, hashes, planned, times)
    assert (n_copies <= 5 * passes).all() and (n_copies <= times * passes).all()
    if not pool:
        assert n_copies.tolist() == times.tolist()
        return
    whole, rest = divmod(planned.total, pool)
    assert ((n_copies >= whole * times) & (n_copies <= (whole + 1) * times)).all()
    left = [int(t) for t, n, w in zip(tokens, n_copies, times, strict=True) if n < (whole + 1) * w]
    held = int((tokens * n_copies).sum())
    shortest = max(min(left, default=int(tokens.max())), int(tokens.min()))
    assert held == planned.total or (rest and abs(held - planned.total) <= shortest)
    turned = np.array(order)
    again = copies(np.zeros(len(docs), np.int32), tokens[turned], hashes[turned], planned, times[turned])
    assert again.tolist() == n_copies[turned].tolist()


@given(st.integers(0, 1000), st.sampled_from([0.3, 1.0, 1.7, 2.0]))
def test_weights_of_one_change_nothing(seed: int, epochs: float) -> None:
    """A mix that repeats every class once is the mix without repeats, document for document."""
    docs, sizes = corpus(60, seed), some_sizes(60, seed)
    tokens = int(docs["tokens"].sum() * epochs)
    settings = {"by": "language.label", "tokens": tokens, "alpha": 0.9, "max_epochs": 4}
    _, _, plain = mixed(docs, sizes, a_mix(None, **settings))
    _, _, repeated = mixed(docs, sizes, a_mix({"weights": {1: 1, 5: 1}}, **settings))
    assert repeated.tolist() == plain.tolist()


def test_a_part_of_a_pass_keeps_the_weights() -> None:
    """A third of the weighted corpus holds each class in its weighted share, not whole documents five times."""
    docs, sizes = corpus(20_000), some_sizes(20_000)
    docs["tokens"][:] = 100
    pool = int((docs["tokens"] * a_repeat(weights=WEIGHTS).of(sizes)).sum())
    _, times, n_copies = mixed(
        docs, sizes, a_mix({"weights": WEIGHTS}, max_epochs=5, tokens=pool // 300 * 100)
    )
    assert abs(int(n_copies.sum()) * 100 - pool // 3) <= 200
    for weight in (1, 2, 3, 4, 5):
        assert n_copies[times == weight].mean() == pytest.approx(weight / 3, rel=0.06)
    assert np.count_nonzero(n_copies[times == 5] == 5) < 0.02 * np.count_nonzero(times == 5)


def test_ratios_are_of_the_repeated_documents() -> None:
    """Groups get their shares, and `max` is what whole passes of the scarcest group allow."""
    docs, sizes = corpus(4000), some_sizes(4000)
    share = {"eng_Latn": 0.8, "zho_Hans": 0.2}
    mix = a_mix({"weights": WEIGHTS}, by="language.label", share=share, max_epochs=11)
    assert mix.passes == 2  # a third pass would show some documents 15 times
    planned, times, n_copies = mixed(docs, sizes, mix)
    held = {label: 0 for label in share}
    for label, tokens, n in zip(docs["labels"].to_pylist(), docs["tokens"], n_copies, strict=True):
        held[label] += int(tokens * n)
    assert held["zho_Hans"] / sum(held.values()) == pytest.approx(0.2, abs=1e-3)
    english = np.array([label == "eng_Latn" for label in docs["labels"].to_pylist()])
    assert n_copies[english].tolist() == (2 * times[english]).tolist()
    assert planned.groups[0].epochs == 2.0 and n_copies.max() == 10


RATES = {1: 607, 2: 534, 5: 485, 10: 438, 30: 507, 75: 599, 150: 706}
"""Documents in a thousand that filters removed from cmn_Hani by size of cluster, as FineWeb-2 reports them."""


def counts(n_docs: dict[int, int], rates: dict[int, int]) -> list[list[int]]:
    """Documents and removed ones of the default classes."""
    return [[0, 0], *([n_docs[bound], n_docs[bound] * rates[bound] // 1000] for bound in BOUNDS)]


def test_published_rates_give_the_published_shape() -> None:
    """With the rate of all at 57.2 %, singletons and huge clusters come once, clusters of about ten most often."""
    n_docs = {1: 1_000_000, 2: 340_000, 5: 110_000, 10: 45_000, 30: 15_000, 75: 4_000, 150: 13_000}
    found = counts(n_docs, RATES)
    assert sum(r for _, r in found) / sum(n for n, _ in found) == pytest.approx(0.572, abs=0.01)
    fitted = a_repeat(fit="fineweb2", max=5).fitted(found)
    assert dict(zip(fitted.bounds, fitted.times, strict=True)) == {
        1: 1,
        2: 2,
        5: 4,
        10: 5,
        30: 3,
        75: 1,
        150: 1,
    }
    assert fitted.report(fitted.tally(some_sizes(9), np.ones(9, np.int64), np.ones(9, np.int64)))[
        "removed_share"
    ] == round(sum(r for _, r in found) / sum(n for n, _ in found), 6)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 1000)), min_size=8, max_size=8),
    st.integers(2, 10),
    st.integers(1, 1000),
)
def test_fitted_weights_follow_the_rates(rows: list[tuple[int, int]], most: int, least: int) -> None:
    """Never below 1 or above max; a lower rate never has a smaller weight; the lowest one below all has max."""
    found = [[n, n * share // 1000] for n, share in rows]
    fitted = a_repeat(fit="fineweb2", max=most, least_documents=least).fitted(found)
    n_docs, n_removed = (sum(row[i] for row in found) for i in (0, 1))
    judged = [(r / n, times) for (n, r), times in zip(found[1:], fitted.times, strict=True) if n >= least]
    assert len(fitted.times) == 7 and all(1 <= times <= most for times in fitted.times)
    assert all(times == 1 for (n, _), times in zip(found[1:], fitted.times, strict=True) if n < least)
    ranked = sorted(judged, key=lambda pair: (pair[0], -pair[1]))
    assert [times for _, times in ranked] == sorted((times for _, times in ranked), reverse=True)
    below = [times for rate, times in ranked if rate * n_docs < n_removed - 1e-6 * n_docs]
    assert not below or below[0] == most


def test_counts_add_across_shards() -> None:
    """Counts of two parts add up to those of the whole, values below the least bound included."""
    repeat = a_repeat(fit="fineweb2", max=4, bounds=[2, 5], least_documents=1)
    values = pa.chunked_array([pa.array([None, 1, 2, 3, 5, 90], pa.int32())])
    removed = np.array([True, False, True, False, False, True])
    whole = np.array(repeat.count(values, removed))
    assert whole.tolist() == [[2, 1], [2, 1], [2, 1]]
    parts = [repeat.count(values.slice(a, 3), removed[a : a + 3]) for a in (0, 3)]
    assert (np.array(parts[0]) + np.array(parts[1])).tolist() == whole.tolist()
    assert repeat.fitted(whole.tolist()).times == (1, 1)


@pytest.mark.parametrize(
    ("repeat", "message"),
    [
        ("twice", r"mixes\.m\.repeat: found 'twice'; expected `column` with"),
        ({"weights": {1: 1}}, r"repeat\.column: found None"),
        ({"column": SIZE}, r"expected either `weights` or `fit`"),
        ({"column": SIZE, "weights": {1: 1}, "fit": "fineweb2"}, r"expected either `weights` or `fit`"),
        (
            {"column": SIZE, "weights": {1: 1.5}},
            r"weights\.1: found 1\.5; expected a whole number from 1 to 100",
        ),
        ({"column": SIZE, "weights": {"two": 2}}, r"weights: found 'two'; expected a whole number"),
        ({"column": SIZE, "weights": {2: 0}}, r"weights\.2: found 0"),
        ({"column": SIZE, "weights": {}}, r"weights: found \{\}"),
        ({"column": SIZE, "fit": "best", "max": 4}, r"fit: found 'best'; expected fineweb2"),
        ({"column": SIZE, "fit": "fineweb2"}, r"max: found None; expected a whole number from 2 to 100"),
        (
            {"column": SIZE, "fit": "fineweb2", "max": 4, "bounds": [2, 2]},
            r"expected ascending values",
        ),
        ({"column": SIZE, "weights": {1: 1}, "max": 4}, r"repeat: unknown key 'max'"),
        (
            {"column": SIZE, "weights": {5: 9}},
            r"up to 9 times, but max_epochs is 8; set max_epochs to 9 or more",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(repeat: Any, message: str) -> None:
    """The message names the place, the value found and the value expected."""
    with pytest.raises(ConfigError, match=message):
        parse_mix({"mixes": {"m": {"repeat": repeat, "max_epochs": 8}}}, "run.yaml: mix")
    assert a_mix({"weights": {5: 8}}, max_epochs=8).passes == 1


def test_first_copies_go_by_the_document_s_own_hash() -> None:
    """A part of a pass below the weighted corpus is drawn by the keyed hash, whatever the rows' order."""
    hashes = keyed_hash(doc_ids(8), 0)
    mix = a_mix({"weights": {1: 1, 2: 3}}, max_epochs=3, tokens=1)
    n_copies = copies(
        np.zeros(8, np.int32),
        np.ones(8, np.int64),
        hashes,
        plan_quotas({"": 8}, mix, 1.0),
        np.ones(8, np.int64),
    )
    assert np.flatnonzero(n_copies).tolist() == [int(hashes.argmin())]


# End to end


def rows(n_good: int, n_bad: int) -> list[dict[str, Any]]:
    """Documents that bring the size of their cluster and whether a rule drops them."""
    good = [
        {"id": f"g{i}", "text": f"Good text number {i}. 好的文本。", "size": 1 + i % 4, "good": 1}
        for i in range(n_good)
    ]
    bad = [
        {"id": f"b{i}", "text": f"Bad text number {i}. 坏的文本。", "size": 1, "good": 0}
        for i in range(n_bad)
    ]
    return [*good, *bad]


def a_page(folder: Path, **repeat: Any) -> dict[str, Any]:
    """A run file with a mix that repeats documents by an existing number."""
    page = tiny(folder, rows(40, 20))
    page["sources"][0] |= {"columns": {"old.size": "size", "old.good": "good"}}
    page["select"] = [{"name": "bad", "old.good": {"min": 1}, "if_null": "keep"}]
    repeats = {"column": "old.size", **repeat}
    page["mix"] = {"default": "again", "mixes": {"again": {"repeat": repeats, "max_epochs": 4}}}
    return page | {"annotate": ["stages.tokens"], "release": {"name": "v1"}}


def test_a_release_repeats_documents(tmp_path: Path) -> None:
    """Parts, order, ledger and lineage agree on the copies, and `verify` finds nothing wrong."""
    page = a_page(tmp_path, weights={2: 2, 4: 3})
    build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / "releases" / "v1"
    order = pq.read_table(release / "orders/again.parquet")
    assert order.num_rows == 10 * (1 + 2 + 2 + 3) and max(order["epoch"].to_pylist()) == 2
    found = {row["row"]: row["copies"] for row in ledger(tmp_path / "store")}
    assert [found[i] for i in range(60)] == [1, 2, 2, 3] * 10 + [0] * 20
    mix = json.loads((release / "lineage.json").read_text(encoding="utf-8"))["mixes"]["again"]
    classes = [[row[k] for k in ("from", "times", "documents", "copies")] for row in mix["repeat"]["classes"]]
    assert classes == [[None, 1, 10, 10], [2, 2, 20, 40], [4, 3, 10, 30]] and mix["documents"] == 80
    assert cli("verify", release).code == 0
    card = (release / "README.md").read_text(encoding="utf-8")
    assert "An epoch holds documents more than once, by `old.size`:" in card


def test_a_plan_counts_repeats(tmp_path: Path) -> None:
    """Before another release is written, the plan has its tokens with and without repeats, and they are right."""
    page = a_page(tmp_path, weights={2: 2, 4: 3})
    store = tmp_path / "store"
    build(write_run(tmp_path, page), store)
    page["mix"]["mixes"]["again"]["repeat"]["weights"] = {2: 3}
    run_path = write_run(tmp_path, page)
    ended = cli("plan", run_path, "--store", store, "--json")
    mix = ended.json["mixes"]["again"]
    assert mix["asked"] == mix["available"] > 2 * mix["distinct"] > 0 and mix["discarded"] == 0
    assert f"with repeats ({mix['distinct']:,} without)" in cli("plan", run_path, "--store", store).out
    build(run_path, store)
    lineage = json.loads((store / "releases/v1/lineage.json").read_text(encoding="utf-8"))
    assert lineage["mixes"]["again"]["tokens"] == mix["asked"]
    assert lineage["mixes"]["again"]["available"] == mix["distinct"]


def test_a_release_fits_its_repeats_to_its_rules(tmp_path: Path) -> None:
    """Of size 1 the rules remove 20 of 30, of the others none: these come `max` times, as the lineage tells."""
    page = a_page(tmp_path, fit="fineweb2", max=4, bounds=[1, 2], least_documents=10)
    run_path = write_run(tmp_path, page)
    build(run_path, tmp_path / "store")
    release = tmp_path / "store" / "releases" / "v1"
    repeat = json.loads((release / "lineage.json").read_text(encoding="utf-8"))["mixes"]["again"]["repeat"]
    keys = ("from", "times", "judged", "removed", "removed_share", "copies")
    assert [[row[k] for k in keys] for row in repeat["classes"]] == [
        [1, 1, 30, 20, 0.666667, 10],
        [2, 4, 30, 0, 0.0, 120],
    ]
    assert "the weights follow from what rules removed, 33.3% of all" in (release / "README.md").read_text(
        "utf-8"
    )
    assert (repeat["fit"], repeat["removed_share"]) == ("fineweb2", 0.333333)
    assert cli("verify", release).code == 0
    assert cli("plan", run_path, "--store", tmp_path / "store").ok().out.rstrip().endswith("nothing to do")


def test_columns_of_repeats_are_checked(tmp_path: Path) -> None:
    """A column that nothing writes, or that holds no numbers, stops the run before any work."""
    for column, message in (("old.sice", "did you mean 'old.size'"), ("url", "expected a column of numbers")):
        page = a_page(tmp_path, weights={2: 2})
        page["mix"]["mixes"]["again"]["repeat"]["column"] = column
        ended = cli("plan", write_run(tmp_path, page), "--store", tmp_path / "store")
        assert ended.code == 2 and "mix.mixes.again.repeat.column" in ended.err and message in ended.err
