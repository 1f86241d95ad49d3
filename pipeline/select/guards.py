"""Guards: a build that removes more duplicates than the run file allows stops before anything is released.

For each source and host: the share of rule-passing documents that would be removed as duplicates. A threshold that does
not suit a site, a template that is mistaken for content, or a parser that returns the same text for every page shows
here first. There may be millions of hosts, so they are summed by partition in files; each partition returns the number
of hosts above the limit, and the worst one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.config.run_file import Guards, RunFile
from pipeline.dataset.shard import Columns
from pipeline.errors import ExpectationError
from pipeline.mapreduce.shuffle import read_exchange
from pipeline.select.verdicts import Decision, Kept, final
from pipeline.storage.store import Store
from pipeline.translation import message

WARN_SHARE = 0.5
"""A source with a larger share of documents removed as duplicates is named in the report, guards or not."""

N_EXAMPLES = 3

NO_HOST = "(no host)"


def count_duplicates(columns: Columns, kept: Kept, language: pa.ChunkedArray) -> dict[str, Any]:
    """Count the documents of a shard that are removed as duplicates; counts of several shards can be summed.

    Args: columns, `source`, and `cluster_size` if clusters are counted; language, string (n_rows,).
    Returns: `kinds`, source and language -> name -> kind of duplicate -> documents; `asked`, `source` -> name ->
    [documents that pass the rules, those of them that are removed as duplicates]; `largest`, size of the largest
    cluster.
    """
    is_copy = kept.is_copy
    named = {"source": columns["source"], "language": language, "kind": pa.chunked_array([kept.kind])}
    copies = pa.table(named).filter(pa.array(is_copy))
    kinds: dict[str, dict[str, dict[str, int]]] = {}
    for by in ("source", "language"):
        rows = copies.group_by([by, "kind"]).aggregate([([], "count_all")]).to_pylist()
        for row in rows:
            kinds.setdefault(by, {}).setdefault(row[by], {})[row["kind"]] = row["count_all"]
    rows = count_by(columns["source"], kept).to_pylist()
    totals = {"source": {row["name"]: [row["n_documents"], row["n_copies"]] for row in rows}}
    largest = pc.max(columns["cluster_size"]).as_py() if "cluster_size" in columns else None
    return {"kinds": kinds, "asked": totals, "largest": int(largest or 0)}


def count_by(names: pa.ChunkedArray, kept: Kept) -> pa.Table:
    """Count documents that pass the rules, and those of them removed as duplicates: name, n_documents, n_copies."""
    is_copy = kept.is_copy
    table = pa.table({"name": names, "copy": is_copy.astype(np.int64)}).filter(pa.array(kept.keep | is_copy))
    counts = table.group_by("name").aggregate([([], "count_all"), ("copy", "sum")])
    return counts.select(["name", "count_all", "copy_sum"]).rename_columns(
        ["name", "n_documents", "n_copies"]
    )


def count_hosts(hosts: pa.ChunkedArray, kept: Kept, n_parts: int) -> tuple[pa.Table, np.ndarray]:
    """Counts of a shard by host, as of count_by, and the partition of each host, int64 (n_hosts,)."""
    table = count_by(pc.fill_null(hosts, NO_HOST), kept)
    keys = [xxhash.xxh3_64_intdigest(name.encode()) % n_parts for name in table["name"].to_pylist()]
    return table, np.array(keys, np.int64)


def guards_of(run: RunFile) -> Guards:
    """The limits of a run file."""
    return run.keep_one.guards if run.keep_one else Guards()


@dataclass(frozen=True)
class HostTask:
    """Sums the counts of the hosts of one partition. maps: exchange files of count_hosts."""

    store: Store
    maps: tuple[str, ...]
    part: int
    guards: Guards


def hosts_above(task: HostTask) -> dict[str, Any]:  # Any: plain JSON
    """Number of hosts of a partition above the limit, and the worst: [share, documents, name] or None."""
    table = read_exchange(task.store, task.maps, task.part).group_by("name")
    rows = table.aggregate([("n_documents", "sum"), ("n_copies", "sum")]).to_pylist()
    groups = {row["name"]: (row["n_documents_sum"], row["n_copies_sum"]) for row in rows}
    above = groups_above(groups, task.guards.host_share, task.guards.min_documents)
    return {"above": len(above), "worst": list(max(above)) if above else None}


def groups_above(
    groups: Mapping[str, Sequence[int]], limit: float | None, min_documents: int
) -> list[tuple[float, int, str]]:
    """Share of duplicates, documents and name of each group above a limit; empty without a limit.

    Args: groups, name -> [documents, duplicates].
    """
    if limit is None:
        return []
    above = ((c / n, n, name) for name, (n, c) in groups.items() if n >= min_documents and c > limit * n)
    return list(above)


def sum_counts(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum the counts of count_duplicates over all shards."""
    kinds: dict[str, dict[str, dict[str, int]]] = {}
    totals: dict[str, dict[str, list[int]]] = {}
    for report in reports:
        for by, names in report["kinds"].items():
            for name, counts_by_kind in names.items():
                total = kinds.setdefault(by, {}).setdefault(name, {})
                for kind, n in counts_by_kind.items():
                    total[kind] = total.get(kind, 0) + n
        for by, counts in report["asked"].items():
            for name, (n_documents, n_copies) in counts.items():
                pair = totals.setdefault(by, {}).setdefault(name, [0, 0])
                pair[0] += n_documents
                pair[1] += n_copies
    return {
        "kinds": kinds,
        "asked": totals,
        "largest": max((report["largest"] for report in reports), default=0),
    }


