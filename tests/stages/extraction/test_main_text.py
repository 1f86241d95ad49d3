# ruff: noqa: E501  # a page of a case stands on one line
"""The main text of pages: prose found by its weight, furniture left behind, structure and formulas kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.extraction.formulas import restore
from stages.extraction.main_text import parse, prose, text_of

ZH = "三月的风吹过湖面，岸边的柳树刚刚发芽。他把信折好放进口袋，沿着小路慢慢走回村子。"
EN = "In March the wind crossed the lake, and the willows on its shore were just in bud. He folded the letter and left."
NAV = (
    '<div class="x"><ul>' + "".join(f'<li><a href="/{i}">栏目{i}</a></li>' for i in range(20)) + "</ul></div>"
)
FOOT = '<div class="foot"><p>关于我们，联系我们。版权所有 © 某某网，未经许可不得转载。</p></div>'
COMMENT = "<div class=item><p>用户：说得太好了，我非常同意作者的观点，希望以后多写一些这样的文章！</p></div>"


def text(html: str) -> str:
    """The main text of a page's source."""
    return text_of(parse(html)).strip()


@pytest.mark.parametrize("sentence", [ZH, EN])
def test_prose_is_kept_and_furniture_is_not(sentence: str) -> None:
    """Menu, share bar, long comments and footer are removed; heading, paragraphs, list, table and code are kept."""
    html = (
        f"<body>{NAV}<div class=wrap><div id=content><h1>Title 标题</h1>{f'<p>{sentence}</p>' * 3}<h2>Part 二</h2>"
        "<ul><li>one</ul><table><tr><th>年份<th>产量</tr><tr><td>2019<td>12.5</tr></table>"
        "<pre>def f(x):\n    return x</pre></div>"
        f"<div class=share-bar>分享到：微信</div><div id=comments>{COMMENT * 6}</div></div>{FOOT}"
    )
    found = text(html)
    assert found.startswith("Title 标题\n")
    assert found.count(sentence) == 3
    for kept in ("Part 二", "one", "2019\t\t12.5", "def f(x):\n    return x"):
        assert kept in found
    for gone in ("栏目", "分享到", "说得太好了", "版权所有"):
        assert gone not in found
    assert (
        found.index(sentence)
        < found.index("Part 二")
        < found.index("one")
        < found.index("2019")
        < found.index("def")
    )


def test_old_pages_of_tables_and_line_breaks() -> None:
    """Text in `<font>` in a cell of a layout table, separated by `<br>`, is found and keeps its lines."""
    html = f"<table><tr><td>{NAV}</td><td><font size=3>　　{ZH * 5}<br>　　{ZH * 5}<br></font></td></tr></table>{FOOT}"
    assert [line.strip() for line in text(html).split("\n") if line.strip()] == [ZH * 5, ZH * 5]


def test_verse_and_forums_are_texts() -> None:
    """Short lines without prose and posts of equal form are kept whole."""
    lines = ["床前明月光，", "疑是地上霜。", "举头望明月，", "低头思故乡。"]
    found = text(
        f"<body>{NAV}<div class=poem><h1>静夜思</h1>{''.join(f'<p>{line}</p>' for line in lines)}</div>"
    )
    assert [line for line in found.split("\n") if line] == ["静夜思", *lines]
    posts = [f"<div class=post><div class=comment-content>第{i}楼：{ZH}</div></div>" for i in range(9)]
    found = text(f"<body>{NAV}<div id=thread>{''.join(posts)}</div>")
    assert all(f"第{i}楼：{ZH}" in found for i in range(9))


def test_a_text_does_not_shrink_to_its_longest_section() -> None:
    """Sections beside a much longer one are kept, whatever their headings are."""
    long = f"<section id=long>{f'<p>{ZH}</p>' * 20}</section>"
    found = text(f"<main><section id=related-work><h2>Related</h2><p>{EN}</p></section>{long}</main>{FOOT}")
    assert EN in found and found.count(ZH) == 20


