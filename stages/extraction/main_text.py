"""The main text of a page: the element with most of its prose, cleaned of boilerplate.

Four steps, none of them specific to a site. *Narrow*: find the smallest element that contains most of the prose,
weighed by length and sentence punctuation (including full-width marks), without links. *Clean*: within it, remove
lists of links, and elements labelled as boilerplate (comments, related pages, toolbars) if they contain little prose.
*Write*: see `layout`. *Trim*: see `trim`.
"""

from __future__ import annotations

import re
from bisect import bisect

from stages.extraction.labels import INVISIBLE, SECTIONS, SHOWN, UNDISPLAYED
from stages.extraction.layout import Layout
from stages.extraction.line_numbers import drop_line_numbers
from stages.extraction.page_tree import BLOCKS, LEAVES, Node, Page, parse, prose_of
from stages.extraction.trim import trim

__all__ = ["parse", "prose", "text_of"]

MOSTLY_HIDDEN = 0.1
"""If less than this share of the main element's characters is visible, its text is taken to be hidden."""

MAX_FURNITURE = 0.25
"""A boilerplate element with more than this share of the main text's weighted prose is kept; without prose, of its
text."""

WRAPPER = 0.9
"""An element with at least this share of the page's prose is the page, regardless of its label."""

LEAST_PLAIN = 0.15
"""If weighted prose is less than this share of all prose, labels are ignored: nearly all text is labelled `comment`."""

HELD = 0.7
"""Least share of the page's prose in the main element."""

LOST = 0.02
"""Largest share of prose in a similar sibling of the main element, or in its parent's own paragraphs."""

NO_LISTS = SECTIONS | LEAVES | {"a"}
"""Elements that are not removed as lists of links."""

MAX_DETAIL = 120
"""Most characters of an element that shows details."""

TITLES = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol"))

LEAST = 3.0
"""Least weight of a page with prose; of other pages all that is not boilerplate is text."""

FEED = 5.0
"""Less weight of prose for each item with a headline makes a list of other pages."""

LEAD = 1.5
"""Least weight of prose between the heading and the main element that belongs to it."""

MAX_LEVELS = 50
"""Elements around another one that are examined, and hidden elements that are compared with those beside them."""

RIVAL = 1.4
"""An invisible text is waiting for a script if it has this many times the prose of any visible element beside it;
beside more it is hidden on purpose."""

FOLD = re.compile(
    r"(?:点击)?(?:展开|阅读|查看|显示|加载)(?:全文|全部|更多|剩余|余下|完整)(?:内容|文章|正文)?"
    r"|(?:read|show|view|see|load) (?:more|all|the rest|full (?:article|story|text))|continue reading"
    r"|expand(?: all| article)?",
    re.IGNORECASE,
)
"""The words of a button that shows the hidden half of a text."""

FOLD_LEVELS = 3
"""The button is in an element at most this far above the hidden half."""


def text_of(page: Page) -> str:
    """Return the main text of a page; elements of the page are marked as dropped."""
    body = page.body
    if body is None:
        return ""
    drop_line_numbers(page)
    if body.full < LEAST:
        return trim(_without_prose(page, body))
    _unwrap(body)
    if body.weight < LEAST_PLAIN * body.full:
        _ignore_labels(body)
    heading = _heading(page)
    main = _with_lead(page, _beside_feed(page, _narrow(body), heading), heading)
    _clean(main)
    _hide(page, main)
    text = trim(Layout(page).write(main))
    title = _title(page, main, text)
    return f"{title}\n\n{text.lstrip()}" if title else text


def prose(text: str) -> float:
    """Return the weight of a block of text as prose, see `page_tree.prose`."""
    return prose_of(text)


def _unwrap(page: Node) -> None:
    """Ignore the boilerplate label of elements that contain nearly the whole page, such as `<div class="modal">`."""
    path = [page]
    while blocks := _blocks(path[-1]):
        best = max(blocks, key=lambda part: part.full)
        if best.full < WRAPPER * page.full:
            break
        best.furniture = False
        best.shown = True
        path.append(best)
    for part in reversed(path):
        part.weight = part.own + sum(below.counted for below in _blocks(part))


def _blocks(node: Node) -> list[Node]:
    """The parts of an element that may be the main element: all but paragraphs and headings."""
    return [part for part in node.parts if part.tag not in LEAVES]


