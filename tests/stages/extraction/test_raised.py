"""Raised numbers: exponents are written as such, marks of footnotes are left alone."""

from __future__ import annotations

import time

import pytest

from stages.extraction.extract_worker import extract
from stages.extraction.raised import superscripts

ZH = "城市交通系统的改善需要长期规划，也需要稳定的资金来源，这一点在许多城市的经验中都得到了证实。"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("不超过 10<sup>6</sup>。", "不超过 10⁶。"),
        ("2<sup>10</sup> = 1024", "2¹⁰ = 1024"),
        ("1.6 × 10<sup>-19</sup> C", "1.6 × 10⁻¹⁹ C"),
        ("2<sup><i>n</i></sup> − 1", "2ⁿ − 1"),
        ("a<i>x</i><sup>2</sup> + <var>c</var> = 0", "ax² + c = 0"),
        ("e<sup>x</sup>", "e^x"),
        ("(2r)<sup>2</sup>", "(2r)²"),
        ("面积 5 km<sup>2</sup>", "面积 5 km²"),
        ("120 米<sup>2</sup>", "120 米²"),
        ("9.8 m/s<sup>2</sup>", "9.8 m/s²"),
        ("1,000 W·m<sup>−2</sup>", "1,000 W·m⁻²"),
    ],
)
def test_exponents_are_raised(markup: str, text: str) -> None:
    """Behind 10, a digit, a letter, a unit, or a bracket with a formula."""
    assert text in extract(f"<article><p>{ZH}</p><p>{markup}</p><p>{ZH}{ZH}</p></article>")["text"]


@pytest.mark.parametrize(
    "markup",
    [
        "在 2019<sup>3</sup> 年", "word<sup>1</sup>", "证实<sup>2</sup>", "19<sup>th</sup>", "12<sup>a</sup>",
        "(Gupta et al., 2015)<sup>2</sup>", "author<sup>1</sup><sup>2</sup>", "805 Wh/L<sup>6</sup>",
        "H<sub>2</sub>O<sup>+</sup>", "x<sup>[1]</sup>", 'x<sup class="reference">2</sup>', "IP68<sup>2</sup>",
    ],
)  # fmt: skip
def test_marks_of_footnotes_stay(markup: str) -> None:
    """Behind words, years, names and sentences, and several in a row."""
    assert superscripts(markup) == markup


def test_time_is_linear() -> None:
    """A page of raised numbers, and of brackets that end nowhere."""
    for piece in ("x<sup>2</sup>", "(((1", "</i>", "<sup>"):
        start = time.process_time()
        superscripts(f"{piece * 100_000}<sup>2</sup>")
        assert time.process_time() - start < 3
