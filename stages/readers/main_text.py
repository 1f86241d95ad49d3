"""The main text of a page: what resiliparse extracts, once the page is narrowed to its prose and cleaned.

Three steps, each by general marks of pages and none by site. *Formulas* become TeX. *Narrow*: the smallest element
that holds most of the prose, weighed by length and by sentence punctuation, full-width marks included and links not
counted; inside it, lists of links go, and what calls itself furniture (comments, related pages, toolbars), if it holds
little. *Trim*: short lines of page furniture before the first sentence and after the last.
"""

from __future__ import annotations

import re
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, NodeType

from stages.readers.formulas import restore

SKIP = [
    # no reader of a page sees these; the parser keeps the markup in the first two as plain text
    "noframes", "noembed", "template", "script", "style",
    # numbers and buttons beside code, anchors beside headings
    "td.linenos", "td.gutter", "td.rouge-gutter", "td.blob-num", ".linenodiv", ".lineno", ".linenos", ".lnt",
    ".line-numbers-rows", ".hljs-ln-numbers", ".gutter > .line", "button", ".copybtn", ".headerlink", ".header-anchor",
    ".anchorjs-link", ".hash-link", ".mw-editsection",
    # second forms of formulas that stand there as text
    ".katex-html", ".MathJax_Preview",
]  # fmt: skip
"""Elements that are never text."""

HIDDEN = [
    "[hidden]", '[style*="display:none" i]', '[style*="display: none" i]', '[style*="visibility:hidden" i]',
    '[style*="visibility: hidden" i]',
]  # fmt: skip
"""What a page hides. Not text, unless nearly all is hidden: some hide the whole text until a script has run."""

MOSTLY_HIDDEN = 0.1
"""Share of the main element's characters below which its text is taken to be hidden."""

FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:bread-?crumbs?|crumbs?|comment\w*|disqus|related\w*|recommend\w*|share\w*|social|toolbar|paginat\w+|pager"
    r"|copyright|newsletter|subscribe|side-?bar|popup|modal|cookies?|tooltip|hot-?news|rank(?:ing)?|foot(?:er)?|toc"
    r"|nav\w*|menu|ad|ads|adbox|advert\w*|login|skip\w*|sponsor\w*|promo\w*)(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of an element that hold furniture, unless the element holds much of the page."""

FURNITURE_WEIGHT = 0.1
"""What prose inside furniture counts: comments may be longer than the article, and a whole page may be a `modal`."""

MAX_FURNITURE = 0.25
"""Share of the main text's prose, so counted, that furniture may hold and still go; without prose, of all its text."""

WRAPPER = 0.9
"""Share of the page's prose from which an element is the page, whatever it is called."""

LEAST_PLAIN = 0.15
"""What prose counts at least if labels of furniture mean anything: where nearly all is `comment`, that is the text."""

UNSEEN = frozenset(
    ("script", "style", "template", "noscript", "noframes", "noembed", "svg", "nav", "select", "iframe", "button",
     "textarea", "object", "head", "video", "audio", "canvas", "input", "img", "br", "hr")
)  # fmt: skip
LEAVES = frozenset(
    ("p", "pre", "blockquote", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "figcaption", "math")
)
INLINE = frozenset(
    (
        "a",
        "span",
        "b",
        "i",
        "em",
        "strong",
        "font",
        "code",
        "u",
        "sub",
        "sup",
        "small",
        "label",
        "time",
        "mark",
        "kbd",
    )
)
SECTIONS = frozenset(("section", "details", "li", "td", "tr", "tbody", "dl", "blockquote"))
"""Elements that are parts of a text: the text does not shrink to one of them because it is the longest."""

ASIDES = frozenset(("aside", "footer"))
MAINS = frozenset(("main", "article", "body"))

STOPS = re.compile(r"[，。！？；：、…．]|[,.!?;:](?=\s|$)")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")

TEXT, ELEMENT = NodeType.TEXT, NodeType.ELEMENT

HELD = 0.7
"""Share of the page's prose that the main element holds at least."""

LOST = 0.02
"""Share of the page's prose that may stand beside the main element in its parent, as paragraphs of the parent's own."""

LEAST = 3.0
"""Weight of a page that has prose; of others resiliparse alone chooses the text."""

MAX_DEPTH = 200
"""Elements nested deeper are not weighed."""

