"""Rules: named conditions over columns, evaluated for a whole shard at a time without touching text.

The first failing drop rule in run-file order is a document's verdict; flags and trims are recorded beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ExpectationError
from pipeline.rules.language_parts import language_part_rows
from pipeline.schema import OWNERS

GROUP_SEPARATOR = ", "
"""Between the values that name a group of several columns."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a passing row looks like in one column.

    quantile: (low, high, by): between those quantiles of the rows that pass the base rules, for each combination of
    values of the columns `by`.
    """

    column: str
    min: float | None = None
    max: float | None = None
    among: tuple[Any, ...] | None = None  # Any: values of the column's own type
    not_among: tuple[Any, ...] | None = None
    quantile: tuple[float | None, float | None, tuple[str, ...]] | None = None

    def columns(self) -> set[str]:
        """Columns that the condition reads."""
        return {self.column, *(self.quantile[2] if self.quantile else ())}

    def plain(self) -> list[Any]:
        """The condition as plain data, for recipes and reports."""
        return [self.column, self.min, self.max, self.among, self.not_among, self.quantile]

    def passes(self, table: Mapping[str, pa.ChunkedArray], cuts: Cuts | None = None) -> pa.ChunkedArray:
        """Boolean per row; null where the column is null."""
        values = table[self.column]
        result = (
            pa.chunked_array([pa.repeat(True, len(values))])
            if len(values)
            else pa.chunked_array([[]], pa.bool_())
        )
        result = pc.if_else(pc.is_valid(values), result, pa.scalar(None, pa.bool_()))
        if self.min is not None:
            result = pc.and_(result, pc.greater_equal(*comparable(values, self.min)))
        if self.max is not None:
            result = pc.and_(result, pc.less_equal(*comparable(values, self.max)))
        if self.among is not None:
            result = pc.and_(result, pc.is_in(values, pa.array(self.among).cast(values.type)))
        if self.not_among is not None:
            result = pc.and_(result, pc.invert(pc.is_in(values, pa.array(self.not_among).cast(values.type))))
        if self.quantile is not None and cuts is not None:
            low, high = cuts.bounds(self, table)
            numbers = pc.cast(values, pa.float64())
            result = pc.and_(result, pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high)))
        return result


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A named predicate with an action: drop the document, flag it, or trim some of its spans.

    where: rows the rule applies to (all conditions hold, null does not). base: judged before the population of
    quality buckets and quantiles is drawn. trim: span columns and kinds that release removes from failing rows.
    parts: the column of parts by which it judges (`by_part`): a document with parts fails if one of them does, and a
    rule on what tells parts apart (`language.label`) judges the document as well.
    """

    name: str
    conditions: tuple[Condition, ...]
    where: tuple[Condition, ...] = ()
    action: str = "drop"
    if_null: str | None = None
    base: bool = False
    trim: tuple[tuple[str, tuple[str, ...] | None], ...] = field(default=())
    parts: str | None = None

    def columns(self) -> set[str]:
        """Columns that the rule reads."""
        columns = {c for condition in (*self.conditions, *self.where) for c in condition.columns()}
        return columns | ({self.parts} if self.parts else set())

    @property
    def is_late(self) -> bool:
        """Whether the rule judges what is left of a document without its repeated passages."""
        return any(column.startswith(f"{OWNERS}.") for column in self.columns())

    def by_part(self, parts: Mapping[str, tuple[str, ...]]) -> Rule:
        """The rule as it is judged where these columns of parts are; quantiles and late rules are of documents."""
        asked, tested = {condition.column for condition in self.where}, self.tested()
        whole = self.is_late or any(c.quantile for c in (*self.conditions, *self.where))
        for column, (key, *fields) in parts.items():
            if not whole and (key in tested or (key in asked and tested & set(fields))):
                return replace(self, parts=column)
        return self

    def tested(self) -> set[str]:
        """Columns whose null needs a meaning."""
        return {condition.column for condition in self.conditions}

    def plain(self) -> list[Any]:
        """The rule as plain data, for recipes and reports."""
        return [
            self.name, [c.plain() for c in self.conditions], [c.plain() for c in self.where], self.action,
            self.if_null, self.base, self.trim, self.parts,
        ]  # fmt: skip

    def fails(self, table: Mapping[str, pa.ChunkedArray], cuts: Cuts | None = None) -> np.ndarray:
        """Boolean (n_rows,): whether each row fails this rule.

        Raises: ExpectationError if a tested column is null and the rule does not say what that means.
        """
        failing = self._fails(table, cuts)
        if self.parts is not None:
            rows, parts = language_part_rows(table, self.parts, self.columns() - {self.parts})
            key = table[self.parts].type.value_type[0].name
            if len(rows) and key not in self.tested():
                failing[rows] = False
            failing[rows[self._fails(parts, cuts)]] = True
        return failing

    def _fails(self, table: Mapping[str, pa.ChunkedArray], cuts: Cuts | None) -> np.ndarray:
        n_rows = len(next(iter(table.values())))
        failing = np.zeros(n_rows, bool)
        applies = np.ones(n_rows, bool)
        for condition in self.where:
            applies &= _to_bool(condition.passes(table, cuts), False)
        for condition in self.conditions:
            passed = condition.passes(table, cuts)
            if passed.null_count and self.if_null is None:
                nulls = ~np.asarray(pc.is_valid(passed)) & applies
                if nulls.any():
                    raise ExpectationError(
                        f"rule {self.name}: {condition.column} is null in row {int(nulls.argmax())}; say what null "
                        "means with `if_null: keep` or `if_null: drop`"
                    )
            failing |= ~_to_bool(passed, self.if_null != "drop")
        return failing & applies


