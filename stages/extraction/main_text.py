"""The main text of a page: the element with most of its prose, cleaned of boilerplate.

Four steps, none of them specific to a site. *Narrow*: find the smallest element that contains most of the prose,
weighed by length and sentence punctuation (including full-width marks), without links. *Clean*: within it, remove
lists of links, and elements labelled as boilerplate (comments, related pages, toolbars) if they contain little prose.
*Write*: see `layout`. *Trim*: see `trim`.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator

from stages.extraction.labels import INVISIBLE, SECTIONS, SHOWN, UNDISPLAYED
from stages.extraction.layout import Layout
from stages.extraction.line_numbers import drop_line_numbers
from stages.extraction.page_tree import BLOCKS, LEAVES, Node, Page, parse, prose_of
from stages.extraction.style_text import without_style_text
from stages.extraction.trim import trim

__all__ = ["parse", "prose", "text_of"]

MOSTLY_HIDDEN = 0.1
"""If less than this share of the main element's characters is visible, its text is taken to be hidden."""

MAX_FURNITURE = 0.25
"""A boilerplate element with more than this share of the main text's weighted prose is kept; without prose, of its
text."""

WRAPPER, WRAPPED_TITLE = 0.9, 0.5
"""An element with at least this share of the page's prose is the page, regardless of its label; the second is for an
element that contains its title or an `<article>`, except one of comments or related pages."""

LEAST_PLAIN = 0.15
"""If weighted prose is less than this share of all prose, labels are ignored: nearly all text is labelled `comment`."""

PLAIN_TEXT = 20.0
"""With this much prose outside all labelled elements there is an article: its comments may be many times as long."""

HELD = 0.7
"""Least share of the page's prose in the main element."""

LOST = 0.02
"""Largest share of prose in a similar sibling of the main element, or in its parent's own paragraphs."""

NO_LISTS = SECTIONS | LEAVES | {"a"}
"""Elements that are not removed as lists of links."""

MORE = re.compile(
    r"(?:(?:more|also) (?:from|in|on|by|like|stories|news|great|coverage|articles|posts|reading|to read)\b"
    r"|(?:see|watch) more\b|read (?:more|also|next)\b|watch next\b"
    r"|(?:most|top|popular|trending|latest|recent|our latest|editors?['’]s?)"
    r" (?:popular|read|viewed|shared|commented|stories|news|posts|articles|videos|picks?|headlines|now)"
    r"(?: (?:in|on|from|now|today|this|of the|stories|news|posts|articles|videos)\b.*)?$"
    r"|breaking news$"
    r"|related(?: (?:stories|articles?|posts?|news|content|topics|links|coverage|reading|videos"
    r"|searches|pages))?\s*[:：]?$"
    r"|recommended(?: (?:for you|by .*|reading|stories|articles|posts|videos|content))?$"
    r"|trending$|popular$|don['’]t miss\b"
    r"|more\s*[:：]?$|up next$|what to read next"
    r"|you (?:may|might|could)(?: also)? (?:like|be interested|enjoy|want)|want more\b|if you (?:liked|enjoyed) this"
    r"|sponsored (?:links?|content|stories)|around the web|from (?:around )?the web|partner (?:news|content)"
    r"|in this (?:story|series)$"
    r"|(?:相关|相關|推荐|推薦|热门|熱門|延伸|更多|最新|精彩|猜你)(?:的)?(?:阅读|閱讀|文章|新闻|新聞|推荐|推薦|资讯|資訊|内容|內容|报道|報導|链接|連結|帖子|喜欢|喜歡|话题|專題|专题)"
    r"|大家(?:都|还)?在(?:看|搜)|看了(?:本文|又看|还看)|関連記事|人気記事|おすすめ)",
    re.IGNORECASE,
)
"""The start of the heading of a list of other pages."""

COMMENTS = re.compile(
    r"(?:\d[\d,]*|one|two|no) (?:(?:user|reader) )?(?:comments?|responses?|thoughts)(?: (?:to|on|so far)\b.*)?$"
    r"|(?:view|see|show)(?: all)? \d[\d,]* comments?$|(?:leave|post|add|write) (?:a|your) (?:comment|reply)$"
    r"|join the (?:conversation|discussion)\W*$|(?:user|reader|readers['’]) comments?$|comments?\s*[(（]\d[\d,]*[)）]$"
    r"|(?:网友|網友|精彩|最新|全部|热门|熱門|发表|發表|文章|读者|讀者)(?:的)?(?:评论|評論|留言|跟帖)(?:\s*[(（]?\s*\d*\s*(?:条|则|條|則)?[)）]?|区|列表)$"
    r"|(?:评论|評論|留言|跟帖)\s*[(（]\s*\d+\s*(?:条|则|條|則)?[)）]$",
    re.IGNORECASE,
)
"""The heading of comments; the bare word is a section of many manuals."""