def _ignore_labels(page: Node) -> None:
    stack = [page]
    while stack:
        part = stack.pop()
        part.furniture = False
        part.weight = part.full
        stack += part.parts


def _narrow(page: Node) -> Node:
    """Descend from the page to the smallest element that contains most of its prose and has no similar siblings."""
    at, share = page, 1.0
    while at.weight and (blocks := _blocks(at)):
        best = max(blocks, key=lambda part: part.counted)
        share *= best.counted / at.weight
        others = any(
            _alike(part, best) and part.counted > LOST * at.weight for part in blocks if part is not best
        )
        if share < HELD or at.own > LOST * at.weight or others:
            break
        at = best
    return at


def _heading(page: Page) -> Node | None:
    """The heading of a page that is its title, the longest if there are several."""
    named = page.named.get("title", ())
    title = _letters(page.text(named[0])) if named else ""
    best, n = None, 3
    for heading in page.named.get("h1", ())[:MAX_LEVELS]:
        letters = _letters(page.text(heading)[:300])
        if len(letters) > n and letters in title and heading.label.hidden == SHOWN:
            best, n = heading, len(letters)
    return best


def _is_feed(node: Node) -> bool:
    """Whether an element is a list of other pages: most of its prose is in parts of which each has a headline."""
    while node.parts and (best := max(node.parts, key=lambda part: part.full)).full >= HELD * node.full > 0:
        node = best
    items = [part for part in node.parts if part.headlines and part.tag not in LEAVES]
    prose_in_items = sum(part.full for part in items)
    return len(items) >= 5 and prose_in_items >= HELD * node.full and prose_in_items < FEED * len(items)


def _beside_feed(page: Page, main: Node, heading: Node | None) -> Node:
    """Return the text below the heading of a page if its main element is a list of other pages."""
    if heading is None or not _is_feed(main):
        return main
    best, around = main, page.parent(heading)
    for _ in range(MAX_LEVELS):
        if around is None or around.tag == "html" or around is main or _is_feed(around):
            break
        best, around = around, page.parent(around)
    return best if best.full >= LEAST else main


def _with_lead(page: Page, main: Node, heading: Node | None) -> Node:
    """Return the element that also contains the prose between the heading and the main element.

    It is the lead of an article or the opening post of a thread.
    """
    best, at = main, main
    while (
        heading is not None
        and heading.start < at.start
        and (parent := page.parent(at)) is not None
        and at.tag != "body"
    ):
        before = [part for part in parent.parts if part.start < at.start and part.end > heading.start]
        leads = [part for part in before if _is_lead(part)]
        if leads:
            for part in parent.parts:
                part.dropped |= (
                    part is not at and part not in leads and not (part.start > at.start and _alike(part, at))
                )
            best = parent
        at = parent
    return best


def _is_lead(part: Node) -> bool:
    return (
        part.weight >= LEAD
        and not part.furniture
        and not part.label.details
        and part.linked < 0.3 * part.chars
    )


def _alike(part: Node, best: Node) -> bool:
    """Whether two siblings seem to belong to one text: both are sections, or blocks of the same class."""
    return part.tag == best.tag and (
        part.tag in SECTIONS or (part.label.kind == best.label.kind and part.label.kind != "")
    )


def _clean(main: Node) -> None:
    """Drop boilerplate, details such as author and date, and lists of links from the main element."""
    limit = MAX_FURNITURE * main.weight
    stack = [(part, main) for part in main.parts]
    while stack:
        part, parent = stack.pop()
        if (part.furniture and part.counted <= limit) or _is_link_list(part, parent) or _is_detail(part):
            part.dropped = True
        else:
            stack += ((below, part) for below in part.parts)


def _is_link_list(part: Node, parent: Node) -> bool:
    """Whether an element is navigation: mostly links, and not a list below an item of a text."""
    if part.weight >= 0.5 or part.linked <= 0.5 * part.chars or part.tag in NO_LISTS:
        return False
    return not (parent.tag == "li" and parent.own > 0)


def _is_detail(part: Node) -> bool:
    """Whether an element shows details of the text, and is no text itself: no heading, code or sentence."""
    return (
        part.label.details
        and part.full < 0.5
        and 0 < part.chars <= MAX_DETAIL
        and not any(below.tag in TITLES for below in part.parts)
    )


