"""Verdicts on documents: rules, keepers of clusters, parents, late rules. No text is read.

The order is fixed: base rules, the population of quantiles, the other rules, keepers, owners of passages, late rules,
mix. A document that fails a rule cannot be a keeper, so no cluster is removed in favour of a document that is dropped.
A derived document is kept only with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config.run_file import EXCLUDE, KeepOne
from pipeline.dataset.shard import Columns, Shard, null_column, opened
from pipeline.dataset.sidecars import SidecarRef, read_columns, read_sidecar, write_sidecar
from pipeline.errors import AlignmentError
from pipeline.recipe import digest
from pipeline.rules.rules import Cuts, Rule, first_failing, judge_rules, population_counts
from pipeline.schema import CANONICAL, OWNERS, REFERENCE
from pipeline.storage.store import MissingError, Store


@dataclass(frozen=True)
class Decision:
    """The inputs of all decisions over one shard's documents, ready to be evaluated in any process.

    refs: sidecars by step; loose: columns that may be absent, with their dtypes; rank, profile: of the source. cuts:
    value counts for quantile thresholds. keepers, and owners in `refs`: set once they are chosen. judged: the owners
    that late rules read, chosen before late rules dropped documents. parent: the decision over the parents of a derived
    shard. reference: whether all documents are references. earlier: key of the shard's ledger in an earlier release.
    early, verdict: sidecars of the results of the rules, and of the final verdict, if a run has stored them.
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
    judged: SidecarRef | None = None
    parent: Decision | None = None
    reference: bool = False
    earlier: str | None = None
    early: SidecarRef | None = None
    verdict: SidecarRef | None = None

    def rule_columns(self) -> set[str]:
        """Columns that the rules read, except those of owners."""
        names = {column for rule in self.rules for column in rule.columns()}
        return {name for name in names if not name.startswith(f"{OWNERS}.")}

    def references(self, store: Store) -> np.ndarray:
        """Which rows are references: bool (n_rows,)."""
        if self.reference:
            return np.ones(self.shard.n_rows, bool)
        mode = self.keep_one.against.mode if self.keep_one and self.keep_one.against else None
        return self.kept_earlier(store) if mode == EXCLUDE else np.zeros(self.shard.n_rows, bool)

    def kept_earlier(self, store: Store) -> np.ndarray:
        """Which rows the earlier release kept: bool (n_rows,).

        Raises: AlignmentError if the ledger is not of this shard.
        """
        kept = np.zeros(self.shard.n_rows, bool)
        if self.earlier is not None:
            with store.open(self.earlier) as stream:
                table = pq.read_table(stream, columns=["shard", "doc_id", "keep"])
            if table.num_rows < self.shard.n_rows or table["shard"].unique().to_pylist() != [self.shard.id]:
                raise AlignmentError(
                    f"{self.earlier}: not the ledger of {self.shard.id}; write that release again"
                )
            before = table["doc_id"].filter(table["keep"])
            ids = self.read(store, set())["doc_id"]  # by id: rows may have been erased since
            kept = np.asarray(pc.is_in(ids, before.combine_chunks()).combine_chunks()).astype(bool)
        return kept

    def read(self, store: Store, names: set[str]) -> Columns:
        """Columns of the shard by name, always with `doc_id`, `rank` and `profile`, never with text."""
        names = names | {"doc_id"}
        canonical = sorted((names & set(CANONICAL.names)) - {"text"})
        with opened(store, self.shard.key) as stream:
            documents = pq.ParquetFile(stream).read(canonical)  # read_table plans a data set, for each shard
        columns: Columns = {name: documents[name] for name in canonical}
        stored = {c for c in names if c.partition(".")[0] in self.refs and "." in c and c not in self.loose}
        columns |= read_columns(store, self.shard, self.refs, stored)
        n_rows = self.shard.n_rows
        columns |= {
            c: null_column(dtype, n_rows)
            for c, dtype in self.loose.items()
            if c in names and c not in columns
        }
        columns["rank"] = pa.chunked_array([pa.repeat(pa.scalar(self.rank, pa.int32()), n_rows)])
        columns["profile"] = pa.chunked_array([pa.repeat(self.profile, n_rows)])
        return columns

    def late_columns(self, store: Store) -> Columns | None:
        """The columns of owners that late rules read; None before owners are chosen."""
        if self.judged is None:
            return None
        table = read_sidecar(store, self.judged, self.shard)
        return {f"{OWNERS}.{name}": table[name] for name in table.column_names}


