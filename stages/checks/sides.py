"""Sides of equations: the calculation before and after a relation, if its ends are certain.

`x + 3 = 7` has no left side that can be computed, nor has `the sum of 3 + 4 = 9`, `甲的3倍+4=20` or `f(3) = 4`: what is
beside an expression may belong to it. A side that may is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from stages.checks.tokens import (
    BREAK,
    CLOSE,
    DOTS,
    HAN,
    NUMBER,
    OPEN,
    OPERATOR,
    OTHER,
    PERCENT,
    RELATION,
    WORD,
    Token,
)
from stages.checks.units import unit_of

MAX_TOKENS = 120
CURRENCY = "$¥€£￥"
_OPEN_WORDS = frozenset(
    "of twice thrice double triple half square cube root minus plus sum product than average mean mod log ln lg sin cos tan "
    "cot sec exp max min gcd lcm lim det deg per from by over times divided multiplied remainder version ratio step score "
    "between equal percent least most rate factor".split()
)
"""Words before which an expression may begin earlier, or after which it may go on."""
_NO_UNITS = _OPEN_WORDS | frozenset(
    "to and or each more less is are was were be would will can could should has have had cost costs in on at for then as if "
    "when that with because so since but which this these those they he she it we i you the a an not also only".split()
)
"""Words that are no units."""
_AFTER_WORDS = _OPEN_WORDS - frozenset("of times step from per by least most than".split())
"""Words after which a side may go on, although a unit could be there."""
_OPEN_HAN = "的倍比多少和与积差商方根除第负余加减乘分每约数占剩至到"
_AFTER_HAN = "的倍分多余万亿千百十点"
_BLANK_AFTER = ",;，；。、∵∴？?．*#>【】《》“”"


class Side(NamedTuple):
    """One side: the tokens of its calculation, its offsets, and the units in it, the last one after it.

    remainder: of a division, after its quotient. is_open_ended: its digits go on (0.333…). is_labelled: it is one number
    after a word, which may be a label: Figure 2.
    """

    tokens: tuple[Token, ...]
    start: int
    end: int
    units: tuple[str, ...]
    remainder: Fraction | None = None
    is_open_ended: bool = False
    is_labelled: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it calculates nothing."""
        return all(token.kind != OPERATOR for token in self.tokens[1:])


def left_side(tokens: Sequence[Token], index: int) -> Side | None:
    """Return the expression that ends before the relation at an index; None if it may begin earlier."""
    last = index - 1
    if last >= 0 and tokens[last].kind == BREAK:  # a chain that is continued on the next line
        last -= 1
    first, depth = last, 0
    parts: list[Token] = []
    units: list[str] = []
    while first >= 0 and len(parts) < MAX_TOKENS:
        token = tokens[first]
        if token.kind == CLOSE and _may_precede(parts):
            unit = _bracketed_unit(tokens, first)
            if unit and (not parts or parts[-1].kind == OPERATOR):
                first, name = unit
                units.append(name)
                continue
            depth += 1
        elif token.kind == OPEN and depth:
            depth -= 1
        elif token.kind in (NUMBER, PERCENT) and _may_precede(parts):
            pass
        elif token.kind in (WORD, HAN) and (not parts or parts[-1].kind in (OPERATOR, CLOSE)):
            unit = _unit_before(tokens, first)
            if unit is None:
                break
            first, name = unit
            units.append(name)
            continue
        elif token.kind == OTHER and token.sign in CURRENCY and (not parts or _joins(tokens, first)):
            first -= 1
            continue
        elif token.kind != OPERATOR:
            break
        parts.append(token)
        first -= 1
    parts.reverse()
    if (
        not parts
        or depth
        or not _begins(parts[0])
        or _lost_power(parts)
        or not _is_clean_before(tokens, first)
    ):
        return None
    before = tokens[first].kind if first >= 0 else BREAK
    if before in (WORD, HAN) and parts[0].sign in ("+", "-"):
        return None
    labelled = before in (WORD, HAN) and (len(parts) == 1 or _is_range(parts))
    if (
        any(token.kind == NUMBER and "," in token.sign for token in parts)
        and len(parts) == 3
        and parts[0].kind == OPEN
    ):
        return None  # a pair: (435,290)
    return Side(tuple(parts), parts[0].start, tokens[last].end, tuple(reversed(units)), is_labelled=labelled)


