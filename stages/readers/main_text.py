"""The main text of a page: what resiliparse extracts, once the page is narrowed to its prose and cleaned.

Three steps, each by general marks of pages and none by site. *Formulas* become TeX. *Narrow*: the smallest element
that holds most of the prose, weighed by length and by sentence punctuation, full-width marks included and links not
counted; what says of itself that it is furniture (comments, related pages, toolbars) goes, if it holds little. *Trim*:
short lines of page furniture at both ends of what is left.
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
    ".katex-html", ".MathJax_Preview",
]  # fmt: skip
"""Elements that are never text."""

FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:bread-?crumbs?|crumbs?|comments?|disqus|related|recommend\w*|share\w*|social|toolbar|paginat\w+|pager"
    r"|copyright|newsletter|subscribe|side-?bar|popup|modal|cookies?|tooltip|hot-?news|rank(?:ing)?|foot(?:er)?|toc"
    r"|nav\w*|menu|ad|ads|adbox|advert\w*|login|search|skip\w*|sponsor\w*|widget|promo\w*)(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of an element that hold furniture, unless the element holds much of the page."""

SKIPPED = frozenset(
    ("script", "style", "template", "noscript", "noframes", "noembed", "svg", "nav", "select", "iframe", "button",
     "textarea", "object", "head", "video", "audio", "canvas", "input", "img", "br", "hr")
)  # fmt: skip
LEAVES = frozenset(("p", "pre", "blockquote", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "figcaption", "math"))
INLINE = frozenset(
    ("a", "span", "b", "i", "em", "strong", "font", "code", "u", "sub", "sup", "small", "label", "time", "mark", "kbd")
)

STOPS = re.compile(r"[，。！？；：、…．]|[,.!?;:](?=\s|$)")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")

HELD = 0.7
"""Share of the page's prose that the main element holds."""

def weigh(text: str) -> float:
    """Say how much prose a block is: 0 for a label, about 1 for a sentence."""
    n = len(text)
    if n < 12:
        return 0.0
    columns = n + len(WIDE.findall(text))
    stops = len(STOPS.findall(text))
    if columns < 50 and not stops:
        return 0.0
    return min(columns / 100, 5.0) + min(stops, 10) / 3


def parse(html: str) -> HTMLTree:
    """Parse a page, its formulas as TeX."""
    return HTMLTree.parse(restore(html))


class Walk:
    """Weights of prose by element."""

    def __init__(self, body: Any) -> None:
        self.furniture: list[Any] = []
        self.weights: list[tuple[float, Any, list]] = []
        self.n_seen = 0
        self.root = self._walk(body, 0)

    def _walk(self, node: Any, depth: int) -> tuple[float, Any, list]:
        """Return (weight, node, children that hold any)."""
        weight, kids, own, linked = 0.0, [], [], 0
        child = node.first_child
        while child is not None:
            kind = child.type
            if kind == NodeType.TEXT:
                own.append(child.value)
            elif kind == NodeType.ELEMENT:
                tag = child.tag
                if tag in SKIPPED:
                    pass
                elif tag in INLINE:
                    text = child.text
                    if tag == "a":
                        linked += len(text)
                    else:
                        own.append(text)
                elif tag in LEAVES:
                    w = self._leaf(child, tag)
                    weight += w
                elif depth < 200:
                    words = f"{child.class_name} {child.id}"
                    if len(words) > 1 and FURNITURE.search(words):
                        self.furniture.append(child)
                    found = self._walk(child, depth + 1)
                    if found[0]:
                        kids.append(found)
                        weight += found[0]
            child = child.next_sibling
        text = "".join(own).strip()
        if text:
            w = weigh(text)
            if w and linked > len(text):
                w = 0
            weight += w
        return weight, node, kids

    def _leaf(self, node: Any, tag: str) -> float:
        text = node.text
        if tag == "pre":
            return min(len(text) / 100, 5.0)
        w = weigh(text.strip())
        if w:
            linked = 0
            child = node.first_child
            while child is not None:
                if child.type == NodeType.ELEMENT and child.tag == "a":
                    linked += len(child.text)
                child = child.next_sibling
            w *= max(1 - 1.5 * linked / max(len(text), 1), 0)
        return w


def narrow(tree: HTMLTree) -> Any:
    walk = Walk(tree.body)
    total, node, kids = walk.root
    if total < 3:
        return None
    at = walk.root
    while True:
        best = max(at[2], key=lambda k: k[0], default=None)
        if best is None or best[0] < HELD * total:
            break
        at = best
    return at[1], walk, total


def main_text(tree: HTMLTree, main: bool = False) -> str:
    """Return the main text of a page; the tree is changed."""
    body = tree.body
    if body is None:
        return ""
    found = narrow(tree)
    if found is None:
        return extract_plain_text(tree, main_content=True, alt_texts=False, skip_elements=SKIP)
    node, walk, total = found
    whole = len(node.text)
    for item in walk.furniture:
        if item != node and not item.contains(node) and node.contains(item) and len(item.text) < 0.3 * whole:
            item.decompose()
    if node != body:
        child = body.first_child
        body.append_child(node)
        while body.first_child != node:
            body.first_child.decompose()
    text = extract_plain_text(tree, main_content=main, alt_texts=False, skip_elements=SKIP)
    return text