LONG_INLINE = 400
"""Characters of an inline element that may hold blocks, as `<font>` does around whole old pages."""

ENDS = re.compile(
    r"(?:跳[转到过至].{0,6}(?:内容|导航)?|分享[到至]?|字号|字体|打印|收藏|举报|点赞|评论|返回(?:顶部|首页|列表)?"
    r"|[上下]一[篇页章条].{0,60}|(?:责任)?编辑|责编|当前位置|您的位置|相关(?:阅读|新闻|推荐|文章|链接)|推荐阅读"
    r"|热门.{0,4}|扫一扫.{0,20}|关注公众号.{0,20}|版权所有.{0,80}"
    r"|skip to (?:main )?(?:content|navigation)|share(?: this)?(?: on.{0,20})?|tweet|print|e?-?mail|back to top"
    r"|related (?:posts|articles|stories)|(?:previous|next)(?: post| page| article)?"
    r"|(?:all rights reserved|copyright|©).{0,80})[\s:：|/>»]*",
    re.IGNORECASE,
)
"""Whole lines of furniture at the ends of a text, in Chinese and in English."""


class Part:
    """An element: weight of its prose, furniture counted less, and full; prose of its own paragraphs; its parts."""

    __slots__ = ("chars", "full", "furniture", "kind", "linked", "node", "own", "parts", "tag", "weight")

    def __init__(
        self, node: Any, tag: str, kind: str, name: str
    ) -> None:  # Any: the library publishes no types of nodes
        self.node, self.tag, self.kind = node, tag, kind
        self.weight = self.full = self.own = 0.0
        self.chars = self.linked = 0
        self.parts: list[Part] = []
        words = f"{kind} {name}"  # the name of a section is made of its heading
        self.furniture = tag in ASIDES or (
            tag not in MAINS and len(words) > 1 and FURNITURE.search(words) is not None
        )

    @property
    def counted(self) -> float:
        """The weight that it counts for in its parent."""
        return self.weight * (FURNITURE_WEIGHT if self.furniture else 1.0)


def parse(html: str) -> HTMLTree:
    """Parse a page, its formulas as TeX."""
    return HTMLTree.parse(restore(html))


def text_of(tree: HTMLTree) -> str:
    """Return the main text of a tree, which is changed."""
    if tree.body is None:
        return extract_plain_text(tree, main_content=True, alt_texts=False, skip_elements=SKIP)
    page = _weigh(tree.body, "body", 0)
    _unwrap(page)
    if page.full < LEAST:
        _clear(page)
        return _trim(extract_plain_text(tree, main_content=True, alt_texts=False, skip_elements=SKIP))
    labelled = page.weight >= LEAST_PLAIN * page.full
    main = _narrow(page if labelled else _weigh(tree.body, "body", 0, labelled=False))
    n_chars = main.chars - _clean(main)
    _isolate(tree.body, main.node)
    text = extract_plain_text(tree, main_content=False, alt_texts=False, skip_elements=SKIP + HIDDEN)
    if len(text) < MOSTLY_HIDDEN * n_chars:
        whole = extract_plain_text(
            tree, main_content=False, alt_texts=False, hidden_elements=True, skip_elements=SKIP
        )
        text = whole if len(whole) > 2 * len(text) else text
    return _trim(text)


def prose(text: str) -> float:
    """Say how much prose a block of text is: 0 for a label or a heading, about 1 for a sentence, 8 at most."""
    n = len(text)
    if n < 12:
        return 0.0
    columns = n + len(WIDE.findall(text))
    stops = len(STOPS.findall(text))
    if columns < 50 and not stops:
        return 0.0
    return min(columns / 100, 5.0) + min(stops, 10) / 3


def prose_like(text: str) -> bool:
    """Say whether a long text may hold prose: one sentence mark in 300 characters at least."""
    return len(STOPS.findall(text)) * 300 >= len(text)


