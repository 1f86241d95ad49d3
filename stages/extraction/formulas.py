"""Formulas of a page as TeX: `$...$`, or `$$...$$` on a line of its own.

Renderers write a formula as hundreds of elements, but most include its source: MathJax 4 in `data-latex`, KaTeX,
Wikipedia and arXiv in a MathML annotation or in `alttext`, MathJax 2 in `<script type="math/tex">`, forums in the `alt`
of an image. Operates on the HTML source before it is parsed, in linear time; formulas without a source are unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

MAX_CHARS = 200_000
"""Longest markup of a formula; longer ones are not converted."""

MARKS = ("<mjx-container", "<math", "math/tex", "<img")
LATEX = re.compile(r"""\bdata-latex=(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
ALTTEXT = re.compile(r"""\balttext=(?:"([^"]*)"|'([^']*)')""")
ANNOTATION = re.compile(
    r"""<annotation[^>]{0,100}\bencoding=["']?(?:application/x-tex|TeX|LaTeX)\b[^>]{0,100}>([^<]*)<""", re.I
)
ALT = re.compile(r"""\balt=(?:"([^"]*)"|'([^']*)')""")
IMAGE = re.compile(
    r"""\beeimg=|/equation\?tex=|latex\.codecogs\.com|/latex[./]|class=["']?(?:latex|tex|math|formula)\b""",
    re.I,
)
DISPLAY = re.compile(r"""\bdisplay=["']?(?:block|true)\b|mode=display|fallback-image-display""")
WRAPPER = re.compile(r"^\{\\(?:displaystyle|textstyle)\s?(.*)\}$", re.DOTALL)


def restore(html: str) -> str:
    """Return the page with formulas replaced by their TeX source, where it is included."""
    if "<mjx-container" in html:
        html = _replace(html, "<mjx-container", "</mjx-container>", lambda found: _first(LATEX, found))
    if "<math" in html:
        html = html.replace('mwe-math-mathml-a11y" style="display: none;"', 'mwe-math-mathml-a11y"')
        html = _replace(
            html,
            "<math",
            "</math>",
            lambda found: _first(ANNOTATION, found) or _first(ALTTEXT, found[:MAX_CHARS].partition(">")[0]),
        )
    if "math/tex" in html:
        html = _replace(html, "<script", "</script>", _script)
    if "eeimg=" in html or "equation?tex=" in html or "latex" in html:
        html = _replace(html, "<img", ">", lambda found: _first(ALT, found) if IMAGE.search(found) else None)
    return html


def _script(markup: str) -> str | None:
    head, _, body = markup.partition(">")
    return body[: -len("</script>")] if "math/tex" in head else None


def _first(pattern: re.Pattern[str], markup: str) -> str | None:
    match = pattern.search(markup)
    return unescape(next(group for group in (*match.groups(), "") if group is not None)) if match else None


def _replace(html: str, start: str, end: str, source: Callable[[str], str | None]) -> str:
    """Replace each element from `start` to `end` by the TeX that `source` returns for its markup, if any."""
    parts: list[str] = []
    done, at = 0, html.find(start)
    while at >= 0:
        last = html.find(end, at)
        if last < 0:
            break
        last += len(end)
        tex = source(html[at:last]) if last - at <= MAX_CHARS else None
        if tex and tex.strip():
            display = DISPLAY.search(html, at, min(last, at + 500)) is not None
            parts += (html[done:at], _as_text(tex, display))
            done = last
        at = html.find(start, last)
    return "".join(parts) + html[done:] if parts else html


def _as_text(tex: str, display: bool) -> str:
    tex = tex.strip()
    wrapped = WRAPPER.match(tex)
    tex = escape((wrapped[1] if wrapped else tex).strip(), quote=False)
    return f"<br>$${tex}$$<br>" if display else f"${tex}$"
