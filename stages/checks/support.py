"""Support of a step: how much of it occurs in its source, by n-grams of characters and words, or by embeddings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from stages.checks.fold import fold

_UNIT = re.compile(
    r"[a-z\u00df-\u024f]+|[0-9]+(?:\.[0-9]+)?|[\u3400-\u9fff\U00020000-\U0003ffff]", re.IGNORECASE
)
_SUFFIX = re.compile(r"(?:ies|es|s|ed|ing)$")

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to vectors, float32 (n_texts, n_dimensions), of length 1."""


def units(text: str) -> list[str]:
    """Return the units of a text: Han characters, numbers, words in lower case without endings."""
    return [
        _SUFFIX.sub("", unit) if len(unit) > 4 and unit.isalpha() and unit.isascii() else unit
        for unit in (match.lower() for match in _UNIT.findall(fold(text)))
    ]


def grams(text: str, n: int = 2) -> set[tuple[str, ...]]:
    """Return the n-grams of the units of a text; those of single units if it has fewer than n."""
    sequence = units(text)
    return (
        set(zip(*(sequence[i:] for i in range(min(n, len(sequence)))), strict=False)) if sequence else set()
    )


def support(step: str, source: str, n: int = 2, embed: Embed | None = None) -> float:
    """Return the share of a step's n-grams that its source contains, or the similarity to its closest sentence.

    With `embed`, the mean of both. A step without words or numbers has support 1.

    >>> support("the cat sat", "a cat sat on the mat"), support("鸡兔同笼", "鸡兔同笼问题")
    (0.5, 1.0)
    """
    wanted = grams(step, n)
    if not wanted:
        return 1.0
    share = len(wanted & grams(source, min(n, len(next(iter(wanted)))))) / len(wanted)
    if embed is None:
        return round(share, 3)
    sentences = [part for part in re.split(r"(?<=[。！？!?\n])|(?<=\.)\s", source) if part.strip()]
    vectors = np.asarray(embed([step, *sentences]), np.float64)
    similarity = float(np.max(vectors[1:] @ vectors[0])) if sentences else 0.0
    return round((share + max(similarity, 0.0)) / 2, 3)