def test_code_loses_its_line_numbers_and_buttons() -> None:
    """Numbers beside code, copy buttons and anchors of headings are no text."""
    html = (
        f"<p>{ZH * 3}</p><h2>标题<a class=headerlink href=#x>¶</a></h2><table class=highlighttable><tr>"
        "<td class=linenos><pre>1\n2\n3</pre></td><td><pre>a = 1\nb = 2\n\nc = 3</pre></td></tr></table>"
        "<button>复制</button>"
    )
    assert [line.strip() for line in text(html).split("\n") if line.strip()] == [
        ZH * 3, "标题", "a = 1", "b = 2", "c = 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("html", "tex"),
    [
        (
            r'<mjx-container><mjx-math data-latex="O(\log n)"><mjx-c>𝑂</mjx-c></mjx-math></mjx-container>',
            r"$O(\log n)$",
        ),
        (r"<mjx-container><mjx-math data-latex=f_n>f</mjx-math></mjx-container>", "$f_n$"),
        (
            '<span class="katex"><span class="katex-mathml"><math><mi>x</mi><annotation encoding="application/x-tex">'
            'x &lt; 1</annotation></math></span><span class="katex-html">x&lt;1</span></span>',
            "$x < 1$",
        ),
        (r'<math alttext="{\displaystyle a^{2}}"><mi>a</mi></math>', "$a^{2}$"),
        ('<math display="block" alttext="E=mc^2"><mi>E</mi></math>', "$$E=mc^2$$"),
        ('<script type="math/tex; mode=display">a+b</script>', "$$a+b$$"),
        ('<span class="MathJax_Preview">a</span><script type="math/tex">a+b</script>', "$a+b$"),
        ('<img eeimg="1" src="//zhihu.com/equation?tex=x" alt="x^2" />', "$x^2$"),
        ("<math><mi>x</mi></math>", "x"),
        ('<img src="cat.png" alt="a cat">', ""),
    ],
)
def test_formulas_are_tex(html: str, tex: str) -> None:
    """The TeX source that renderers keep of a formula occurs in the text once; without it the formula is as shown."""
    found = text(f"<p>{ZH * 3}</p><p>式：{html}</p>").removeprefix(ZH * 3)
    assert "".join(found.split()) == "式：" + "".join(tex.split())


@given(st.text())
def test_pages_without_formulas_are_not_touched(html: str) -> None:
    """Text that opens no formula comes back as it is."""
    if "<" not in html:
        assert restore(html) == html


def test_lines_of_furniture_go_only_from_the_ends() -> None:
    """A short boilerplate line before or after the prose is removed; between paragraphs it is kept."""
    found = text(
        f"<div><p>分享到：</p><p>{ZH}</p><p>收藏</p><p>{ZH}</p><p>上一篇：某事</p><p>Back to top</p></div>"
    )
    assert [line for line in found.split("\n") if line] == [ZH, "收藏", ZH]
    assert text("<p>next</p>") == "next"


def test_hidden_elements_are_not_text() -> None:
    """What a page hides is not read."""
    hidden = "".join(
        f"<p {how}>hidden</p>"
        for how in ("hidden", 'style="display: none"', 'style="color:red;display:none"')
    )
    assert text(f"<article><p>{ZH * 3}</p>{hidden}</article>") == ZH * 3


def test_a_text_hidden_until_a_script_has_run_is_read() -> None:
    """An article that is all hidden, as pages that fade in have it, is the text."""
    fade = 'style="visibility: hidden; opacity: 0"'
    html = f"<div id=page><h1>标题</h1><div {fade}>{f'<p>{ZH}</p>' * 5}</div></div>{FOOT}"
    assert text(html).count(ZH) == 5


@pytest.mark.parametrize(
    ("block", "is_prose"), [(ZH, True), (EN, True), ("首页 新闻 体育 财经 科技 娱乐", False), ("Home", False)]
)
def test_sentences_weigh_and_labels_do_not(block: str, is_prose: bool) -> None:
    """Prose is recognised by length and by sentence marks of both scripts."""
    assert (prose(block) > 0.5) == is_prose


