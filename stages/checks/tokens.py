r"""Tokens of formulas, plain or LaTeX: `3 × 4`, `$3 \times 4$` and `\frac{12}{1}` come out in the same signs.

Reads a text from left to right in linear time; brackets and fractions of LaTeX are turned into parentheses.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from stages.checks.fold import fold
from stages.checks.numbers import DIGITS, MAX_DIGITS, VULGAR, plain_value

NUMBER, OPERATOR, RELATION, OPEN, CLOSE, WORD, HAN, DOTS, PERCENT, BREAK, OTHER = (
    "number", "operator", "relation", "open", "close", "word", "han", "dots", "percent", "break", "other",
)  # fmt: skip
"""Kinds of tokens. word: letters, also a command of LaTeX that is a symbol; other: any sign without a meaning here."""

_SIGNS = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "bullet": "*", "over": "/", "plus": "+",
    "approx": "≈", "sim": "≈", "simeq": "≈", "thickapprox": "≈", "doteq": "≈", "approxeq": "≈",
    "ne": "≠", "neq": "≠", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥",
    "lt": "<", "gt": ">", "equiv": "≡", "Rightarrow": "⇒", "rightarrow": "→", "to": "→", "implies": "⇒",
    "because": "∵", "therefore": "∴", "square": "□",
}  # fmt: skip
_DOTS = {"dots", "ldots", "cdots", "dotsb", "dotsc", "vdots"}
_BLANK = {
    "left", "right", "displaystyle", "textstyle", "quad", "qquad", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl",
    "Bigr", "limits", "nolimits", "boldsymbol", "mathbf", "mathrm", "mathit", "mathsf", "text", "textbf", "textit", "mbox",
    "mathop", "operatorname", "boxed", "underline", "color", "rm", "bf", "it", "phantom", "hspace", "hline", "thinspace",
    "begin", "end", "label", "tag", "cancel", "overline",
}  # fmt: skip
_TRANSPARENT = _BLANK - {
    "left",
    "right",
    "overline",
    "phantom",
    "hspace",
    "begin",
    "end",
    "label",
    "tag",
    "color",
}
_HIDDEN = {"phantom", "hspace", "begin", "end", "label", "tag", "color"}
_WORDS = {
    "plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "equals": "=", "加上": "+", "减去": "-", "乘以": "*", "除以": "/", "加": "+", "减": "-",
    "乘": "*", "等于": "=", "约等于": "≈", "约为": "≈",
}  # fmt: skip
_OPERATORS = {
    "+": "+",
    "-": "-",
    "*": "*",
    "×": "*",
    "·": "*",
    "÷": "/",
    "/": "/",
    "^": "^",
    "√": "√",
    "!": "!",
}
LENGTHS = frozenset(("mm", "cm", "dm", "m", "km"))
"""Units that have squares and cubes."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TOKEN = re.compile(
    rf"""(?P<blank>[ \t~]+|\\[,;:!>\ ]|&(?=\s*[=<>≈≤≥]))
    |(?P<newline>\r?\n|\\\\(?:\[[^\]\n]{{0,9}}\])?)
    |(?P<number>(?:{DIGITS})(?:[eE][+-]?[0-9]{{1,3}}(?![0-9A-Za-z.]))?)
    |(?P<vulgar>[{"".join(VULGAR)}])
    |\\(?P<command>[A-Za-z]+)\*?
    |(?P<escaped>\\[%$#&_|{{}}])
    |(?P<spoken>(?:加上|减去|乘以|除以|加|减|乘|约?等于|约为)(?=\s?[0-9(\[]))
    |(?P<said>\b(?:plus|minus|times|multiplied\ by|divided\ by|equals)\b(?=\s\$?[0-9(-]))
    |(?P<cross>(?<=[0-9])[xX](?=[0-9])|(?<=[0-9]\ )[xX](?=\ [$]?[0-9]))
    |(?P<word>[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff]+)
    |(?P<han>[\u3400-\u9fff\U00020000-\U0003ffff]+)
    |(?P<dots>\.\.\.+|…+|⋯+)
    |(?P<power>\*\*)
    |(?P<super>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)
    |(?P<relation>[=<>!:+*/%&|^~-]?==+|(?:[!<>:+*/&|^~-]|(?<![0-9])%)=|=[><~]|<->|->|<-|=|≈|≠|≤|≥|<|>|≡|⇒|→|≅|∝|∈|⟹|←|↔)
    |(?P<percent>%|‰)
    |(?P<open>[(\[])|(?P<close>[)\]])|(?P<brace>[{{}}])
    |(?P<currency>[$¥€£￥₹])
    |(?P<operator>---?|[-+*/×·÷^√!])
    |(?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A token: its kind, its sign, the value of a number, offsets, and the number of decimals it shows.

    glued: no blank is between it and the token before. spoken: an operator in words.
    """

    kind: str
    sign: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    n_decimals: int = 0
    glued: bool = False
    spoken: bool = False


