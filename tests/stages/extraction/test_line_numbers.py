# ruff: noqa: E501  # a page of a case stands on one line
"""Numbers of lines beside code, as highlighters, exporters and editors write them."""

from collections.abc import Callable

import pytest

from stages.extraction.main_text import text_of
from stages.extraction.page_tree import parse

LINES = ["def f(x):", "    if x:", "        return x + 10", "", "    return 0"]
CODE = "\n".join(LINES)
ZH = "这一段文字讲的是怎样写一个函数，它有一个参数，返回一个数。" * 3


def found(html: str) -> list[str]:
    """The lines that a page has beside its prose."""
    page = f"<body><div class=nav><a href=/>首页</a></div><article><h1>函数</h1><p>{ZH}</p>{html}<p>{ZH}</p></article></body>"
    return [line for line in text_of(parse(page)).split("\n") if line.strip() and line not in ("函数", ZH)]


def rows(form: str, sep: str = "", first: int = 1) -> str:
    """One element for each line of code: `{i}` is its number, `{l}` the line."""
    return sep.join(form.format(i=i, l=line) for i, line in enumerate(LINES, first))


BESIDE = {
    "pygments": "<div class=highlight><table class=highlighttable><tr><td class=linenos><pre>{spans}</pre></td><td class=code><pre>{code}</pre></td></tr></table></div>",
    "chroma": "<table class=lntable><tr><td class=lntd><pre class=chroma><code>{spans}</code></pre></td><td class=lntd><pre class=chroma><code>{code}</code></pre></td></tr></table>",
    "plain cells": "<table><tr><td><pre>{numbers}</pre></td><td><pre>{code}</pre></td></tr></table>",
    "plain blocks": "<div><div>{paragraphs}</div><div><pre>{code}</pre></div></div>",
    "vuepress": "<div class='language-py line-numbers-mode'><pre><code>{code}</code></pre><div class=line-numbers-wrapper>{spans}</div></div>",
    "gitlab": "<div class='file-content code'><div class=line-numbers>{links}</div><div><pre class=code><code>{code}</code></pre></div></div>",
    "cgit": "<table class=blob><tr><td class=linenumbers><pre>{links}</pre></td><td class=lines><pre><code>{code}</code></pre></td></tr></table>",
    "rustdoc": "<div><pre class=src-line-numbers>{links}</pre><pre class=rust><code>{code}</code></pre></div>",
    "two code elements": "<pre><code style='float:left'>{spans}</code><code>{code}</code></pre>",
}


@pytest.mark.parametrize("form", BESIDE.values(), ids=BESIDE)
def test_columns_of_numbers_are_no_text(form: str) -> None:
    """A cell, block or list that counts the lines of the code beside it."""
    html = form.format(
        code=CODE,
        numbers=rows("{i}", "\n"),
        spans=rows("<span>{i}\n</span>"),
        links=rows("<a href='#L{i}'>{i}</a>\n"),
        paragraphs=rows("<p>{i}</p>"),
    )
    assert found(html) == [line for line in LINES if line]


IN_LINES = {
    "cnblogs": "<span style='color: #008080;'> {i}</span> {l}\n",
    "pygments": "<span class=linenos> {i}</span>{l}\n",
    "chroma": "<span style='display:flex'><span style='user-select:none;color:#7f7f7f'>{i}</span><span>{l}\n</span></span>",
    "vim": "<span id=L{i} class=LineNr>  {i} </span>{l}\n",
    "word processor": "<font color='#804000'>  {i} </font>{l}\n",
    "org": "<span class=linenr>{i}: </span>{l}\n",
    "highlight": "<span class='hl lin'>    {i} </span>{l}\n",
    "rustdoc": "<a href='#{i}' id={i}>{i}</a>{l}\n",
    "blocks": "<div><span>{i}</span><span>{l}</span></div>",
    "windows live writer": "<span class=lnum>   {i}:  </span>{l}\n",
    "javadoc": "<span class=source-line-no>00{i}</span><span id=line-{i}>{l}</span>\n",
}


@pytest.mark.parametrize("form", IN_LINES.values(), ids=IN_LINES)
@pytest.mark.parametrize("first", [1, 37])
def test_numbers_at_the_start_of_each_line_are_no_text(form: str, first: int) -> None:
    """An element with the number in front of each line, with a class or without."""
    shown = found(f"<pre>{rows(form, first=first)}</pre>")
    assert [line.strip() for line in shown] == [line.strip() for line in LINES if line]
    margin = len(shown[0]) - len(shown[0].lstrip())
    assert [line[margin:] for line in shown] == [line for line in LINES if line]


