"""Decisions: verdicts of the rules, keepers of the clusters, and the facts that mixing needs. No text is read.

The order is fixed: base rules, the population of quantiles, the other rules, keepers, mix. A document outside the
base population or failing a rule cannot be a keeper, so no cluster is lost to a keeper that a rule drops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.execute import Columns, _nulls
from pipeline.rules import Cuts, Rule, Verdicts, judge, population_counts
from pipeline.run_file import KeepOne, RunFile
from pipeline.schema import CANONICAL, ROW
from pipeline.sidecars import Shard, SidecarRef, read_columns, read_sidecar
from pipeline.store import Store


@dataclass(frozen=True)
class Decision:
    """All that decides over one shard's documents, ready to be evaluated anywhere.

    refs: sidecars by step; loose: columns that may be absent, with their types; rank and profile: the source's.
    """

    shard: Shard
    rules: tuple[Rule, ...]
    refs: Mapping[str, SidecarRef]
    loose: Mapping[str, pa.DataType]
    rank: int
    profile: str
    keep_one: KeepOne | None = None
    cuts: Cuts | None = None
    keepers: SidecarRef | None = None

    def read(self, store: Store, extra: set[str] | None = None) -> Columns:
        """Columns of the shard that rules name, and `extra`; text is never among them."""
        names = {c for rule in self.rules for c in rule.columns()} | (extra or set()) | {"doc_id"}
        canonical = sorted((names & set(CANONICAL.names)) - {"text"})
        with store.open(self.shard.key) as stream:
            documents = pq.read_table(stream, columns=canonical)
        columns: Columns = {name: documents[name] for name in canonical}
        stored = {c for c in names if c.partition(".")[0] in self.refs and "." in c}
        columns |= read_columns(store, self.shard, self.refs, stored)
        n_rows = self.shard.n_rows
        columns |= {
            c: _nulls(kind, n_rows) for c, kind in self.loose.items() if c in names and c not in columns
        }
        columns["rank"] = pa.chunked_array([pa.repeat(pa.scalar(self.rank, pa.int32()), n_rows)])
        columns["profile"] = pa.chunked_array([pa.repeat(self.profile, n_rows)])
        return columns

    def verdicts(self, columns: Columns) -> Verdicts:
        """What the rules say of each row."""
        return judge(self.rules, columns, self.cuts)


@dataclass(frozen=True)
class Kept:
    """The final word on each row of a shard.

    keep: bool (n_rows,). rule: index of the failing rule, len(rules) for a duplicate, -1 for kept.
    keeper_id, similarity: null but for members of a cluster that another member was kept for.
    """

    keep: np.ndarray
    rule: np.ndarray
    verdicts: Verdicts
    keeper_id: pa.Array
    similarity: pa.Array


def final(decision: Decision, columns: Columns, store: Store) -> Kept:
    """Combine rules and keepers."""
    verdicts = decision.verdicts(columns)
    n_rows = decision.shard.n_rows
    rule = verdicts.rule.astype(np.int32)
    keeper_id, similarity = pa.nulls(n_rows, pa.string()), pa.nulls(n_rows, pa.float32())
    if decision.keepers is not None:
        table = read_sidecar(store, decision.keepers, decision.shard)
        lost = ~np.asarray(table["is_keeper"].fill_null(True).combine_chunks()).astype(bool)
        rule[lost & (rule == -1)] = len(decision.rules)
        keeper_id, similarity = table["keeper_id"].combine_chunks(), table["similarity"].combine_chunks()
    return Kept(rule == -1, rule, verdicts, keeper_id, similarity)


@dataclass(frozen=True)
class PopulationTask:
    """Counts the values behind one shard's quantile conditions."""

    store: Store
    decision: Decision


def count_population(task: PopulationTask) -> list[tuple[str, str | None, str, dict[float, int]]]:
    """Value counts of quantile columns over rows that pass the base rules."""
    decision = task.decision
    columns = decision.read(task.store)
    base = tuple(rule for rule in decision.rules if rule.base)
    population = judge(base, columns).passes_base if base else np.ones(decision.shard.n_rows, bool)
    return population_counts(decision.rules, columns, population)


@dataclass(frozen=True)
class Members:
    """Feeds the keepers step: cluster members of a shard with their eligibility and order.

    Columns: doc_id, dedup.cluster and dedup.pairs (of whatever step `keep_one.of` names), eligible (no rule drops the
    row), order (list<float64>, larger is better).
    """

    decision: Decision

    @property
    def shard(self) -> Shard:
        """See exchange.Feed."""
        return self.decision.shard

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See exchange.Feed."""
        keep_one = self.decision.keep_one
        assert keep_one is not None
        cluster, pairs = f"{keep_one.of}.cluster", f"{keep_one.of}.pairs"
        columns = self.decision.read(store, {cluster, pairs, *(column for column, _ in keep_one.prefer)})
        eligible = self.decision.verdicts(columns).rule == -1
        table = pa.table(
            {
                "doc_id": columns["doc_id"],
                "dedup.cluster": columns[cluster],
                "dedup.pairs": columns[pairs],
                "eligible": eligible,
                "order": order_column(keep_one, columns, self.shard.n_rows),
                ROW: np.arange(self.shard.n_rows, dtype=np.uint64) + np.uint64(first_row),
            }
        )
        yield table.select([*reads, ROW])


def order_column(keep_one: KeepOne, columns: Columns, n_rows: int) -> pa.Array:
    """The preference of each row as list<float64>, larger is better; null counts as worst."""
    keys = []
    for column, high in keep_one.prefer:
        values = columns[column].cast(pa.float64()).fill_null(float("nan")).to_numpy()
        values = np.where(np.isnan(values), -np.inf, values if high else -values)
        keys.append(values)
    flat = np.stack(keys, axis=1).ravel() if keys else np.empty(0)
    offsets = pa.array(np.arange(n_rows + 1) * len(keys), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float64()))


def decision_columns(run: RunFile, release_columns: set[str]) -> set[str]:
    """Every annotation column that decisions or the release read."""
    names = {c for rule in run.select for c in rule.columns()} | release_columns
    names |= {column for rule in run.select for column, _ in rule.trim}
    names |= {column for column, _ in run.release.edits.spans}
    if run.keep_one:
        names |= {f"{run.keep_one.of}.cluster", f"{run.keep_one.of}.pairs"}
        names |= {column for column, _ in run.keep_one.prefer}
    names |= {mix.by for mix in run.mix.mixes.values() if mix.by}
    return {name for name in names if "." in name}