@dataclass(frozen=True)
class Kept:
    """The verdict on each row of a shard.

    keep: bool (n_rows,). rule: int32 (n_rows,), index of the rule that drops the row, len(rules) for a duplicate,
    len(rules) + 1 for a derived document whose parent is dropped, len(rules) + 2 for a reference, -1 for a kept row.
    failed: bool (n_rules, n_rows), whether the row fails each rule. keeper_id, similarity, kind, verified: see
    stages.dedup.keepers; null except for members of a cluster that are similar to a kept one.
    """

    keep: np.ndarray
    rule: np.ndarray
    failed: np.ndarray
    keeper_id: pa.Array
    similarity: pa.Array
    kind: pa.Array
    verified: pa.Array

    @property
    def is_copy(self) -> np.ndarray:
        """Which rows are removed in favour of another document: bool (n_rows,)."""
        return self.rule == len(self.failed)

    @property
    def duplicate(self) -> pa.Array:
        """Kind of each removed duplicate, string (n_rows,); null for all other rows."""
        return pc.if_else(pa.array(self.is_copy), self.kind, pa.scalar(None, pa.string()))

    @property
    def may_be_keeper(self) -> np.ndarray:
        """Rows that may act as keepers, kept documents and references: bool (n_rows,)."""
        return self.keep | (self.rule == len(self.failed) + 2)


CHOSEN = {"keeper_id": pa.string(), "similarity": pa.float32(), "kind": pa.string(), "verified": pa.bool_()}
"""Columns of keepers about a document that is removed in favour of another."""


def outcome_names(rules: Sequence[Rule], duplicate: str, orphan: str, kept: str | None) -> np.ndarray:
    """Names of verdicts, to be indexed with Kept.rule: object (n_rules + 4,); the last, `kept`, is for -1."""
    return np.array([*(rule.name for rule in rules), duplicate, orphan, REFERENCE, kept], object)


def final(decision: Decision, store: Store) -> Kept:
    """The verdict on a shard's documents, by rules, parents, keepers and late rules, as far as these are known.

    It is read from the store if a run has stored it, else computed from annotations.
    """
    chosen = [pa.nulls(decision.shard.n_rows, dtype) for dtype in CHOSEN.values()]
    not_keeper = np.zeros(decision.shard.n_rows, bool)
    if decision.keepers is not None:
        table = read_sidecar(store, decision.keepers, decision.shard)
        not_keeper = ~np.asarray(table["is_keeper"].fill_null(True).combine_chunks()).astype(bool)
        chosen = [table[name].combine_chunks() for name in CHOSEN]
    keeper_id, similarity, kind, verified = chosen
    stored = _stored(store, decision.verdict, decision)
    if stored is not None:
        rule, failed = stored.column("rule").to_numpy(), _failures(stored, decision)
    else:
        rule, failed = _compute(decision, store, not_keeper)
    return Kept(rule == -1, rule, failed, keeper_id, similarity, kind, verified)


