"""Shares of languages by their similarity to one of them: the preset `similarity`."""

from __future__ import annotations

import decimal
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any  # values of a parsed YAML file

from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys, nearest

KEYS = ("name", "to", "vectors", "temperature")


def similarity_shares(settings: Mapping[str, Any], groups: Sequence[str], where: str) -> dict[str, float]:
    """Shares in proportion to exp(cos(v_i, v_to) / T), with a vector v of each group.

    Args: settings, with `to`, the group that the others are compared with, `vectors`, lists of numbers by group, and
    `temperature`, T; groups, that the mix defines, empty if the values of its column are the groups.
    Raises: ConfigError if a setting is missing or has another form, or a group of the mix has no vector.
    Source: the language level of Target Conditioned Sampling, Wang and Neubig 2019, arXiv:1905.08212; vectors such as
    those of lang2vec (Littell et al. 2017).
    """
    check_keys(settings, KEYS, where)
    vectors = _vectors(settings.get("vectors"), f"{where}.vectors")
    to, temperature = settings.get("to"), settings.get("temperature", 0.1)
    if not isinstance(to, str) or to not in vectors:
        raise ConfigError(
            f"{where}.to: found {brief(to)}; name a group with a vector{nearest(str(to), vectors)}"
        )
    if (
        isinstance(temperature, bool)
        or not isinstance(temperature, (int, float))
        or not 0.001 <= temperature <= 1e6
    ):
        raise ConfigError(f"{where}.temperature: found {brief(temperature)}; expected a number from 0.001")
    for group in groups:
        if group not in vectors:
            raise ConfigError(
                f"{where}.vectors: no vector of the group {group!r}; give it one, or leave it out"
            )
    near = {name: cosine(vectors[name], vectors[to]) for name in vectors if not groups or name in groups}
    # decimals give the same digits on every machine, unlike exp of the C library; the largest weight is 1
    with decimal.localcontext(decimal.Context(prec=28)):
        weights = {
            name: ((one - max(near.values())) / decimal.Decimal(str(temperature))).exp()
            for name, one in near.items()
        }
    return {name: float(round(weight, 12)) for name, weight in weights.items()}


def cosine(first: Sequence[float], second: Sequence[float]) -> decimal.Decimal:
    """Cosine of two vectors, none of them zero, from exact sums."""
    a, b = ([Fraction(str(x)) for x in vector] for vector in (first, second))
    dot, squares = (
        sum(x * y for x, y in zip(a, b, strict=True)),
        sum(x * x for x in a) * sum(y * y for y in b),
    )
    with decimal.localcontext(decimal.Context(prec=28)):
        root = (decimal.Decimal(squares.numerator) / squares.denominator).sqrt()
        return decimal.Decimal(Fraction(dot).numerator) / Fraction(dot).denominator / root


def _vectors(settings: Any, where: str) -> dict[str, list[float]]:
    if not isinstance(settings, Mapping) or len(settings) < 2:
        raise ConfigError(
            f"{where}: found {brief(settings)}; expected two groups or more with a list of numbers each"
        )
    sizes = set()
    for name, vector in settings.items():
        numbers = isinstance(vector, list) and all(
            isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) for x in vector
        )
        if not isinstance(name, str) or not numbers or not any(vector):
            raise ConfigError(f"{where}.{name}: found {brief(vector)}; expected numbers, not all of them 0")
        sizes.add(len(vector))
    if len(sizes) > 1:
        raise ConfigError(
            f"{where}: vectors of {min(sizes)} and {max(sizes)} numbers; expected the same length"
        )
    return {str(name): vector for name, vector in settings.items()}
