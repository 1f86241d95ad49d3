"""Accounting of a mix: the number of tokens, bytes or documents of each group, in exact integers.

Computed from counts by stratum. Shares are exact fractions, rounded once by largest remainder, so that the
quotas always add up to the total. The documents are chosen in pipeline.mix.order.
"""

from __future__ import annotations

import decimal
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pyarrow as pa

from pipeline.errors import MixError
from pipeline.mix.config import Mix
from pipeline.mix.curve import divide, solve
from pipeline.mix.strata import JOINT, members_of, shown
from pipeline.translation import message

WHOLE = "all"  # the only group of a mix without a column
NO_STRATUM = ""  # stratum of documents without a value; it belongs to no group

Phases = list["PhaseShares"]


@dataclass(frozen=True)
class PhaseShares:
    """Exact shares of a phase. length: fraction of the training order; start, end: of each group, which sum to 1."""

    length: Fraction
    start: dict[str, Fraction]
    end: dict[str, Fraction]

    @property
    def mean(self) -> dict[str, Fraction]:
        """Shares of the whole phase; they change linearly."""
        if self.start is self.end:
            return self.start
        names = self.start | self.end
        return {
            name: (self.start.get(name, Fraction()) + self.end.get(name, Fraction())) / 2 for name in names
        }


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Documents of a group that have the same number of passes: a quality bucket, or the whole group without a curve.

    group: index of the group. available: units of one pass over its documents, including repeats. quotas: units in each
    phase.
    """

    name: str
    group: int
    strata: tuple[str, ...]
    available: int
    share: float
    quotas: tuple[int, ...]

    @property
    def asked(self) -> int:
        """Units of this cell in the mix, including repeats."""
        return sum(self.quotas)


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """One group of a planned mix; units are tokens, bytes or documents, as the mix counts.

    available: units of one pass over its documents, including repeats. capacity: the most that may be asked. share: of
    the mix, in [0, 1]. quotas: units in each phase. power: of its quality curve, if it has one.
    """

    name: str
    strata: tuple[str, ...]
    available: int
    capacity: int
    share: float
    quotas: tuple[int, ...]
    power: float | None = None

    @property
    def asked(self) -> int:
        """Units of this group in the mix, including repeats."""
        return sum(self.quotas)

    @property
    def epochs(self) -> float:
        """Number of passes over the group."""
        return self.asked / self.available if self.available else 0.0

    @property
    def is_exhausted(self) -> bool:
        """Whether all that may be asked is asked, to a thousandth."""
        return self.capacity > 0 and 1000 * self.asked >= 999 * self.capacity


@dataclass(frozen=True, kw_only=True)
class MixPlan:
    """Exact quotas of a mix.

    groups: sorted by name; group_keys: their names in `phases`. cells: in the order of their groups; indices of
    documents refer to this order. phases: the exact shares at the start and at the end of each phase. available: units
    of all documents, including repeats. discarded: those of them that the mix leaves out.
    """

    mix: Mix
    groups: tuple[GroupPlan, ...]
    group_keys: tuple[str, ...]
    cells: tuple[Cell, ...]
    phases: Phases
    available: int
    discarded: int

    @property
    def total(self) -> int:
        """Units of the mix, including repeats."""
        return sum(group.asked for group in self.groups)

    @property
    def discarded_share(self) -> float:
        """Share of the available units that are not in the mix at all."""
        return self.discarded / self.available if self.available else 0.0


def count_tokens(strata: pa.Array | pa.ChunkedArray, tokens: np.ndarray) -> dict[str, int]:
    """Sum tokens, or other units, by stratum.

    Args: strata, string (n_docs,); tokens, int64 (n_docs,).
    Returns: stratum -> tokens, sorted; documents without a value are counted under NO_STRATUM.
    """
    table = pa.table({"stratum": strata.fill_null(NO_STRATUM), "tokens": tokens})
    sums = table.group_by("stratum").aggregate([("tokens", "sum")])
    return dict(sorted(zip(sums["stratum"].to_pylist(), sums["tokens_sum"].to_pylist(), strict=True)))


def plan_quotas(units_by_stratum: Mapping[str, int], mix: Mix, max_discard: float) -> MixPlan:
    """Return the exact quotas of each group of a mix, and of each quality bucket of a group.

    Args: units_by_stratum, units of the available documents, including repeats; max_discard, the largest share of
    them that the mix may leave out.
    Raises: MixError if a group has no units, unless its share is that of a preset, or too few within max_epochs, or if
    too many would be left out.
    """
    buckets = _buckets(mix, units_by_stratum)
    units = {stratum: sum(counts.values()) for stratum, counts in buckets.items()}
    members = _members(mix, units)
    available = {name: sum(units.get(s, 0) for s in strata) for name, strata in members.items()}
    if mix.preset and mix.phases and any(available.values()):
        members = {name: strata for name, strata in members.items() if available[name]}
    if mix.by and not any(available.values()):
        values = ", ".join(shown(s) for s in sorted(units)[:10] if s) or "none"
        raise MixError(
            f"mix {mix.name}: its groups have no {mix.unit}; values of {' × '.join(mix.by)} found: {values}"
        )
    by_bucket = {name: _sum_buckets(buckets, strata) for name, strata in members.items()}
    available = {name: available[name] for name in members}
    capacity = {name: _capacity(mix, available[name], by_bucket[name]) for name in members}
    phases = _weights(mix, available, capacity)
    share = {
        name: sum((phase.length * phase.mean.get(name, Fraction()) for phase in phases), Fraction())
        for name in members
    }
    largest = _largest_total(phases, share, capacity)
    quotas = _quotas(largest if mix.total is None else mix.total, phases)
    keys = tuple(sorted(members))
    groups = [
        GroupPlan(
            name=shown(name), strata=members[name], available=available[name], capacity=capacity[name],
            share=float(share[name]), quotas=tuple(quota.get(name, 0) for quota in quotas),
        )
        for name in keys
    ]  # fmt: skip
    total_available = sum(units_by_stratum.values())
    _check(mix, groups, largest)
    cells: list[Cell] = []
    for i, group in enumerate(groups):
        power, parts = _cells(mix, i, group, by_bucket[keys[i]])
        groups[i] = replace(group, power=power)
        cells += parts
    used = sum(min(cell.asked, cell.available) for cell in cells)
    result = MixPlan(
        mix=mix, groups=tuple(groups), group_keys=keys, cells=tuple(cells), phases=phases,
        available=total_available,
        discarded=total_available - used,
    )  # fmt: skip
    if total_available and Fraction(result.discarded, total_available) > _exact(max_discard):
        raise MixError(_discard_message(result, max_discard))
    return result


def _buckets(mix: Mix, units_by_stratum: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Units of each bucket of the curve, by stratum of the other columns; a single bucket without a curve."""
    if mix.curve is None:
        return {stratum: {"": n} for stratum, n in units_by_stratum.items()}
    found: dict[str, dict[str, int]] = {}
    for stratum, n in units_by_stratum.items():
        outer, _, bucket = stratum.rpartition(JOINT)
        counts = found.setdefault(outer, {})
        counts[bucket] = counts.get(bucket, 0) + n
    return found


