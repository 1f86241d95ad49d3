"""Pages of one template that are about different things are no copies; versions of one page are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stages.dedup import Config, cluster_texts
from stages.dedup.differences import first_lines

BODY_ZH = (
    "本页列出可以使用的功能、获取电话号码的办法和通话计划的价格。如果没有列出您需要的功能，请联系当地的合作伙伴。"
    "音频会议可以在会议室、手机和电脑上使用，参加的人不需要安装任何软件。管理员可以在管理中心里更改每个人的设置，"
    "更改在二十四小时之内生效。通话计划按用户购买，未用完的分钟数不会转到下个月，也不能转给别的用户。"
)
BODY_EN = (
    "Represents a value that the client sets when the message is saved for the first time. It is read-only afterwards, "
    "and a provider should copy it unchanged when a message is moved between stores. Clients must not rely on it being "
    "present, because older versions of the provider do not write it, and should ask for it together with the other "
    "properties of the message so that a single call is enough. See the overview of the object model for an example."
)


def keepers(*texts: str, config: Config | None = None) -> list[int]:
    """The text in favour of which each of them is removed."""
    return [int(keeper) for keeper in cluster_texts(texts, config)["keeper"].to_pylist()]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (f"# 在匈牙利的可用性\n\n{BODY_ZH}匈牙利", f"# 捷克共和国的可用性\n\n{BODY_ZH}捷克"),
        (f"# StartTag Canonical Property\n\n{BODY_EN}", f"# EndTag Canonical Property\n\n{BODY_EN}"),
        (f"在匈牙利怎样使用\n{BODY_ZH}匈牙利的价格", f"在捷克国怎样使用\n{BODY_ZH}捷克国的价格"),
        (
            f"<!-- problem:start -->\n\n# 3314. Room I\n\n{BODY_EN}",
            f"<!-- x -->\n# 3315. Room II\n\n{BODY_EN}",
        ),
        (
            f"## Simple Summary\nReads getBlockByNumber.\n{BODY_EN} See getBlockByNumber.",
            f"## Simple Summary\n\nReads getBlockByHash.\n{BODY_EN} See getBlockByHash.",
        ),
    ],
)
def test_pages_of_one_template_stay(left: str, right: str) -> None:
    """Headings that name different things tell texts apart, marked ones by themselves, others if the text says the name
    again; with `other_names` similarity alone decides."""
    assert keepers(left, right) == [0, 1]
    assert (
        len(set(keepers(left, right, config=Config(threshold=0.6, other_names=True, other_numbers=True))))
        == 1
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            f"## 11.3 电话会议功能\n\n{BODY_ZH}{BODY_ZH[::-1]}",
            f"## 14.3 电话会议功能\n\n{BODY_ZH}{BODY_ZH[::-1]}",
        ),
        (f"# 音频会议功能简介\n\n{BODY_ZH}", f"# 音频会议功能介绍\n\n{BODY_ZH}"),
        (f"# 通话计划的购买办法\n\n{BODY_ZH}", f"# 通话计划的管理方式\n\n{BODY_ZH}购买的方式见上。"),
        (f"# [通话计划](a/old-page_1.md)\n\n{BODY_ZH}", f"# [通话计划](b/new-page_2.md)\n\n{BODY_ZH}"),
        (f"# 功能和价格\n\n{BODY_ZH}", f"# 功能和价格\n\n{BODY_ZH}（已更新）"),
        (f"## 引入\n\n{BODY_ZH}", f"## 简介\n\n{BODY_ZH}"),
        (f"Prices go up - The Daily Post\n{BODY_EN}", f"Prices go up | City News\n{BODY_EN}"),
        (f"{BODY_EN} One.", f"{BODY_EN} Two."),
        (f"# A guide to properties\n\n{BODY_EN}", BODY_EN),
        (f"# 第2章 通话编程\n\n{BODY_ZH}", f"# 第二章 通话编程\n\n{BODY_ZH}"),
        (f"# Chapter 3: Calls and plans\n\n{BODY_EN}", f"# Chapter IV: Calls and plans\n\n{BODY_EN}"),
    ],
)
def test_versions_of_one_page_go(left: str, right: str) -> None:
    """The same heading, a heading of a part, the name of a site in a title, or no heading at all: copies."""
    assert len(set(keepers(left, right))) == 1


def long_body(*names: str) -> str:
    """A text of more than 2,000 words that names something now and then."""
    words = (
        f"{a}{b}{c}" for a in "bdfklm" for b in ("ane", "ilo", "uro", "eka", "oti") for c in "aeiouy" * 15
    )
    return " ".join(
        f"{word} {names[i % len(names)]}" if names and i % 400 == 0 else word for i, word in enumerate(words)
    )


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (f"# A book: Sync & Async\n\n{long_body()}", f"# A book: Async & Performance\n\n{long_body()}", True),
        (f"# The book: Sync\n\n{long_body('sync')}", f"# The book: Speed\n\n{long_body('sync')}", True),
        (f"# The EOF property\n\n{long_body('EOF')}", f"# The BOF property\n\n{long_body('BOF')}", False),
        (f"# A long task II\n\n{long_body()}", f"# A long task III\n\n{long_body()}", False),
        (f"# Report of 2016\n\n{long_body()}", f"# Report of 2017\n\n{long_body()}", False),
    ],
)
def test_a_name_in_the_heading_of_a_long_text_is_in_the_text_too(left: str, right: str, same: bool) -> None:
    """A book that was renamed in the heading of each chapter is the same book; ordinals distinguish by themselves."""
    assert (len(set(keepers(left, right))) == 1) == same


def test_a_translated_page_of_code_stays() -> None:
    """Code outweighs the sentences that a page and its translation differ in, by default."""
    lines = (
        f"    total_{n} = start + step_{n % 7} * rate  # {BODY_EN[n * 3 : n * 3 + 40]}" for n in range(60)
    )
    code = "\n".join(lines)
    original = f"How to add up what was sent to every client before the end of the day:\n\n{code}"
    translated = f"下面的例子说明怎样把一天结束之前发给每个客户的数目加起来：\n\n{code}"
    assert keepers(original, translated) == [0, 1]
    assert len(set(keepers(original, translated, config=Config(other_scripts=True)))) == 1
    assert len(set(keepers(original, f"{original}\n数目加起来"))) == 1, "a name or a word is no translation"


def test_the_first_line_is_the_first_that_says_something() -> None:
    """Blank lines and comments before it are passed over; a null text has an empty one."""
    texts = pa.chunked_array(
        [pa.array(["\n\n  # A\nb", "<!-- c\n d --> \n# A\n", "one", None, ""], pa.large_string())]
    )
    assert first_lines(texts).to_pylist() == ["# A", "# A", "one", "", ""]
