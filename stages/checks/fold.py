"""One way to write signs and numerals: full width, typographic and Traditional forms, character by character.

A folded text has the length of the text, so that offsets apply to both.
"""

from __future__ import annotations

_SAME = {
    "-": "−﹣－‐‑",
    "*": "＊∗",
    "×": "✕✖╳⨯",
    "·": "⋅∙•・‧",
    "/": "∕⁄",
    "≈": "≒≃≅∼≐",
    "≤": "⩽≦",
    "≥": "⩾≧",
    " ": "\u3000\u00a0\u2002\u2003\u2009\u200a\u202f\u2007",
    "'": "’‘",
    '"': "“”",
    ".": "．",
    "万": "萬",
    "亿": "億",
    "两": "兩",
    "点": "點",
    "负": "負",
    "零": "〇",
    "个": "個",
}
"""Sign -> other characters for it."""

_TABLE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_TABLE.update({ord(other): ord(sign) for sign, others in _SAME.items() for other in others})


def fold(text: str) -> str:
    """Return a text with one form per sign, of the same length.

    >>> fold("３０％×２＝６０％")
    '30%×2=60%'
    """
    return text.translate(_TABLE)
