"""Rules: named conditions over columns, evaluated for a whole shard at a time without reading text.

A document's verdict is the first drop rule, in run-file order, that it fails; flags and trims are recorded separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ExpectationError
from pipeline.rules.language_parts import language_part_rows
from pipeline.schema import OWNERS

GROUP_SEPARATOR = ", "
"""Separates the values in the name of a group of several columns."""


class Quantile(NamedTuple):
    """Between two quantiles of the rows that pass the base rules, for each combination of values of the columns `by`.

    documents: fewest rows of a group with quantiles of its own; a smaller group takes those of the group without the
    last column of `by`, and so on; if all rows are fewer, nothing fails. beyond: a value that no bound cuts inside of:
    an upper bound is at least `beyond`, a lower one at most.
    """

    low: float | None
    high: float | None
    by: tuple[str, ...]
    documents: int = 1
    beyond: float | None = None

    def plain(self) -> tuple[Any, ...]:
        """Return the quantile as plain data, without settings that are not in use."""
        return tuple(self) if (self.documents, self.beyond) != (1, None) else tuple(self[:3])

    def groupings(self) -> list[tuple[str, ...]]:
        """Return the columns by which rows are grouped: all of `by`, then fewer, where small groups need them."""
        lengths = range(len(self.by), -1 if self.documents > 1 else len(self.by) - 1, -1)
        return [self.by[:n] for n in lengths]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition on one column.

    min, max: inclusive bounds. among, not_among: allowed and excluded values. quantile: see Quantile.
    """

    column: str
    min: float | None = None
    max: float | None = None
    among: tuple[Any, ...] | None = None  # Any: values of the column's own type
    not_among: tuple[Any, ...] | None = None
    quantile: Quantile | None = None

    def columns(self) -> set[str]:
        """Return the columns that the condition reads."""
        return {self.column, *(self.quantile.by if self.quantile else ())}

    def plain(self) -> list[Any]:
        """Return the condition as plain data, for recipes and reports."""
        quantile = self.quantile.plain() if self.quantile else None
        return [self.column, self.min, self.max, self.among, self.not_among, quantile]

    def passes(self, table: Mapping[str, pa.ChunkedArray], cuts: Cuts | None = None) -> pa.ChunkedArray:
        """Return for each row whether it passes: bool (n_rows,), null where the column is null.

        Args: table, columns of (n_rows,); cuts, quantiles; without them the condition `quantile` is not evaluated.
        """
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

    conditions: a row fails unless all of them hold. where: the rule applies to rows for which all of these hold; a
    null does not pass. if_null: whether a null in a tested column passes (`keep`) or fails (`drop`). base: evaluated
    first; the population of quality buckets and quantiles are the rows that pass the base rules. trim: span columns and
    kinds that a release removes from failing rows. parts: the column of language parts by which the rule is evaluated
    (`by_part`): a document with parts fails if one of them fails; a rule that tests the key of the parts
    (`language.label`) also applies to the document as a whole.
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
        """Return the columns that the rule reads."""
        columns = {c for condition in (*self.conditions, *self.where) for c in condition.columns()}
        return columns | ({self.parts} if self.parts else set())

    @property
    def is_late(self) -> bool:
        """Whether the rule tests a document after the removal of its repeated passages."""
        return any(column.startswith(f"{OWNERS}.") for column in self.columns())

    def by_part(self, parts: Mapping[str, tuple[str, ...]]) -> Rule:
        """Return the rule with the column of language parts by which it is evaluated, if there is one.

        Late rules and rules with quantiles always apply to whole documents.

        Args: parts, columns of language parts -> their fields, the key first.
        """
        gates, tested = {condition.column for condition in self.where}, self.tested()
        is_whole = self.is_late or any(c.quantile for c in (*self.conditions, *self.where))
        for column, (key, *fields) in parts.items():
            if not is_whole and (key in tested or (key in gates and tested & set(fields))):
                return replace(self, parts=column)
        return self

    def tested(self) -> set[str]:
        """Return the columns that the conditions test; `if_null` defines the meaning of their nulls."""
        return {condition.column for condition in self.conditions}

    def plain(self) -> list[Any]:
        """Return the rule as plain data, for recipes and reports."""
        return [
            self.name, [c.plain() for c in self.conditions], [c.plain() for c in self.where], self.action,
            self.if_null, self.base, self.trim, self.parts,
        ]  # fmt: skip

    def fails(self, table: Mapping[str, pa.ChunkedArray], cuts: Cuts | None = None) -> np.ndarray:
        """Return for each row whether it fails the rule: bool (n_rows,).

        Raises: ExpectationError if a tested column is null and the rule has no `if_null`.
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
                        f"rule {self.name}: {condition.column} is null in row {int(nulls.argmax())}; set "
                        "`if_null: keep` or `if_null: drop`"
                    )
            failing |= ~_to_bool(passed, self.if_null != "drop")
        return failing & applies


def comparable(values: pa.ChunkedArray, bound: float) -> tuple[pa.ChunkedArray, pa.Scalar]:
    """Return a column and a bound in one dtype, so that a float32 share of 0.3 equals a bound written as 0.3."""
    dtype = values.type if pa.types.is_floating(values.type) else pa.float64()
    return pc.cast(values, dtype), pa.scalar(bound, pa.float64()).cast(dtype)


def _to_bool(values: pa.ChunkedArray, null: bool) -> np.ndarray:
    return np.asarray(pc.fill_null(values, null).combine_chunks()).astype(bool)


@dataclass(frozen=True)
class Verdicts:
    """The results of the rules for each row of a shard.

    rule: int16 (n_rows,), index of the first drop rule that the row fails, without late rules, -1 for none; late:
    int16 (n_rows,), the same for late rules. failed: bool (n_rules, n_rows), whether the row fails each rule.
    passes_base: bool (n_rows,), whether it passes all base rules.
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
    """Evaluate all rules over the columns of one shard.

    Base rules come first regardless of their order in the run file, then the others in that order, late rules last;
    flags and trims never drop.

    Args: table and owners, columns of (n_rows,); owners, those of OWNERS, without which no row fails a late rule.
    Raises: ExpectationError if a tested column is null and its rule has no `if_null`.
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
    """Return the index of the first drop rule that each row fails, for rules that are not late and for late ones.

    Args: failed, bool (n_rules, n_rows).
    Returns: two arrays, int16 (n_rows,), -1 for none.
    """
    first, late = (np.full(failed.shape[1], -1, np.int16) for _ in range(2))
    for i in drop_order(rules)[::-1]:
        (late if rules[i].is_late else first)[failed[i]] = i
    return first, late


def drop_order(rules: Sequence[Rule]) -> list[int]:
    """Return the indices of the drop rules in the order of evaluation: base rules first, late rules last."""
    drops = [i for i, rule in enumerate(rules) if rule.action == "drop"]
    return sorted(drops, key=lambda i: (not rules[i].base, rules[i].is_late))


class Cuts:
    """Exact quantiles for each condition and group, from counts of values."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, tuple[str, ...], str], dict[float, int]] = {}

    def add(self, column: str, by: tuple[str, ...], group: str, values: Mapping[float, int]) -> None:
        """Add the value counts of one shard; the result does not depend on the order of shards."""
        totals = self.counts.setdefault((column, by, group), {})
        for value, count in values.items():
            totals[value] = totals.get(value, 0) + count

    def cut(self, column: str, by: tuple[str, ...], group: str, share: float) -> float:
        """Return the smallest value with at least `share` of the population at or below it; nan for no population."""
        counts = self.counts.get((column, by, group))
        if not counts:
            return float("nan")
        values = np.array(sorted(counts))
        cumulative = np.cumsum([counts[value] for value in values])
        # exact: 0.07 * 100 is 7.000000000000001 as floats, which would cut one value too high
        needed = ceil(Fraction(repr(share)) * int(cumulative[-1]))
        return float(values[min(int(np.searchsorted(cumulative, needed)), len(values) - 1)])

    def limits(self, column: str, quantile: Quantile, groups: Sequence[str]) -> tuple[float, float]:
        """Return the lower and upper bound of a group; infinite where nothing fails, nan for no population.

        Args: groups, names of the group by each of `quantile.groupings()`.
        """
        for by, group in zip(quantile.groupings(), groups, strict=True):
            if quantile.documents == 1 or self.size(column, by, group) >= quantile.documents:
                break
        else:
            return -np.inf, np.inf
        low = -np.inf if quantile.low is None else self.cut(column, by, group, quantile.low)
        high = np.inf if quantile.high is None else self.cut(column, by, group, quantile.high)
        if quantile.beyond is None:
            return low, high
        return min(low, quantile.beyond), max(high, quantile.beyond)

    def size(self, column: str, by: tuple[str, ...], group: str) -> int:
        """Return the number of values in a group."""
        return sum(self.counts.get((column, by, group), {}).values())

    def bounds(self, condition: Condition, table: Mapping[str, pa.ChunkedArray]) -> tuple[pa.Array, pa.Array]:
        """Return the lower and upper bound of each row, by its group: float64 (n_rows,) each."""
        assert condition.quantile is not None
        by, *fewer = condition.quantile.groupings()
        groups = group_values(by, table).dictionary_encode()
        codes, first = np.unique(groups.indices.to_numpy(), return_index=True)
        rows = {name: table[name].take(pa.array(first)) for name in by or list(table)[:1]}
        names = [groups.dictionary.take(pa.array(codes)).to_pylist()]
        names += [group_values(some, rows).to_pylist() for some in fewer]
        limits = [self.limits(condition.column, condition.quantile, g) for g in zip(*names, strict=True)]
        pairs = np.array(limits, np.float64).reshape(-1, 2)[np.searchsorted(codes, groups.indices.to_numpy())]
        return pa.array(pairs[:, 0]), pa.array(pairs[:, 1])