def comparable(values: pa.ChunkedArray, bound: float) -> tuple[pa.ChunkedArray, pa.Scalar]:
    """A column and a bound in one type: a float32 share of 0.3 meets a bound written as 0.3."""
    kind = values.type if pa.types.is_floating(values.type) else pa.float64()
    return pc.cast(values, kind), pa.scalar(bound, pa.float64()).cast(kind)


def _to_bool(values: pa.ChunkedArray, null: bool) -> np.ndarray:
    return np.asarray(pc.fill_null(values, null).combine_chunks()).astype(bool)


@dataclass(frozen=True)
class Verdicts:
    """What the rules say of each row of a shard.

    rule: int16 (n_rows,), index of the first failing drop rule, late ones aside, -1 when none fails; late: int16
    (n_rows,), that of the first failing late one. failed: bool (n_rules, n_rows), every rule's own answer.
    passes_base: bool (n_rows,).
    """

    rule: np.ndarray
    late: np.ndarray
    failed: np.ndarray
    passes_base: np.ndarray


def judge_rules(
    rules: Iterable[Rule],
    table: Mapping[str, pa.ChunkedArray],
    cuts: Cuts | None = None,
    owners: Mapping[str, pa.ChunkedArray] | None = None,
) -> Verdicts:
    """Evaluate all rules over one shard's columns.

    Base rules come first whatever their place, then the others in run-file order, late ones last; flags and trims
    never drop. Args: owners, the columns of OWNERS; without them late rules fail for no row.
    """
    rules = list(rules)
    n_rows = len(next(iter(table.values())))
    failed = np.zeros((len(rules), n_rows), bool)
    for i, rule in enumerate(rules):
        if not rule.is_late:
            failed[i] = rule.fails(table, cuts)
        elif owners is not None:
            failed[i] = rule.fails({**table, **owners}, cuts)
    base = [i for i, rule in enumerate(rules) if rule.base and rule.action == "drop"]
    passes_base = np.logical_not(failed[base].any(axis=0)) if base else np.ones(n_rows, bool)
    return Verdicts(*first_failing(rules, failed), failed, passes_base)