def warnings_of(totals: Mapping[str, Any], guards: Guards) -> list[str]:
    """A line for each source of which more than WARN_SHARE of the documents are removed as duplicates."""
    return [
        message(
            f"source {name}: {n_copies / n:.1%} of {n:,} documents that pass the rules go as copies of others"
        )
        for name, (n, n_copies) in sorted(totals["asked"].get("source", {}).items())
        if n >= guards.min_documents and n_copies > WARN_SHARE * n
    ]


def check_guards(
    guards: Guards, totals: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]], decisions: Sequence[Decision],
    store: Store, sizes: str,
) -> None:  # fmt: skip
    """Check the guards.

    Args: totals, of `sum_counts`; hosts, of `hosts_above`, by partition; sizes, the column with the size of a
    document's cluster.
    Raises: ExpectationError naming the worst group, the limit, and examples.
    """
    if guards.largest_cluster is not None and totals["largest"] > guards.largest_cluster:
        fault = message(
            f"a cluster has {totals['largest']:,} documents; allowed are {guards.largest_cluster:,}"
        )
        raise ExpectationError(
            _message("largest_cluster", fault, _examples(decisions, store, sizes, totals["largest"]))
        )
    sources = groups_above(totals["asked"].get("source", {}), guards.source_share, guards.min_documents)
    n_hosts = sum(partition["above"] for partition in hosts)
    worst_hosts = [partition["worst"] for partition in hosts if partition["worst"]]
    for by, limit, n_above, above in (
        ("source", guards.source_share, len(sources), sources),
        ("host", guards.host_share, n_hosts, worst_hosts),
    ):
        if above:
            share, n, name = max(above)
            fault = message(
                f"{share:.1%} of the {n:,} documents of {by} {name} that pass the rules would be removed as "
                f"duplicates; allowed are {limit:.1%}"
            )
            others = message(f" ({n_above - 1:,} more above the limit)") if n_above > 1 else ""
            value = None if name == NO_HOST else name
            raise ExpectationError(
                _message(f"{by}_share", fault + others, _examples(decisions, store, by, value))
            )


def _message(guard: str, fault: str, examples: list[str]) -> str:
    return message(
        f"keep_one.guards.{guard}: {fault}; for example {', '.join(examples)}. Nothing was released. Look at some with "
        "`bicorpus explain`; if they are duplicates, raise the limit and run again"
    )


def _examples(decisions: Sequence[Decision], store: Store, column: str, value: object) -> list[str]:
    """A few duplicates with this value in a column: removed document, its keeper and their similarity."""
    lines: list[str] = []
    for decision in decisions:
        columns = decision.read(store, {column})
        has_value = (
            pc.is_null(columns[column]) if value is None else pc.equal(columns[column], pa.scalar(value))
        )
        kept = final(decision, store)
        is_example = np.asarray(pc.fill_null(has_value, False).combine_chunks()) & kept.is_copy
        for row in np.flatnonzero(is_example)[: N_EXAMPLES - len(lines)]:
            similarity = kept.similarity[int(row)].as_py()
            lines.append(f"{columns['doc_id'][int(row)]} for {kept.keeper_id[int(row)]} ({similarity:.3f})")
        if len(lines) == N_EXAMPLES:
            break
    return lines