def _hide(page: Page, main: Node) -> None:
    """Drop hidden elements of the main element, but for those that are part of its text.

    Pages hide a text until a script has run (it is invisible, or most of the page's prose), and the second half of a
    text until a button is pressed.
    """
    hidden = [
        item
        for item in page.items[main.start : main.end]
        if isinstance(item, Node) and item.label.hidden != SHOWN and not item.shown and item is not main
    ]
    if not hidden:
        return
    outermost, end = [], 0
    for node in hidden:
        if node.start >= end:
            outermost.append(node)
            end = node.end
    n_hidden = sum(node.chars for node in outermost if not node.dropped)
    if n_hidden > (1 - MOSTLY_HIDDEN) * main.chars:
        return
    buttons = _buttons(page, main)
    n_compared = end = 0
    for node in hidden:
        if node.start < end:
            continue
        weight = node.full if node.tag in BLOCKS or node.parts else prose(page.text(node))
        text = weight >= 1.0 and not node.furniture
        shown = text and (
            (node.label.hidden == UNDISPLAYED and node.full > 0.5 * main.full) or _folded(page, node, buttons)
        )
        if text and not shown and node.label.hidden == INVISIBLE and n_compared < MAX_LEVELS:
            n_compared += 1
            shown = node.full > RIVAL * _rival(page, node, main)
        if not shown:
            node.dropped = True
            end = node.end


def _rival(page: Page, node: Node, main: Node) -> float:
    """The most prose in one visible element beside a hidden one, or beside an element around it, in the main
    element."""
    most = 0.0
    around: Node | None = node
    for _ in range(MAX_LEVELS):
        if around is None or around is main:
            break
        parent = page.parent(around)
        for part in parent.parts if parent is not None else ():
            if part is not around and part.label.hidden == SHOWN:
                most = max(most, part.full)
        around = parent
    return most


def _buttons(page: Page, main: Node) -> list[int]:
    """Positions of the texts in an element of buttons that show more."""
    return [
        i
        for i, item in enumerate(page.items[main.start : main.end], main.start)
        if isinstance(item, str)
        and len(item) < 60
        and FOLD.fullmatch(item.strip(" \t\r\n\u3000>»…↓▼.[]【】()（）"))
    ]


def _folded(page: Page, node: Node, buttons: list[int]) -> bool:
    """Whether a hidden element is the half of a text that a button shows."""
    around: Node | None = node
    for _ in range(FOLD_LEVELS if buttons else 0):
        around = page.parent(around) if around is not None else None
        if around is None or around.tag == "body":
            return False
        if bisect(buttons, around.end) > bisect(buttons, around.start):
            return True
    return False


def _without_prose(page: Page, body: Node) -> str:
    """Return the text of a page without prose: verse, tables, a list of links."""
    stack, lists = list(body.parts), []
    left = body.chars
    while stack:
        part = stack.pop()
        if (
            part.furniture or part.tag == "header" or part.label.hidden
        ) and part.chars <= MAX_FURNITURE * left:
            part.dropped = True
            left -= part.chars
        elif part.linked > 0.5 * part.chars and part.tag not in NO_LISTS:
            lists.append(part)
        else:
            stack += part.parts
    if sum(part.chars for part in lists) < left:
        for part in lists:
            part.dropped = True
    return Layout(page).write(body)


def _title(page: Page, main: Node, text: str) -> str:
    """Return the title of a page as it is shown, if it stands outside the main element, and "" if it is in the text.

    It is the longest text in front of the main element that is part of `<title>`, first of all a heading.
    """
    named = page.named.get("title", ())
    title = _letters(page.text(named[0])) if named else ""
    if not title or page.body is None:
        return ""
    best, start = "", _letters(text[: 4 * len(title) + 400])
    for heading in page.named.get("h1", ())[:MAX_LEVELS]:
        if heading.label.hidden == SHOWN and not heading.label.never:
            best = _longer(best, page.text(heading), title)
    if not best:
        for item in page.items[page.body.start : main.start]:
            if isinstance(item, str):
                best = _longer(best, item, title)
    return "" if _letters(best) in start else " ".join(best.split())


def _longer(best: str, found: str, title: str) -> str:
    """The longer of two texts, if the second is part of a title and much of it."""
    letters = _letters(found[:300])
    is_title = len(letters) >= 4 and letters in title and 3 * len(letters) >= len(title)
    return found if is_title and len(letters) > len(_letters(best)) else best


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()