def first_failing(rules: Sequence[Rule], failed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the first drop rule that each row fails, late rules aside, and of the first late one; -1 for none.

    Args: failed, bool (n_rules, n_rows).
    Returns: two arrays, int16 (n_rows,).
    """
    first, late = (np.full(failed.shape[1], -1, np.int16) for _ in range(2))
    for i in drop_order(rules)[::-1]:
        (late if rules[i].is_late else first)[failed[i]] = i
    return first, late


def drop_order(rules: Sequence[Rule]) -> list[int]:
    """Indices of the drop rules in the order in which they decide: base rules first, late ones last."""
    drops = [i for i, rule in enumerate(rules) if rule.action == "drop"]
    return sorted(drops, key=lambda i: (not rules[i].base, rules[i].is_late))


class Cuts:
    """Quantile cuts per condition and group, from exact counts of values."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, tuple[str, ...], str], dict[float, int]] = {}

    def add(self, column: str, by: tuple[str, ...], group: str, values: Mapping[float, int]) -> None:
        """Add one shard's value counts; the sum does not depend on order."""
        total = self.counts.setdefault((column, by, group), {})
        for value, count in values.items():
            total[value] = total.get(value, 0) + count

    def cut(self, column: str, by: tuple[str, ...], group: str, share: float) -> float:
        """The smallest value with at least `share` of the population at or below it; nan for no population."""
        counts = self.counts.get((column, by, group))
        if not counts:
            return float("nan")
        values = np.array(sorted(counts))
        cumulative = np.cumsum([counts[value] for value in values])
        return float(values[min(np.searchsorted(cumulative, share * cumulative[-1]), len(values) - 1)])

    def bounds(self, condition: Condition, table: Mapping[str, pa.ChunkedArray]) -> tuple[pa.Array, pa.Array]:
        """Lower and upper bound of each row, by its group."""
        assert condition.quantile is not None
        low, high, by = condition.quantile
        groups = group_values(by, table).dictionary_encode()
        names = groups.dictionary.to_pylist()
        lows = [-np.inf if low is None else self.cut(condition.column, by, g, low) for g in names]
        highs = [np.inf if high is None else self.cut(condition.column, by, g, high) for g in names]
        return tuple(pa.array(bounds, pa.float64()).take(groups.indices) for bounds in (lows, highs))


def group_values(by: tuple[str, ...], table: Mapping[str, pa.ChunkedArray]) -> pa.StringArray:
    """The group of each row: its values of `by` as text, joined by GROUP_SEPARATOR; null is written `null`."""
    if not by:
        return pa.repeat("", len(next(iter(table.values()))))
    columns = [table[name].cast(pa.string()).fill_null("null").combine_chunks() for name in by]
    return pc.binary_join_element_wise(*columns, GROUP_SEPARATOR)


def quantile_group(by: tuple[str, ...], values: Mapping[str, Any]) -> str:  # Any: values of any column
    """The group of one row, given its values by column; see group_values."""
    columns = {name: pa.chunked_array([[values[name]]]) for name in by}
    return str(group_values(by, columns or {"": pa.chunked_array([[None]])})[0].as_py())


def population_counts(
    rules: Iterable[Rule], table: Mapping[str, pa.ChunkedArray], population: np.ndarray
) -> list[tuple[str, tuple[str, ...], str, dict[float, int]]]:
    """Value counts of every quantile condition's column over the population, per group: what Cuts adds up."""
    found = []
    asked = {
        (condition.column, condition.quantile[2]): None
        for rule in rules
        for condition in (*rule.conditions, *rule.where)
        if condition.quantile is not None
    }
    for column, by in asked:
        values = pc.cast(table[column], pa.float64()).to_numpy()
        inside = population & ~np.isnan(values)
        counted = pa.table({"group": group_values(by, table), "value": values}).filter(pa.array(inside))
        counted = counted.group_by(["group", "value"]).aggregate([([], "count_all")])
        groups: dict[str, dict[float, int]] = {}
        for row in counted.to_pylist():
            groups.setdefault(row["group"], {})[row["value"]] = row["count_all"]
        found += [(column, by, group, counts) for group, counts in sorted(groups.items())]
    return found
