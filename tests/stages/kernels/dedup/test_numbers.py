"""Numbers distinguish texts of one template."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup import Config, cluster_texts
from stages.kernels.dedup.minhash import match_text
from stages.kernels.dedup.numbers import hash_numbers
from stages.kernels.text.text import load_tables


def numbers_of(text: str) -> list[int]:
    """Hashes of the numbers of a text."""
    hashes, starts = hash_numbers(*match_text(pa.array([text], pa.large_string())), load_tables().classes)
    assert starts.tolist() == [0, len(hashes)]
    return [int(value) for value in hashes]


@given(words=st.lists(st.sampled_from(["apples", "cost", "12", "7", "2024", "元", "共", "第"]), max_size=12))
def test_a_number_is_known_with_what_stands_before_it(words: list[str]) -> None:
    """As many numbers as runs of digits; the same number after the same word is the same, after another it is not."""
    text = " ".join(words)
    found = numbers_of(text)
    runs = [(match.group(1), match.group(2)) for match in re.finditer(r"(\D*?)\s*(\d+)", text)]
    assert len(found) == len(runs)
    assert numbers_of("cost 12") == numbers_of("the cost: 12") != numbers_of("apples 12")
    assert numbers_of("cost 12") != numbers_of("cost 13")


PROBLEM = (
    "A farmer has {} hens and {} cows. Each hen lays {} eggs a week and he sells {} of them at the market for {} cents "
    "each, while the rest goes to his neighbours. How much does he earn in {} weeks if the price does not change and "
    "none of the eggs breaks on the way to the market in the morning? Give the answer in dollars and explain the steps."
)
NOTICE = "尊敬的业主：因管网检修，{}号楼至{}号楼将于{}月{}日{}时停水，请各位业主提前储水备用，由此带来的不便敬请谅解。"


@pytest.mark.parametrize("template", [PROBLEM, NOTICE])
def test_problems_that_differ_in_their_numbers_are_two(template: str) -> None:
    """Alike in all words, and still two problems, two notices; with most numbers the same they are copies."""
    rng = np.random.default_rng(4)
    first, second = (rng.permutation(np.arange(100, 999))[:6].tolist() for _ in range(2))
    texts = [template.format(*numbers) for numbers in (first, second)]
    assert cluster_texts(texts)["keeper"].to_pylist() == [0, 1]
    near = template.format(*first[:-1], second[-1])
    kept = cluster_texts([texts[0], near], Config(threshold=0.6))["keeper"].to_pylist()
    assert kept[0] == kept[1]


def test_a_date_around_a_long_text_does_not_tell_copies_apart() -> None:
    """Two captures of one page differ in a date and a counter, and are copies."""
    page = "".join(chr(0x4E00 + 37 * i % 5000) for i in range(900))
    texts = [f"{page}更新于20{i}年，阅读{i}次" for i in (21, 24)]
    assert len(set(cluster_texts(texts)["keeper"].to_pylist())) == 1


def test_other_numbers_can_be_allowed() -> None:
    """With `other_numbers` similarity alone decides."""
    story = " ".join(
        f"{a}{b} {b}{a}" for a in "bdfklmnprst" for b in ("ane", "ilo", "uro", "eka", "oti", "ani", "ule")
    )
    texts = [f"{PROBLEM.format(*range(start, start + 6))} {story}" for start in (110, 220)]
    assert cluster_texts(texts, Config(threshold=0.7))["keeper"].to_pylist() == [0, 1]
    allowed = cluster_texts(texts, Config(threshold=0.7, other_numbers=True))["keeper"].to_pylist()
    assert len(set(allowed)) == 1
