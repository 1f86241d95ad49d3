"""What the attributes of an element say about it: boilerplate, hidden, code, never text.

Words in classes and ids, none of them of one site; `main_text` decides what follows from them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from html import unescape

ATTRIBUTE = re.compile(r'\s([^\s>/]+?)="([^"]*)"')

FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:(comment\w*|disqus|related\w*|recommend\w*|side-?bar|newsletter|subscribe|popup|modal|cookies?|foot(?:er)?"
    r"|sponsor\w*|promo\w*|advert\w*|hot-?news|disclaim\w*|consent|gdpr|sign-?up|opt-?in|right-?rail|outbrain\w*|taboola\w*|zergnet"
    r"|most-?(?:popular|read|viewed|recent|shared|commented)\w*|trending\w*|popular-?(?:posts?|stories|now|news|articles)"
    r"|top-?stories|latest-?(?:news|stories|posts|videos)|recirc\w*|ticker|marquee|(?:read|up|watch)-?next"
    r"|more-?(?:news|stories|from|like|posts|articles|videos|coverage|headlines)|(?:may|might|also)-?(?:also-?)?(?:like|read)"
    r"|(?:about-?(?:the-?)?|post-?|entry-?)author|author-?(?:bio\w*|box|content|desc\w*|about|profile)"
    r"|galler(?:y|ies)|slide-?shows?|carousel\w*|swiper\w*|lightbox)|copyright|bread-?crumbs?|crumbs?|share\w*|social|toolbar|paginat\w+|pager"
    r"|tooltip|rank(?:ing)?|toc|nav\w*|menu|ad|ads|adbox|login|skip\w*)(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of boilerplate elements; ignored if the element contains much of the page. Those of the
group may contain prose; the others are no boilerplate if they do."""

BESIDE = re.compile(r"(?:^|[\s_-])(?:has|with|without|no|enable|hide|show)[\s_-]+$", re.IGNORECASE)
"""Words in front of those of FURNITURE in the class of an element that has a boilerplate element beside or in it."""