def right_side(tokens: Sequence[Token], index: int) -> Side | None:
    """Return the expression that begins after the relation at an index; None if it may go on."""
    position, depth = index + 1, 0
    parts: list[Token] = []
    units: list[str] = []
    while position < len(tokens) and len(parts) < MAX_TOKENS:
        token = tokens[position]
        expects = not parts or parts[-1].kind in (OPERATOR, OPEN)
        if token.spoken and parts:
            return None
        if token.kind == OTHER and token.sign in CURRENCY and expects:
            position += 1
            continue
        if token.kind == OPEN and (expects or _multiplies(tokens, position)):
            depth += 1
        elif token.kind == CLOSE and depth:
            depth -= 1
        elif token.kind == NUMBER and expects:
            pass
        elif token.kind == PERCENT and parts and parts[-1].kind in (NUMBER, CLOSE):
            pass
        elif (
            token.kind == OPERATOR and (parts or token.sign in "-+√") and not _ends_sentence(tokens, position)
        ):
            pass
        else:
            unit = _unit_after(tokens, position, parts)
            if unit is None:
                break
            position, name = unit
            units.append(name)
            continue
        parts.append(token)
        position += 1
    if not parts or depth or (parts[-1].kind == OPERATOR and parts[-1].sign != "!") or _lost_power(parts):
        return None
    end = tokens[position - 1].end
    name, position = _last_unit(tokens, position)
    remainder, after = _remainder(tokens, position)
    if remainder is None and not _is_clean_after(tokens, position, bool(name)):
        return None
    open_ended = remainder is None and position < len(tokens) and tokens[position].kind == DOTS
    end = tokens[after - 1].end if remainder is not None else end
    return Side(
        tuple(parts), parts[0].start, end, (*units, name) if name else tuple(units), remainder, open_ended
    )


def _is_binomial(parts: Sequence[Token]) -> bool:
    """Whether a side is one fraction in brackets: a binomial coefficient, or a Legendre symbol, of which the form is lost."""
    if len(parts) < 3 or parts[0].kind != OPEN or parts[0].sign != "(" or parts[0].end - parts[0].start > 1:
        return False
    inside = parts[1]
    return (
        inside.kind == OPEN
        and inside.end - inside.start > 1
        and parts[-1].kind == CLOSE
        and parts[-2].kind == CLOSE
    )


def _is_range(parts: Sequence[Token]) -> bool:
    return len(parts) == 3 and parts[1].sign == "-" and parts[1].glued and parts[2].glued


def _begins(token: Token) -> bool:
    return token.kind in (NUMBER, OPEN) or (token.kind == OPERATOR and token.sign in "-+√")


def _may_precede(parts: Sequence[Token]) -> bool:
    """Whether a value may come before these tokens, which were read from right to left."""
    return (
        not parts
        or (parts[-1].kind == OPERATOR and parts[-1].sign != "√")
        or parts[-1].kind in (CLOSE, PERCENT)
        or (parts[-1].kind == OPEN and parts[-1].glued)
    )


def _joins(tokens: Sequence[Token], index: int) -> bool:
    """Whether a currency sign is before a number that begins a term."""
    before = tokens[index - 1] if index else None
    return before is None or before.kind in (OPERATOR, OPEN, RELATION, HAN, WORD) or before.sign in ",;:"


def _bracketed_unit(tokens: Sequence[Token], index: int) -> tuple[int, str] | None:
    """Return the token before a unit in brackets that ends at index, and the unit: 12（元）."""
    if index >= 3 and tokens[index - 2].kind == OPEN and tokens[index - 3].kind in (NUMBER, CLOSE):
        word = tokens[index - 1]
        if word.kind not in (HAN, WORD) or len(word.sign) == word.sign.isascii():
            return None
        return index - 3, tokens[index - 1].sign
    return None


def _is_unit(words: Sequence[Token]) -> bool:
    """Whether words after a number may be its unit: one word, or a known name of several."""
    name = " ".join(token.sign for token in words)
    if any(token.sign.lower() in _NO_UNITS or token.sign[0] == "\\" for token in words):
        return False
    if words[0].kind == HAN:
        return len(words) == 1 and len(name) <= 4 and name[0] not in _AFTER_HAN
    if len(name) == 1 or (words[0].glued and len(words[0].sign) < 3 and not unit_of(name)):
        return False  # a variable
    return len(words) == 1 or unit_of(name) is not None


