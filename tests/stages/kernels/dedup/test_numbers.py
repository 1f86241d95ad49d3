"""Numbers distinguish texts of one template."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.dedup import Config, cluster_texts
from stages.kernels.dedup.forms import load_match_fold
from stages.kernels.dedup.numbers import hash_numbers
from stages.kernels.text.text import view


def numbers_of(text: str) -> list[int]:
    """Hashes of the numbers of a text."""
    decoded = view(pa.array([text], pa.large_string()))
    hashes, starts = hash_numbers(
        decoded.codes, decoded.starts, decoded.classes, load_match_fold(), np.ones(1, bool)
    )
    assert starts.tolist() == [0, len(hashes)]
    return [int(value) for value in hashes]


@given(words=st.lists(st.sampled_from(["apples", "cost", "12", "7", "1824", "元", "共", "第"]), max_size=12))
def test_a_number_is_known_with_what_stands_before_it(words: list[str]) -> None:
    """As many numbers as runs of digits; the same number after the same word is the same, after another it is not."""
    text = " ".join(words)
    found = numbers_of(text)
    runs = [(match.group(1), match.group(2)) for match in re.finditer(r"(\D*?)\s*(\d+)", text)]
    assert len(found) == len(runs)
    assert numbers_of("cost 12") == numbers_of("the cost: 12") != numbers_of("apples 12")
    assert numbers_of("cost 12") != numbers_of("cost 13")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("增长6.9%", "增长 6.9 %"),
        ("total 1,250,000 units", "total 1250000 units"),
        ("total 1\u00a0250\u00a0000 units", "total 1250000 units"),
        ("会议于2016年5月3日举行", "会议于 2016 年 05 月 3 日举行"),
        ("released 2016-05-03", "released 2016/5/3"),
        ("on May 3, 2016 we met", "on May 3 2016 we met"),
        ("on 3 May 2016 we met", "on 3 May, 2016 we met"),
        ("starts at 9:30 sharp", "starts at 9：30 sharp"),
        ("下午3时15分开始", "下午 3 时 15 分开始"),
        ("version 4.12.1 works", "Version 4.12.1 works"),
        ("host 10.0.12.7 answers", "host 10.0.12.7, answers"),
        ("耗时 １２．５ 秒", "耗时 12.5 秒"),
        ("en vigor desde el 1 de noviembre de 2023", "en vigor desde el 1 de noviembre de 2023."),
        ("26 août 2015", "26  Août 2015"),
        ("am 3. Mai 1999 neu", "am 3. Mai 1999, neu"),
    ],
)
def test_a_number_with_separators_is_one(text: str, same: str) -> None:
    """Decimals, dates, times, versions, IP addresses and groups of thousands are one number, in any spelling."""
    assert len(numbers_of(text)) == 1
    assert numbers_of(text) == numbers_of(same)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("lines 1,2,3", 3),
        ("from 2010-2015", 2),
        ("3,5 and 7", 3),
        ("5月的3个人", 2),
        ("at commit 3f2a9c1d88", 0),
        ("id 550e8400-e29b-41d4-a716-446655440000 end", 0),
        ("see https://example.org/v4.3/page-17?id=5 here", 0),
        ("[chapter](11.3_cgroups.md)", 0),
        ("GPT4 and B2B", 2),
        ("共 ② 项", 1),
        ("1. Heat the oven\n2) stir it\n  （3）冷却\n4、装盘", 0),
        ("## 12.7 用 defer 关闭\n# 3. Scope", 0),
        ("3.5 million\n2019. It rained\n12.\nno 4. x", 4),
        (
            "---\ndate: 2020-01-02\norder: 7\n---\nIt has 12 parts, and each of these has a name of its own.",
            1,
        ),
        ("---\ndate: 2020-01-02\norder: 7\n---\n12", 3),
        ("--- 5\n--- 6\nlong enough to be a text", 2),
        ("mDMEaURZwxYJKwYBBAHaRw8BAQdAg7ZWj5TyaA/C590af0ldWITh7zd8Z17NYH0f", 0),
        ("docs/v2/2020/03/a-page/of/its/own/with/a/long/path/5", 3),
    ],
)
def test_what_is_no_number_or_several(text: str, n: int) -> None:
    """Lists and ranges are several numbers; digests, identifiers and addresses contain none."""
    assert len(numbers_of(text)) == n


def test_only_the_first_number_of_a_list_has_the_word_before_it() -> None:
    """A word that changes before a table or a list of values leaves all but the first of them as they are."""
    first, second = numbers_of("values 3, 5, 8, 13"), numbers_of("the numbers 3, 5, 8, 13")
    assert first[0] != second[0] and first[1:] == second[1:]


REPORT = (
    "{}年国务院政府工作报告。各位代表：现在，我代表国务院，向大会报告政府工作，请予审议，并请全国政协委员提出意见。过去一年，我们面对"
    "复杂严峻的国内外形势，坚持稳中求进工作总基调，经济社会发展取得新的成就。国内生产总值增长{}%，城镇新增就业{}万人，居民消费价格上涨{}%。"
)


def test_reports_of_two_years_are_two() -> None:
    """A decimal that agrees counts once, not as two numbers of which both agree."""
    texts = [REPORT.format(2016, 6.9, 1312, 1.4), REPORT.format(2018, 6.9, 1351, 1.6)]
    assert cluster_texts(texts)["keeper"].to_pylist() == [0, 1]


def test_stamps_of_a_long_page_are_not_its_content() -> None:
    """A few dates, versions, digests and counters, all of them changed, do not make two pages of one."""
    page = "".join(chr(0x4E00 + 37 * i % 5000) for i in range(2500))
    stamps = (
        "更新于20{0}年{1}月{1}日，版本 {0}.{1}.4，提交 {0}ab{1}cd9e，阅读{0}{1}7次，下载{1}{0}次，评论{0}条。"
    )
    texts = [stamps.format(*numbers) + page for numbers in ((21, 3), (24, 8))]
    assert len(set(cluster_texts(texts)["keeper"].to_pylist())) == 1


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
