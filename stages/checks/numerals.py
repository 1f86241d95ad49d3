"""Numerals in words: Chinese numerals and spelled English numbers as exact values."""

from __future__ import annotations

import re
from fractions import Fraction

HAN_DIGITS = {char: value for value, chars in enumerate(
    ("零", "一壹", "二贰贰貳两", "三叁參", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖")
) for char in chars}  # fmt: skip
HAN_SCALES = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
HAN_BIG = {"万": 10**4, "亿": 10**8}
HAN_NUMERAL = re.compile(
    rf"[{''.join(HAN_DIGITS)}{''.join(HAN_SCALES)}{''.join(HAN_BIG)}廿卅]"
    rf"[{''.join(HAN_DIGITS)}{''.join(HAN_SCALES)}{''.join(HAN_BIG)}廿卅]*"
)

UNITS = {word: value for value, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen".split()
)}  # fmt: skip
TENS = {word: 10 * value for value, word in enumerate(
    "twenty thirty forty fifty sixty seventy eighty ninety".split(), 2
)}  # fmt: skip
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10,
}  # fmt: skip
_WORD = "|".join(sorted([*UNITS, *TENS, *SCALES], key=len, reverse=True))
ENGLISH = re.compile(rf"\b(?:{_WORD})(?:(?:[\s-]+|\s+and\s+)(?:{_WORD}))*\b", re.IGNORECASE)


def han_value(text: str) -> Fraction | None:
    """Return the value of a Chinese numeral, whole numbers only; None if it is no number.

    >>> [int(han_value(text)) for text in ("三十二", "二百五", "一千零五", "十万", "二零二六", "一万五")]
    [32, 250, 1005, 100000, 2026, 15000]
    """
    if len(text) > 1 and all(char in HAN_DIGITS for char in text):
        return Fraction(int("".join(str(HAN_DIGITS[char]) for char in text)))
    total = part = digit = 0
    last = 1  # the scale before a digit at the end: 二百五 is 250
    digit_seen = zero = False
    for char in text:
        if char in HAN_DIGITS:
            if digit_seen and digit:
                return None
            digit, digit_seen, zero = HAN_DIGITS[char], True, zero or HAN_DIGITS[char] == 0
        elif char in "廿卅":
            part, digit, digit_seen, last, zero = part + (20 if char == "廿" else 30), 0, False, 1, False
        elif char in HAN_SCALES:
            last = HAN_SCALES[char]
            part += (digit if digit_seen and digit else 1) * last
            digit, digit_seen, zero = 0, False, False
        else:
            last = HAN_BIG[char]
            here = part + digit
            if not here and not total:
                return None
            total = (total + here) * last if last > total and total else total + here * last
            part = digit = 0
            digit_seen = zero = False
    short = digit and last >= 100 and not zero
    return Fraction(total + part + (digit * (last // 10) if short else digit))


def english_value(text: str) -> Fraction | None:
    """Return the value of a spelled English number; None if the words form no number.

    >>> [int(english_value(text)) for text in ("twenty-five", "one hundred and five", "two million", "three thousand six")]
    [25, 105, 2000000, 3006]
    """
    total = part = 0
    limit = 10**15
    for word in re.split(r"[\s-]+", text.lower()):
        if word == "and":
            continue
        if word in SCALES and SCALES[word] > 100:
            if SCALES[word] >= limit or not (part or total):
                return None if SCALES[word] >= limit else Fraction(SCALES[word])
            limit = SCALES[word]
            total, part = total + (part or 1) * limit, 0
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in TENS:
            if part % 100:
                return None
            part += TENS[word]
        else:
            value = UNITS[word]
            if part % 10 or (part % 100 and value > 9):
                return None
            part += value
    return Fraction(total + part)