def _unit_before(tokens: Sequence[Token], index: int) -> tuple[int, str] | None:
    """Return the token before a unit that ends at index, and the unit; None if no number is before it."""
    first = index
    while first > index - 3 and first >= 0 and tokens[first].kind in (WORD, HAN):
        first -= 1
    if first < 0 or tokens[first].kind not in (NUMBER, CLOSE):
        return None
    words = tokens[first + 1 : index + 1]
    return (first, " ".join(token.sign for token in words)) if _is_unit(words) else None


def _unit_after(tokens: Sequence[Token], position: int, parts: Sequence[Token]) -> tuple[int, str] | None:
    """Return the token after a unit inside a side and the unit: one after which the calculation continues."""
    if not parts or parts[-1].kind not in (NUMBER, CLOSE):
        return None
    stop = position
    while stop < len(tokens) and stop < position + 3 and tokens[stop].kind in (WORD, HAN):
        stop += 1
    words = tokens[position:stop]
    if not words or stop + 1 >= len(tokens) or tokens[stop].kind != OPERATOR or not _is_unit(words):
        return None
    after = tokens[stop + 1]
    if not (after.kind in (NUMBER, OPEN) or after.sign in CURRENCY + "√"):
        return None
    return stop, " ".join(token.sign for token in words)


def _is_clean_before(tokens: Sequence[Token], index: int) -> bool:
    """Whether the token before an expression cannot be part of it."""
    if index < 0:
        return True
    token, glued = tokens[index], tokens[index + 1].glued
    before = tokens[index - 1] if index else None
    if token.kind in (BREAK, RELATION):
        return token.kind == BREAK or token.sign in "=≈⇒→⟹"
    if token.kind == WORD:
        is_quantity = before is not None and before.kind == NUMBER
        return (
            len(token.sign) > 1
            and not glued
            and not is_quantity
            and token.sign.lower() not in _OPEN_WORDS
            and token.sign[0] != "\\"
        )
    if token.kind == HAN:
        is_compound = before is not None and before.kind == NUMBER and token.glued and glued
        return token.sign[-1] not in _OPEN_HAN and not is_compound
    if token.kind != OTHER:
        return token.kind == CLOSE and _is_marker(tokens, index) and not glued
    if token.sign == ":":
        is_value = before is not None and before.kind in (NUMBER, CLOSE)
        return not is_value or (index > 1 and tokens[index - 2].kind in (WORD, HAN))
    if token.sign in CURRENCY:
        return _is_clean_before(tokens, index - 1)
    if (
        token.sign == ","
        and before is not None
        and before.kind == NUMBER
        and len(tokens[index + 1].sign) == 3
    ):
        return False  # 14, 400
    return token.sign in _BLANK_AFTER and not (
        token.sign == "," and glued and before is not None and before.kind == NUMBER
    )


def _is_marker(tokens: Sequence[Token], index: int) -> bool:
    """Whether a closing bracket ends a remark in words, or the number of an item at the beginning of a line."""
    before = tokens[max(0, index - 3) : index]
    if not before or before[-1].kind != NUMBER:
        return bool(before) and before[-1].kind in (HAN, WORD) and len(before[-1].sign) > 1
    rest = before[:-1]
    return bool(rest) and rest[-1].kind in (OPEN, BREAK) and (len(rest) < 2 or rest[-2].kind == BREAK)


def _lost_power(parts: Sequence[Token]) -> bool:
    """Whether a power of ten may have lost its superscript: 7.5×104, 4×10 −7."""
    for index, token in enumerate(parts[1:], 1):
        if token.kind == NUMBER and token.sign.startswith("10") and parts[index - 1].sign == "*":
            after = parts[index + 1].sign if index + 1 < len(parts) else ""
            if token.sign == "10" and after == "-":
                return True
            if len(token.sign) in (3, 4) and token.sign.isdigit() and token.sign[2:].strip("0"):
                return True
    return False


def _multiplies(tokens: Sequence[Token], position: int) -> bool:
    """Whether a bracket after a value is a factor, 2(3+4), and no remark, 7(个)."""
    after = tokens[position + 1] if position + 1 < len(tokens) else None
    return tokens[position].glued and after is not None and after.kind not in (HAN, WORD)


