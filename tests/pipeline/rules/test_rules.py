"""Rules: conditions over columns, verdicts, nulls, quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, ExpectationError
from pipeline.rules.parse import parse_rules
from pipeline.rules.rules import Cuts, judge_rules, population_counts, quantile_group


def columns(**values: list[Any]) -> dict[str, pa.ChunkedArray]:
    """Columns by name, `__` standing for a dot."""
    return {name.replace("__", "."): pa.chunked_array([pa.array(v)]) for name, v in values.items()}


def rules(*entries: dict[str, Any]) -> Any:
    """Parsed rules."""
    return parse_rules(list(entries), "run.yaml: select")


def test_the_first_failing_rule_is_the_verdict_and_base_rules_come_first() -> None:
    """Order in the file decides, but a base rule decides before the others."""
    table = columns(s__n=[1, 5, 50], s__m=[9, 9, 0])
    parsed = rules(
        {"name": "short", "s.n": {"min": 10}},
        {"name": "many", "s.m": {"max": 5}, "base": True},
        {"name": "flagged", "s.n": {"max": 20}, "action": "flag"},
    )
    found = judge_rules(parsed, table)
    assert found.rule.tolist() == [1, 1, -1]
    assert found.failed.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert found.passes_base.tolist() == [False, False, True]


def test_a_flag_with_base_is_still_a_flag() -> None:
    """A flag drops nothing and leaves nobody out of the population, a base rule that drops does both."""
    table = columns(s__n=[1, 50])
    flagged = judge_rules(rules({"name": "low", "s.n": {"min": 10}, "action": "flag", "base": True}), table)
    assert flagged.passes_base.tolist() == [True, True] and flagged.rule.tolist() == [-1, -1]
    dropped = judge_rules(rules({"name": "low", "s.n": {"min": 10}, "base": True}), table)
    assert dropped.passes_base.tolist() == [False, True] and dropped.rule.tolist() == [0, -1]


def test_where_limits_a_rule_and_null_is_outside_it() -> None:
    """A rule applies only to rows that meet `where`; a null there does not."""
    table = columns(s__n=[1, 1, 1], l__label=["zho_Hans", "eng_Latn", None])
    (rule,) = rules({"name": "short", "s.n": {"min": 2}, "where": {"l.label": ["zho_Hans", "zho_Hant"]}})
    assert rule.fails(table).tolist() == [True, False, False]


@pytest.mark.parametrize(("if_null", "fails"), [("keep", [False, True]), ("drop", [True, True])])
def test_if_null_says_what_null_means(if_null: str, fails: list[bool]) -> None:
    """A null passes with keep and fails with drop."""
    (rule,) = rules({"name": "low", "s.n": {"min": 2}, "if_null": if_null})
    assert rule.fails(columns(s__n=[None, 1])).tolist() == fails


def test_a_null_that_nobody_spoke_of_stops_the_run() -> None:
    """A null in a tested column without if_null is an error, not a verdict."""
    (rule,) = rules({"name": "low", "s.n": {"min": 2}})
    with pytest.raises(ExpectationError, match="if_null"):
        rule.fails(columns(s__n=[3, None]))


def test_a_bound_is_met_in_the_column_s_own_type() -> None:
    """A float32 share of 0.3 meets `max: 0.3`, although 0.3 differs as float64."""
    (rule,) = rules({"name": "share", "s.share": {"max": 0.3, "min": 0.3}})
    table = {"s.share": pa.chunked_array([pa.array([0.3, 0.301, 0.299], pa.float32())])}
    assert rule.fails(table).tolist() == [False, True, True]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 5))
def test_quantiles_do_not_depend_on_how_rows_are_cut_into_shards(values: list[int], n_cuts: int) -> None:
    """Counts of values add up, so thresholds are exact for any shards."""
    (rule,) = rules({"name": "tail", "s.n": {"quantile": {"min": 0.1, "max": 0.9}}})
    whole, parts = Cuts(), Cuts()
    for found, pieces in ((whole, [values]), (parts, [values[i::n_cuts] for i in range(n_cuts)])):
        for piece in filter(None, pieces):
            table = columns(s__n=piece)
            for count in population_counts([rule], table, np.ones(len(piece), bool)):
                found.add(*count)
    assert whole.counts == parts.counts
    low, high = whole.cut("s.n", (), "", 0.1), whole.cut("s.n", (), "", 0.9)
    assert sum(v <= low for v in values) >= 0.1 * len(values)
    assert sum(v < high for v in values) < 0.9 * len(values)


def test_quantiles_go_by_group() -> None:
    """Each value of `by` has cuts of its own."""
    (rule,) = rules({"name": "tail", "s.n": {"quantile": {"max": 0.5, "by": "l.label"}}})
    table = columns(s__n=[1, 2, 100, 200], l__label=["a", "a", "b", "b"])
    cuts = Cuts()
    for count in population_counts([rule], table, np.ones(4, bool)):
        cuts.add(*count)
    assert rule.fails(table, cuts).tolist() == [False, True, False, True]


def test_quantiles_go_by_several_columns() -> None:
    """Each combination of values has cuts of its own; null is a value too."""
    (rule,) = rules({"name": "tail", "s.n": {"quantile": {"max": 0.5, "by": ["l.label", "d.label"]}}})
    table = columns(
        s__n=[1, 2, 10, 20, 100, 200],
        l__label=["a"] * 4 + ["b"] * 2,
        d__label=["x", "x", None, None, "x", "x"],
    )
    cuts = Cuts()
    for count in population_counts([rule], table, np.ones(6, bool)):
        cuts.add(*count)
    assert rule.fails(table, cuts).tolist() == [False, True] * 3
    assert cuts.cut("s.n", ("l.label", "d.label"), "a, null", 0.5) == 10
    assert cuts.cut("s.n", ("l.label", "d.label"), "b, x", 0.5) == 100


def test_the_group_of_one_row_is_that_of_the_column() -> None:
    """Looking one row up gives the name of the group that was counted."""
    values = {"l.label": "b", "d.label": None}
    assert quantile_group(("l.label", "d.label"), values) == "b, null"
    assert quantile_group(("l.label",), values) == "b" and quantile_group((), values) == ""


def test_rules_of_a_language_apply_to_its_parts() -> None:
    """A rule is evaluated by part if it tests the key, or a field of the parts where the key says which."""
    parts = {"parts.signals": ("l.label", "s.n", "s.m")}

    def column(entry: dict[str, Any]) -> str | None:
        found: str | None = rules({"name": "r", **entry})[0].by_part(parts).parts
        return found

    where = {"where": {"l.label": "zho_Hans"}}
    assert column({"s.n": {"min": 1}, **where}) == "parts.signals"
    assert column({"l.label": {"in": ["zho_Hans"]}}) == "parts.signals"
    assert column({"s.n": {"min": 1}}) is None
    assert column({"other.n": {"min": 1}, **where}) is None
    assert column({"s.n": {"quantile": {"max": 0.9}}, **where}) is None


def test_quantiles_are_exact() -> None:
    """A share of two digits of 100 values cuts at that value: 0.07 * 100 is not 7 as floats."""
    cuts = Cuts()
    cuts.add("s.n", (), "", {float(i): 1 for i in range(1, 101)})
    assert [cuts.cut("s.n", (), "", float(f"0.{i:02d}")) for i in range(1, 100)] == list(range(1, 100))


def _cuts(rule: Any, table: Mapping[str, pa.ChunkedArray]) -> Cuts:
    cuts = Cuts()
    for count in population_counts([rule], table, np.ones(len(table["s.n"]), bool)):
        cuts.add(*count)
    return cuts


def test_small_groups_take_the_quantiles_of_a_larger_one() -> None:
    """A group below `documents` falls back to fewer columns of `by`; below it in all, nothing fails."""
    table = columns(
        s__n=[1, 2, 3, 50, 9, 60, 70],
        l__label=["a"] * 5 + ["b"] * 2,
        d__label=["x"] * 4 + ["y"] + ["x"] * 2,
    )
    quantile = {"max": 0.5, "by": ["l.label", "d.label"], "documents": 4}
    (rule,) = rules({"name": "tail", "s.n": {"quantile": quantile}})
    # a, x has 4 documents: 2. a, y takes the 5 of a: 3. b has 2, so it takes all 7: 9.
    assert rule.fails(table, _cuts(rule, table)).tolist() == [False, False, True, True, True, True, True]
    (rule,) = rules({"name": "tail", "s.n": {"quantile": {**quantile, "documents": 8}}})
    assert not rule.fails(table, _cuts(rule, table)).any()


def test_no_quantile_cuts_inside_of_beyond() -> None:
    """Values up to `beyond` pass, whatever the quantile; above it the quantile decides."""
    table = columns(s__n=[1, 2, 3, 50, 60])
    for beyond, expected in ((2.5, [False] * 3 + [True] * 2), (55, [False] * 4 + [True]), (99, [False] * 5)):
        (rule,) = rules({"name": "tail", "s.n": {"quantile": {"max": 0.6, "beyond": beyond}}})
        assert rule.fails(table, _cuts(rule, table)).tolist() == expected
    (rule,) = rules({"name": "tail", "s.n": {"quantile": {"min": 0.4, "beyond": 1.5}}})
    assert rule.fails(table, _cuts(rule, table)).tolist() == [True] + [False] * 4


def test_unused_settings_of_a_quantile_change_no_digest() -> None:
    """`documents` and `beyond` are part of a rule's plain form only where they are set."""
    (old,) = rules({"name": "r", "s.n": {"quantile": {"max": 0.6, "by": "l.label"}}})
    (new,) = rules({"name": "r", "s.n": {"quantile": {"max": 0.6, "by": "l.label", "documents": 200}}})
    assert old.conditions[0].plain()[-1] == (None, 0.6, ("l.label",))
    assert new.conditions[0].plain()[-1] == (None, 0.6, ("l.label",), 200, None)


