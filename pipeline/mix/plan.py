"""Token accounting of a mix: the number of tokens of each group, in exact integers.

Computed from token counts by stratum. Shares are exact fractions, rounded once by largest remainder, so that the
quotas always add up to the total. The documents are chosen in pipeline.mix.order.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa

from pipeline.errors import MixError
from pipeline.mix.config import Mix
from pipeline.translation import message

WHOLE = "all"  # the only group of a mix without a column
NO_STRATUM = ""  # stratum of documents without a value; it belongs to no group

Phases = list[tuple[Fraction, dict[str, Fraction]]]
"""Fractions of the training order, which sum to 1, each with the shares of its groups, which sum to 1."""


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """One group of a planned mix.

    available: tokens of one pass over its documents, including repeats. share: of the mix, in [0, 1]. quotas: tokens
    in each phase.
    """

    name: str
    strata: tuple[str, ...]
    available: int
    share: float
    quotas: tuple[int, ...]

    @property
    def asked(self) -> int:
        """Tokens of this group in the mix, including repeats."""
        return sum(self.quotas)

    @property
    def epochs(self) -> float:
        """Number of passes over the group."""
        return self.asked / self.available if self.available else 0.0


@dataclass(frozen=True, kw_only=True)
class MixPlan:
    """Exact token quotas of a mix.

    groups: sorted by name; group indices refer to this order. available: tokens of all documents, including repeats.
    discarded: those of them that the mix leaves out.
    """

    mix: Mix
    groups: tuple[GroupPlan, ...]
    available: int
    discarded: int

    @property
    def total(self) -> int:
        """Tokens of the mix, including repeats."""
        return sum(group.asked for group in self.groups)

    @property
    def discarded_share(self) -> float:
        """Share of the available tokens that are not in the mix at all."""
        return self.discarded / self.available if self.available else 0.0


def count_tokens(strata: pa.Array | pa.ChunkedArray, tokens: np.ndarray) -> dict[str, int]:
    """Sum tokens by stratum.

    Args: strata, string (n_docs,); tokens, int64 (n_docs,).
    Returns: stratum -> tokens, sorted; documents without a value are counted under NO_STRATUM.
    """
    table = pa.table({"stratum": strata.fill_null(NO_STRATUM), "tokens": tokens})
    sums = table.group_by("stratum").aggregate([("tokens", "sum")])
    return dict(sorted(zip(sums["stratum"].to_pylist(), sums["tokens_sum"].to_pylist(), strict=True)))


def plan_quotas(tokens_by_stratum: Mapping[str, int], mix: Mix, max_discard: float) -> MixPlan:
    """Return the exact token quotas of each group of a mix.

    Args: tokens_by_stratum, tokens of the available documents, including repeats; max_discard, the largest share of
    them that the mix may leave out.
    Raises: MixError if a group has no tokens, or too few within max_epochs, or if too many tokens would be left out.
    """
    members = _members(mix, tokens_by_stratum)
    available = {name: sum(tokens_by_stratum.get(s, 0) for s in strata) for name, strata in members.items()}
    if mix.by and not any(available.values()):
        values = ", ".join(sorted(tokens_by_stratum)) or "none"
        raise MixError(f"mix {mix.name}: its groups have no tokens; values of {mix.by} found: {values}")
    phases = _weights(mix, available)
    share = {
        name: sum((length * shares.get(name, Fraction()) for length, shares in phases), Fraction())
        for name in members
    }
    capacity = {name: int(mix.passes * n) for name, n in available.items()}
    largest = _largest_total(phases, share, capacity)
    quotas = _quotas(largest if mix.tokens is None else mix.tokens, phases)
    groups = tuple(
        GroupPlan(
            name=name,
            strata=members[name],
            available=available[name],
            share=float(share[name]),
            quotas=tuple(quota.get(name, 0) for quota in quotas),
        )
        for name in sorted(members)
    )
    total_available = sum(tokens_by_stratum.values())
    used = sum(min(group.asked, group.available) for group in groups)
    result = MixPlan(mix=mix, groups=groups, available=total_available, discarded=total_available - used)
    _check(result, capacity, largest, max_discard)
    return result


def _check(plan: MixPlan, capacity: Mapping[str, int], largest: int, max_discard: float) -> None:
    """Check that every group has enough tokens, then that the mix does not leave out too many.

    Raises: MixError for the first check that fails.
    """
    mix = plan.mix
    for group in plan.groups:
        if mix.by and group.share and not group.available:
            raise MixError(
                f"mix {mix.name}: group {group.name!r} has a share of {group.share:.1%} "
                f"and no tokens ({mix.by}: {', '.join(group.strata)}); change its values or leave it out"
            )
    for group in plan.groups:
        if group.asked > capacity[group.name]:
            raise MixError(
                f"mix {mix.name}: group {group.name!r} needs {group.asked:,} tokens and has "
                f"{group.available:,} ({group.epochs:.2f} epochs, at most {float(mix.passes):g}); request at "
                f"most {largest:,} tokens in total, lower its share or raise max_epochs"
            )
    if plan.available and Fraction(plan.discarded, plan.available) > _exact(max_discard):
        raise MixError(_discard_message(plan, max_discard))


def _members(mix: Mix, strata: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return groups and their strata: the named groups, strata named in shares, or one group per stratum."""
    if mix.by is None:
        return {WHOLE: tuple(sorted(strata))}
    if mix.phases:
        named = sorted({name for phase in mix.phases for name in phase.share})
        return {name: mix.groups.get(name, (name,)) for name in named}
    return dict(mix.groups) or {name: (name,) for name in sorted(strata) if name != NO_STRATUM}


