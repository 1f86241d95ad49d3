"""Plausibility of decoded text: the share of its letters that are among the most frequent of their script.

In natural text the most frequent letters are at least a third of all; in text decoded with the wrong encoding, letters
are spread evenly over hundreds or thousands. The lists are general knowledge rather than counts of a corpus, which is
enough because the gap is wide.
"""

from __future__ import annotations

import re

LOOK_CHARS = 20_000

COMMON_HAN = (
    "的一是不了在有人我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過发發后後"
    "作里裡用道行所然家种種事成方多经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心她本前开開但因只"
    "从從想实實日月与與及等将將被由此或更最已各"
)
COMMON = frozenset(
    COMMON_HAN
    + "のにはをがでとたるてしれないすこいきまっかりも、。ーンスルトイ"  # Japanese
    + "이다는의을를에가은하고지로한사도기서자어리인시니대으나요정그"  # Korean
    + "оеаинтсрвлкмдпуьыяіўéáíóàãçñüöäèêßşığłąęćżěčřšžýαιοετνσηςρπκμυλהויתלרבםאשמالينموترةعدبسك"  # alphabets
)
"""The most frequent letters of Chinese, Japanese, Korean, and of the alphabets that have one-byte encodings."""

HAN = re.compile("[\u3400-\u9fff]")
COMMON_HAN_CHARS = frozenset(COMMON_HAN)


def common_share(text: str) -> float:
    """Return the share of the Han characters of a text that are among the most frequent in Chinese; 0 without any."""
    han = HAN.findall(text[:LOOK_CHARS])
    return sum(char in COMMON_HAN_CHARS for char in han) / len(han) if han else 0.0


def reads(text: str) -> float:
    """Return the share of non-ASCII letters that are among the most frequent of their script; 0 for fewer than 10."""
    foreign = [char for char in text[:LOOK_CHARS] if char > "\x7f" and (char.isalpha() or char in "、。")]
    return sum(char in COMMON for char in foreign) / len(foreign) if len(foreign) >= 10 else 0.0
