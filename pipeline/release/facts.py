"""Facts of kept documents for placement, and each shard's counts for the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.release_columns import Layout, group_of_rights, languages, release_column
from pipeline.dataset.shard import Columns
from pipeline.mapreduce.shuffle import write_exchange
from pipeline.mix.holdout import Holdout, is_chosen, name_links
from pipeline.mix.repeat import Repeat
from pipeline.release.clusters import eligible_rows, members, part_of
from pipeline.release.expect import count_host_tallies
from pipeline.release.mix_numbers import other_languages
from pipeline.report.profile import READS, Profile, profile_shard, thresholds
from pipeline.report.rule_counts import Scopes, count_rules
from pipeline.report.rule_samples import Candidate, candidates
from pipeline.report.signals import NOTHING, Counts, Measured, Numbers, count_signals
from pipeline.schema import ROW, ROW_BITS
from pipeline.select.guards import count_duplicates, count_hosts
from pipeline.select.verdicts import Decision, Kept, final, outcome_names
from pipeline.storage.store import Store

HELD = "held"
"""Fact that a document is held out, bool; absent if the run holds none out."""

OTHER_LANGUAGES = "other_languages"
"""Share of a document in other languages than its first, float64; absent if the run does not measure it."""

RIGHTS_GROUP = "rights_group"
"""Fact of the group of rights, int8; absent if the run does not look for licences."""

CHOSEN = "chosen"
"""Column of the links of documents: whether one is chosen to be held out."""


@dataclass(frozen=True)
class FactsTask:
    """Collects the facts of one shard's kept documents for placement, and the members of its clusters.

    by: columns that mixes go by. shares: column of the languages of a document, if there is one. fits: repeats to be
    fitted, by mix. cluster_parts, clusters_key: partitions of the clusters, exchange file of the members. hosts_key:
    exchange file of the hosts, if a guard asks for them; host_tallies_key: the same for expectations. holdout,
    links_key: how documents are held out, and the exchange file of what links them. measured: the columns that the
    report counts. samples: seed of the report's samples from this shard, None for none.
    """

    store: Store
    decision: Decision
    ordinal: int
    layout: Layout
    by: tuple[str, ...]
    key: str
    fits: tuple[tuple[str, Repeat], ...] = ()
    cluster_parts: int = 1
    clusters_key: str = ""
    hosts_key: str = ""
    host_tallies_key: str = ""
    shares: str | None = None
    holdout: Holdout | None = None
    links_key: str = ""
    measured: Measured = NOTHING
    samples: int | None = None


class ShardFacts(msgspec.Struct, kw_only=True):
    """A shard's part of the report, in numbers that add up over shards.

    funnel: language -> outcome -> documents. failed: documents that fail each rule. fits: mix -> counts that its
    repeats are fitted to. profile, thresholds: see pipeline.report.profile; copies: see select.guards.count_duplicates;
    signals, rules, samples: see pipeline.report.signals, rule_counts and rule_samples.
    """

    funnel: dict[str, dict[str, int]]
    failed: dict[str, int]
    fits: dict[str, list[list[int]]]
    profile: Profile = {}
    thresholds: dict[str, list[dict[str, Any]]] = {}  # Any: release_numbers.Cut as plain data
    copies: dict[str, Any] = {}  # Any: nested counts
    signals: Counts = {}
    rules: Counts = {}
    samples: list[Candidate] = []


def collect_facts(task: FactsTask) -> ShardFacts:
    """Write the facts of a shard's kept documents and its members of clusters; return its counts."""
    hosts = {"host"} if task.hosts_key or task.host_tallies_key else set()
    read = task.layout.sources() | READS | hosts | task.measured.columns() | task.decision.rule_columns()
    columns, kept = decide_shard(task, read)
    table, facts = facts_table(task, columns, kept)
    write_exchange(task.store, task.key, table, np.zeros(len(table), np.int64), 1)
    language, n_tokens = languages(columns, task.layout, len(kept.keep)), _tokens(task, columns)
    if task.links_key:
        links = links_table(task, columns, kept)
        write_exchange(task.store, task.links_key, links, np.zeros(len(links), np.int64), 1)
    facts.profile = profile_shard(task.layout, columns, language, n_tokens, kept)
    facts.thresholds = thresholds(task.decision, task.layout)
    count_for_report(task, facts, columns, language, kept)
    asked = {"source": columns["source"]}
    if (sizes := task.layout.columns["cluster_size"]) is not None:
        asked["cluster_size"] = columns[sizes]
    facts.copies = count_duplicates(asked, kept, language)
    if task.hosts_key:
        write_exchange(task.store, task.hosts_key, *count_hosts(columns["host"], kept, task.cluster_parts),
                       task.cluster_parts)  # fmt: skip
    if task.host_tallies_key:
        tallies = count_host_tallies(columns, n_tokens, kept, task.cluster_parts)
        write_exchange(task.store, task.host_tallies_key, *tallies, task.cluster_parts)
    if (name := task.layout.columns["cluster"]) is not None:
        named = columns[name], columns["doc_id"], columns["snapshot"], columns["source"]
        found = members(named, eligible_rows(kept.rule, task.decision.rules), kept.keep)
        parts = part_of(found["cluster"], task.cluster_parts)
        write_exchange(task.store, task.clusters_key, found, parts, task.cluster_parts)
    return facts