def _compute(decision: Decision, store: Store, not_keeper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute Kept.rule and Kept.failed of a shard.

    Args: not_keeper, bool (n_rows,), cluster members that are not keepers.
    """
    n_rules = len(decision.rules)
    late_columns = decision.late_columns(store)
    early = _stored(store, decision.early, decision)
    if early is None:
        columns = decision.read(store, decision.rule_columns())
        failed = judge_rules(decision.rules, columns, decision.cuts, late_columns).failed
    else:
        failed = _failures(early, decision)
        late = [i for i, rule in enumerate(decision.rules) if rule.is_late]
        if late and late_columns is not None:
            rules = [decision.rules[i] for i in late]
            columns = decision.read(store, replace(decision, rules=tuple(rules)).rule_columns())
            failed[late] = judge_rules(rules, columns, decision.cuts, late_columns).failed
    first_failed, first_late = first_failing(decision.rules, failed)
    rule = first_failed.astype(np.int32)
    if decision.parent is not None:
        parent_ids = decision.read(store, {"parent_id"})["parent_id"]
        rule[(rule == -1) & ~parents_kept(decision.parent, parent_ids, store)] = n_rules + 1
    rule[not_keeper & (rule == -1)] = n_rules
    rule = np.where(rule == -1, first_late, rule)
    rule[decision.references(store)] = n_rules + 2
    return rule, failed


def parents_kept(parent: Decision, parent_ids: pa.ChunkedArray, store: Store) -> np.ndarray:
    """Whether the parent of each derived document is kept: bool (n_rows,). parent_ids: doc_ids, string (n_rows,)."""
    doc_ids = parent.read(store, set())["doc_id"].combine_chunks()
    position = pc.index_in(parent_ids, doc_ids).fill_null(-1).to_numpy()
    return np.append(final(parent, store).keep, False)[position]


# Stored verdicts


@dataclass(frozen=True)
class VerdictTask:
    """Computes and stores the results of the rules over one shard (early), or its final verdict."""

    store: Store
    decision: Decision
    early: bool


def store_verdict(task: VerdictTask) -> None:
    """Write the sidecar of a VerdictTask: a bool column for each rule and, for a final verdict, Kept.rule."""
    decision = task.decision
    if task.early:
        columns = decision.read(task.store, decision.rule_columns())
        failed, ref = judge_rules(decision.rules, columns, decision.cuts).failed, decision.early
        arrays: dict[str, pa.Array] = {}
    else:
        kept = final(replace(decision, verdict=None), task.store)
        failed, ref = kept.failed, decision.verdict
        arrays = {"rule": pa.array(kept.rule)}
    assert ref is not None
    arrays |= {f"failed_{i:03d}": pa.array(failed[i]) for i in range(len(decision.rules))}
    write_sidecar(task.store, ref, pa.table(arrays), decision.shard)


def early_ref(decision: Decision, release: str, rules: str) -> SidecarRef | None:
    """Sidecar for the results of the rules over a shard; None without rules. rules: see Selector.rules_digest."""
    if not decision.rules:
        return None
    stages = {name.partition(".")[0] for name in decision.rule_columns()}
    read = {name: ref.recipe for name, ref in decision.refs.items() if name in stages}
    recipe = digest(
        [rules, read, sorted(decision.loose), decision.rank, decision.profile, decision.shard.generation]
    )
    return _verdict_ref(decision.shard, release, recipe)


def final_ref(decision: Decision, release: str, rules: str) -> SidecarRef:
    """Sidecar for the final verdict on a shard. rules: see Selector.rules_digest."""
    sidecars = [ref and ref.recipe for ref in (decision.early, decision.keepers, decision.judged)]
    parent = decision.parent.verdict.recipe if decision.parent and decision.parent.verdict else None
    facts = [decision.shard.generation, decision.reference, decision.earlier]
    return _verdict_ref(decision.shard, release, digest(["final", rules, sidecars, parent, *facts]))


def _verdict_ref(shard: Shard, release: str, recipe: str) -> SidecarRef:
    return SidecarRef(f"verdicts/{release}/{shard.id}-{recipe[:16]}.parquet", recipe)


def _stored(store: Store, ref: SidecarRef | None, decision: Decision) -> pa.Table | None:
    """A stored verdict, or None."""
    if ref is None:
        return None
    try:
        return read_sidecar(store, ref, decision.shard)
    except MissingError:
        return None


def _failures(table: pa.Table, decision: Decision) -> np.ndarray:
    """Kept.failed of a stored verdict: bool (n_rules, n_rows)."""
    failed = np.zeros((len(decision.rules), decision.shard.n_rows), bool)
    for i in range(len(decision.rules)):
        failed[i] = np.asarray(table[f"failed_{i:03d}"].combine_chunks())
    return failed


@dataclass(frozen=True)
class PopulationTask:
    """Counts the values of one shard for quantile conditions."""

    store: Store
    decision: Decision


def count_population(task: PopulationTask) -> list[tuple[str, tuple[str, ...], str, dict[float, int]]]:
    """Count the values of quantile columns over rows that pass the base rules; see rules.population_counts."""
    decision = task.decision
    columns = decision.read(task.store, decision.rule_columns())
    base = tuple(rule for rule in decision.rules if rule.base)
    population = judge_rules(base, columns).passes_base if base else np.ones(decision.shard.n_rows, bool)
    population &= ~decision.references(task.store)
    return population_counts(decision.rules, columns, population)