def test_late_rules_are_judged_apart() -> None:
    """A rule over owners fails nothing before they are known, and then drops after all others."""
    late, early = rules(
        {"name": "hollow", "owners.n_chars_left": {"min": 50}, "if_null": "keep"},
        {"name": "short", "s.n": {"min": 5}},
    )
    table = columns(s__n=[1, 9, 9, 9])
    before = judge_rules((late, early), table)
    assert before.rule.tolist() == [1, -1, -1, -1] and before.late.tolist() == [-1] * 4
    after = judge_rules(
        (late, early), table, None, {"owners.n_chars_left": pa.chunked_array([[10, 10, None, 80]])}
    )
    assert after.rule.tolist() == [1, -1, -1, -1] and after.late.tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"s.n": {"min": 1}}, "needs a name"),
        ({"name": "r", "s.n": {"quantile": {"max": 0.9, "by": 3}}}, "a column or a list"),
        ({"name": "r"}, "no condition"),
        ({"name": "r", "s.n": {"mni": 1}}, "did you mean 'min'"),
        ({"name": "r", "s.n": {"min": "one"}}, "expected a number"),
        ({"name": "r", "s.n": {"in": []}}, "at least one value"),
        ({"name": "r", "s.n": 1, "action": "delete"}, "drop, flag or trim"),
        ({"name": "r", "s.n": 1, "action": "trim"}, "go together"),
        ({"name": "r", "s.n": 1, "if_null": "maybe"}, "keep or drop"),
        ({"name": "r", "s.n": 1, "actoin": "flag"}, "did you mean 'action'"),
        ({"name": "r", "s.n": {"quantile": {"max": 2}}}, "a share from 0 to 1"),
        ({"name": "r", "s.n": {"quantile": {"max": 0.9, "documents": 0}}}, "a whole number from 1"),
        ({"name": "r", "s.n": {"quantile": {"max": 0.9, "beyond": "x"}}}, "expected a number"),
    ],
)
def test_bad_rules_say_where_and_what(entry: dict[str, Any], message: str) -> None:
    """Every mistake in a rule is refused with its place and the expected value."""
    with pytest.raises(ConfigError, match=message):
        rules(entry)
