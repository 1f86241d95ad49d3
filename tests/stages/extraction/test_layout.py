# ruff: noqa: E501  # a page or line of a case stands on one line
"""How a text is laid out: numbers of lists, line breaks in Chinese, code in tables, captions, hidden halves."""

from __future__ import annotations

import pytest

from stages.extraction.list_marks import written
from stages.extraction.main_text import parse, text_of

ZH = "城市交通系统的改善需要长期规划，也需要稳定的资金来源，这一点在许多城市的经验中都得到了证实。"
EN = "The committee met on Tuesday to discuss the new transport plan, which will cost four million dollars over three years."
CODE = "def f(x):\n    if x:\n        return 1\n    return 0"
LINES = CODE.split("\n")


def text(html: str, lead: str = EN) -> str:
    """The main text of a page with an element between two paragraphs, without these."""
    found = text_of(parse(f"<body><article><p>{lead}</p>{html}<p>{ZH}</p></article></body>"))
    return found.strip().removeprefix(lead).removesuffix(ZH).strip("\n")


@pytest.mark.parametrize(
    ("html", "lines"),
    [
        ("<ol type=A><li>甲</li><li>乙</li></ol>", ["A. 甲", "B. 乙"]),
        ("<ol type=a><li>x<li>y</ol>", ["a. x", "b. y"]),
        ("<ol type=i start=4><li>x<li>y</ol>", ["iv. x", "v. y"]),
        ("<ol type=I><li>x<li>y</ol>", ["I. x", "II. y"]),
        ("<ol start=3><li>Echo</li></ol>", ["3. Echo"]),
        ("<ol start=-1><li>x<li>y</ol>", ["-1. x", "0. y"]),
        ("<ol reversed><li>x<li>y<li>z</ol>", ["3. x", "2. y", "1. z"]),
        ("<ol reversed start=10><li>x<li>y</ol>", ["10. x", "9. y"]),
        ("<ol><li value=7>x<li>y<li value=2>z</ol>", ["7. x", "8. y", "2. z"]),
        ("<ol type=A><li>x<li type=1>y</ol>", ["A. x", "2. y"]),
        ("<ol style='list-style:none'><li>1. 甲</li><li>2. 乙</li></ol>", ["1. 甲", "2. 乙"]),
        ("<ol style='margin:0; LIST-STYLE-TYPE: none'><li>甲<li>乙</ol>", ["甲", "乙"]),
        ("<ol><li style='list-style: none'>甲<li>乙</ol>", ["甲", "2. 乙"]),
        ("<ol style='list-style: upper-alpha inside'><li>x<li>y</ol>", ["A. x", "B. y"]),
        ("<ol style='list-style-type:cjk-ideographic'><li>甲<li>乙</ol>", ["一、 甲", "二、 乙"]),
        ("<ol><li>（1）甲</li><li>（2）乙</li></ol>", ["（1）甲", "（2）乙"]),
        ("<ol><li><p>① 甲</p></li><li><p>② 乙</p></li></ol>", ["① 甲", "② 乙"]),
        ("<ol><li>2.5 kg of flour<li>3.5 dl of milk</ol>", ["1. 2.5 kg of flour", "2. 3.5 dl of milk"]),
        ("<ul style='list-style:none'><li>x<li>y</ul>", ["x", "y"]),
        ("<ul><li>x<li>y</ul>", ["• x", "• y"]),
        ("<ol start=2><li>x<ol type=a><li>y<li>z</ol><li>w</ol>", ["2. x", "a. y", "b. z", "3. w"]),
    ],
)
def test_lists_keep_the_numbers_that_readers_see(html: str, lines: list[str]) -> None:
    """The number of an item is the page's: an answer or a later sentence refers to it; a written one is not doubled."""
    assert [line.strip() for line in text(html).split("\n") if line.strip()] == lines


