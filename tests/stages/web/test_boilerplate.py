"""Boilerplate lines: which lines are removed, which mention the same words and are kept, and the spans."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from stages.kernels.text.tables import load_tables
from stages.languages import line_paths
from stages.web import boilerplate
from stages.web.boilerplate import STAGE, LineRule, load_rules
from tests.helpers.strategies import texts

FIND = STAGE.load(STAGE.config())
RULES = [rule for path in line_paths() for rule in load_rules(path)]

FURNITURE = {
    "navigation": [
        "上一篇", "上一篇：海边的灯塔", "下一章 目录", "上一章 返回目录 下一章", "【下一篇】",
        "返回顶部", "展开全文 ∨", "更多>>", "查看更多", "閱讀全文", "收起", "相关阅读：", "推薦閱讀",
        "Read more »", "Continue reading →", "Back to top", "Skip to main content", "« Older posts",
        "Next article", "View all",
    ],
    "pagination": [
        "上一页 1 2 3 4 下一页", "第1页/共17页", "首页 上一页 下一页 尾页", "Page 3 of 10",
        "1 2 3 … 9 Next »",
    ],
    "share": [
        "分享到：微信 新浪微博 QQ空间", "分享到：", "分享至Facebook", "扫描二维码",
        "欢迎关注我们的微信公众号：读书", "点赞 收藏 评论", "Share on Facebook", "Tweet",
        "Follow us on Twitter", "Facebook | Twitter | Pinterest",
        "Click to share on Twitter (Opens in new window)",
    ],
    "copyright": [
        "版权所有 © 2019 某某公司", "版權所有", "京ICP备12345678号-1", "某网 粤ＩＣＰ备05006088号",
        "京公网安备 11010502030143号", "转载请注明出处：本站", "本文为原创，未经授权不得转载。",
        "Copyright © 2010-2020 Example Inc. All rights reserved.", "© 2018 ACLU", "All rights reserved.",
        "Powered by WordPress",
    ],
    "byline": [
        "责任编辑：张三", "（責任編輯：李四）", "[责任编辑:王五 PN054]",
    ],
    "javascript": [
        "Please enable JavaScript to view the comments powered by Disqus.",
        "You need to enable JavaScript to run this app.", "请启用浏览器的JavaScript后再访问本站。",
    ],
    "cookie": [
        "We use cookies to give you the best experience on our website.",
        "This site uses cookies. By continuing to browse you agree to our use of cookies.",
        "By using this site, you agree to our use of cookies.", "Accept all cookies", "Cookie settings",
        "本网站使用 Cookie，继续浏览即表示您同意我们的政策。",
    ],
    "comment": [
        "Leave a comment", "3 Comments", "发表评论", "暂无评论", "登录后发表评论",
        "Be the first to comment!",
    ],
    "footer": [
        "Privacy Policy | Terms of Use | Contact Us", "About us · Contact us · Sitemap",
    ],
    "subscribe": [
        "Sign up for our newsletter", "Subscribe to our free weekly newsletter!",
    ],
}  # fmt: skip

PROSE = [
    "下一篇文章我们讨论这个定理的证明。", "上一章介绍了线性空间，这一章讲线性映射。",
    "展开之后得到一个三次多项式。", "更多的人选择步行回家。",
    "他把这件事分享到了朋友圈，很快就有人评论。", "著作权人保留版权所有权利的一部分。",
    "未经著作权人许可，复制、发行其作品的，应当承担民事责任。", "编辑：在文本中插入或删除字符的操作。",
    "请在设置中打开这个选项，然后重新加载页面里的 JavaScript 代码并观察结果，这是因为浏览器会缓存脚本。",
    "相关系数衡量两个变量之间的关系。", "转载是指把已发表的作品再次发表。", "扫描二维数组时要注意边界。",
    "The browser stores cookies for each site, and an attacker who reads them can take over the session.",
    "Share the bread with your neighbour.", "She tweeted about the concert on Twitter last night.",
    "Read more books and you will see more of the world.",
    "Click the next page to see how the story ends.",
    "JavaScript is required knowledge for this position.",
    "Copyright law protects original works of authorship.", "Copyright", "Comments", "Cookies",
    "Privacy Policy", "Contact", "Next", "Enable JavaScript modules in Node.",
    "3 comments were deleted by the author of the page.",
    "The newsletter of our club appears four times a year.",
    "Page 3 of 10 pages was missing from the manuscript that he had bought.", "Java", "共享内存",
    "返回值",
]  # fmt: skip


def find(*docs: str) -> list[list[dict[str, object]]]:
    """The spans of these documents."""
    return FIND(pa.table({"text": pa.array(docs, pa.large_string())}))["spans"].to_pylist()


def fold_line(line: str) -> str:
    """A line in match characters."""
    fold = load_tables().fold
    return "".join(chr(fold[ord(char)] or ord(char)) for char in line)


@pytest.mark.parametrize(
    ("kind", "line"), [(kind, line) for kind, lines in FURNITURE.items() for line in lines]
)
def test_furniture_is_found(kind: str, line: str) -> None:
    """A furniture line is one span of its kind, over the line and its break and nothing else."""
    text = f"正文的第一行。\n\t{line} \nThe last line of the text."
    start = text.index("\n") + 1
    assert find(text) == [[{"start": start, "end": text.rindex("\n") + 1, "kind": kind}]]


@pytest.mark.parametrize("line", PROSE)
def test_prose_is_left_alone(line: str) -> None:
    """A sentence or heading that mentions the words of boilerplate is kept."""
    assert find(line, f"一。\n{line}\n二。") == [[], []]


def test_a_long_line_is_left_alone() -> None:
    """A paragraph that begins like boilerplate is kept; a line of the greatest length allowed by a rule is removed."""
    notice = "This site uses cookies for a better experience".ljust(299, "-")
    assert [len(spans) for spans in find(notice + "!", notice + "-!")] == [1, 0]


def oracle(text: str) -> list[dict[str, object]]:
    """Spans by `re` alone: every line against every rule, without triggers."""
    spans: list[dict[str, object]] = []
    invisible = {char for char in text if load_tables().classes[ord(char)] <= 2}
    for match in re.finditer(
        r"(?:[^\n\r\x0b\x0c\x85\u2028\u2029]*)(?:\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]|$)", text
    ):
        line = fold_line(match.group().strip("".join(invisible)) if invisible else match.group())
        for rule in RULES:
            if line and len(line) <= rule.max_chars and rule.pattern.fullmatch(line):
                spans.append({"start": match.start(), "end": match.end(), "kind": rule.kind})
                break
    return spans


LINES = st.sampled_from([line for lines in FURNITURE.values() for line in lines] + PROSE) | texts()
DOCUMENTS = st.builds(
    lambda lines, end: end.join(lines), st.lists(LINES, min_size=1), st.sampled_from(("\n", "\r\n"))
)


@given(st.lists(DOCUMENTS, max_size=4))
def test_spans_equal_the_plain_search(docs: list[str]) -> None:
    """The kernel that picks candidate lines loses none, in any batch."""
    assert find(*docs) == [oracle(text) for text in docs]


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.integers(0, 4))
def test_batch_boundaries_do_not_matter(docs: list[str], cut: int) -> None:
    """Annotating two parts gives the same rows as annotating the whole."""
    assert find(*docs[:cut]) + find(*docs[cut:]) == find(*docs)


@given(DOCUMENTS)
def test_removed_share_is_what_release_would_remove(text: str) -> None:
    """The share is that of the characters in spans, and the text without them holds no furniture."""
    (row,) = FIND(pa.table({"text": pa.array([text], pa.large_string())})).to_pylist()
    edited = apply_spans(text, [(span["start"], span["end"], span["kind"]) for span in row["spans"]])
    n_removed = sum(span["end"] - span["start"] for span in row["spans"])
    assert row["removed_share"] == pytest.approx(n_removed / max(len(text), 1), abs=6e-4)
    assert find(edited) == [[]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.kind}-{rule.triggers[0]}")
def test_every_rule_matches_something(rule: LineRule) -> None:
    """No pattern is dead: each finds one of the known lines of its kind, which holds one of its triggers."""
    lines = [fold_line(line) for line in FURNITURE[rule.kind]]
    hits = [line for line in lines if rule.pattern.fullmatch(line)]
    assert hits
    assert all(any(trigger in line for trigger in rule.triggers) for line in hits)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{kind: x, max_chars: 9, triggers: [更], pattern: 更多}", "trigger '更'"),
        ("{kind: x, max_chars: 9, triggers: [Read], pattern: read}", "trigger 'Read'"),
        ("{kind: x, max_chars: 9, triggers: [版權], pattern: 版权}", "trigger '版權'"),
        ("{kind: x, max_chars: 9, triggers: [read], pattern: '('}", "pattern of 'x'"),
    ],
)
def test_a_bad_pattern_file_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    """A trigger that can never be met or a broken pattern is named before any work."""
    path = tmp_path / "x.lines.yaml"
    path.write_text(f"lines:\n  - {entry}\n", "utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_rules(str(path))


def test_an_empty_batch_keeps_the_schema() -> None:
    """No documents give no rows of the declared schema."""
    assert FIND(pa.table({"text": pa.array([], pa.large_string())})).schema == boilerplate.SCHEMA
