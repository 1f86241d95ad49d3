"""Numbers, units and dates: one value for each way of writing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.checks.dates import find_dates
from stages.checks.fold import fold
from stages.checks.numbers import all_values, find_numbers
from stages.checks.numerals import han_value
from stages.checks.units import find_quantities

WRITTEN = {
    "32": ("32", "３２", "三十二", "thirty-two", "thirty two", "叁拾贰"),
    "250": ("250", "二百五", "二百五十", "two hundred and fifty"),
    "35000": (
        "35000",
        "35,000",
        "3万5千",
        "3.5万",
        "三万五千",
        "35 thousand",
        r"35\,000",
        "35{,}000",
        "三万五",
    ),
    "1/20": (
        "5%",
        "百分之五",
        "5 percent",
        "５％",
        "five percent",
        "1/20",
        r"\frac{1}{20}",
        r"5\%",
        "二十分之一",
    ),
    "3/4": ("3/4", "四分之三", "three quarters", "three-fourths", "¾", r"\dfrac{3}{4}", "0.75", "75%"),
    "1500000": ("1.5 million", "150万", "1500000", "1,500,000", "一百五十万"),
    "-3": ("-3", "−3", "负三", "负3"),
    "2026": ("2026", "二零二六", "二〇二六", "两千零二十六"),
    "3/2": ("1.5", "一点五", "１．５"),
}


@pytest.mark.parametrize(
    ("value", "text"), [(value, text) for value, texts in WRITTEN.items() for text in texts]
)
def test_one_value_for_each_way_of_writing(value: str, text: str) -> None:
    """The likeliest reading of a number is its value, and its offsets cover it."""
    (number,) = find_numbers(f"约 {text} 个")
    assert number.value == Fraction(value)
    assert f"约 {text} 个"[number.start : number.end] == text


def _to_han(value: int) -> str:
    """Write a number below 10**8 in Chinese numerals."""
    if value >= 10_000:
        rest = value % 10_000
        return (
            _to_han(value // 10_000) + "万" + (("零" if rest < 1000 else "") + _to_han(rest) if rest else "")
        )
    written, gap = "", False
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // scale % 10
        if digit:
            written += ("零" if gap and written else "") + "零一二三四五六七八九"[digit] + name
        gap = not digit
    return written


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**8 - 1))
def test_chinese_numerals_are_read_as_they_are_written(value: int) -> None:
    """A number written in Chinese numerals has its value."""
    assert han_value(_to_han(value)) == value


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=50))
def test_folding_keeps_offsets(text: str) -> None:
    """A folded text has the length of the text, and numbers are inside it, in order."""
    assert len(fold(text)) == len(text)
    starts = [number.start for number in find_numbers(text)]
    assert starts == sorted(set(starts)) and all(number.end <= len(text) for number in find_numbers(text))


def test_ranges_and_subtractions_have_no_signs() -> None:
    """A hyphen between numbers is no sign."""
    assert [int(number.value) for number in find_numbers("3-5, 7 - 2, (-4), x = -6")] == [3, 5, 7, 2, -4, -6]


def test_parts_of_fractions_are_values_of_a_source() -> None:
    """A source that has 3/4 has 3 and 4."""
    assert {Fraction(3), Fraction(4), Fraction(3, 4)} <= all_values("3/4")


def test_units_have_one_symbol_in_all_languages() -> None:
    """Names and symbols of a unit are the same unit."""
    texts = ("5 km", "5公里", "５千米", "5 kilometers", "五公里", r"5\text{ km}")
    assert {(q.number.value, q.unit.symbol) for text in texts for q in find_quantities(text)} == {
        (Fraction(5), "km")
    }
    assert [len(find_quantities(text)) for text in texts] == [1] * len(texts)


def test_dates_are_the_same_in_all_forms() -> None:
    """Forms of one date give the same parts."""
    forms = (
        "2026年11月30日",
        "2026-11-30",
        "Nov. 30, 2026",
        "30 November 2026",
        "11/30/2026",
        "二零二六年十一月三十日",
    )
    assert {find_dates(form)[0].parts for form in forms} == {(2026, 11, 30, None, None)}
    assert (
        find_dates("3:30 pm")[0].parts == find_dates("15:30")[0].parts == find_dates("下午3点30分")[0].parts
    )
