"""Text as CCNet gives it to SentencePiece and KenLM.

Source: Wenzek et al., CCNet (arXiv 1911.00359), and `text_normalizer.normalize` of its code, whose steps and order this
follows: strip, lower case, no accents, digits as 0, punctuation in ASCII, no control characters. Line feeds are control
characters, so that a document becomes one line.
"""

from __future__ import annotations

import re
import unicodedata

_DIGIT = re.compile(r"\d")
_ASCII = dict(
    zip("，。、«»」「《》´∶：？！（）；–～’━〈〉【】％►", ',.,""""""\'::?!();-~\'-<>[]%-', strict=True)
)
_CHARS = str.maketrans(
    _ASCII
    | {"„": '"', "”": '"', "“": '"', "—": " - ", "．": ". ", "…": "..."}
    | {chr(code): "" for code in (*range(32), *range(127, 160))}
)


def normalize(text: str) -> str:
    """The text without capitals, accents, control characters and punctuation outside ASCII; digits are 0."""
    text = unicodedata.normalize("NFD", text.strip().lower())
    text = "".join(char for char in text if unicodedata.category(char) != "Mn")
    return _DIGIT.sub("0", text).translate(_CHARS)