class _Braces:
    """What the braces of LaTeX mean that are open, and the arguments that a command still expects."""

    def __init__(self) -> None:
        self.closers: list[str] = []
        self.expected: list[str] = []

    def take_single(self) -> str | None:
        """Return what follows an argument of one character, if one is expected."""
        return self.expected.pop() if self.expected else None


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a text; offsets are code points of the text.

    >>> "".join(token.sign for token in tokenize(r"$\\frac{1}{2} \\times 4 = 2$"))
    '$((1)/(2))*4=2$'
    """
    text = fold(text)
    tokens: list[Token] = []
    braces = _Braces()
    glued = False
    for match in _scan(text, braces):
        group = match.lastgroup or "rest"
        before = len(tokens)
        if group != "blank":
            _add(tokens, match, group, braces, glued)
            _join_power(tokens)
        glued = len(tokens) > before or (group != "blank" and glued)
    return tokens


def _join_power(tokens: list[Token]) -> None:
    """Make one token of a unit of area or volume: cm^2."""
    if (
        len(tokens) > 2
        and tokens[-1].sign in ("2", "3")
        and tokens[-2].sign == "^"
        and tokens[-3].sign in LENGTHS
    ):
        sign = tokens[-3].sign + "²³"[tokens[-1].sign == "3"]
        tokens[-3:] = [tokens[-3]._replace(sign=sign, end=tokens[-1].end)]


def _scan(text: str, braces: _Braces):  # type: ignore[no-untyped-def]  # an iterator of matches
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match  # the last branch takes any character
        if match["number"] and braces.expected and len(match["number"]) > 1:
            match = re.compile(r"(?P<number>[0-9])").match(text, position) or match  # \frac12
        position = match.end()
        yield match


def _add(tokens: list[Token], match: re.Match[str], group: str, braces: _Braces, glued: bool) -> None:
    sign, start, end = match.group(), match.start(), match.end()

    def put(kind: str, sign: str, value: Fraction = Fraction(0), n_decimals: int = 0) -> None:
        tokens.append(Token(kind, sign, start, end, value, n_decimals, glued, group in ("spoken", "said")))

    if group == "command":
        _add_command(match["command"], put, braces)
        return
    if group == "brace":
        _add_brace(sign, put, braces, tokens)
        return
    closes = braces.take_single() if group in ("number", "word", "vulgar") else None
    if closes is not None:
        put(OPEN, "(")
    if group == "number":
        _add_number(sign, put)
    elif group == "vulgar":
        above, below = VULGAR[sign]
        put(NUMBER, sign, Fraction(above, below))
    elif group == "super" and sign in "²³" and tokens and glued and tokens[-1].sign in LENGTHS:
        tokens[-1] = tokens[-1]._replace(sign=tokens[-1].sign + sign, end=end)
    elif group == "super":
        digits = sign.translate(_SUPERSCRIPTS)
        put(OPERATOR, "^")
        if digits.lstrip("-").isdigit() and "-" not in digits[1:]:
            put(NUMBER, digits, Fraction(int(digits)))
        else:
            put(OTHER, sign)
    elif group in ("spoken", "said"):
        shown = _WORDS[sign]
        put(RELATION if shown in "=≈" else OPERATOR, shown)
    elif group == "cross":
        put(OPERATOR, "*")
    elif group == "power":
        put(OPERATOR, "^")
    elif group == "operator":
        put(OPERATOR, _OPERATORS[sign[0]])
    elif group == "newline":
        put(BREAK, "\n")
    elif group == "escaped":
        put({"\\%": PERCENT, "\\$": OTHER}.get(sign, OTHER), sign[1:])
    elif group == "currency":
        put(OTHER, sign)
    else:
        put({"relation": RELATION, "open": OPEN, "close": CLOSE, "percent": PERCENT, "word": WORD, "han": HAN,
             "dots": DOTS}.get(group, OTHER), sign)  # fmt: skip
    if closes is not None:
        _close(closes, put, braces)


def _add_number(sign: str, put) -> None:  # type: ignore[no-untyped-def]  # a local function
    mantissa = re.split("[eE]", sign)[0]
    if len(sign) > MAX_DIGITS:
        put(OTHER, sign)
        return
    put(NUMBER, sign, plain_value(sign), len(mantissa.partition(".")[2]) if len(mantissa) == len(sign) else 0)


def _add_command(name: str, put, braces: _Braces) -> None:  # type: ignore[no-untyped-def]
    if name in ("frac", "dfrac", "tfrac", "cfrac"):
        put(OPEN, "(")
        braces.expected.append("above")
    elif name == "sqrt":
        put(OPERATOR, "√")
        braces.expected.append(")")
    elif name in _SIGNS:
        sign = _SIGNS[name]
        put(OPERATOR if sign in "+*/" else OTHER if sign in "∵∴□" else RELATION, sign)
    elif name in _DOTS:
        put(DOTS, "…")
    elif name in _TRANSPARENT:
        braces.expected.append("") if name not in (
            "displaystyle",
            "textstyle",
            "quad",
            "qquad",
        ) and not name.lower().startswith("big") and name not in (
            "limits",
            "nolimits",
            "rm",
            "bf",
            "it",
            "hline",
            "thinspace",
        ) else None
    elif name in _HIDDEN:
        put(OTHER, "\\" + name)
    elif name not in _BLANK:
        put(WORD, "\\" + name)


def _add_brace(sign: str, put, braces: _Braces, tokens: list[Token]) -> None:  # type: ignore[no-untyped-def]
    if sign == "{":
        expected = braces.expected.pop() if braces.expected else None
        if expected is None:
            raised = bool(tokens) and tokens[-1].sign in ("^", "_")
            braces.closers.append(")" if raised else "}")
            put(*((OPEN, "(") if raised else (OTHER, "{")))
        else:
            braces.closers.append(expected)
            if expected:
                put(OPEN, "(")
    else:
        _close(braces.closers.pop() if braces.closers else "}", put, braces)


def _close(closer: str, put, braces: _Braces) -> None:  # type: ignore[no-untyped-def]
    if closer == "above":
        put(CLOSE, ")")
        put(OPERATOR, "/")
        braces.expected.append("below")
    elif closer == "below":
        put(CLOSE, ")")
        put(CLOSE, ")")
    elif closer == "}":
        put(OTHER, "}")
    elif closer:
        put(CLOSE, ")")