def _weigh(node: Any, tag: str, depth: int, labelled: bool = True) -> Part:
    """Weigh an element and all below it, visiting each block once."""
    part = Part(node, tag, node.class_name or "", (node.id or "") if tag not in SECTIONS else "")
    if part.furniture and labelled and not prose_like(text := node.text):
        part.chars = part.linked = len(text.strip())  # a menu, whatever it is made of
        return part
    texts: list[str] = []
    linked = 0
    child = node.first_child
    while child is not None:
        kind = child.type
        if kind == TEXT:
            texts.append(child.value)
        elif kind == ELEMENT and (name := child.tag) not in UNSEEN:
            if name in LEAVES:
                _add_leaf(part, child, name)
            elif name in INLINE and (len(text := child.text) < LONG_INLINE or name == "a"):
                if name == "a":
                    linked += len(text)
                else:
                    texts.append(text)
            elif depth < MAX_DEPTH:
                below = _weigh(child, name, depth + 1, labelled)
                part.parts.append(below)
                part.weight += below.counted
                part.full += below.full
                part.chars += below.chars
                part.linked += below.linked
        child = child.next_sibling
    text = "".join(texts).strip()
    part.chars += len(text) + linked
    part.linked += linked
    if text and linked <= len(text):
        weight = prose(text)
        _add(part, weight)
    if not labelled:
        part.furniture = False
    return part


def _add(part: Part, weight: float) -> None:
    part.own += weight
    part.weight += weight
    part.full += weight


def _unwrap(page: Part) -> None:
    """Take the label of furniture from what holds nearly the whole page, such as a `<div class="modal">` around it."""
    path = [page]
    while path[-1].parts:
        best = max(path[-1].parts, key=lambda part: part.full)
        if best.full < WRAPPER * page.full:
            break
        best.furniture = False
        path.append(best)
    for part in reversed(path):
        part.weight = part.own + sum(below.counted for below in part.parts)


def _add_leaf(part: Part, node: Any, tag: str) -> None:
    text = node.text.strip()
    n = len(text)
    part.chars += n
    if tag == "pre":
        weight = min(n / 100, 5.0)
    elif weight := prose(text) if n else 0.0:
        linked = 0
        child = node.first_child
        while child is not None:
            if child.type == ELEMENT and child.tag == "a":
                linked += len(child.text)
            child = child.next_sibling
        part.linked += linked
        weight *= max(1 - 1.5 * linked / n, 0.0)
    _add(part, weight)


def _narrow(page: Part) -> Part:
    """Go down from the page to the smallest element that holds most of its prose and is not one of several like it."""
    at, held = page, 1.0
    while at.parts:
        best = max(at.parts, key=lambda part: part.counted)
        held *= best.counted / at.weight
        others = any(
            _alike(part, best) and part.counted > LOST * at.weight for part in at.parts if part is not best
        )
        if held < HELD or at.own > LOST * at.weight or others:
            break
        at = best
    return at


def _alike(part: Part, best: Part) -> bool:
    """Say whether two elements beside each other look like parts of one text: sections, or blocks of one class."""
    return part.tag == best.tag and (part.tag in SECTIONS or (part.kind == best.kind and part.kind != ""))


def _clean(main: Part) -> int:
    """Take furniture and lists of links out of the main element; return how many characters went."""
    limit = MAX_FURNITURE * main.weight
    stack = list(main.parts)
    gone = 0
    while stack:
        part = stack.pop()
        is_list = part.weight < 0.5 and part.linked > 0.5 * part.chars and part.tag not in SECTIONS
        if (part.furniture and part.counted <= limit) or is_list:
            gone += part.chars
            part.node.decompose()
        else:
            stack += part.parts
    return gone


def _clear(page: Part) -> None:
    """Take furniture that holds little of the text out of a page without prose."""
    stack = list(page.parts)
    while stack:
        part = stack.pop()
        if part.furniture and part.chars <= MAX_FURNITURE * page.chars:
            part.node.decompose()
        else:
            stack += part.parts


def _isolate(body: Any, node: Any) -> None:
    """Leave nothing in the body but one element."""
    if node == body:
        return
    body.append_child(node)
    while body.first_child != node:
        body.first_child.decompose()


def _trim(text: str) -> str:
    """Drop lines of furniture before the first line of prose and after the last; without prose nothing is dropped."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if prose(line.strip())), None)
    if first is None:
        return text
    last = next(i for i in range(len(lines) - 1, -1, -1) if prose(lines[i].strip()))
    kept = [
        line
        for i, line in enumerate(lines)
        if first <= i <= last or not (len(line) < 100 and ENDS.fullmatch(line.strip(" \t\u3000•*-【[】]")))
    ]
    return "\n".join(kept)
