"""What the attributes of an element say about it: boilerplate, hidden, code, never text.

Words in classes and ids, none of them of one site; `main_text` decides what follows from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

ATTRIBUTE = re.compile(r'\s([^\s>/]+?)="([^"]*)"')

FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:bread-?crumbs?|crumbs?|comment\w*|disqus|related\w*|recommend\w*|share\w*|social|toolbar|paginat\w+|pager"
    r"|copyright|newsletter|subscribe|side-?bar|popup|modal|cookies?|tooltip|hot-?news|rank(?:ing)?|foot(?:er)?|toc"
    r"|nav\w*|menu|ad|ads|adbox|advert\w*|login|skip\w*|sponsor\w*|promo\w*)(?:$|[\s_-]|\d)",
    re.IGNORECASE,
)
"""Words in the class or id of boilerplate elements; ignored if the element contains much of the page."""

NEVER = frozenset(
    "linenos linenodiv lineno lnt line-numbers-rows hljs-ln-numbers rouge-gutter blob-num copybtn headerlink header-anchor"
    " anchorjs-link hash-link mw-editsection katex-html mathjax_preview".split()
)
"""Classes of elements that are never text: numbers beside code, anchors beside headings, formulas rendered twice."""

CODE = re.compile(
    r"(?:^|[\s_-])(?:blob-code|hljs-ln-code|code-?line|line-?code|file-line|diff-?line)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Classes of table cells that contain a line of code."""

NUMBERS = re.compile(
    r"gutter|line-?n(?:o|um)|number(?:ing|s)?(?:$|[\s_-])|linenr|(?:^|[\s_-])(?:ln|nums?)(?:$|[\s_-])",
    re.IGNORECASE,
)
"""Classes of elements with numbers of lines, which are no text beside code if they are digits alone."""

NO_DISPLAY = re.compile(r"display\s*:\s*none", re.IGNORECASE)
NOT_VISIBLE = re.compile(r"visibility\s*:\s*hidden", re.IGNORECASE)

SHOWN, UNDISPLAYED, INVISIBLE = 0, 1, 2
"""Whether an element is shown, has no box, or an invisible one, as pages have it until a script has run."""

SECTIONS = frozenset(("section", "details", "li", "td", "tr", "tbody", "dl", "blockquote"))
"""Sections of a text: the main text is never narrowed to the longest of several; their ids are made from headings."""

ASIDES = frozenset(("aside", "footer", "nav"))
MAINS = frozenset(("main", "article", "body", "html"))
TEXTUAL = frozenset(("p", "pre", "code", "h1", "h2", "h3", "h4", "h5", "h6"))


@dataclass(frozen=True, slots=True)
class Label:
    """What an element's attributes say: `kind` is its class, `words` class and id, `hidden` one of SHOWN, UNDISPLAYED,
    INVISIBLE.
    never: never text; code: a line of code; pre: white space counts.
    """

    kind: str = ""
    words: str = ""
    furniture: bool = False
    hidden: int = SHOWN
    never: bool = False
    code: bool = False
    pre: bool = False


def attributes(markup: str) -> dict[str, str]:
    """Return the attributes of a serialised start tag; names are in lower case."""
    return {
        name.lower(): unescape(value) if "&" in value else value for name, value in ATTRIBUTE.findall(markup)
    }


def label_of(tag: str, markup: str) -> Label:
    """Return the label of an element from its tag and the attributes of its serialised start tag."""
    values = attributes(markup)
    kind = values.get("class", "")
    words = f"{kind} {values.get('id', '') if tag not in SECTIONS else ''}"
    style = values.get("style", "")
    if NO_DISPLAY.search(style) or values.get("hidden", "until-found") != "until-found":
        hidden = UNDISPLAYED
    else:
        hidden = INVISIBLE if NOT_VISIBLE.search(style) else SHOWN
    return Label(
        kind=kind,
        words=f"{kind} {values.get('id', '')}",
        furniture=tag in ASIDES
        or (tag not in MAINS and len(words) > 1 and FURNITURE.search(words[:1000]) is not None),
        hidden=hidden,
        never=any(word in NEVER for word in kind.lower().split()) if kind else False,
        code=CODE.search(kind) is not None,
        pre=tag != "pre" and "white-space:pre;" in style.replace(" ", "") + ";",
    )