def _sum_buckets(
    buckets: Mapping[str, Mapping[str, int]], strata: Iterable[str]
) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Units of each bucket of a group, from the worst, and the strata that they come from; not of those without one."""
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for stratum in strata:
        for bucket, n in buckets.get(stratum, {}).items():
            if bucket:
                known, names = found.get(bucket, (0, ()))
                found[bucket] = known + n, (*names, f"{stratum}{JOINT}{bucket}" if stratum else bucket)
    return dict(sorted(found.items(), key=lambda item: float(item[0])))


def _capacity(mix: Mix, available: int, by_bucket: Mapping[str, tuple[int, tuple[str, ...]]]) -> int:
    if mix.curve is None:
        return int(mix.passes * available)
    return mix.curve.capacity([n for n, _ in by_bucket.values()])


def _cells(
    mix: Mix, number: int, group: GroupPlan, by_bucket: Mapping[str, tuple[int, tuple[str, ...]]]
) -> tuple[float | None, list[Cell]]:
    """Divide a group among its quality buckets: the power of its curve, and its cells."""
    if mix.curve is None:
        return None, [
            Cell(
                name=group.name, group=number, strata=group.strata, available=group.available, share=group.share,
                quotas=group.quotas,
            )
        ]  # fmt: skip
    available = [n for n, _ in by_bucket.values()]
    if not group.asked:
        quotas, power = [0] * len(available), None
    else:
        solved = solve(mix.curve, available, group.asked)
        quotas, power = divide(mix.curve, available, group.asked, solved.shares), solved.power
    cells = []
    for (bucket, (n, strata)), asked in zip(by_bucket.items(), quotas, strict=True):
        ends = [asked * end // max(group.asked, 1) for end in itertools.accumulate(group.quotas)]
        cells.append(
            Cell(
                name=f"{group.name}/{bucket}", group=number, strata=strata, available=n,
                share=group.share * asked / max(group.asked, 1),
                quotas=tuple(b - a for a, b in itertools.pairwise([0, *ends])),
            )
        )  # fmt: skip
    return power, cells


def _check(mix: Mix, groups: Iterable[GroupPlan], largest: int) -> None:
    """Check that every group has enough units.

    Raises: MixError for the first one that has not.
    """
    for group in groups:
        if mix.by and group.share and not group.available:
            values = f" ({' × '.join(mix.by)}: {', '.join(map(shown, group.strata))})" if group.strata else ""
            raise MixError(
                f"mix {mix.name}: group {group.name!r} has a share of {group.share:.1%} and no {mix.unit}{values}; "
                "change its values or leave it out"
            )
    for group in groups:
        if group.asked > group.capacity:
            most = float(mix.passes) if mix.curve is None else mix.curve.max
            raise MixError(
                f"mix {mix.name}: group {group.name!r} needs {group.asked:,} {mix.unit} and has "
                f"{group.available:,} ({group.epochs:.2f} epochs, at most {most:g}); request at "
                f"most {largest:,} {mix.unit} in total, lower its share or raise "
                f"{'max_epochs' if mix.curve is None else 'curve.max'}"
            )


def _members(mix: Mix, strata: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return groups and their strata: the named groups, strata named in shares, or one group per stratum."""
    if not mix.by:
        return {WHOLE: tuple(sorted(strata))}
    groups = members_of(mix.name, mix.groups, mix.by, strata)
    if mix.phases:
        named = sorted({name for phase in mix.phases for name in (*phase.share, *(phase.to or ()))})
        return {name: groups.get(name, (name,)) for name in named}
    return groups or {name: (name,) for name in sorted(strata) if name != NO_STRATUM}


