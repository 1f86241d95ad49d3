"""Inputs of global steps that need decisions: keepers, owners of passages, and steps that read `passes_base`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.config.run_file import NEW_LOSES, OLD_LOSES, KeepOne
from pipeline.dataset.shard import Columns, Shard
from pipeline.rules.rules import judge_rules
from pipeline.schema import HANDED, ROW
from pipeline.select.verdicts import Decision, final
from pipeline.storage.store import Store

PASSAGE_COLUMNS = ("passages", "n_chars")
"""Columns of each step with passages that the owners step reads, under these plain names."""


@dataclass(frozen=True)
class OwnerFeed:
    """Input of the owners step: one table of the whole shard for each step with passages.

    Each table has PASSAGE_COLUMNS of the step, its index as `step`, and the document columns of KeeperFeed.
    """

    decision: Decision
    steps: tuple[str, ...]

    @property
    def shard(self) -> Shard:
        """See feeds.Feed."""
        return self.decision.shard

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See feeds.Feed."""
        stored = tuple(name for name in reads if name != "step")
        for number, step in enumerate(self.steps):
            columns = {name: f"{step}.{name}" for name in PASSAGE_COLUMNS}
            for table in KeeperFeed(self.decision, columns).batches(store, stored, first_row):
                numbers = pa.repeat(pa.scalar(number, pa.int32()), table.num_rows)
                yield table.append_column("step", numbers).select([*reads, ROW])


@dataclass(frozen=True)
class KeeperFeed:
    """Input of a step that chooses among documents: its columns, and the eligibility and order of each document.

    columns: name in the table -> column of the run, for those that the run file chooses. Further columns: `doc_id`,
    `eligible` (nothing so far drops the document), `fixed` (a reference: never removed as a duplicate) and `order`
    (list<float64>, larger is better).
    """

    decision: Decision
    columns: Mapping[str, str]

    @property
    def shard(self) -> Shard:
        """See feeds.Feed."""
        return self.decision.shard

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See feeds.Feed."""
        keep_one = self.decision.keep_one
        assert keep_one is not None
        prefer = {name for name, _ in keep_one.prefer}
        values = self.decision.read(store, {*self.columns.values(), *prefer})
        table = pa.table(
            {
                "doc_id": values["doc_id"],
                **{name: values[column] for name, column in self.columns.items()},
                "eligible": final(self.decision, store).may_be_keeper,
                "fixed": self.decision.references(store),
                "order": order_column(keep_one, values, self.shard.n_rows, self.first(store)),
                ROW: np.arange(self.shard.n_rows, dtype=np.uint64) + np.uint64(first_row),
            }
        )
        for name in set(reads) - set(table.column_names):  # hashes that no stage of the run file computes
            table = table.append_column(name, pa.nulls(self.shard.n_rows))
        yield table.select([*reads, ROW])

    def first(self, store: Store) -> np.ndarray:
        """First value of `order`, before all preferences, larger is better: float64 (n_rows,)."""
        decision = self.decision
        rank = decision.references(store).astype(np.float64) * 2
        mode = decision.keep_one.against.mode if decision.keep_one and decision.keep_one.against else None
        if mode in (NEW_LOSES, OLD_LOSES):
            rank += decision.kept_earlier(store) * (1.0 if mode == NEW_LOSES else -1.0)
        return rank


@dataclass(frozen=True)
class BaseRulesFeed:
    """Input of a global step that reads `passes_base`. decision: with the base rules alone."""

    decision: Decision

    @property
    def shard(self) -> Shard:
        """See feeds.Feed."""
        return self.decision.shard

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See feeds.Feed."""
        stored = [name for name in reads if name not in HANDED]
        columns = self.decision.read(store, {*stored, *self.decision.rule_columns()})
        passes = judge_rules(self.decision.rules, columns).passes_base & ~self.decision.references(store)
        rows = np.arange(self.shard.n_rows, dtype=np.uint64) + np.uint64(first_row)
        computed = {"passes_base": pa.array(passes), ROW: pa.array(rows)}
        yield pa.table(
            {name: computed[name] if name in computed else columns[name] for name in (*reads, ROW)}
        )


def order_column(
    keep_one: KeepOne, columns: Columns, n_rows: int, first: np.ndarray | None = None
) -> pa.Array:
    """The order of rows by preference: list<float64> (n_rows,), larger is better; null and NaN are worst.

    Args: first, float64 (n_rows,), values to compare before the preferences.
    """
    keys = [] if first is None else [first]
    for column, high in keep_one.prefer:
        values = columns[column].cast(pa.float64()).fill_null(float("nan")).to_numpy()
        values = np.where(np.isnan(values), -np.inf, values if high else -values)
        keys.append(values)
    flat = np.stack(keys, axis=1).ravel() if keys else np.empty(0)
    offsets = pa.array(np.arange(n_rows + 1) * len(keys), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float64()))