@pytest.mark.parametrize(
    "html",
    [
        f"<div class=syntaxhighlighter><table><tr><td class=gutter>{rows('<div class=line>{i}</div>')}</td><td class=code><div>{rows('<div class=line><code>{l}</code></div>')}</div></td></tr></table></div>",
        f"<table>{rows('<tr><td class=lines-num><span>{i}</span></td><td class=lines-code><code>{l}</code></td></tr>')}</table>",
        f"<table>{rows('<tr><td>{i}</td><td><pre>{l}</pre></td></tr>')}</table>",
        rows("<pre style='margin:0'><span id=lnum{i} style='color:#606060'>   {i}:</span> {l}</pre>"),
        f"<div class='dp-highlighter'><ol start=1 class=dp-py>{rows('<li class=alt><span>{l}  </span></li>')}</ol></div>",
        f"<div class=python><ol>{rows('<li class=li1><div class=de1>{l}</div></li>')}</ol></div>",
        f"<div class=blockcode><div><ol>{rows('<li>{l}<br></li>')}</ol></div></div>",
    ],
    ids=["syntaxhighlighter", "gitea", "cells", "a block for each line", "dp", "geshi", "discuz"],
)
def test_numbers_of_rows_and_list_items_of_code_are_no_text(html: str) -> None:
    """Rows of a table, items of a list, and a block for each line; their blanks are those of the page."""
    assert [line.strip() for line in found(html)] == [line.strip() for line in LINES if line]


def numbered(form: str) -> str:
    """Four lines, with their number and its square."""
    return "\n".join(form.format(i=i, square=i * i) for i in range(1, 5))


@pytest.mark.parametrize(
    ("html", "first"),
    [
        (f"<pre>{numbered('<span class=hljs-number>{i}</span> apple')}</pre>", "1 apple"),
        (f"<pre>{numbered('<span class=mi>{i}</span><span class=p>,</span> apple')}</pre>", "1, apple"),
        (f"<pre>{numbered('<b style=color:red>{i}</b> <b style=color:red>{square}</b>')}</pre>", "1 1"),
        ("<pre>1\n2\n3</pre><p>is written by</p><pre>print(1)</pre>", "1"),
        ("<pre>1 one\n2 two\n3 three</pre>", "1 one"),
        (
            "".join(f"<div><span class=num>{i}</span><pre>make x{i}</pre></div>" for i in range(1, 4)),
            "1",
        ),
        ("<div class=highlights><ol><li>Faster.</li><li>Smaller.</li></ol></div>", "  1. Faster."),
        ("<div class=dp-content><ol><li>Faster.</li><li>Smaller.</li></ol></div>", "  1. Faster."),
        (f"<div class=codebox><ol><li>{ZH}</li><li>{ZH}</li></ol></div>", f"  1. {ZH}"),
    ],
    ids=[
        "literals",
        "rows of data",
        "table of squares",
        "output",
        "plain text",
        "steps",
        "points",
        "a site's own class",
        "prose",
    ],
)
def test_numbers_that_are_content_stay(html: str, first: str) -> None:
    """Numbers of the code itself, output of programs, and numbers of steps."""
    assert found(html)[0] == first


CELLS: list[tuple[str, list[str]]] = [
    (
        "<tr><td></td><td>x</td></tr><tr><td>a</td><td>b</td></tr><tr><td></td><td>y</td></tr>",
        ["x", "a\t\tb", "y"],
    ),
    (
        "<tr><td></td><td>x</td><td>y</td></tr><tr><td>1</td><td>2</td><td>3</td></tr>",
        ["\t\tx\t\ty", "1\t\t2\t\t3"],
    ),
]


@pytest.mark.parametrize(("cells", "lines"), CELLS)
def test_a_row_whose_first_cell_is_empty_is_a_line_of_its_own(cells: str, lines: list[str]) -> None:
    """It is not appended to the paragraph or row before, and keeps its columns if it has several texts."""
    text: Callable[[str], str] = lambda html: text_of(parse(html))  # noqa: E731
    assert text(f"<p>甲。</p><table>{cells}</table>").split("\n") == ["甲。", "", *lines]