def test_formulas_are_text_for_any_id() -> None:
    """Sphinx makes the id of a displayed formula from the chapter, which may be about ranking or recommendation."""
    formula = '<div class="math notranslate" id="equation-chapter-2-ranking-0">L = a + b</div>'
    page = f"<article><h1>Losses</h1><p>{EN * 3}</p>{formula}<p>{EN * 3}</p></article>"
    assert "L = a + b" in text(page)
    assert "L = a + b" not in text(page.replace("math notranslate", "box"))


POST = (
    "<div class='post' itemprop='text'><p>The minimum version of the compiler is part of what we promise, and "
    "raising it breaks builds that worked. Post {n} says so, with reasons, examples, and a list of cases.</p></div>"
)


def test_threads_for_browsers_without_scripts_are_read() -> None:
    """The text of a page that is in `<noscript>` alone is its text; a notice there is none beside a text."""
    posts = "".join(POST.format(n=n) for n in range(5))
    page = f"<body><section id=main></section><noscript data-path='/t'>{posts}</noscript></body>"
    assert "Post 4 says so" in text_of(parse(page))
    notice = "<noscript><p>This page needs scripts. Please enable them in the settings of your browser, now.</p></noscript>"
    text = text_of(parse(f"<body><article>{posts}</article>{notice}</body>"))
    assert "Post 4 says so" in text and "needs scripts" not in text


@pytest.mark.parametrize(
    "odd",
    [
        '<ulclass="pros-cons-list pros"><li>light</li></ul>', '<a class="reply" href="#" reply<>Reply</a>', "<div<span>x</div>", '<p"><b>x</b></p">',
    ],
)  # fmt: skip
def test_odd_names_do_not_lose_a_page(odd: str) -> None:
    """Names of elements and attributes with quotation marks or brackets change nothing in the text after them."""
    posts = "".join(POST.format(n=n) for n in range(5))
    page = f"<body><div>{odd}<article>{posts}</article></div></body>"
    assert all(f"Post {n} says so" in text_of(parse(page)) for n in range(5))


def test_an_article_wins_over_comments_of_many_times_its_length() -> None:
    """Labels of comments count where there is an article, and not where all text is labelled so."""
    article = (
        f"<article><div class='entry-content'>{''.join(POST.format(n=n) for n in range(10))}</div></article>"
    )
    comments = "".join(f"<li class='comment'>{POST.format(n=n)}</li>" for n in range(100, 200))
    comments = f"<div id='comments'><ol class='comment-list'>{comments}</ol></div>"
    text = text_of(parse(f"<body><main>{article}{comments}</main></body>"))
    assert "Post 9 says so" in text and "Post 150 says so" not in text
    assert "Post 150 says so" in text_of(parse(f"<body><main>{comments}</main></body>"))


def test_an_article_in_an_element_named_newsletter_is_kept() -> None:
    """The text of an article is kept although its class is that of boilerplate, but not pictures of a gallery."""
    posts = "".join(POST.format(n=n) for n in range(10))
    quotes = "".join(f"<section class='quote'>{POST.format(n=n)}</section>" for n in range(20, 25))
    page = f"<main><section><article class='letter'><div class='newsletter'>{posts}</div></article></section>{quotes}</main>"
    assert "Post 9 says so" in text_of(parse(f"<body>{page}</body>"))


def test_pointers_to_other_pages_go() -> None:
    """A paragraph that is a label and a link is removed; one with a text of its own is kept."""
    posts = "".join(POST.format(n=n) for n in range(5))
    page = "<body><article>{}<p>Related: <a href='/b'>The fifteen weirdest versions of all</a></p>{}</article></body>"
    text = text_of(parse(page.format(posts, POST.format(n=9))))
    assert "weirdest" not in text and "Post 9 says so" in text
    kept = "<p>相关文章：本章的推导沿用了前面两节的记号，也可参考<a href='/b'>附录</a>。</p>"
    assert "附录" in text_of(parse(f"<body><article>{posts}{kept}</article></body>"))
