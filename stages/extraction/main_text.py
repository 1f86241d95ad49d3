"""The main text of a page, extracted by resiliparse after the page is narrowed to its prose and cleaned.

Three steps, none of them specific to a site. *Formulas* are converted to TeX. *Narrow*: find the smallest element that
contains most of the prose, weighted by length and sentence punctuation (including full-width marks), without links;
within it, remove lists of links, and elements labelled as boilerplate (comments, related pages, toolbars) if they
contain little prose. *Trim*: remove short boilerplate lines before the first sentence and after the last.
"""

from __future__ import annotations

import re
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree, NodeType

from stages.extraction.formulas import restore

SKIP = [
    # not displayed; the parser keeps the markup inside the first two as plain text
    "noframes", "noembed", "template", "script", "style",
    # numbers and buttons beside code, anchors beside headings
    "td.linenos", "td.gutter", "td.rouge-gutter", "td.blob-num", ".linenodiv", ".lineno", ".linenos", ".lnt",
    ".line-numbers-rows", ".hljs-ln-numbers", ".gutter > .line", "button", ".copybtn", ".headerlink", ".header-anchor",
    ".anchorjs-link", ".hash-link", ".mw-editsection",
    # duplicate renderings of formulas as text
    ".katex-html", ".MathJax_Preview",
]  # fmt: skip
"""Elements that are never text."""

HIDDEN = [
    "[hidden]", '[style*="display:none" i]', '[style*="display: none" i]', '[style*="visibility:hidden" i]',
    '[style*="visibility: hidden" i]',
]  # fmt: skip
"""Hidden elements. They are not text, unless nearly all text is hidden: some pages hide it until a script has run."""

MOSTLY_HIDDEN = 0.1
"""If less than this share of the main element's characters is visible, its text is taken to be hidden."""

FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:bread-?crumbs?|crumbs?|comment\w*|disqus|related\w*|recommend\w*|share\w*|social|toolbar|paginat\w+|pager"
    r"|copyright|newsletter|subscribe|side-?bar|popup|modal|cookies?|tooltip|hot-?news|rank(?:ing)?|foot(?:er)?|toc"
    r"|nav\w*|menu|ad|ads|adbox|advert\w*|login|skip\w*|sponsor\w*|promo\w*)(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of boilerplate elements; ignored if the element contains much of the page."""

FURNITURE_WEIGHT = 0.1
"""Weight of prose in boilerplate elements: comments may be longer than the article, and a `modal` may be the page."""

MAX_FURNITURE = 0.25
"""A boilerplate element with more than this share of the main text's weighted prose is kept; without prose, of its
text."""

WRAPPER = 0.9
"""An element with at least this share of the page's prose is the page, regardless of its label."""

LEAST_PLAIN = 0.15
"""If weighted prose is less than this share of all prose, labels are ignored: nearly all text is labelled `comment`."""

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
"""Sections of a text: the main text is never narrowed to the longest of several."""

ASIDES = frozenset(("aside", "footer"))
MAINS = frozenset(("main", "article", "body"))

STOPS = re.compile(r"[，。！？；：、…．]|[,.!?;:](?=\s|$)")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")

TEXT, ELEMENT = NodeType.TEXT, NodeType.ELEMENT

HELD = 0.7
"""Least share of the page's prose in the main element."""

LOST = 0.02
"""Largest share of prose in a similar sibling of the main element, or in its parent's own paragraphs."""

LEAST = 3.0
"""Least weight of a page with prose; for other pages resiliparse alone chooses the text."""

MAX_DEPTH = 200
"""Elements nested deeper are ignored when weighing."""

LONG_INLINE = 400
"""Inline elements of at least this many characters may contain blocks, such as `<font>` around a whole old page."""

ENDS = re.compile(
    r"(?:跳[转到过至].{0,6}(?:内容|导航)?|分享[到至]?|字号|字体|打印|收藏|举报|点赞|评论|返回(?:顶部|首页|列表)?"
    r"|[上下]一[篇页章条].{0,60}|(?:责任)?编辑|责编|当前位置|您的位置|相关(?:阅读|新闻|推荐|文章|链接)|推荐阅读"
    r"|热门.{0,4}|扫一扫.{0,20}|关注公众号.{0,20}|版权所有.{0,80}"
    r"|skip to (?:main )?(?:content|navigation)|share(?: this)?(?: on.{0,20})?|tweet|print|e?-?mail|back to top"
    r"|related (?:posts|articles|stories)|(?:previous|next)(?: post| page| article)?"
    r"|(?:all rights reserved|copyright|©).{0,80})[\s:：|/>»]*",
    re.IGNORECASE,
)
"""Complete boilerplate lines at the ends of a text, in Chinese and in English."""