LEAST_CAPITALS = 20
"""Least characters of a paragraph in capital letters that is a link to another page."""

POINTER = re.compile(
    r"(?:related(?: (?:stor(?:y|ies)|articles?|posts?|news|content|coverage|reading|links?))?|recommended"
    r"|also read|read also"
    r"|read (?:more|next)|you may (?:also )?like|also on .{2,30}|don['’]t miss"
    r"|(?:相关|相關|延伸|推荐|推薦)(?:阅读|閱讀|文章|新闻|新聞|报道|報導)|关联阅读"
    r"|leia (?:também|mais)|leggi anche|lire aussi|lesen sie auch|lea también|читайте также)\s*[:：|–-]",
    re.IGNORECASE,
)
"""The start of a paragraph that points to another page, if the rest of it is a link."""

MAX_POINTER = 250
"""Most characters of such a paragraph."""

MAX_MORE = 60
"""Most characters of such a heading."""

MAX_OTHERS = 0.5
"""A list of other pages has at most this share of the prose of the main element."""

RANKS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

TABLES = frozenset(("table", "tbody", "tr"))

ARTICLES = frozenset(("article", "main"))

OTHERS = re.compile(r"comment|disqus|related|recommend|respon[ds]|repl(?:y|ies)", re.IGNORECASE)
"""Words in the class or id of comments and other pages, which may contain an `<article>`."""

ASIDE = re.compile(rf"{OTHERS.pattern}|galler|slide|carousel|swiper|lightbox", re.IGNORECASE)
"""Words in the class or id of those, and of pictures with captions, within an article."""

MAX_DETAIL = 120
"""Most characters of an element that shows details."""

TITLES = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "ul", "ol"))

LEAST = 3.0
"""Least weight of a page with prose; of other pages all that is not boilerplate is text."""

FEED = 5.0
"""Less weight of prose for each item with a headline makes a list of other pages."""

N_ITEMS = 5
"""Least number of such items."""

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
        return trim(_without_styles(page, _without_prose(page, body)))
    heading = _heading(page)
    _unwrap(body, heading)
    if body.weight < LEAST_PLAIN * body.full and _unlabelled(body) < PLAIN_TEXT:
        _ignore_labels(body)
    main = _with_lead(page, _beside_feed(page, _narrow(body), heading), heading)
    _clean(page, main)
    _drop_more(page, main)
    _hide(page, main)
    text = trim(_without_styles(page, Layout(page).write(main)))
    title = _title(page, main, text)
    return f"{title}\n\n{text.lstrip()}" if title else text


def _without_styles(page: Page, text: str) -> str:
    return text if "pre" in page.named else without_style_text(text)


def prose(text: str) -> float:
    """Return the weight of a block of text as prose, see `page_tree.prose`."""
    return prose_of(text)


def _unwrap(page: Node, heading: Node | None) -> None:
    """Ignore the boilerplate label of elements that contain nearly the whole page, such as `<div class="modal">`."""
    path, in_article = [page], False
    while blocks := _blocks(path[-1]):
        best = max(blocks, key=lambda part: part.full)
        is_text = _holds_title(best, heading) or (
            in_article and best.full >= WRAPPER * path[-1].full and not ASIDE.search(best.label.words)
        )
        if best.full < (WRAPPED_TITLE if is_text else WRAPPER) * page.full:
            break
        best.furniture = False
        best.shown = True
        in_article |= best.tag == "article"
        path.append(best)
    for part in reversed(path):
        part.weight = part.own + sum(below.counted for below in _blocks(part))


def _holds_title(node: Node, heading: Node | None) -> bool:
    """Whether an element contains the title of the page, or its one article, and is none of comments or other pages."""
    if OTHERS.search(node.label.words):
        return False
    if heading is not None and node.start < heading.start < node.end:
        return True
    return node.tag == "article" or any(
        part.full >= HELD * node.full for part in _within(node, 3) if part.tag in ARTICLES
    )


def _within(node: Node, levels: int) -> Iterator[Node]:
    """The blocks of an element, down to some levels below it."""
    for part in node.parts:
        yield part
        if levels > 1:
            yield from _within(part, levels - 1)