def _ends_sentence(tokens: Sequence[Token], index: int) -> bool:
    """Whether an exclamation mark is no factorial, or an asterisk or a dash belongs to what follows."""
    token = tokens[index]
    after = tokens[index + 1] if index + 1 < len(tokens) else None
    if token.sign == "!":
        return (
            not token.glued
            or after is None
            or not (after.kind in (OPERATOR, RELATION, CLOSE) or after.sign == "$")
        )
    is_plain = token.sign == "*" and token.end - token.start == 1
    return is_plain and (
        after is None or after.kind in (BREAK, HAN, OPERATOR) or after.sign in ",.;:，。；、!?"
    )


def _last_unit(tokens: Sequence[Token], position: int) -> tuple[str, int]:
    """Return the unit after a side and the token after it: also one in brackets, or after the end of a formula."""
    start = position
    while (
        start < len(tokens)
        and start < position + 2
        and (tokens[start].sign in "$(" and tokens[start].kind in (OTHER, OPEN))
    ):
        start += 1
    words = []
    while (
        start + len(words) < len(tokens) and len(words) < 3 and tokens[start + len(words)].kind in (WORD, HAN)
    ):
        words.append(tokens[start + len(words)])
    if not words or words[0].sign[0] == "\\" or words[0].sign.lower() in _NO_UNITS:
        return "", position
    is_closed = start > position and start + 1 < len(tokens) and tokens[start + 1].kind == CLOSE
    for length in range(len(words), 0, -1):
        name = " ".join(word.sign for word in words[:length])
        if unit_of(name) and len(name) > name.isascii():
            return name, start + length + is_closed if start > position else position
    first = words[0].sign
    if words[0].kind == HAN:
        name = next((first[:n] for n in (4, 3, 2, 1) if unit_of(first[:n])), first[:1])
        return name, start + 2 if is_closed else position
    return first, start + 2 if is_closed else position


def _remainder(tokens: Sequence[Token], position: int) -> tuple[Fraction | None, int]:
    """Return the remainder that is written after a quotient, 3……2 or 3 R 2, and the token after it."""
    place = position
    while (
        place < len(tokens)
        and place < position + 6
        and tokens[place].sign in ("$", " ")
        and tokens[place].kind == OTHER
    ):
        place += 1
    marks = place
    while marks < len(tokens) and tokens[marks].kind == DOTS:
        marks += 1
    if marks == place and marks < len(tokens) and tokens[marks].sign in ("余", "R", "r", "remainder"):
        marks += 1
    if marks > place and marks < len(tokens) and tokens[marks].kind == NUMBER:
        return tokens[marks].value, marks + 1
    return None, position


def _is_clean_after(tokens: Sequence[Token], position: int, has_unit: bool) -> bool:
    """Whether the token after an expression cannot continue it."""
    after = tokens[position] if position < len(tokens) else None
    later = tokens[position + 1] if position + 1 < len(tokens) else None
    if after is None or after.kind in (BREAK, CLOSE):
        return True
    if after.kind == DOTS:
        return later is None or later.kind not in (PERCENT, OPERATOR)
    if after.kind == HAN:
        return after.sign[0] not in _AFTER_HAN and not after.sign.startswith(("进制", "左右"))
    if after.kind == WORD:
        word = after.sign.lower()
        if word[0] == "\\" or word in _AFTER_WORDS or len(word) == 1:
            return False
        return not after.glued or len(word) > 2 or has_unit
    if after.kind == RELATION:
        return after.sign in "=≈<>≤≥≠⇒→⟹"
    if after.kind == OPEN:
        return later is not None and later.kind in (HAN, WORD) and len(later.sign) > (later.kind == WORD)
    if after.kind == OPERATOR:
        return _ends_sentence(tokens, position)
    if after.kind != OTHER:
        return False
    if (
        later is not None
        and later.kind == NUMBER
        and (after.sign == ":" or (after.sign == "," and later.glued and after.glued))
    ):
        return False
    if (
        later is not None
        and later.kind == WORD
        and (later.sign[0] == "\\" or (after.sign == "$" and later.sign.startswith("percent")))
    ):
        return after.sign != "." and after.sign != "$" or later.sign[0] == "\\" and after.sign == "$"
    return after.sign not in "_'\"^&|\\{°′″℃@#~◆△☆※"
