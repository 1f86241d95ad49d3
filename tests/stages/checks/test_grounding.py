"""Grounding of a claim in its source, choices, leaks and support."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.checks.choices import choice_faults, chosen_letters, find_options
from stages.checks.grounding import ungrounded
from stages.checks.leaks import leaks
from stages.checks.support import support

SOURCE = """Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. She sold 48/2 = 24
clips in May and 48+24 = 72 altogether, 5 km away, on Nov 30, 2026, for 1,500 dollars. Redis 7.2.1. If x + 3 = 7 then x > 2."""
QUELLE = (
    "小明读《红楼梦》，每天读三十二页，5天读了32×5=160页，占全书的百分之二十，走了5公里到北京大学。设x+3=7。"
)

GROUNDED = (
    (SOURCE, "In May Natalia sold ２４ clips; 48 + 24 = 72."), (SOURCE, r"forty-eight clips, $\frac{48}{2}=24$"),
    (SOURCE, "It was 2026-11-30, 5 kilometers away."), (SOURCE, "Step 1: $x+3=7$."), (SOURCE, "They paid $1500 for redis 7.2.1."),
    (SOURCE, "5000 m"), (QUELLE, "每天32页，一共一百六十页。"), (QUELLE, "占20%，路程为五千米。"), (QUELLE, "读《红楼梦》5×32=160"),
)  # fmt: skip
WRONG = (
    (SOURCE, "Natalia sold 25 clips.", "number"), (SOURCE, "Kevin sold 24 clips.", "entity"), (SOURCE, "48-24=72", "arithmetic"),
    (SOURCE, "It is 5 kg.", "unit"), (SOURCE, "on 2026-11-29", "date"), (SOURCE, "x - 3 = 7", "formula"),
    (SOURCE, "x < 2", "formula"), (SOURCE, "Redis 7.2.2", "entity"), (QUELLE, "每天读三十三页", "number"),
    (QUELLE, "小红读书", "entity"), (QUELLE, "读《水浒传》", "entity"), (QUELLE, "5公斤", "unit"), (QUELLE, "在清华大学", "entity"),
    (QUELLE, "设x-3=7", "formula"), (QUELLE, "32×5=170", "arithmetic"),
)  # fmt: skip


@pytest.mark.parametrize(("source", "claim"), GROUNDED)
def test_other_forms_of_what_a_source_has_are_grounded(source: str, claim: str) -> None:
    """Numbers, units, dates and formulas in other forms are no faults."""
    assert ungrounded(claim, source) == []


@pytest.mark.parametrize(("source", "claim", "kind"), WRONG)
def test_what_a_source_does_not_have_is_a_fault(source: str, claim: str, kind: str) -> None:
    """Each kind of invention is reported under its kind, at its offsets."""
    faults = ungrounded(claim, source)
    assert kind in {fault.kind for fault in faults}
    assert all(claim[fault.start : fault.end] == fault.value for fault in faults)


def test_a_chain_may_compute() -> None:
    """What equations derive from grounded numbers, step after step, is grounded when asked for, and not otherwise."""
    claim = "48 × 2 = 96, 96 + 24 = 120, so 120 clips."
    assert ungrounded(claim, SOURCE, derived=True) == []
    assert {fault.kind for fault in ungrounded(claim, SOURCE)} == {"number"}
    assert ungrounded("47 × 2 = 94", SOURCE, derived=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SOURCE)), st.integers(0, len(SOURCE)))
def test_a_text_grounds_its_own_parts(start: int, end: int) -> None:
    """Whole sentences of a source are grounded in it."""
    low, high = sorted((start, end))
    begin = SOURCE.rfind(". ", 0, low) + 2 if ". " in SOURCE[:low] else 0
    stop = SOURCE.find(". ", high)
    assert ungrounded(SOURCE[begin : stop if stop >= 0 else None], SOURCE) == []


def test_choices() -> None:
    """A letter outside the options, another letter and another value are reported."""
    question = "1+1=（ ）\nA. 1  B. 2  C. 3  D. 4"
    assert [option.value for option in find_options(question)] == ["1", "2", "3", "4"]
    assert choice_faults(question, "B", "1+1=2，故选B") == []
    assert choice_faults(question, "E") == ["no_such_option"]
    assert choice_faults(question, "C", "故选：B。") == ["other_choice"]
    assert choice_faults(question, "C", "1+1=2，故选C") == ["other_value"]
    assert choice_faults("How many?", "B") == [] and chosen_letters("The answer is (C).") == {"C"}


def test_leaks() -> None:
    """Marks, results and whole answers in a question are leaks; small numbers that it has anyway are none."""
    assert leaks("3+4是多少？答案：7", "7") == "marked"
    assert leaks("Why is 12 × 12 = 144?", "144") == "result"
    assert leaks("为什么叶子在秋天变黄是因为叶绿素分解？", "因为叶绿素分解") == "contained"
    assert leaks("Tom has 7 apples and eats none. How many?", "7") is None
    assert leaks("1+1=? A. 1 B. 2", "2") is None


def test_support() -> None:
    """Steps of the source have full support, foreign ones have little."""
    assert support("Natalia sold 24 clips", SOURCE) >= 0.6
    assert support("小明每天读三十二页", QUELLE) > 0.6 > support("正方形的面积是边长的平方", QUELLE)
    assert support("", SOURCE) == 1.0