@pytest.mark.parametrize(
    ("number", "style", "mark"),
    [
        (26, "lower-alpha", "z."),
        (27, "lower-alpha", "aa."),
        (703, "upper-latin", "AAA."),
        (1994, "upper-roman", "MCMXCIV."),
        (4000, "lower-roman", "4000."),
        (0, "lower-alpha", "0."),
        (10, "cjk-ideographic", "十、"),
        (21, "cjk-ideographic", "二十一、"),
        (7, "decimal-leading-zero", "07."),
    ],
)
def test_counter_styles_are_those_of_css(number: int, style: str, mark: str) -> None:
    """Numbers outside the range of a style are decimal."""
    assert written(number, style) == mark


@pytest.mark.parametrize(
    ("html", "line"),
    [
        ("这是一个\n换行的句子，\n在标点之后也有\n换行。", "这是一个换行的句子，在标点之后也有换行。"),
        ("这是<b>一个\n换行</b>\n的句子。", "这是一个换行的句子。"),
        ("春眠不覺曉\n\t處處聞啼鳥", "春眠不覺曉處處聞啼鳥"),
        ("これは改行\n  された文です。", "これは改行された文です。"),
        ("他说：\n“好的”\n然后走了。", "他说：“好的”然后走了。"),
        ("这句有\n<a href=x>链接</a>\n和<em>\n强调</em>。", "这句有链接和强调。"),
        ("标准 ＡＢＣ\n全角", "标准 ＡＢＣ全角"),
        ("使用\nPython\n编程", "使用 Python 编程"),
        ("한국어\n문장은 띄어\n씁니다.", "한국어 문장은 띄어 씁니다."),
        ("甲 乙　丙", "甲 乙　丙"),
        ("a line\nof English\n words", "a line of English words"),
    ],
)
def test_line_breaks_between_chinese_characters_leave_no_blank(html: str, line: str) -> None:
    """Line breaks of the source vanish between Han, kana and full-width marks; beside Latin and Hangul they are blanks."""
    assert text(f"<p>{html}</p>") == line


def cells(number: str, code: str) -> str:
    """A table of code with one row for each line."""
    return "".join(f"<tr>{number.format(i)}{code.format(line)}</tr>" for i, line in enumerate(LINES, 1))


BLOB = "<td id=L{0} class=blob-num data-line-number={0}></td>"
NUMBERS = "".join(f"<li>{i}</li>" for i in range(1, 5))


@pytest.mark.parametrize(
    "html",
    [
        f"<table class=highlight>{cells('<td class=blob-num>{}</td>', '<td class=blob-code>{}</td>')}</table>",
        f"<table class='highlight js'>{cells(BLOB, '<td class=blob-code>{}</td>')}</table>",
        f"<pre><code class='hljs'><table class=hljs-ln>{cells('<td class=hljs-ln-numbers data-line-number={}></td>', '<td class=hljs-ln-code>{}</td>')}</table></code></pre>",
        f"<div class=code><table class=code-view>{cells('<td>{}</td>', '<td>{}</td>')}</table></div>",
        f"<table class=rouge-table><tr><td class='rouge-gutter gl'><pre class=lineno>1\n2\n3\n4\n</pre></td><td class=rouge-code><pre>{CODE}\n</pre></td></tr></table>",
        "<figure class='highlight python'><table><tr><td class=gutter><pre><span class=line>1</span><br><span class=line>2</span><br><span class=line>3</span><br><span class=line>4</span></pre></td><td class=code><pre>"
        + "<br>".join(f"<span class=line>{line}</span>" for line in LINES)
        + "</pre></td></tr></table></figure>",
        f"<pre><code>{CODE}</code><ul class=pre-numbering>{NUMBERS}</ul></pre>",
        f"<div><pre><code>{CODE}</code></pre><ul class=nums>{NUMBERS}</ul></div>",
        f"<div class=snippet><ol class=rows>{NUMBERS}</ol><pre>{CODE}</pre></div>",
        "<pre class='prettyprint linenums'><ol class=linenums>"
        + "".join(f"<li class=L{i}><span>{line}</span></li>" for i, line in enumerate(LINES))
        + "</ol></pre>",
        "<pre>" + "".join(f"<div>{line}</div>" for line in LINES) + "</pre>",
        f"<table><tr><td class=linenos><div class=linenodiv><pre>1\n2\n3\n4</pre></div></td><td class=code><pre>{CODE}</pre></td></tr></table>",
    ],
    ids=[
        "blob", "blob with numbers in attributes", "hljs-ln", "own table", "rouge", "hexo", "list inside", "list behind",
        "list before", "prettify", "div per line", "pygments",
    ],
)  # fmt: skip
def test_code_keeps_its_indentation_and_loses_its_numbers(html: str) -> None:
    """Lines of code in table cells, lists and blocks are written as code, without the numbers beside them."""
    assert text(html) == CODE


