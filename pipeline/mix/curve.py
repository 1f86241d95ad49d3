"""Quality curves: how often documents of each quality bucket are taken, so that better ones occur more often.

Buckets of a group are placed on [0, 1] from the worst to the best, each as wide as its share of the group's tokens. The
worst ones are left out. Over the others, stretched to [0, 1] again, the number of copies is C x^p; of all such curves
whose area is the requested total and whose mean over the best bucket is at most `max`, the steepest is taken.

Source: Olmo 3 (arXiv:2512.13961), section 3.4.4 and appendix A.2.4. Its curves are C x^p e^(λx), with p up to 5 on a
grid of 20 values and λ from 0.01 on; with λ = 0 the steepest curve has a closed form.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any  # values of a parsed YAML file

from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys

DIGITS = 40
"""Decimal digits of powers and logarithms: the same on every machine, unlike pow of the C library."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The `curve` of a mix.

    column: of quality buckets, whole numbers, the larger the better; documents without a bucket are left out. discard:
    share of a group's tokens below which a bucket is left out, if more than half of it is below. max: largest mean
    number of copies in a bucket. power: largest p.
    """

    column: str = "cuts.bucket"
    discard: float = 0.4
    max: float = 7.0
    power: float = 5.0

    def kept(self, available: Sequence[int]) -> list[int]:
        """Return the buckets that are not left out, by index. available: tokens of each bucket, from the worst."""
        total, below, kept = sum(available), 0, []
        limit = 2 * Fraction(str(self.discard)) * total
        for i, n in enumerate(available):
            if n and 2 * below + n >= limit:
                kept.append(i)
            below += n
        return kept

    def capacity(self, available: Sequence[int]) -> int:
        """Return the largest area: `max` copies of each bucket that is not left out, in whole units."""
        return sum(int(Fraction(str(self.max)) * available[i]) for i in self.kept(available))


@dataclass(frozen=True)
class Solved:
    """A curve. power: p; None if a single bucket is left. shares: of each bucket in the total, which sum to 1."""

    power: float | None
    shares: tuple[Fraction, ...]


def solve(curve: Curve, available: Sequence[int], asked: int) -> Solved:
    """Return the steepest curve of an area.

    The share of the area below x is x^(p+1). The mean over the best bucket, from u to 1, is asked (1 - u^(p+1)) / n for
    its n tokens, and grows with p; it equals `max` for p + 1 = log(1 - max n / asked) / log(u).

    Args: available, tokens of each bucket, from the worst; asked, at least 1 and at most the capacity.
    """
    kept, shares = curve.kept(available), [Fraction()] * len(available)
    width, best = sum(available[i] for i in kept), available[kept[-1]]
    if len(kept) == 1:
        shares[kept[0]] = Fraction(1)
        return Solved(None, tuple(shares))
    with decimal.localcontext(decimal.Context(prec=DIGITS)):
        largest = 1 + decimal.Decimal(str(curve.power))
        rest = 1 - Fraction(str(curve.max)) * best / asked
        exponent = largest
        if rest > 0:
            edge = decimal.Decimal(width - best) / width
            at_cap = (decimal.Decimal(rest.numerator) / rest.denominator).ln() / edge.ln()
            exponent = max(min(at_cap, largest), decimal.Decimal(1))
        edges, below = [decimal.Decimal(0)], 0
        for i in kept:
            below += available[i]
            edges.append(
                (decimal.Decimal(below) / width) ** exponent if below < width else decimal.Decimal(1)
            )
        for i, low, high in zip(kept, edges, edges[1:], strict=False):
            shares[i] = Fraction(high - low)
    total = sum(shares)
    return Solved(float(exponent - 1), tuple(share / total for share in shares))


def divide(curve: Curve, available: Sequence[int], asked: int, shares: Sequence[Fraction]) -> list[int]:
    """Divide whole tokens among buckets by their shares; they sum to `asked`, and none has more than `max` copies."""
    from pipeline.mix.plan import largest_remainder

    parts = largest_remainder(asked, {f"{i:09d}": share for i, share in enumerate(shares)})
    quotas = list(parts.values())
    limits = [int(Fraction(str(curve.max)) * n) for n in available]
    kept, spare = curve.kept(available), 0
    for i in (
        *reversed(kept),
        *kept,
    ):  # rounding may exceed the limit of a bucket by a unit; others have room for it
        quotas[i] += spare
        spare = max(quotas[i] - limits[i], 0)
        quotas[i] -= spare
    return quotas


def parse_curve(settings: Any, where: str) -> Curve | None:
    """Parse the key `curve` of a mix; None where it is absent.

    Raises: ConfigError if a setting is unknown or out of range.
    """
    if settings is None:
        return None
    settings = {} if settings is True else settings
    if not isinstance(settings, dict):
        raise ConfigError(
            f"{where}: found {brief(settings)}; expected `true`, or column, discard, max and power"
        )
    check_keys(settings, ("column", "discard", "max", "power"), where)
    column = settings.get("column", Curve.column)
    if not isinstance(column, str) or not column:
        raise ConfigError(f"{where}.column: found {brief(column)}; name a column of quality buckets")
    ranges = {"discard": (0, 0.99), "max": (1, 100), "power": (0, 20)}
    numbers = {}
    for key, (low, high) in ranges.items():
        value = settings.get(key, getattr(Curve, key))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ConfigError(
                f"{where}.{key}: found {brief(value)}; expected a number from {low:g} to {high:g}"
            )
        numbers[key] = float(value)
    return Curve(column=column, **numbers)
