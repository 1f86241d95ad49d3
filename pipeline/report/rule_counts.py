"""What each rule takes, and what other thresholds would take: exact counts that add up across shards.

A document is lost to a rule alone if it fails no other drop rule: those come back if the rule is loosened. A kept
document in the scope of a rule is lost if its value comes to be outside. Both are counted by the value, in the bins of
pipeline.report.profile, so that a page can move the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.report.signals import Counts, Numbers
from pipeline.rules.language_parts import language_part_rows
from pipeline.rules.rules import Condition, Cuts, Rule
from pipeline.select.verdicts import Kept


@dataclass(frozen=True)
class Tested:
    """A bound of a rule over the rows of a shard: values and bounds, float64 (n_rows,).

    place: among the bounds of the rule, see bounds_of. scope: bool (n_rows,), rows that the rule applies to with a
    number in the column, without rows that are judged by their language parts.
    """

    place: int
    column: str
    side: str  # "min" | "max"
    values: np.ndarray
    bounds: np.ndarray
    scope: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        """Distance of each value inside the bound; negative outside."""
        distance: np.ndarray = self.values - self.bounds
        return distance if self.side == "min" else -distance


class Scopes:
    """Rows that rules apply to, each condition evaluated once. numbers: with the columns of owners, for late rules."""

    def __init__(self, numbers: Numbers, cuts: Cuts | None, n_rows: int) -> None:
        self.numbers, self.columns, self.cuts, self.n_rows = numbers, numbers.columns, cuts, n_rows
        self.passed: dict[Condition, np.ndarray] = {}
        self.scopes: dict[int, np.ndarray] = {}  # by id: hashing a rule takes as long as evaluating it
        self.known: dict[int, list[Tested]] = {}
        self.in_parts: dict[str, np.ndarray] = {}

    def of(self, rule: Rule) -> np.ndarray:
        """Rows that the rule applies to as whole documents: bool (n_rows,)."""
        if id(rule) not in self.scopes:
            self.scopes[id(rule)] = self.find(rule)
        return self.scopes[id(rule)]

    def find(self, rule: Rule) -> np.ndarray:
        """See `of`."""
        scope = np.ones(self.n_rows, bool)
        for condition in rule.where:
            if condition not in self.passed:
                passed = pc.fill_null(condition.passes(self.columns, self.cuts), False)
                self.passed[condition] = np.asarray(passed.combine_chunks()).astype(bool)
            scope &= self.passed[condition]
        if rule.parts is not None:
            if rule.parts not in self.in_parts:
                rows, _ = language_part_rows(self.columns, rule.parts, ())
                has_parts = np.zeros(self.n_rows, bool)
                has_parts[rows] = True
                self.in_parts[rule.parts] = has_parts
            scope &= ~self.in_parts[rule.parts]
        return scope

    def tested(self, rule: Rule) -> list[Tested]:
        """The bounds of a rule on numbers, those of quantiles included."""
        if id(rule) not in self.known:
            self.known[id(rule)] = self.evaluate(rule)
        return self.known[id(rule)]

    def evaluate(self, rule: Rule) -> list[Tested]:
        """See `tested`."""
        found: list[Tested] = []
        place = 0
        for condition in rule.conditions:
            sides = self.sides(condition)
            if sides and condition.column in self.columns:
                values = self.numbers.values(condition.column)
                scope = self.of(rule) & ~np.isnan(values)
                found += [
                    Tested(place + i, condition.column, side, values, bounds, scope & np.isfinite(bounds))
                    for i, (side, bounds) in enumerate(sides)
                ]
            place += len(sides_of(condition))
        return found

    def sides(self, condition: Condition) -> list[tuple[str, np.ndarray]]:
        """The sides on which a condition has a bound, with the bound of each row: float64 (n_rows,)."""
        sides = sides_of(condition)
        if not sides or not self.n_rows:
            return []
        found = [(side, np.full(self.n_rows, value)) for side, value in sides if value is not None]
        if condition.quantile is not None:
            if self.cuts is None:
                return found
            limits = self.cuts.bounds(condition, self.columns)
            named = dict(zip(("min", "max"), limits, strict=True))
            found += [(side, named[side].to_numpy()) for side, value in sides if value is None]
        return found


def sides_of(condition: Condition) -> list[tuple[str, float | None]]:
    """The sides on which a condition has a bound, with its value, None for a quantile, whose bounds differ by group."""
    given = (("min", condition.min), ("max", condition.max))
    sides: list[tuple[str, float | None]] = [
        (side, float(value)) for side, value in given if value is not None
    ]
    if condition.quantile is not None:
        shares = (("min", condition.quantile.low), ("max", condition.quantile.high))
        sides += [(side, None) for side, share in shares if share is not None]
    return sides


def alone(rules: Sequence[Rule], kept: Kept) -> np.ndarray:
    """Documents that are dropped and fail no other drop rule: bool (n_rules, n_rows)."""
    drops = np.array([rule.action == "drop" for rule in rules], bool)
    n_failed = kept.failed[drops].sum(axis=0, dtype=np.int32)
    is_ruled = (kept.rule >= 0) & (kept.rule < len(rules)) & (n_failed == 1)
    result: np.ndarray = kept.failed & drops[:, None] & is_ruled
    return result


def count_rules(rules: Sequence[Rule], kept: Kept, scopes: Scopes, sizes: np.ndarray) -> Counts:
    """Count what each rule takes of a shard.

    Args: sizes, int64 (n_rows,), bytes of text.
    Returns: `rules`, rule -> [failed, decided, alone, bytes alone, rows in scope]; `bounds`, rule -> place of a
    bound -> bin -> [kept, alone, others, kept bytes, bytes alone].
    """
    lost = alone(rules, kept)
    found: Counts = {"rules": {}, "bounds": {}}
    is_reference = kept.rule == len(rules) + 2
    for i, rule in enumerate(rules):
        if rule.name in found["rules"]:
            continue  # a rule of the same name, which the counts by name cannot distinguish
        counts = [kept.failed[i], kept.rule == i, lost[i]]
        found["rules"][rule.name] = [
            *(int(rows.sum()) for rows in counts),
            int(sizes[lost[i]].sum()), int((scopes.of(rule) & ~is_reference).sum()),
        ]  # fmt: skip
        classes = np.where(kept.keep, 0, np.where(lost[i], 1, 2))
        bounds = {
            str(test.place): _by_bin(test, scopes.numbers.bins(test.column), classes, ~is_reference, sizes)
            for test in scopes.tested(rule)
        }
        if bounds:
            found["bounds"][rule.name] = bounds
    return found


def _by_bin(
    test: Tested, codes: np.ndarray, classes: np.ndarray, counted: np.ndarray, sizes: np.ndarray
) -> dict[str, list[int]]:
    """Counts by bin. classes: 0 for kept documents, 1 for those lost to the rule alone, 2 for others; (n_rows,)."""
    rows = np.flatnonzero(test.scope & counted)
    if not len(rows):
        return {}
    codes = codes[rows]
    low = int(codes.min())
    places, n = (codes - low) * 3 + classes[rows], (int(codes.max()) - low + 1) * 3
    documents = np.bincount(places, minlength=n).reshape(-1, 3)
    text_bytes = np.bincount(places, sizes[rows], n).reshape(-1, 3).astype(np.int64)
    filled = np.flatnonzero(documents.any(axis=1))
    counts = np.concatenate([documents[filled], text_bytes[filled, :2]], axis=1).tolist()
    return {str(low + place): row for place, row in zip(filled.tolist(), counts, strict=True)}


def bounds_of(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """The bounds of rules: rule, action, place, column, side, value (None for a quantile)."""
    found = []
    for rule in rules:
        sides = [(c.column, *side) for c in rule.conditions for side in sides_of(c)]
        found += [
            {
                "rule": rule.name,
                "action": rule.action,
                "place": place,
                "column": column,
                "side": side,
                "value": value,
            }
            for place, (column, side, value) in enumerate(sides)
        ]
    return found