class Part:
    """An element and its children `parts`.

    weight: of its prose, with boilerplate weighted down; full: without; own: of its own paragraphs. chars, linked:
    characters, and those in links.
    """

    __slots__ = ("chars", "full", "furniture", "kind", "linked", "node", "own", "parts", "tag", "weight")

    def __init__(
        self, node: Any, tag: str, kind: str, name: str
    ) -> None:  # Any: the library publishes no types of nodes
        self.node, self.tag, self.kind = node, tag, kind
        self.weight = self.full = self.own = 0.0
        self.chars = self.linked = 0
        self.parts: list[Part] = []
        words = f"{kind} {name}"  # name is "" for sections, whose ids are made from headings
        self.furniture = tag in ASIDES or (
            tag not in MAINS and len(words) > 1 and FURNITURE.search(words) is not None
        )

    @property
    def counted(self) -> float:
        """Its contribution to the weight of its parent."""
        return self.weight * (FURNITURE_WEIGHT if self.furniture else 1.0)


def parse(html: str) -> HTMLTree:
    """Parse a page, with formulas converted to TeX."""
    return HTMLTree.parse(restore(html))


def text_of(tree: HTMLTree) -> str:
    """Return the main text of a tree; the tree is modified."""
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
    """Return the weight of a block of text as prose: 0 for a label or heading, about 1 for a sentence, at most 8.3."""
    n = len(text)
    if n < 12:
        return 0.0
    columns = n + len(WIDE.findall(text))
    stops = len(STOPS.findall(text))
    if columns < 50 and not stops:
        return 0.0
    return min(columns / 100, 5.0) + min(stops, 10) / 3


def prose_like(text: str) -> bool:
    """Return whether a text may contain prose: at least one sentence mark per 300 characters."""
    return len(STOPS.findall(text)) * 300 >= len(text)


def _weigh(node: Any, tag: str, depth: int, labelled: bool = True) -> Part:
    """Weigh an element and its descendants, visiting each block once; labelled: whether boilerplate labels count."""
    part = Part(node, tag, node.class_name or "", (node.id or "") if tag not in SECTIONS else "")
    if part.furniture and labelled and not prose_like(text := node.text):
        part.chars = part.linked = len(text.strip())  # treated as a menu
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
    """Ignore the boilerplate label of elements that contain nearly the whole page, such as `<div class="modal">`."""
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
    """Descend from the page to the smallest element that contains most of its prose and has no similar siblings."""
    at, share = page, 1.0
    while at.parts:
        best = max(at.parts, key=lambda part: part.counted)
        share *= best.counted / at.weight
        others = any(
            _alike(part, best) and part.counted > LOST * at.weight for part in at.parts if part is not best
        )
        if share < HELD or at.own > LOST * at.weight or others:
            break
        at = best
    return at


def _alike(part: Part, best: Part) -> bool:
    """Whether two siblings seem to belong to one text: both are sections, or blocks of the same class."""
    return part.tag == best.tag and (part.tag in SECTIONS or (part.kind == best.kind and part.kind != ""))


def _clean(main: Part) -> int:
    """Remove boilerplate and lists of links from the main element; return the number of characters removed."""
    limit = MAX_FURNITURE * main.weight
    stack = list(main.parts)
    n_removed = 0
    while stack:
        part = stack.pop()
        is_list = part.weight < 0.5 and part.linked > 0.5 * part.chars and part.tag not in SECTIONS
        if (part.furniture and part.counted <= limit) or is_list:
            n_removed += part.chars
            part.node.decompose()
        else:
            stack += part.parts
    return n_removed


def _clear(page: Part) -> None:
    """Remove boilerplate that contains little of the text from a page without prose."""
    stack = list(page.parts)
    while stack:
        part = stack.pop()
        if part.furniture and part.chars <= MAX_FURNITURE * page.chars:
            part.node.decompose()
        else:
            stack += part.parts


def _isolate(body: Any, node: Any) -> None:
    """Remove everything from the body but one element."""
    if node == body:
        return
    body.append_child(node)
    while body.first_child != node:
        body.first_child.decompose()


def _trim(text: str) -> str:
    """Remove boilerplate lines before the first line of prose and after the last; without prose keep all lines."""
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