DETAILS = re.compile(
    r"(?:^|[\s_-])(?:by-?line|date-?line|author\w*|writer|editors?|meta|post-?info|article-?info|info|source|origin|time-?stamp|(?:pub-?)?(?:date|time)"
    r"|tags?|key-?words?|actions?|operat\w+|tools?|btns?|buttons?|votes?|likes?|prais\w*|zan|counts?|stats?|views|qr-?code|erweima"
    r"|player|audio|statement|declar\w*|repl(?:y|ies)-?(?:btn|bar|box|tip)?|report|feed-?back|prev|next|prev-?next|user-?\w*|tips?|edit)"
    r"(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of details of a text: its author, date, source, tags, counters and buttons. An element
with one of them is no text if it contains no prose and few characters."""

CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

NEVER = frozenset(
    "linenos linenodiv lineno lnt line-numbers-rows hljs-ln-numbers rouge-gutter blob-num copybtn"
    " headerlink header-anchor"
    " anchorjs-link hash-link mw-editsection katex-html mathjax_preview".split()
)
"""Classes of elements that are never text: numbers beside code, anchors beside headings, formulas rendered twice."""

FORMULA = re.compile(r"(?:^|\s)(?:math|arithmatex|mathjax\w*|katex-display|equation)(?:$|\s)", re.IGNORECASE)
"""Classes of formulas, which are text; their ids are made from chapters, and may contain words of FURNITURE."""

CODE = re.compile(
    r"(?:^|[\s_-])(?:blob-code|hljs-ln-code|lines?-code|code-?line|line-?code|file-line|diff-?line)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Classes of table cells that contain a line of code."""

NUMBERS = re.compile(
    r"gutter|line-?n(?:o|um)|number(?:ing|s)?(?:$|[\s_-])|linenr|(?:^|[\s_-])(?:ln|nums?)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Classes of elements with numbers of lines, which are no text beside code if they are digits alone."""

LINE_NUMBER = re.compile(r"line-?n(?:o|um)|lnum|linenr|lines-num|blob-num", re.IGNORECASE)
"""Those of NUMBERS that say that it is a line that has the number."""

CLASS = re.compile(r'\sclass="([^"]*)"')
ID = re.compile(r'\sid="([^"]*)"')
NO_DISPLAY = re.compile(r"display\s*:\s*none", re.IGNORECASE)
NOT_VISIBLE = re.compile(r"visibility\s*:\s*hidden", re.IGNORECASE)

SHOWN, UNDISPLAYED, INVISIBLE = 0, 1, 2
"""Whether an element is shown, has no box, or an invisible one, as pages have it until a script has run."""

SECTIONS = frozenset(("section", "details", "li", "td", "tr", "tbody", "dl", "blockquote"))
"""Sections of a text: the main text is never narrowed to the longest of several; their ids, and those of headings,
are made from text."""

ASIDES = frozenset(("aside", "footer", "nav"))
MAINS = frozenset(("main", "article", "body", "html"))
TABULAR = frozenset(("tr", "td", "th", "tbody", "thead", "tfoot"))
TEXTUAL = frozenset(("p", "pre", "code", "h1", "h2", "h3", "h4", "h5", "h6"))


@dataclass(frozen=True, slots=True)
class Label:
    """What an element's attributes say: `kind` is its class, `words` class and id, `hidden` one of SHOWN, UNDISPLAYED,
    INVISIBLE.
    strong: boilerplate even if it contains prose; details: see DETAILS; never: never text; code: a line of code;
    pre: white space counts; numbers: see NUMBERS.
    """

    kind: str = ""
    words: str = ""
    furniture: bool = False
    strong: bool = False
    details: bool = False
    hidden: int = SHOWN
    never: bool = False
    code: bool = False
    pre: bool = False
    numbers: bool = False


def attributes(markup: str) -> dict[str, str]:
    """Return the attributes of a serialised start tag; names are in lower case."""
    return {
        name.lower(): unescape(value) if "&" in value else value for name, value in ATTRIBUTE.findall(markup)
    }


def label_of(tag: str, markup: str) -> Label:
    """Return the label of an element from its tag and the attributes of its serialised start tag."""
    kind = found[1] if (found := CLASS.search(markup)) else ""
    name = found[1] if (found := ID.search(markup)) else ""
    if "style=" in markup or "hidden" in markup:
        values = attributes(markup)
        style = values.get("style", "")
        if NO_DISPLAY.search(style) or values.get("hidden", "until-found") != "until-found":
            hidden = UNDISPLAYED
        else:
            hidden = INVISIBLE if NOT_VISIBLE.search(style) else SHOWN
        pre = "white-space:pre;" in style.replace(" ", "") + ";"
    else:
        hidden, pre = SHOWN, False
    return _labelled(tag, kind, "" if tag in SECTIONS or tag in TEXTUAL else name, hidden, pre)


@functools.lru_cache(1 << 14)
def _labelled(tag: str, kind: str, name: str, hidden: int, pre: bool) -> Label:
    words = CAMEL.sub("-", f"{kind} {name}"[:1000])
    is_searched = len(words) > 1 and tag not in MAINS and not FORMULA.search(kind)
    found = list(FURNITURE.finditer(words)) if is_searched else []
    found = [match for match in found if not BESIDE.search(words, 0, match.start() + 1)]
    return Label(
        kind=kind,
        words=f"{kind} {name}",
        furniture=tag in ASIDES or len(found) > 0,
        strong=tag in ASIDES or any(match[1] for match in found),
        details=tag not in TEXTUAL | MAINS | TABULAR and DETAILS.search(words) is not None,
        hidden=hidden,
        never=any(word in NEVER for word in kind.lower().split()) if kind else False,
        code=CODE.search(kind) is not None,
        pre=tag != "pre" and pre,
        numbers=NUMBERS.search(kind) is not None,
    )
