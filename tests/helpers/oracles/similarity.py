"""Jaccard similarity of two texts over Python sets: the oracle of the verification of candidate pairs."""

from __future__ import annotations

from stages import dedup
from tests.helpers.oracles.match_text import grams, match_reference, units_reference


def shingles(text: str, characters: bool) -> set[tuple[str, ...]]:
    """The set of shingles that a text is compared by."""
    return set(grams([*match_reference(text).replace(" ", "")] if characters else units_reference(text)))


def share_of_single(text: str) -> float:
    """Share of units that are single characters of a script without blanks."""
    units = units_reference(text)
    return sum(len(unit) == 1 and unit >= "\u3000" for unit in units) / max(len(units), 1)


def similarity(left: str, right: str) -> float:
    """Jaccard index by the definition in the docstring of stages.dedup."""
    characters = max(share_of_single(left), share_of_single(right)) >= dedup.CHARACTERS_SHARE
    a, b = shingles(left, characters), shingles(right, characters)
    return len(a & b) / len(a | b) if a | b else float(left == right)