def _weights(mix: Mix, available: Mapping[str, int]) -> Phases:
    """Return the exact phases of a mix; natural proportions and alpha have one phase, empty groups have no share."""
    if mix.by is None:
        return [(Fraction(1), {WHOLE: Fraction(1)})]
    if not mix.phases:
        # decimals give the same digits on every machine, unlike pow of the C library
        with decimal.localcontext(decimal.Context(prec=28)):
            alpha = decimal.Decimal(str(mix.alpha))
            weights = {name: Fraction(decimal.Decimal(n) ** alpha) for name, n in available.items() if n}
        return [(Fraction(1), _normalised(weights))]
    phases, start = [], Fraction()
    for phase in mix.phases:
        end = _exact(phase.until)
        phases.append((end - start, _normalised({g: _exact(p) for g, p in phase.share.items()})))
        start = end
    return phases


def _normalised(weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight}


def _exact(number: float) -> Fraction:
    """Return the number as it is written in decimal: 0.1 becomes one tenth."""
    return Fraction(str(number))


def _quotas(total: int, phases: Phases) -> list[dict[str, int]]:
    """Divide whole tokens among phases and, in each phase, among groups."""
    per_phase = largest_remainder(total, {str(i).zfill(3): length for i, (length, _) in enumerate(phases)})
    return [largest_remainder(n, share) for n, (_, share) in zip(per_phase.values(), phases, strict=True)]


def _largest_total(phases: Phases, share: Mapping[str, Fraction], capacity: Mapping[str, int]) -> int:
    """Return the largest number of tokens whose quotas do not exceed any group's capacity."""
    total = min(int(capacity[name] / p) for name, p in share.items() if p)
    while True:
        quotas = _quotas(total, phases)
        asked = {name: sum(quota.get(name, 0) for quota in quotas) for name in share}
        excess = max(-((capacity[name] - n) // share[name]) for name, n in asked.items() if share[name])
        if excess <= 0:  # rounding in several phases may exceed a capacity by a few tokens
            return total
        total = max(total - excess, 0)


def largest_remainder(total: int, share: Mapping[str, Fraction]) -> dict[str, int]:
    """Divide a whole number in proportion to shares that sum to 1; each result is its exact quota rounded down or up.

    The units left after rounding down are given to the largest remainders, ties in the order of names.

    Source: Hamilton's method of apportionment.
    """
    quotas = {name: total * share[name] for name in sorted(share)}
    rounded = {name: int(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (rounded[name] - quotas[name], name))
    for name in by_remainder[: total - sum(rounded.values())]:
        rounded[name] += 1
    return rounded


def _discard_message(plan: MixPlan, max_discard: float) -> str:
    mix = plan.mix
    ungrouped = plan.available - sum(group.available for group in plan.groups)
    reasons = [message(f"{ungrouped:,} tokens are in no group")] if ungrouped else []
    if mix.tokens is None:
        scarce = max(plan.groups, key=lambda group: group.epochs)
        reasons.append(
            message(
                f"group {scarce.name!r} with {scarce.available:,} tokens and a share of {scarce.share:.1%} "
                f"allows {plan.total:,} in total at {float(mix.passes):g} epochs"
            )
        )
    else:
        reasons.append(message(f"{mix.tokens:,} are requested in total"))
    return message(
        f"mix {mix.name}: {plan.discarded_share:.1%} of {plan.available:,} available tokens would be left "
        f"out, at most {max_discard:.1%} may: {'; '.join(reasons)}. Change shares or tokens, or raise "
        "max_epochs or mix.max_discard"
    )