def _blocks(node: Node) -> list[Node]:
    """The parts of an element that may be the main element: all but paragraphs and headings."""
    return [part for part in node.parts if part.tag not in LEAVES]


def _unlabelled(page: Node) -> float:
    """The weight of the prose that is in no boilerplate element."""
    total, stack = 0.0, [page]
    while stack:
        part = stack.pop()
        if not part.furniture and part.tag not in LEAVES:
            total += part.own
            stack += part.parts
    return total


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
    if node.tag in TABLES:
        return False
    return len(items) >= N_ITEMS and HELD * node.full <= prose_in_items < FEED * len(items)


def _leads_away(page: Page, node: Node) -> bool:
    """Whether most links of an element lead to other pages; headings of a document may link to themselves."""
    links = [
        item.attribute("href")
        for item in page.items[node.start : node.end]
        if isinstance(item, Node) and item.tag == "a"
    ]
    return sum(not link.startswith("#") for link in links) > 0.5 * len(links)


def _is_headline(page: Page, part: Node) -> bool:
    """Whether a paragraph is one link in capital letters, or a list has headings alone that are links."""
    if part.tag in ("ul", "ol"):
        items = part.parts
        return len(items) > 0 and all(
            item.headlines and not item.full and any(below.tag in RANKS for below in item.parts)
            for item in items
        )
    if part.tag != "p" or part.headlines != 1 or part.parts or part.chars < LEAST_CAPITALS:
        return False
    return page.text(part).isupper()


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
    if part.tag != best.tag:
        return False
    kind = part.label.kind
    block, element, _ = kind.partition("__")  # names of the form block__element, as BEM has them
    return (
        part.tag in SECTIONS
        or (kind == best.label.kind and kind != "")
        or (element != "" and best.label.kind.startswith(f"{block}__"))
    )


def _clean(page: Page, main: Node) -> None:
    """Drop boilerplate, details such as author and date, and lists of links from the main element."""
    limit, other = MAX_FURNITURE * main.weight, MAX_OTHERS * main.full
    stack = [(part, main) for part in main.parts]
    while stack:
        part, parent = stack.pop()
        furniture = part.furniture and part.counted <= limit
        feed = (
            part.headlines >= N_ITEMS
            and 0 < part.full <= other
            and _is_feed(part)
            and _leads_away(page, part)
        )
        if furniture or feed or _is_link_list(part, parent) or _is_detail(part) or _is_headline(page, part):
            part.dropped = True
        else:
            stack += ((below, part) for below in part.parts)


def _drop_more(page: Page, main: Node) -> None:
    """Drop comments, and lists of other pages, that begin with a heading inside the main element.

    If the heading begins an element, that element is dropped; otherwise all that follows it up to the next heading of
    its rank, unless it is text without links.
    """
    stack = list(main.parts)
    while stack:
        part = stack.pop()
        if part.dropped:
            continue
        if part.parts or part.chars < 4:
            stack += part.parts
            continue
        text = page.text(part).strip()
        if part.chars <= MAX_POINTER and part.tag not in RANKS and POINTER.match(text):
            part.dropped = _linked(page, part) >= 0.6 * part.chars
            continue
        comments = part.chars <= MAX_MORE and COMMENTS.match(text) is not None
        if not comments and not MORE.match(text):
            continue
        if part.chars > MAX_MORE:
            part.dropped = _linked(page, part) >= 0.5 * part.chars
            continue
        group, parent = [part], page.parent(part)
        while parent is not None and parent is not main and parent.parts[0] is group[0]:
            group, parent = [parent], page.parent(parent)
        if parent is None:
            continue
        if group[0] is part or group[0].chars <= MAX_MORE:
            at = next(i for i, beside in enumerate(parent.parts) if beside is group[0])
            for beside in parent.parts[at + 1 :]:
                if beside.tag == group[0].tag and beside.tag in RANKS:
                    break
                group.append(beside)
        full = sum(beside.full for beside in group)
        of_links = sum(beside.headlines for beside in group) >= 2 or (
            sum(beside.linked for beside in group) >= 0.3 * sum(beside.chars for beside in group)
        )
        if main.full - full >= LEAST if comments else of_links and full <= MAX_OTHERS * main.full:
            for beside in group:
                beside.dropped = True


def _linked(page: Page, node: Node) -> int:
    """The characters of an element that are in links."""
    n = end = 0
    for i, item in enumerate(page.items[node.start : node.end], node.start):
        if isinstance(item, Node):
            end = max(end, item.end) if item.tag == "a" else end
        elif isinstance(item, str) and i < end:
            n += len(item.strip())
    return n


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
