"""Mixing: exact token accounting, whole documents, training order, and refusals with advice."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ExpectationError, MixError
from pipeline.mix.order import (
    Mix,
    MixPlan,
    cell_index,
    copies,
    count_tokens,
    fractions,
    keyed_hash,
    parse_mix,
    plan_quotas,
    positions,
    realised,
)
from pipeline.mix.plan import largest_remainder
from tests.helpers.mix_corpus import corpus, doc_ids

LANGUAGES = {"zh": ["zho_Hans", "zho_Hant"], "en": ["eng_Latn"]}
COUNTS = {"eng_Latn": 4_000, "jpn_Jpan": 500, "zho_Hans": 900, "zho_Hant": 100}


def a_mix(**settings: Any) -> Mix:
    """Parse one mix by language, as in a run file."""
    return parse_mix({"mixes": {"m": {"by": "language.label", **settings}}}, "run.yaml: mix").mixes["m"]


def mixed(docs: dict[str, Any], mix: Mix) -> tuple[MixPlan, np.ndarray, np.ndarray]:
    """Plan a mix over documents: the plan, their groups and copies."""
    planned = plan_quotas(count_tokens(docs["labels"], docs["tokens"]), mix, 1.0)
    groups = cell_index(docs["labels"], planned)
    return planned, groups, copies(groups, docs["tokens"], docs["hashes"], planned)


def nearest_in_order(sizes: list[int], target: int) -> set[int]:
    """By hand: take each size that still fits, then the smallest left if that is nearer."""
    taken, missing = set(), target
    for i, size in enumerate(sizes):
        if missing and size <= missing:
            taken.add(i)
            missing -= size
    left = [i for i in range(len(sizes)) if i not in taken]
    if missing and left:
        smallest = min(left, key=lambda i: sizes[i])
        if abs(sizes[smallest] - missing) < missing:
            taken.add(smallest)
    return taken


def test_natural_is_every_document_once() -> None:
    """Without a mix section each document is taken once, also one without a token or a label."""
    section = parse_mix(None, "mix")
    labels, tokens = pa.array(["eng_Latn", None, "zho_Hans"]), np.array([5, 7, 0])
    planned = plan_quotas(count_tokens(labels, tokens), section.mixes[section.default], section.max_discard)
    n_copies = copies(cell_index(labels, planned), tokens, np.arange(3, dtype=np.uint64), planned)
    assert (section.default, planned.total, planned.discarded, n_copies.tolist()) == (
        "natural", 12, 0, [1, 1, 1],
    )  # fmt: skip


def test_nothing_to_mix_is_an_empty_natural_mix() -> None:
    """A corpus without surviving rows has a natural mix without rows."""
    empty = np.zeros(0, np.int64)
    planned = plan_quotas({}, parse_mix({}, "mix").mixes["natural"], 0.6)
    n_copies = copies(empty, empty, empty.astype(np.uint64), planned)
    order = positions(empty.astype(np.uint64), n_copies, empty, empty, planned)
    assert (planned.total, len(n_copies), order.num_rows) == (0, 0, 0)


def test_max_is_the_largest_total_that_shares_allow() -> None:
    """Half and half of 4,000 and 1,000 tokens is 2,000; what is left out is counted, Japanese included."""
    planned = plan_quotas(COUNTS, a_mix(groups=LANGUAGES, share={"zh": 0.5, "en": 0.5}), 1.0)
    assert [(g.name, g.available, g.asked, g.epochs) for g in planned.groups] == [
        ("en", 4_000, 1_000, 0.25),
        ("zh", 1_000, 1_000, 1.0),
    ]
    assert (planned.total, planned.discarded, planned.discarded_share) == (2_000, 3_500, 3_500 / 5_500)


def test_shares_are_relative_and_epochs_stretch_a_small_group() -> None:
    """Weights 1 and 1 mean half each, and two epochs of the small group double the total."""
    planned = plan_quotas(COUNTS, a_mix(groups=LANGUAGES, share={"zh": 1, "en": 1}, max_epochs=2), 1.0)
    assert [(g.asked, g.epochs) for g in planned.groups] == [(2_000, 0.5), (2_000, 2.0)]


def test_a_share_may_name_a_stratum_without_a_group() -> None:
    """A value of the column is its own group when a share names it."""
    planned = plan_quotas(COUNTS, a_mix(groups={"zh": ["zho_Hans"]}, share={"zh": 0.9, "jpn_Jpan": 0.1}), 1.0)
    assert [(g.name, g.strata, g.asked) for g in planned.groups] == [
        ("jpn_Jpan", ("jpn_Jpan",), 100),
        ("zh", ("zho_Hans",), 900),
    ]


counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**13), min_size=1)


@given(counts, st.lists(st.integers(0, 1_000), min_size=6, max_size=6), st.integers(1, 10**14),
       st.sampled_from([1, 1.5, 4]))  # fmt: skip
def test_quotas_are_exact(available: dict[str, int], weights: list[int], total: int, epochs: float) -> None:
    """Quotas add up to the total, each within a token of its share and within its epochs; or MixError."""
    share = {name: weight for name, weight in zip("abcdef", weights, strict=True) if name in available}
    if not any(share.values()):
        return
    limits = {name: int(Fraction(str(epochs)) * n) for name, n in available.items()}
    try:
        planned = plan_quotas(available, a_mix(share=share, tokens=total, max_epochs=epochs), 1.0)
    except MixError:
        quotas = largest_remainder(total, {k: Fraction(v, sum(share.values())) for k, v in share.items()})
        assert any(quotas[name] > limits[name] for name in share)
        return
    assert planned.total == total
    for group in planned.groups:
        assert abs(group.asked - Fraction(total * share[group.name], sum(share.values()))) < 1
        assert group.asked <= limits[group.name]


@given(counts, st.lists(st.integers(1, 1_000), min_size=12, max_size=12), st.floats(0.01, 0.99))
def test_max_fits_and_one_more_token_may_not(
    available: dict[str, int], weights: list[int], until: float
) -> None:
    """The largest total keeps every group within its tokens and uses one of them up to rounding."""
    names = sorted(available)
    shares = [dict(zip(names, weights[i:], strict=False)) for i in (0, 6)]
    schedule = [{"until": until, "share": shares[0]}, {"until": 1.0, "share": shares[1]}]
    for settings in ({"share": shares[0]}, {"schedule": schedule}):
        planned = plan_quotas(available, a_mix(**settings), 1.0)
        assert all(group.asked <= group.available for group in planned.groups)
        spare = min((group.available - group.asked) / group.share for group in planned.groups)
        assert spare <= max(2, 4 / min(group.share for group in planned.groups))


@given(counts, st.floats(0, 3))
def test_alpha_is_the_closed_form(available: dict[str, int], alpha: float) -> None:
    """Shares are n^alpha over their sum: 1 gives natural proportions, 0 the same to all."""
    planned = plan_quotas(available, a_mix(alpha=alpha), 1.0)
    powers = {name: float(n) ** alpha for name, n in available.items()}
    for group in planned.groups:
        assert group.share == pytest.approx(powers[group.name] / sum(powers.values()), rel=1e-9)
    natural = plan_quotas(available, a_mix(alpha=1), 1.0)
    assert {group.name: group.asked for group in natural.groups} == available
    uniform = plan_quotas(available, a_mix(alpha=0), 1.0)
    assert len({group.share for group in uniform.groups}) == 1
    assert max(g.asked for g in uniform.groups) - min(g.asked for g in uniform.groups) <= 1


def test_a_mix_by_a_column_alone_is_natural() -> None:
    """Without share, alpha or schedule the groups keep their natural proportions."""
    planned = plan_quotas(COUNTS, a_mix(groups=LANGUAGES), 0.6)
    assert {group.name: group.asked for group in planned.groups} == {"en": 4_000, "zh": 1_000}


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), min_size=1), st.integers(0, 10**6))
def test_largest_remainder_rounds_each_quota_down_or_up(weights: dict[str, int], total: int) -> None:
    """Parts add up, and each is its exact quota rounded down or up."""
    if not any(weights.values()):
        return
    share = {name: Fraction(weight, sum(weights.values())) for name, weight in weights.items()}
    parts = largest_remainder(total, share)
    assert sum(parts.values()) == total
    assert all(abs(parts[name] - total * share[name]) < 1 for name in share)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 10), st.randoms())
def test_copies_follow_the_hash_order_by_hand(sizes: list[int], tenths: int, random: Any) -> None:
    """Whole epochs repeat every document; the rest is drawn by a walk in hash order."""
    asked = max(sum(sizes) * tenths * 3 // 10, 1)
    order = list(range(len(sizes)))
    random.shuffle(order)
    hashes = np.array(order, np.uint64)
    planned = plan_quotas({"a": sum(sizes)}, a_mix(share={"a": 1}, tokens=asked, max_epochs=3), 1.0)
    tokens = np.array(sizes, np.int64)
    n_copies = copies(np.zeros(len(sizes), np.int32), tokens, hashes, planned)
    walk = np.argsort(hashes).tolist()
    epochs, missing = divmod(asked, sum(sizes))
    extra = {walk[i] for i in nearest_in_order([sizes[i] for i in walk], missing)}
    assert n_copies.tolist() == [epochs + (i in extra) for i in range(len(sizes))]
    assert abs(int((n_copies * tokens).sum()) - asked) <= max(sizes)


def test_realised_shares_are_within_a_tenth_of_a_point() -> None:
    """Two groups of about 2,000 documents of very different length meet 70 to 30 within 0.1 point."""
    docs = corpus(4_000)
    docs["tokens"][:3] = 100_000
    mix = a_mix(groups={"zh": ["zho_Hans"], "en": ["eng_Latn"]}, share={"zh": 0.7, "en": 0.3}, max_epochs=1.7)
    planned, groups, n_copies = mixed(docs, mix)
    amounts = ((n_copies > 0), docs["tokens"] * n_copies, docs["tokens"] * (n_copies == 0))
    n_docs, taken, discarded = (np.array([n[groups == g].sum() for g in (0, 1)]) for n in amounts)
    table = realised(n_docs, taken, discarded, planned)
    assert table["group"].to_pylist() == ["en", "zh"]
    assert table["asked_share"].to_pylist() == pytest.approx([0.3, 0.7], abs=1e-4)
    assert table["share"].to_pylist() == pytest.approx([0.3, 0.7], abs=1e-3)
    assert table["epochs"].to_pylist()[1] == pytest.approx(1.7, abs=1e-2)
    assert table["n_docs"].to_pylist() == [int(np.count_nonzero(n_copies[groups == g])) for g in (0, 1)]
    assert set(n_copies[groups == 1].tolist()) == {1, 2}


def test_row_order_does_not_matter() -> None:
    """Shuffled input rows give each document the same copies and the same training order."""
    docs = corpus(500)
    mix = a_mix(share={"zho_Hans": 0.6, "eng_Latn": 0.4}, max_epochs=2.5)
    planned, groups, n_copies = mixed(docs, mix)
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    shuffle = np.random.default_rng(1).permutation(500)
    moved = {name: column.take(shuffle) for name, column in docs.items()}
    moved_plan, moved_groups, moved_copies = mixed(moved, mix)
    moved_order = positions(moved["hashes"], moved_copies, moved_groups, moved["tokens"], moved_plan)
    assert np.array_equal(moved_copies, n_copies[shuffle])
    assert np.array_equal(shuffle[moved_order["document"].to_numpy()], order["document"].to_numpy())
    assert moved_order.drop(["document"]).equals(order.drop(["document"]))


def test_training_order_holds_every_copy_once() -> None:
    """Each document appears as often as it has copies, its epochs count up along the order."""
    docs = corpus(300)
    planned, groups, n_copies = mixed(docs, a_mix(share={"zho_Hans": 1, "eng_Latn": 1}, max_epochs=3))
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    assert np.array_equal(np.bincount(order["document"].to_numpy(), minlength=300), n_copies)
    assert np.all(order["position"].to_numpy()[1:] >= order["position"].to_numpy()[:-1])
    seen = np.zeros(300, int)
    for document, epoch in zip(order["document"].to_pylist(), order["epoch"].to_pylist(), strict=True):
        assert epoch == seen[document]
        seen[document] += 1


def window_shares(tokens: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """Token share of a group in every window of 1,000 documents or 1 M tokens, whichever is longer."""
    before = np.append(0, np.cumsum(tokens))
    chosen = np.append(0, np.cumsum(tokens * is_first))
    ends = np.maximum(np.searchsorted(before, before[:-1] + 1_000_000), np.arange(len(tokens)) + 1_000)
    starts = np.flatnonzero(ends < len(before))
    return (chosen[ends[starts]] - chosen[starts]) / (before[ends[starts]] - before[starts])


@pytest.mark.parametrize(("share", "epochs"), [(0.1, 1), (0.5, 1), (0.02, 1), (0.7, 2.5), (0.3, 8)])
def test_a_share_holds_in_every_window(share: float, epochs: float) -> None:
    """Windows of 1,000 documents or 1 M tokens contain the requested share within one point, repeats included."""
    docs = corpus(40_000)
    docs["tokens"] = np.minimum(
        docs["tokens"], 15_000
    )  # a book is a part of its group that cannot be divided
    mix = a_mix(share={"zho_Hans": share, "eng_Latn": 1 - share}, max_epochs=epochs)
    planned, groups, n_copies = mixed(docs, mix)
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    rows = order["document"].to_numpy()
    shares = window_shares(docs["tokens"][rows], groups[rows] == 1)
    assert len(shares) > 10_000
    assert np.abs(shares - share).max() < 0.01


def test_a_share_holds_in_every_window_of_a_skewed_corpus() -> None:
    """Five groups of very different lengths and sizes keep their shares, also in each phase of a schedule."""
    docs = corpus(60_000, labels=("a", "b", "c", "d", "e"))
    scale = np.array([1, 3, 9, 1, 2])[pc.index_in(docs["labels"], pa.array(list("abcde"))).to_numpy()]
    docs["tokens"] = np.minimum(docs["tokens"] * scale, 8_000)
    shares = [dict(zip("abcde", n, strict=True)) for n in ((5, 2, 1, 1, 1), (1, 1, 1, 1, 6))]
    schedule = [{"until": 0.5, "share": shares[0]}, {"until": 1.0, "share": shares[1]}]
    planned, groups, n_copies = mixed(docs, a_mix(schedule=schedule))
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    rows, phase = order["document"].to_numpy(), order["position"].to_numpy() >> np.uint64(56)
    for number in (0, 1):
        here = rows[phase == number]
        for i, name in enumerate("abcde"):
            found = window_shares(docs["tokens"][here], groups[here] == i)
            assert np.abs(found - shares[number][name] / 10).max() < 0.01


def test_documents_without_tokens_are_spread_as_well() -> None:
    """Groups without a token keep their documents in hash order, a document each in turn."""
    planned = plan_quotas({"a": 0}, a_mix(by=None), 1.0)
    hashes = keyed_hash(doc_ids(100), 0)
    order = positions(
        hashes, np.ones(100, np.int64), np.zeros(100, np.int32), np.zeros(100, np.int64), planned
    )
    assert sorted(order["document"].to_pylist()) == list(range(100))
    assert len(set(order["position"].to_pylist())) == 100


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40), st.data())
def test_places_are_computed_by_range_of_keys(sizes: list[int], data: st.DataObject) -> None:
    """A range of a stratum needs only the sum of the tokens before it; places ascend and stay inside the phase."""
    tokens, total = np.array(sizes, np.int64), max(sum(sizes), 1)
    cut = data.draw(st.integers(0, len(sizes)))
    parts = [fractions(tokens[:cut], 0, total), fractions(tokens[cut:], sum(sizes[:cut]), total)]
    places = np.concatenate(parts)
    assert np.array_equal(places, fractions(tokens, 0, total))
    assert np.all(places[1:] >= places[:-1]) and int(places.max()) < 1 << 56


def test_a_schedule_is_visible_in_training_order() -> None:
    """Each phase has its part of the tokens and its shares, evenly from its start to its end."""
    docs = corpus(40_000)
    schedule = [
        {"until": 0.6, "share": {"zho_Hans": 0.1, "eng_Latn": 0.9}},
        {"until": 1.0, "share": {"zho_Hans": 0.8, "eng_Latn": 0.2}},
    ]
    planned, groups, n_copies = mixed(docs, a_mix(schedule=schedule, max_epochs=1.5))
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    rows = order["document"].to_numpy()
    phase = order["position"].to_numpy() >> np.uint64(56)
    tokens, chinese = docs["tokens"][rows], groups[rows] == 1
    assert np.all(np.diff(phase.astype(int)) >= 0)
    assert tokens[phase == 0].sum() / tokens.sum() == pytest.approx(0.6, abs=1e-3)
    for number, share in ((0, 0.1), (1, 0.8)):
        inside = np.flatnonzero(phase == number)
        assert tokens[inside][chinese[inside]].sum() / tokens[inside].sum() == pytest.approx(share, abs=2e-3)
        for window in np.array_split(inside, 4):
            assert tokens[window][chinese[window]].sum() / tokens[window].sum() == pytest.approx(
                share, abs=0.01
            )


def test_a_group_may_wait_for_its_phase() -> None:
    """A group without a share in the first phase appears in the second only."""
    docs = corpus(2_000)
    schedule = [
        {"until": 0.5, "share": {"eng_Latn": 1}},
        {"until": 1.0, "share": {"zho_Hans": 0.5, "eng_Latn": 0.5}},
    ]
    planned, groups, n_copies = mixed(docs, a_mix(schedule=schedule))
    order = positions(docs["hashes"], n_copies, groups, docs["tokens"], planned)
    phase = order["position"].to_numpy() >> np.uint64(56)
    assert set(phase[groups[order["document"].to_numpy()] == 1].tolist()) == {1}


def test_the_seed_changes_choice_and_order() -> None:
    """Another seed chooses other documents; the same seed the same ones."""
    ids, tokens = doc_ids(1_000), np.full(1_000, 10)
    planned = plan_quotas({"a": 10_000}, a_mix(share={"a": 1}, tokens=5_000), 1.0)
    groups = np.zeros(1_000, np.int32)
    first, again, other = (copies(groups, tokens, keyed_hash(ids, seed), planned) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert 400 < np.count_nonzero(first != other) < 600


def test_groups_of_documents_come_from_the_plan() -> None:
    """Labels map to the places of their groups; null and ungrouped labels to none, in any encoding."""
    planned = plan_quotas(COUNTS, a_mix(groups=LANGUAGES, share={"zh": 1, "en": 1}), 1.0)
    labels = pa.array(["zho_Hant", None, "eng_Latn", "jpn_Jpan", "zho_Hans"])
    assert cell_index(labels, planned).tolist() == [1, -1, 0, -1, 1]
    assert cell_index(labels.dictionary_encode(), planned).tolist() == [1, -1, 0, -1, 1]
    assert cell_index(pa.chunked_array([labels[:2], labels[2:]]), planned).tolist() == [1, -1, 0, -1, 1]
    assert count_tokens(labels, np.array([1, 2, 3, 4, 5])) == {
        "": 2, "eng_Latn": 3, "jpn_Jpan": 4, "zho_Hans": 5, "zho_Hant": 1,
    }  # fmt: skip


def test_repeats_do_not_count_as_used() -> None:
    """What a mix leaves out is counted in distinct tokens, however often it repeats the others."""
    mix = a_mix(share={"a": 1, "b": 1}, max_epochs=4)
    counts = {"a": 100, "b": 1_000}
    planned = plan_quotas(counts, mix, 0.6)
    assert planned.discarded == 600 and planned.available == 1_100
    with pytest.raises(MixError):
        plan_quotas(counts, mix, 0.5)


def test_documents_must_be_the_planned_ones() -> None:
    """Copies are refused when the documents do not have the planned tokens."""
    planned = plan_quotas({"a": 10}, a_mix(share={"a": 1}), 1.0)
    with pytest.raises(ExpectationError, match="has 9 tokens; the plan counted 10"):
        copies(np.zeros(1, np.int32), np.array([9]), np.array([1], np.uint64), planned)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": {"eng_Latn": 0.5, "kor_Hang": 0.5}}, "'kor_Hang' has a share of 50.0% and no tokens"),
        ({"groups": {"x": ["kor_Hang"]}}, "have no tokens; values of language.label found: eng_Latn, jpn"),
        (
            {"groups": LANGUAGES, "share": {"zh": 1, "en": 1}, "tokens": 3000},
            r"'zh' needs 1,500 tokens and has 1,000 \(1.50 epochs, at most 1\); request at most 2,000",
        ),
        (
            {"groups": LANGUAGES, "share": {"zh": 1, "en": 1}},
            "63.6% of 5,500 .* at most 60.0% may: 500 .* 'zh'",
        ),
        ({"share": {"eng_Latn": 1}, "tokens": 100}, "98.2% of 5,500 .* 100 are requested"),
    ],
)
def test_an_impossible_ratio_says_what_to_do(settings: dict[str, Any], message: str) -> None:
    """Groups without tokens, too few tokens and too much left out end with exit code 2 and the figures."""
    with pytest.raises(MixError, match=message) as caught:
        plan_quotas(COUNTS, a_mix(**settings), 0.6)
    assert caught.value.exit_code == 2