def test_numbers_in_tables_and_lists_of_a_text_stay() -> None:
    """A table whose first column counts is data, and a list of numbers beside prose is a list."""
    rows = "".join(f"<tr><td>{i}</td><td>队{i}</td></tr>" for i in range(1, 4))
    assert text(f"<table>{rows}</table>").split("\n") == ["1\t\t队1", "2\t\t队2", "3\t\t队3"]
    assert text(f"<ul>{NUMBERS}</ul>").count("•") == 4


def test_cells_with_one_paragraph_stay_in_their_row() -> None:
    """Tables made in word processors have a paragraph in each cell; a cell of several lines is written below."""
    html = "<table><tr><td><p>年份</p></td><td></td><td><p>产量</p></td></tr><tr><td><p>a<br>b</p></td><td>c</td></tr></table>"
    assert [line for line in text(html).split("\n") if line] == ["年份\t\t\t\t产量", "a", "b", "c"]


@pytest.mark.parametrize(
    "html",
    [
        "<figure><img src=x><figcaption>{}</figcaption></figure>",
        "<div class=wp-caption><img src=x><p class=wp-caption-text>{}</p></div>",
        "<table><caption>{}</caption><tr><td>1</td></tr></table>",
        "<figure><figcaption><p>{}</p></figcaption><img src=x></figure>",
        "<p style='text-align:center'><img src=x><br>{}</p>",
    ],
)
def test_captions_are_text(html: str) -> None:
    """What stands below a picture or above a table is kept."""
    assert "图一：桥梁的剖面" in text(html.format("图一：桥梁的剖面"))


@pytest.mark.parametrize(
    "html",
    [
        f"<div id=rest style='display:none'><p>{ZH}甲</p></div><a href='#' class=more>展开全文</a>",
        f"<div hidden><p>{ZH}甲</p></div><button>Read more</button>",
        f"<div class=box><div class=btn><span>点击查看全文 ↓</span></div><div style='display: none'>{ZH}甲</div></div>",
        f"<span style='display:none'>{ZH}甲</span> <a href='javascript:void(0)'>Show full article »</a>",
        f"<p>{EN}</p><div style='visibility:hidden'>{f'<p>{ZH}甲</p>' * 3}</div>",
    ],
)
def test_the_folded_half_of_a_text_is_text(html: str) -> None:
    """Prose that a button unfolds, or that is invisible until a script has run, is read."""
    assert f"{ZH}甲" in text(html)


@pytest.mark.parametrize(
    "html",
    [
        f"<div style='display:none'><p>{ZH}甲</p></div>",
        f"<div class=modal hidden><p>{ZH}甲</p></div><button>Read more</button>",
        "<div hidden><a href=x>甲</a></div><button>展开全文</button>",
        f"<p style='visibility:hidden'>{ZH}甲</p><p>{ZH}</p><p>{EN}</p>",
    ],
)
def test_what_no_button_unfolds_is_not_read(html: str) -> None:
    """Hidden prose without a button, dialogs and hidden labels are left out."""
    assert "甲" not in text(html)


def test_a_short_article_that_is_invisible_is_read() -> None:
    """Three invisible paragraphs are the page, beside four visible sentences of furniture."""
    body = f"<div id=content style='visibility: hidden; opacity: 0'>{f'<p>{ZH}</p>' * 3}</div>"
    notes = "<div><p>微信扫一扫，使用小程序。</p><p>轻点两下取消赞，轻点两下取消在看。</p></div><div><p>预览时标签不可点，请在手机上打开。</p><p>知道了，关闭。</p></div>"
    found = text_of(parse(f"<body><div id=page><h1>标题</h1>{body}{notes}</div></body>"))
    assert found.count(ZH) == 3
