"""Style sheets and scripts that a page contains as text, because a word processor or an editor lost their tags.

Read as such only on a page that says nothing of either and has no code: elsewhere they are what it is about.
"""

from __future__ import annotations

import re

BODY = re.compile(r"\{([^{}]{3,4000})\}")
"""What a rule of a style sheet declares."""

DECLARATION = re.compile(
    r"\s*(?:/\*[^*]*\*/\s*)?(?:-?(?:mso|webkit|moz|ms|panose)-?[\w-]*|color|background|font|margin|padding|border|text|line"
    r"|width|height|display|position|float|clear|behavior|overflow|list|white-space|letter|word|vertical|z-index|top"
    r"|left|right|bottom|cursor|opacity|src|size|page|layout|tab-stops|content|max|min|box|unicode|punctuation)"
    r"[\w-]*\s*:\s*\S",
    re.IGNORECASE,
)

WORD = re.compile(r"[!-~]+")

SELECTOR = re.compile(
    r"[,>+~]?(?:@[a-z-]+|/\*|\*/|\*|Style|Definitions|<!--|,|>|html|body|div|p|span|table|t[drh]|thead|tbody|h[1-6]|a|ul|ol|li"
    r"|img|input|form|dl|d[td]|pre|code|em|b|i|strong|font|section|article|header|footer|nav"
    r"|[\w-]*[.:#@][\w\\:*.,#()\[\]=\"'>-]+|[\w-]+\[[^\]]+\]|[\w\\*:-]*\\:\*)",
    re.IGNORECASE,
)
"""A word of the text before the declarations: elements, classes, ids."""

SCRIPT = re.compile(
    r"\b(?:_hmt|_gaq|dataLayer|adsbygoogle|_czc|BAIDU_CLB_\w+)\b.{0,80}(?:=|\.push)|\bgoogletag\.\w+|\bdocument\.(?:write(?:ln)?|getElement\w+|createElement)\("
    r"|\bjQuery\(|\$\((?:document|window|function)|\bwindow\.\w+(?:\.\w+)*\s*=[^=]|\(function\s*\([\w$, ]*\)\s*\{"
)
"""Statements that only scripts of pages contain."""

STATEMENT = re.compile(r".*[;{})>,]\s*$|\s*(?:(?:var|if|else|for|return)\b|//|[*/]).*")

ABOUT = re.compile(
    r"css|javascript|jquery|html|style ?sheet|样式|樣式|脚本|腳本|网页|網頁|前端|代码|代碼"
    r"|\bscripts?\b|\bcode\b|\bweb ?(?:page|site) design",
    re.IGNORECASE,
)
"""Words of pages about style sheets and scripts."""

LEAST = 80
"""Least characters of the rest of the page."""

BEFORE = 300
"""Most characters of the text before the declarations of a rule."""


def without_style_text(text: str) -> str:
    """Cut rules of style sheets and statements of scripts from a text that is about neither."""
    if "{" not in text and not SCRIPT.search(text):
        return text
    rest = _without_scripts(_without_rules(text))
    if rest is text or len(rest) < LEAST or ABOUT.search(rest):
        return text
    return re.sub(r"\n{3,}", "\n\n", rest).strip("\n")


def _without_rules(text: str) -> str:
    parts, done = [], 0
    for body in BODY.finditer(text):
        declared = [part for part in body[1].split(";") if part.strip()]
        if not declared or not all(DECLARATION.match(part) for part in declared):
            continue
        line = max(text.rfind("\n", 0, body.start()) + 1, done, body.start() - BEFORE)
        start = end = body.start()
        for word in reversed(list(WORD.finditer(text, line, end))):
            if text[word.end() : start].strip() or not SELECTOR.fullmatch(word[0]):
                break
            start = word.start()
        if start == end:
            continue
        parts.append(text[done:start])
        done = body.end()
    return "".join(parts) + text[done:] if parts else text


def _without_scripts(text: str) -> str:
    if not SCRIPT.search(text):
        return text
    kept, in_script = [], False
    for line in text.split("\n"):
        is_statement = STATEMENT.match(line) is not None
        in_script = is_statement and (in_script or SCRIPT.search(line) is not None)
        if not in_script:
            kept.append(line)
    return "\n".join(kept)