def count_for_report(
    task: FactsTask, facts: ShardFacts, columns: Columns, language: pa.ChunkedArray, kept: Kept
) -> None:
    """Count every measured column and every rule, and choose samples."""
    decision, rules = task.decision, task.decision.rules
    numbers = Numbers({**columns, **(decision.late_columns(task.store) or {})})
    facts.signals = count_signals(task.measured, task.layout, numbers, language, kept)
    scopes = Scopes(numbers, decision.cuts, len(kept.keep))
    facts.rules = count_rules(rules, kept, scopes, columns["text_bytes"].to_numpy().astype(np.int64))
    if task.samples is not None:
        facts.samples = candidates(rules, kept, scopes, columns, language, task.samples)


def facts_of(task: FactsTask) -> tuple[pa.Table, ShardFacts, pa.Table | None]:
    """The facts of each kept document, the shard's counts of outcomes, and its links if documents are held out."""
    columns, kept = decide_shard(task, {"text_bytes"})
    links = links_table(task, columns, kept) if task.holdout else None
    return *facts_table(task, columns, kept), links


def decide_shard(task: FactsTask, extra: set[str]) -> tuple[Columns, Kept]:
    """The verdict on a shard, with the columns of its facts and `extra`."""
    known = task.layout.columns
    extra = extra | {
        c for c in (known["language"], known["n_tokens"], known["cluster"], task.shares, *task.by) if c
    }
    extra |= {c for c in task.layout.rights.values() if c}
    if task.holdout:
        extra |= set(task.holdout.columns(known["cluster"]))
    columns = task.decision.read(task.store, extra | set(task.layout.edited.values()))
    return columns, final(task.decision, task.store)


def facts_table(task: FactsTask, columns: Columns, kept: Kept) -> tuple[pa.Table, ShardFacts]:
    """See `facts_of`."""
    decision, n_rows = task.decision, task.decision.shard.n_rows
    language = languages(columns, task.layout, n_rows)
    table = pa.table(
        {
            ROW: np.arange(n_rows, dtype=np.uint64) + np.uint64(task.ordinal << ROW_BITS),
            "doc_id": columns["doc_id"],
            "language": language,
            "n_tokens": _tokens(task, columns),
            "text_bytes": columns["text_bytes"],
            "module": pa.repeat(
                pa.scalar(task.layout.modules.get(decision.shard.source), pa.string()), n_rows
            ),
            **{name: columns[name] for name in task.by},
            **rights_fact(task.layout, columns),
            **({OTHER_LANGUAGES: other_languages(columns[task.shares])} if task.shares else {}),
        }
    ).filter(pa.array(kept.keep))
    funnel, failed = funnel_of(task, kept, language)
    return table, ShardFacts(funnel=funnel, failed=failed, fits=counts_to_fit(task, columns, kept))


GROUPING = ("share_alike", "non_commercial")
"""Fields of `rights` that tell the group of a document."""


def has_groups(layout: Layout) -> bool:
    """Whether documents have a group of rights: whether the run looks for licences."""
    return all(layout.rights.get(name) for name in GROUPING)


def rights_fact(layout: Layout, columns: Columns) -> dict[str, np.ndarray]:
    """The group of rights of each document, int8 (n_rows,); empty if they have none."""
    if not has_groups(layout):
        return {}
    names = [layout.rights[name] for name in GROUPING]
    flags = [pc.fill_null(columns[str(name)], False).to_numpy().astype(bool) for name in names]
    return {RIGHTS_GROUP: group_of_rights(*flags)}


def links_table(task: FactsTask, columns: Columns, kept: Kept) -> pa.Table:
    """What links each kept document with others, and whether it is chosen to be held out; see pipeline.mix.holdout."""
    assert task.holdout is not None
    cluster = task.layout.columns["cluster"]
    links = name_links(columns, task.holdout, cluster)
    chosen = is_chosen(columns, task.holdout, cluster)
    named = {f"link{i}": link for i, link in enumerate(links)}
    return pa.table({**named, CHOSEN: chosen}).filter(pa.array(kept.keep))


def counts_to_fit(task: FactsTask, columns: Columns, kept: Kept) -> dict[str, list[list[int]]]:
    """Counts of documents that rules remove, for each mix whose repeats are fitted to them.

    Each cluster is represented by the document that names it, as if duplicates were removed before any rule; derived
    documents are not counted.
    """
    decision, name = task.decision, task.layout.columns["cluster"]
    if not task.fits or decision.shard.source in task.layout.modules:
        return {}
    counted = np.ones(len(kept.keep), bool)
    if name is not None:
        leads = pc.equal(columns[name].cast(pa.string()), columns["doc_id"])
        counted = np.asarray(pc.fill_null(leads, True).combine_chunks()).astype(bool)
    removed = ~eligible_rows(kept.rule, decision.rules)[counted]
    chosen = pa.array(counted)
    return {mix: fit.count(columns[fit.column].filter(chosen), removed) for mix, fit in task.fits}


def _tokens(task: FactsTask, columns: Columns) -> pa.ChunkedArray:
    return release_column(columns, task.layout, "n_tokens", pa.int64(), task.decision.shard.n_rows)


def funnel_of(
    task: FactsTask, kept: Kept, language: pa.ChunkedArray
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Documents by language and outcome, and how many fail each rule, whichever rule dropped them."""
    rules = task.decision.rules
    outcomes = outcome_names(rules, task.layout.duplicate, task.layout.orphan, "kept")[kept.rule]
    funnel: dict[str, dict[str, int]] = {}
    for label, outcome in zip(language.to_pylist(), outcomes.tolist(), strict=True):
        row = funnel.setdefault(label, {})
        row[outcome] = row.get(outcome, 0) + 1
    failed = dict.fromkeys((rule.name for rule in rules), 0)
    for rule, rows in zip(rules, kept.failed, strict=True):
        failed[rule.name] += int(rows.sum())
    return funnel, failed