def group_values(by: tuple[str, ...], table: Mapping[str, pa.ChunkedArray]) -> pa.StringArray:
    """Return the group of each row: its values of `by` as text, joined by GROUP_SEPARATOR; null becomes `null`."""
    if not by:
        return pa.repeat("", len(next(iter(table.values()))))
    columns = [table[name].cast(pa.string()).fill_null("null").combine_chunks() for name in by]
    return pc.binary_join_element_wise(*columns, GROUP_SEPARATOR)


def quantile_group(by: tuple[str, ...], values: Mapping[str, Any]) -> str:  # Any: values of any column
    """Return the group of one row, given its values by column; see group_values."""
    columns = {name: pa.chunked_array([[values[name]]]) for name in by}
    return str(group_values(by, columns or {"": pa.chunked_array([[None]])})[0].as_py())


def explain_limits(
    cuts: Cuts, condition: Condition, values: Mapping[str, Any]
) -> tuple[float | None, float | None]:  # Any: values of any column
    """Return the bounds of a condition with a quantile for one row; None for a side without a bound."""
    assert condition.quantile is not None
    groups = [quantile_group(by, values) for by in condition.quantile.groupings()]
    limits = cuts.limits(condition.column, condition.quantile, groups)
    low, high = (None if np.isinf(limit) else limit for limit in limits)
    return low, high


def population_counts(
    rules: Iterable[Rule], table: Mapping[str, pa.ChunkedArray], population: np.ndarray
) -> list[tuple[str, tuple[str, ...], str, dict[float, int]]]:
    """Count the values of the column of every quantile condition over a population, by group; see Cuts.add.

    Args: table, columns of (n_rows,); population, bool (n_rows,).
    Returns: (column, by, group, value -> count) for each condition and group.
    """
    counts_by_group = []
    columns = {
        (condition.column, by): None
        for rule in rules
        for condition in (*rule.conditions, *rule.where)
        if condition.quantile is not None
        for by in condition.quantile.groupings()
    }
    for column, by in columns:
        values = pc.cast(table[column], pa.float64()).to_numpy()
        inside = population & ~np.isnan(values)
        rows = pa.table({"group": group_values(by, table), "value": values}).filter(pa.array(inside))
        counts_table = rows.group_by(["group", "value"]).aggregate([([], "count_all")])
        groups: dict[str, dict[float, int]] = {}
        for row in counts_table.to_pylist():
            groups.setdefault(row["group"], {})[row["value"]] = row["count_all"]
        counts_by_group += [(column, by, group, counts) for group, counts in sorted(groups.items())]
    return counts_by_group