def _weights(mix: Mix, available: Mapping[str, int], capacity: Mapping[str, int]) -> Phases:
    """Return the exact phases of a mix; presets by formula have one phase, empty groups have no share."""
    if not mix.by:
        whole = {WHOLE: Fraction(1)}
        return [PhaseShares(Fraction(1), whole, whole)]
    if not mix.phases:
        share = _unimax(mix, capacity) if mix.unimax else _power(mix.alpha, available)
        return [PhaseShares(Fraction(1), share, share)]
    phases, start = [], Fraction()
    for number, phase in enumerate(mix.phases, 1):
        end = _exact(phase.until)
        share = _normalised({g: _exact(p) for g, p in phase.share.items() if g in available})
        to = _normalised({g: _exact(p) for g, p in phase.to.items() if g in available}) if phase.to else share
        if not share:
            raise MixError(
                f"mix {mix.name}: none of the groups of stage {number} of {mix.preset} has any {mix.unit}; "
                "define others"
            )
        phases.append(PhaseShares(end - start, share, to))
        start = end
    return phases


def _power(alpha: float, available: Mapping[str, int]) -> dict[str, Fraction]:
    """Shares in proportion to n^alpha."""
    # decimals give the same digits on every machine, unlike pow of the C library
    with decimal.localcontext(decimal.Context(prec=28)):
        exponent = decimal.Decimal(str(alpha))
        return _normalised(
            {name: Fraction(decimal.Decimal(n) ** exponent) for name, n in available.items() if n}
        )


def _unimax(mix: Mix, capacity: Mapping[str, int]) -> dict[str, Fraction]:
    """Divide a budget into equal parts; groups that cannot fill theirs give all they have, and the others the rest.

    Raises: MixError if all groups together have less than the budget.
    Source: Chung et al. 2023, arXiv:2304.09151, algorithm 1, with tokens for characters.
    """
    budget = mix.total or 0
    if sum(capacity.values()) < budget:
        raise MixError(
            f"mix {mix.name}: all groups have {sum(capacity.values()):,} {mix.unit} in {float(mix.passes):g} epochs, "
            f"{budget:,} are requested; request at most that, or raise max_epochs"
        )
    parts: dict[str, Fraction] = {}
    rest, names = Fraction(budget), sorted((n, name) for name, n in capacity.items() if n)
    for i, (n, name) in enumerate(names):
        parts[name] = min(Fraction(n), rest / (len(names) - i))
        rest -= parts[name]
    return _normalised(parts)


def _normalised(weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight}


def _exact(number: float) -> Fraction:
    """Return the number as it is written in decimal: 0.1 becomes one tenth."""
    return Fraction(str(number))


def _quotas(total: int, phases: Phases) -> list[dict[str, int]]:
    """Divide whole units among phases and, in each phase, among groups."""
    per_phase = largest_remainder(total, {str(i).zfill(3): phase.length for i, phase in enumerate(phases)})
    return [largest_remainder(n, phase.mean) for n, phase in zip(per_phase.values(), phases, strict=True)]


def _largest_total(phases: Phases, share: Mapping[str, Fraction], capacity: Mapping[str, int]) -> int:
    """Return the largest number of units whose quotas do not exceed any group's capacity."""
    total = min(int(capacity[name] / p) for name, p in share.items() if p)
    while True:
        quotas = _quotas(total, phases)
        asked = {name: sum(quota.get(name, 0) for quota in quotas) for name in share}
        excess = max(-((capacity[name] - n) // share[name]) for name, n in asked.items() if share[name])
        if excess <= 0:  # rounding in several phases may exceed a capacity by a few
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
    reasons = [message(f"{ungrouped:,} {mix.unit} are in no group")] if ungrouped else []
    if mix.total is None:
        scarce = max(plan.groups, key=lambda group: group.epochs)
        reasons.append(
            message(
                f"group {scarce.name!r} with {scarce.available:,} {mix.unit} and a share of {scarce.share:.1%} "
                f"allows {plan.total:,} in total at {float(mix.passes):g} epochs"
            )
        )
    else:
        reasons.append(message(f"{mix.total:,} are requested in total"))
    return message(
        f"mix {mix.name}: {plan.discarded_share:.1%} of {plan.available:,} available {mix.unit} would be left "
        f"out, at most {max_discard:.1%} may: {'; '.join(reasons)}. Change shares or totals, or raise "
        "max_epochs or mix.max_discard"
    )
