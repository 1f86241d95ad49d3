"""Strata: names over several columns, groups by conditions, units, schedules that change linearly, warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ConfigError, MixError
from pipeline.mix.config import Mix, Warn, parse_mix
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import count_tokens, plan_quotas
from pipeline.mix.strata import JOINT, shown, strata_of, written
from pipeline.mix.warnings import warnings_of
from tests.helpers.mix_corpus import corpus


def a_mix(**settings: Any) -> Mix:
    """Parse one mix."""
    return parse_mix({"mixes": {"m": settings}}, "mix").mixes["m"]


def chunked(values: list[Any]) -> pa.ChunkedArray:
    """A column in two chunks."""
    return pa.chunked_array([values[:2], values[2:]], pa.array(values).type)


COLUMNS = [
    chunked(["zh", None, "en", "zh", None]),
    chunked([17, 3, 20, None, None]),
    chunked([True, False, True, None, None]),
]


def test_a_stratum_names_the_values_of_all_columns() -> None:
    """Text, numbers and truth values are joined; a document without any value has no stratum."""
    expected = [["zh", "17", "true"], ["", "3", "false"], ["en", "20", "true"], ["zh", "", ""], None]
    found = strata_of(COLUMNS).to_pylist()
    assert found == [None if parts is None else JOINT.join(parts) for parts in expected]
    assert strata_of(COLUMNS[1:2]).to_pylist() == ["17", "3", "20", None, None]
    assert shown(found[3]) == "zh × – × –" and written(shown(found[3])) == found[3]


def test_groups_are_conditions_over_columns() -> None:
    """Values, ranges, missing values, alternatives and the rest; the columns follow from the groups."""
    groups = {
        "good": [{"language.label": "zh", "cuts.bucket": {"min": 16}}, {"language.label": "en"}],
        "unknown": {"language.label": None, "cuts.bucket": [3, 4]},
        "other": "rest",
    }
    mix = a_mix(groups=groups, share={"good": 2, "unknown": 1, "other": 1}, max_epochs=9)
    assert mix.by == ("language.label", "cuts.bucket")
    strata = strata_of(COLUMNS[:2])
    plan = plan_quotas(count_tokens(strata, np.full(5, 100)), mix, 1.0)
    names = [plan.cells[i].name for i in cell_index(strata, plan)]
    assert names == ["good", "unknown", "good", "other", "other"]
    assert [(g.name, g.available) for g in plan.groups] == [("good", 200), ("other", 200), ("unknown", 100)]


def test_without_groups_each_combination_is_one() -> None:
    """Combinations may be named in shares as they are shown."""
    strata = strata_of(COLUMNS[:2])
    units = count_tokens(strata, np.full(5, 100))
    assert [g.name for g in plan_quotas(units, a_mix(by=["l", "b"]), 1.0).groups] == [
        "– × 3",
        "en × 20",
        "zh × –",
        "zh × 17",
    ]
    plan = plan_quotas(units, a_mix(by=["l", "b"], share={"zh × 17": 1, "en × 20": 3}, max_epochs=3), 1.0)
    assert [(g.name, g.asked) for g in plan.groups] == [("en × 20", 300), ("zh × 17", 100)]


def test_a_document_is_in_one_group() -> None:
    """Two groups that share a stratum are refused, with the stratum."""
    mix = a_mix(groups={"zh": {"l": "zh"}, "good": {"b": {"min": 10}}})
    with pytest.raises(MixError, match="'zh × 17' is in the groups 'zh' and 'good'; narrow one"):
        plan_quotas({f"zh{JOINT}17": 5}, mix, 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": ["l", "l"]}, "name each column once"),
        ({"by": [], "alpha": 1}, r"by: found \[\]; name a column"),
        ({"by": ["l", "b"], "groups": {"zh": ["zh"]}}, "a list of values needs a single column"),
        ({"by": ["lang"], "groups": {"zh": {"language": "zh"}}}, "'language' is not in `by`"),
        ({"groups": {"zh": {"l": {"least": 1}}}}, "unknown key 'least'; expected one of max, min"),
        ({"groups": {"zh": {"l": {"min": "x"}}}}, "expected numbers for `min`, `max` or both"),
        ({"groups": {"zh": {"l": []}}}, "expected a value, a list of values"),
        ({"groups": {"zh": {}}}, "no column; name at least one"),
        ({"by": "l", "groups": {"a": "rest", "b": "rest"}}, "two groups are `rest`"),
        ({"groups": {"zh": {"l": "zh"}}, "share": {"zh": 1, "en": 1}}, "no group 'en'"),
        ({"by": "l", "tokens": 5, "bytes": 5}, "found tokens and bytes; keep one"),
        ({"by": "l", "share": {"a": 1}, "disjoint": True}, "there are no two phases"),
        ({"by": "l", "disjoint": 1}, "expected true or false"),
    ],
)  # fmt: skip
def test_wrong_groups_are_refused(settings: dict[str, Any], message: str) -> None:
    """Each fault of the grammar has its message."""
    with pytest.raises(ConfigError, match=message):
        a_mix(**settings)


def test_columns_of_measurements_are_refused() -> None:
    """More than 100,000 values are no strata, nor are fractions; whole numbers may be floats."""
    assert strata_of([pa.chunked_array([[1.0, None]])]).to_pylist() == ["1", None]
    with pytest.raises(MixError, match="numbers with fractions"):
        strata_of([pa.chunked_array([[0.5]])])
    column = pa.chunked_array([pa.array(range(100_001))])
    with pytest.raises(MixError, match="have 100,001 different values, at most 100,000"):
        strata_of([column, column])


@pytest.mark.parametrize("unit", ["tokens", "bytes", "documents"])
def test_totals_count_tokens_bytes_or_documents(unit: str) -> None:
    """The key of the total says what is counted; the budget is met to less than one document."""
    docs = corpus(3_000)
    sizes = {
        "tokens": docs["tokens"],
        "bytes": docs["tokens"] * 5,
        "documents": np.ones_like(docs["tokens"]),
    }[unit]
    mix = a_mix(by="l", share={"eng_Latn": 1, "zho_Hans": 3}, **{unit: int(sizes.sum()) // 3})
    assert (mix.unit, mix.total) == (unit, int(sizes.sum()) // 3)
    plan = plan_quotas(count_tokens(docs["labels"], sizes), mix, 1.0)
    cells = cell_index(docs["labels"], plan)
    n_copies = copies(cells, sizes, docs["hashes"], plan)
    for i, group in enumerate(plan.groups):
        assert abs(int((sizes * n_copies)[cells == i].sum()) - group.asked) <= int(sizes.min())


def test_shares_may_change_linearly() -> None:
    """From 0 to 60 % over the first half, constant after it: windows have the share at their middle within a point."""
    docs = corpus(40_000)
    docs["tokens"] = np.minimum(docs["tokens"], 5_000)
    schedule = [
        {"until": 0.5, "share": {"eng_Latn": 1, "zho_Hans": 0}, "to": {"eng_Latn": 0.4, "zho_Hans": 0.6}},
        {"until": 1.0, "share": {"eng_Latn": 0.4, "zho_Hans": 0.6}},
    ]
    plan = plan_quotas(count_tokens(docs["labels"], docs["tokens"]), a_mix(by="l", schedule=schedule), 1.0)
    assert [round(group.share, 6) for group in plan.groups] == [0.55, 0.45]
    cells = cell_index(docs["labels"], plan)
    n_copies = copies(cells, docs["tokens"], docs["hashes"], plan)
    order = positions(docs["hashes"], n_copies, cells, docs["tokens"], plan)
    rows = order["document"].to_numpy()
    taken, chinese = docs["tokens"][rows], cells[rows] == 1
    ends = np.cumsum(taken) / taken.sum()
    for window in np.array_split(np.arange(len(rows)), len(rows) // 1_000):
        middle = (ends[window[0]] + ends[window[-1]]) / 2
        asked = min(1.2 * middle, 0.6)
        assert taken[window][chinese[window]].sum() / taken[window].sum() == pytest.approx(asked, abs=0.01)
    assert np.array_equal(np.bincount(rows, minlength=len(n_copies)), n_copies)


def test_disjoint_stages_share_no_document() -> None:
    """With several epochs, all copies of a document are in one stage, and each stage keeps its shares."""
    docs = corpus(20_000)
    schedule = [
        {"until": 0.5, "share": {"eng_Latn": 1, "zho_Hans": 1}},
        {"until": 1, "share": {"eng_Latn": 1, "zho_Hans": 3}},
    ]
    for disjoint in (False, True):
        mix = a_mix(by="l", schedule=schedule, max_epochs=3, disjoint=disjoint)
        plan = plan_quotas(count_tokens(docs["labels"], docs["tokens"]), mix, 1.0)
        cells = cell_index(docs["labels"], plan)
        n_copies = copies(cells, docs["tokens"], docs["hashes"], plan)
        order = positions(docs["hashes"], n_copies, cells, docs["tokens"], plan)
        rows, phase = order["document"].to_numpy(), order["position"].to_numpy() >> np.uint64(56)
        both = np.intersect1d(rows[phase == 0], rows[phase == 1])
        assert (len(both) == 0) == disjoint
        for number, share in ((0, 0.5), (1, 0.75)):
            here = rows[phase == number]
            tokens = docs["tokens"][here]
            assert tokens[cells[here] == 1].sum() / tokens.sum() == pytest.approx(share, abs=2e-3)
            assert tokens.sum() / docs["tokens"][rows].sum() == pytest.approx(0.5, abs=2e-3)


def test_a_mix_is_warned_about() -> None:
    """Many epochs, a group used up, a language that grew, and groups that a preset also has."""
    units = {"eng_Latn": 10_000, "zho_Hans": 1_000}
    mix = a_mix(by="l", share={"eng_Latn": 1, "zho_Hans": 1}, tokens=10_000, max_epochs=5)
    lines = warnings_of(
        plan_quotas(units, mix, 1.0), {"eng_Latn": (10_000, 5_000), "zho_Hans": (1_000, 5_000)}, Warn()
    )
    assert len(lines) == 2
    assert "'zho_Hans' is repeated 5.0 times; above 4 epochs" in lines[0]
    assert "zho_Hans grows from 9.1% of the kept tokens to 50.0%" in lines[1]
    used_up = plan_quotas(units, a_mix(by="l", share={"eng_Latn": 9, "zho_Hans": 1}, tokens=10_000), 1.0)
    assert (
        "'zho_Hans' is exhausted: 1,000 tokens of 1,000 in 1.00 epochs" in warnings_of(used_up, {}, Warn())[0]
    )
    preset = plan_quotas(
        {"x": 9, "y": 9}, a_mix(by="l", preset="phi-4", groups={"web": ["x"], "code": ["y"]}), 1.0
    )
    assert (
        "preset phi-4 also has the groups acquired, synthetic, web_rewrites"
        in warnings_of(preset, {}, Warn())[0]
    )
    assert not warnings_of(
        plan_quotas(units, a_mix(by="l"), 1.0), {"eng_Latn": (9, 9), "zho_Hans": (1, 1)}, Warn()
    )
