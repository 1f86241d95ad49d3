"""Recomputed equations: what is certainly false is reported, and nothing that can be read in another way."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.checks.arithmetic import false_equations, find_equations

FALSE = (
    "3+4=9", "３＋４＝９", "$3+4=9$", r"\frac{12}{4}=4", "5×8=41（元）", "共有3+4=9个", "10÷3=3.5",
    "17÷5=3……3", "1/2+1/3=4/5",
    "20%×50=11", "20% of 50 = 12", "20*10=2 pounds", "10+1=10", "(3+4)×2=15", "2^10=1000", "3 plus 4 equals 8",
    "He has 3 + 4 = 8 apples.", "$3 + $4 = $8", "x=3+4=8",
    "3+4=7=8", "48/2=25", "3 apples + 4 apples = 8 apples", "解：3+4×5\n=3+20\n=24",
    "2 hours * 60 = 100 minutes", "100-20%=90",
    "3.5+4.2=7.8", "3元×4=13元", "1,000+1=1,002", r"12\times 3=35", "50 x 2 = 200", "3 * $2 = $7", "6 ÷ 2 ≈ 4",
)  # fmt: skip
UNDECIDED = (
    "3+4=7", "20% of 50 = 10", "x+4=9", "10÷3=3.33", "10/3≈3.3", "5 ≡ 2 (mod 3)", "8 + 5 = 1 (mod 12)",
    "17÷5=3……2", "1+1=10", "f(2)=4",
    "2(3+4)=14", "2x+3=9", "if x == 3 + 5", "a = 3:2", "1+2+…+100=5050", "(1) 3+4=7", "1. 3+4=7", "3米+20厘米=320厘米",
    "1小时=60分钟", "5 ^ 3 = 6", "甲的3倍+4=20", r"\sqrt{9}=3", "2³=8", "5-(-3)=8", "-3+4=1", "100+20%=120",
    "1/3=33.3%",
    "1/3=0.333...", "3 1/2 + 1 = 4 1/2", "log 100 + 1 = 3", "3 dozen + 2 = 38", r"\frac12+\frac12=1", "3万+4万=7万",
    "sum of 3 + 4 = 9", "0.1+0.2=0.30000000000000004", "x_1+2=5", "2 H2 + 3 = 9", "3 + 4 = 8x", "`1 + 1 = 3`",
    "```\ny = 2 + 2 = 5\n```", "i += 3 + 4", "3-2=2:1", "5!=120", "101 + 1 = 110", "1-5=a",
)  # fmt: skip


@pytest.mark.parametrize("text", FALSE)
def test_false_equations_are_reported(text: str) -> None:
    """An equation that is false under every reading is reported once."""
    assert len(false_equations(text)) == 1


@pytest.mark.parametrize("text", UNDECIDED)
def test_true_and_open_equations_are_not(text: str) -> None:
    """Equations that are true, that have variables, or that are none, are not reported."""
    assert false_equations(text) == []


SIGNS = st.sampled_from("+-*/")
FORMS = st.sampled_from(
    [
        "{a}{s}{b}={c}",
        "共{a} {s} {b} = {c}元。",
        "so ${a} {s} {b} = {c}$.",
        "= {a} {s} {b} = {c}",
        "{a}元{s}{b}={c}元",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 400), SIGNS, st.integers(2, 400), FORMS, st.integers(1, 9))
def test_a_computed_result_is_true_and_another_is_false(
    a: int, sign: str, b: int, form: str, more: int
) -> None:
    """In each form, the right result passes and one that differs by a whole number does not."""
    result = {"+": Fraction(a + b), "-": Fraction(a - b), "*": Fraction(a * b), "/": Fraction(a, b)}[sign]
    if result.denominator != 1:
        return
    true, false = (form.format(a=a, s=sign, b=b, c=value) for value in (result, result + more))
    assert false_equations(true) == [] and find_equations(true)[0].is_true
    assert len(false_equations(false)) == 1


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789+-*/=≈().,% x\n$\\{}^fracsqt元个…", max_size=60))
def test_any_text_has_a_result(text: str) -> None:
    """Broken formulas raise nothing, and offsets are inside the text."""
    for equation in find_equations(text):
        assert 0 <= equation.start < equation.end <= len(text)
