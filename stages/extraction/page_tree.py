"""A parsed page as one list of texts and elements, each element with the weight of the prose inside it.

The parser builds the tree that browsers build and serialises it; the serialised page is read once, with one Python
object for each block, link and labelled element. The weight of an element is complete when it ends, so the cost is
linear in the page, at any depth. Queries through the parser's own nodes take a time per node that grows with the
nodes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape, unescape
from typing import NamedTuple

from resiliparse.parse.html import HTMLTree

from stages.extraction.formulas import restore
from stages.extraction.inline_numbers import cut_inline_numbers
from stages.extraction.labels import ASIDES, UNDISPLAYED, Label, attributes, label_of
from stages.extraction.raised import superscripts

RAW = ("script", "style", "iframe", "noembed", "noframes", "xmp", "plaintext")
"""Elements whose content is serialised without escaping (HTML standard, section 13.3)."""

SKIPPED = (
    "svg", "template", "noscript", "select", "object", "video", "audio", "canvas", "textarea", "datalist", "annotation",
    "annotation-xml", "nav",
)  # fmt: skip
"""Elements whose content is never text."""

CUT = re.compile(rf"<(?:!--|({'|'.join(sorted(RAW + SKIPPED, key=len, reverse=True))})(?=[ >]))")

HELD_BY_NAV = ("<article", "<main", "<h1", "<p>")
"""A `<nav>` that contains one of these is no menu; it is read, labelled as boilerplate."""

INNERMOST = re.compile(
    r"<(span|b|i|em|strong|code|font|sub|sup|u|small|mark|tt|var|kbd)"
    r"(?: class=\"(?!lnt?\")(?:\w{1,4}|(?:hljs|pl|token|cm|pre)[ -][\w -]*)\"| style=\"(?:color|font)[^\"<>;]*;?\")?>"
    r"([^<]*)</\1>"
)
"""An element within a line that contains text alone and whose attributes only colour it, as highlighters write
thousands of them in code."""

TAG = re.compile(r'[a-zA-Z][^\s/>]*(?: =?[^\s/>=]+="[^"]*")*+>')
"""A start tag without its first bracket. Names of attributes may contain quotation marks, values may contain
brackets."""

END_TAG = re.compile(r"/[^>]*>")
"""An end tag without its first bracket. Names of elements may contain quotation marks and brackets: `<ulclass="a">`."""

NO_ELEMENTS = ("!", "?", "")
"""First characters of document types, processing instructions, and of no tag at all."""

DATED = re.compile(r"publish|pub-?date|entry-date|post-date", re.IGNORECASE)
"""Classes of elements that show when a page was published."""

VOID = frozenset(
    ("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
     "meta", "param", "source", "track", "wbr")
)  # fmt: skip
"""Elements without an end tag."""

PLAIN_INLINE = frozenset(
    ("abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd",
     "label", "mark", "nobr", "q", "rb", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt",
     "u", "var", "semantics", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "msup", "msub", "msubsup", "mfrac",
     "msqrt", "mroot", "mover", "munder", "munderover", "mstyle", "mtable", "mtr", "mtd", "mpadded", "mphantom",
     "img", "wbr", "input", "source", "track", "area", "param", "embed", "base")
)  # fmt: skip
"""Elements that change nothing in a text unless they are labelled; what they contain belongs to their parent."""

BLOCKS = frozenset(
    ("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir", "div",
     "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
     "hgroup", "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "search", "section", "summary", "table",
     "tbody", "td", "tfoot", "th", "thead", "tr", "ul")
)  # fmt: skip
"""Elements that stand on lines of their own (HTML standard, section 15.3). All others are within a line; those that
contain blocks are weighed as blocks, such as `<a>` around a card."""

NAMED = frozenset(("html", "head", "body", "title", "meta", "link", "time", "h1", "td", "th", "col", "colgroup",
                   "button", "pre", "ul", "ol", "table"))  # fmt: skip
"""Elements that a page lists by name."""

LEAVES = frozenset(("p", "pre", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "figcaption"))
UNCOUNTED = frozenset(("head", "button", "title"))
"""Elements whose text has no weight."""

LITTLE, SCRIPTED = 20.0, 3.0
"""A page with less prose than the first is read for browsers without scripts if it has that many times as much prose
then, and LEAST_TEXT more: forums keep their threads in `<noscript>`."""

LEAST_TEXT = 3.0
"""An element with this much prose and few links is no menu, toolbar or table of contents, of any class."""

MAX_HEADLINE = 200
"""Most characters of a block that is one link and so a headline; the least is 10."""

LONG_RUN = 200
"""At a line break a run of at least this many characters is weighed as a block of its own."""

FURNITURE_WEIGHT = 0.1
"""Weight of prose in boilerplate elements: comments may be longer than the article, and a `modal` may be the page."""

STOPS = re.compile(r"[，。！？；：、…．]|[,.!?;:](?=\s|$)")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")

PLAIN = Label()
ASIDE = Label(furniture=True, strong=True)


class Node:
    """An element; `items[start:end]` of its page are its start tag and its content.

    parent: position of its parent. parts: elements below it that are blocks. weight: of its prose, with boilerplate
    weighted down; full: without; own: of its own paragraphs. chars, linked, stops: characters, those in links, and
    sentence marks. headlines: blocks that are one link, as in lists of other pages. line, line_linked: texts of the
    line that is being read, its characters in links. dropped, shown, code: not written; written although it is hidden;
    written with its blanks.
    """

    # Defaults of the class: most elements change few of them.
    end = 0
    weight = full = own = 0.0
    chars = linked = stops = headlines = 0
    line: list[str] | None = None
    line_linked = 0
    dropped = shown = code = False
    parts: Sequence[Node] = ()

    def __init__(self, tag: str, markup: str, label: Label, parent: int, start: int) -> None:
        self.tag, self.markup, self.label, self.parent, self.start = tag, markup, label, parent, start
        self.furniture = label.furniture

    @property
    def counted(self) -> float:
        """Its contribution to the weight of its parent."""
        return self.weight * (
            FURNITURE_WEIGHT
            if self.furniture or (self.label.hidden == UNDISPLAYED and not self.shown)
            else 1.0
        )

    def attribute(self, name: str) -> str:
        """The value of an attribute without blanks around it, "" if it has none."""
        return self.attributes().get(name, "").strip() if f"{name}=" in self.markup else ""

    def attributes(self) -> dict[str, str]:
        """Its attributes; of two of one name the parser keeps the first."""
        return attributes(self.markup)


class Page:
    """A page: `items` are texts, elements where they start, and the negative position of elements where they end.

    named: elements by tag (those of NAMED), and as `marked` those with `rel`, `itemprop` or a Creative Commons link,
    as `dated` those of DATED.
    linked_data: contents of linked data. head, body: these elements.
    """

    def __init__(self) -> None:
        self.items: list[str | Node | int] = []
        self.named: dict[str, list[Node]] = {}
        self.linked_data: list[str] = []
        self.head: Node | None = None
        self.body: Node | None = None

    def text(self, node: Node) -> str:
        """The characters of an element, without any layout."""
        return "".join(item for item in self.items[node.start : node.end] if isinstance(item, str))

    def parent(self, node: Node) -> Node | None:
        """The nearest element around an element that is a node."""
        parent = self.items[node.parent] if node.parent >= 0 else None
        return parent if isinstance(parent, Node) else None


def parse(html: str) -> Page:
    """Parse a page, with formulas converted to TeX."""
    page = Page()
    document = HTMLTree.parse(restore(_without_templates(html))).document
    if document is not None:
        source = document.html
        _read(page, _without_raw(page, source))
        if "<noscript" in source and (page.body is None or page.body.full < LITTLE):
            plain = Page()
            _read(plain, _without_raw(plain, source, kept="noscript"))
            before = page.body.full if page.body is not None else 0.0
            if plain.body is not None and plain.body.full >= LEAST_TEXT + SCRIPTED * before:
                return plain
    return page


def _without_templates(html: str) -> str:
    """Cut instructions to a server that it did not carry out, `<% ... %>`."""
    at = html.find("<%")
    if at < 0:
        return html
    parts, done = [], 0
    while at >= 0 and (end := html.find("%>", at)) >= 0:
        parts.append(html[done:at])
        done = end + 2
        at = html.find("<%", done)
    return "".join(parts) + html[done:]


def prose(chars: int, wide: int, stops: int) -> float:
    """Return the weight of a block of text as prose: 0 for a label or heading, about 1 for a sentence, at most 8.3.

    Args: its characters, those of them that take two columns, and its sentence marks.
    """
    if chars < 12:
        return 0.0
    columns = chars + wide
    if columns < 50 and not stops:
        return 0.0
    return min(columns / 100, 5.0) + min(stops, 10) / 3


def prose_of(text: str) -> float:
    """Return the weight of a text as prose, see `prose`."""
    return prose(len(text), len(WIDE.findall(text)), len(STOPS.findall(text)))


def _without_raw(page: Page, source: str, kept: str = "") -> str:
    """Cut what is never text from a serialised page; linked data is kept apart, and `<xmp>` is text.

    Args: kept, an element of SKIPPED whose content is kept if it has paragraphs.
    """
    parts: list[str] = []
    done = at = held_until = 0
    while found := CUT.search(source, at):
        start, at = found.span()
        if source.rfind("<", done, start) > source.rfind(">", done, start):
            continue  # within the value of an attribute
        name = found[1]
        if not name:
            last = source.find("-->", start + 2)  # `<!-->` is a whole comment
            done_next = last + 3
        else:
            if name == "nav" and start < held_until:
                continue
            if name == kept and source.find("<p", at, _end_of(source, name, at)) >= 0:
                continue
            opened = source.find(">", at) + 1
            last = _end_of(source, name, opened)
            done_next = last + len(name) + 3
            if name == "nav" and any(source.find(mark, opened, last) >= 0 for mark in HELD_BY_NAV):
                held_until = last
                continue
            if name == "script" and "ld+json" in source[start:opened]:
                page.linked_data.append(source[opened:last])
        if last < 0:
            last = done_next = len(source)
        parts.append(source[done:start])
        if name in ("xmp", "plaintext"):
            parts += ("<pre>", escape(source[opened:last], quote=False), "</pre>")
        done = at = done_next
    return _without_inner(_without_inner(superscripts(cut_inline_numbers("".join(parts) + source[done:]))))


def _without_inner(source: str) -> str:
    pieces = INNERMOST.split(source)  # text, tag, content, text, ...
    del pieces[1::3]
    return "".join(pieces)


def _end_of(source: str, name: str, at: int) -> int:
    """Return where the end tag of an element is whose content begins at `at`, or -1."""
    start_tag, end_tag = f"<{name}", f"</{name}>"
    last = source.find(end_tag, at)
    if name == "script":
        comment = source.find("<!--", at, last)
        if (
            comment >= 0 and source.find(start_tag, comment, last) >= 0
        ):  # a script inside a comment of a script
            closed = source.find("-->", comment)
            return source.find(end_tag, closed) if closed >= 0 else last
        return last
    if name in RAW:
        return last
    nested = source.find(start_tag, at, last)
    while 0 <= nested < last:
        if source[nested + len(start_tag)] in " >":
            last = source.find(end_tag, last + len(end_tag))
        nested = source.find(start_tag, nested + 1, last)
    return last


class Head(NamedTuple):
    """What a start tag does: `node`, make a node; `opens`, it has an end tag; `names`, the lists it is in."""

    tag: str
    markup: str
    label: Label
    node: bool
    opens: bool
    names: tuple[str, ...]


def _head(written: str) -> Head:
    """Read a start tag, as serialised, without its brackets."""
    tag, _, markup = written.partition(" ")
    markup = " " + markup if markup else ""
    if "class=" in markup or "id=" in markup or "style=" in markup or "hidden" in markup:
        label = label_of(tag, markup)
    else:
        label = ASIDE if tag in ASIDES else PLAIN
    names = [tag] if tag in NAMED else []
    if "rel=" in markup or "itemprop" in markup or "creativecommons" in markup:
        names.append("marked")
    if label.numbers:
        names.append("numbers")
    if label.kind and tag != "time" and DATED.search(label.kind):
        names.append("dated")
    labelled = label.furniture or label.hidden or label.never
    node = bool(names or labelled or tag not in PLAIN_INLINE)
    return Head(tag, markup, label, node, tag not in VOID, tuple(names))


def _read(page: Page, source: str) -> None:
    """Read a serialised page without comments and scripts into `page`."""
    items = page.items
    heads: dict[str, Head] = {}
    node = Node("", "", PLAIN, -1, 0)
    items.append(node)
    root = node
    open_nodes: list[Node | None] = []  # None for elements that are no nodes
    for written, text in _tags(source):
        if written[0] == "/":
            if not open_nodes:
                continue
            parent = open_nodes.pop()
            if parent is not None:
                items.append(-node.start)
                node.end = len(items)
                _close(node, parent)
                node = parent
        else:
            head = heads.get(written)
            if head is None:
                head = heads[written] = _head(written)
            tag, markup, label, is_node, opens, names = head
            if is_node:
                child = Node(tag, markup, label, node.start, len(items))
                items.append(child)
                for name in names:
                    page.named.setdefault(name, []).append(child)
                if opens:
                    open_nodes.append(node)
                    node = child
                elif tag == "br" and node.line and node.tag not in LEAVES:
                    _flush(node, LONG_RUN)
            elif opens:
                open_nodes.append(None)
        if text:
            if "&" in text:
                text = unescape(text)
            items.append(text)
            if node.line is None:
                node.line = [text]
            else:
                node.line.append(text)
    root.end = len(items)
    page.head, page.body = (next(iter(page.named.get(name, ())), None) for name in ("head", "body"))


def _tags(source: str) -> Iterator[tuple[str, str]]:
    """Yield each tag of a serialised page without its brackets, and the text after it."""
    pieces = iter(source.split("<"))
    at = len(next(pieces)) + 1
    for piece in pieces:
        written, closed, text = piece.partition(">")
        end = at + len(piece)
        if written[:1] in NO_ELEMENTS:
            written = "wbr"
        elif not closed or (written[0] != "/" and '"' in written and written.count('"') & 1):
            found = (END_TAG if written[0] == "/" else TAG).match(source, at)
            if not found:
                at = end + 1
                continue
            written = found[0][:-1]
            while end < found.end():
                end += 1 + len(next(pieces))
            text = source[found.end() : end]
        at = end + 1
        yield written, text


def _flush(node: Node, least: int = 0) -> None:
    """Weigh the line of an element as a block, if it has `least` characters; link text counts against it."""
    assert node.line is not None
    text = " ".join("".join(node.line).split())
    n = len(text)
    if n < least:
        node.line = [text]
        return
    stops = len(STOPS.findall(text))
    if node.tag == "pre":
        weight = min(n / 100, 5.0)
    else:
        weight = prose(n, 0 if text.isascii() else len(WIDE.findall(text)), stops)
    if 10 <= n <= MAX_HEADLINE and node.line_linked >= 0.9 * n:
        node.headlines += 1
    if weight and node.line_linked:
        weight *= max(1 - 1.5 * node.line_linked / n, 0.0)
    if weight:
        node.own += weight
        node.weight += weight
        node.full += weight
    node.chars += n
    if weight or node.tag not in LEAVES:  # the links of a short paragraph do not make it navigation
        node.linked += min(node.line_linked, n)
    node.stops += stops
    node.line = None
    node.line_linked = 0


def _close(node: Node, parent: Node) -> None:
    """Add an element that ended to its parent: a piece of a line to its line, a block to its parts."""
    tag = node.tag
    if node.label.never or tag in UNCOUNTED:
        return
    linked = tag == "a" and "href=" in node.markup
    if not node.parts and not node.chars and tag not in BLOCKS:
        if node.line:
            parent.line_linked += sum(map(len, node.line)) if linked else node.line_linked
            if parent.line is None:
                parent.line = node.line
            else:
                parent.line += node.line
            node.line = None
        return
    if node.line:
        _flush(node)
    if (
        node.furniture
        and not node.label.strong
        and node.full >= LEAST_TEXT
        and node.linked < 0.3 * node.chars
    ):
        node.furniture = False
    if linked or (node.furniture and node.stops * 300 < node.chars):  # a menu: few sentence marks
        node.weight = node.full = node.own = 0.0
        node.linked = node.chars
    if linked and 10 <= node.chars <= MAX_HEADLINE:
        node.headlines = 1
    if isinstance(parent.parts, list):
        parent.parts.append(node)
    else:
        parent.parts = [node]
    if node.chars:
        parent.weight += node.counted
        parent.full += node.full
        parent.headlines += node.headlines
        if tag in LEAVES:
            parent.own += node.counted
        parent.chars += node.chars
        parent.linked += node.linked
        parent.stops += node.stops
