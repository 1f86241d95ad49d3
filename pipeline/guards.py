"""Guards: a build in which copies take out more than the run file allows stops before anything is released.

What is asked are documents that pass the rules: of a source or a host, how many of them would go for another document.
A threshold that is wrong for a site, a template taken for its content, a parser that gives every page the same text:
all show here first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.decide import Decision, Kept, final
from pipeline.errors import ExpectationError
from pipeline.execute import Columns
from pipeline.run_file import Guards
from pipeline.store import Store

WARN_SHARE = 0.5
"""A source that loses a larger share of its documents to copies is named in the report, guards or not."""

N_EXAMPLES = 3

NO_HOST = "(no host)"


def count_copies(columns: Columns, kept: Kept, language: pa.ChunkedArray) -> dict[str, Any]:
    """What copies take out of a shard, in numbers that add up.

    Args: columns, `source`, and `host` and `cluster_size` where they are to be counted. Returns: `kinds`, source and
    language -> name -> kind of copy -> documents; `asked`, source and host -> name -> [documents that pass the rules,
    those of them that go as copies]; `largest`, the largest cluster.
    """
    is_copy = kept.is_copy
    named = {"source": columns["source"], "language": language, "kind": pa.chunked_array([kept.kind])}
    copies = pa.table(named).filter(pa.array(is_copy))
    kinds: dict[str, dict[str, dict[str, int]]] = {}
    for by in ("source", "language"):
        rows = copies.group_by([by, "kind"]).aggregate([([], "count_all")]).to_pylist()
        for row in rows:
            kinds.setdefault(by, {}).setdefault(row[by], {})[row["kind"]] = row["count_all"]
    asked: dict[str, dict[str, list[int]]] = {}
    for by in ("source", "host"):
        if by in columns:
            names = pc.fill_null(columns[by], NO_HOST)
            table = pa.table({by: names, "copy": is_copy.astype(np.int64)}).filter(
                pa.array(kept.keep | is_copy)
            )
            rows = table.group_by(by).aggregate([([], "count_all"), ("copy", "sum")]).to_pylist()
            asked[by] = {row[by]: [row["count_all"], row["copy_sum"]] for row in rows}
    largest = pc.max(columns["cluster_size"]).as_py() if "cluster_size" in columns else None
    return {"kinds": kinds, "asked": asked, "largest": int(largest or 0)}


def add_up(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of all shards."""
    kinds: dict[str, dict[str, dict[str, int]]] = {}
    asked: dict[str, dict[str, list[int]]] = {}
    for report in reports:
        for by, names in report["kinds"].items():
            for name, found in names.items():
                total = kinds.setdefault(by, {}).setdefault(name, {})
                for kind, n in found.items():
                    total[kind] = total.get(kind, 0) + n
        for by, counts in report["asked"].items():
            for name, (n_documents, n_copies) in counts.items():
                pair = asked.setdefault(by, {}).setdefault(name, [0, 0])
                pair[0] += n_documents
                pair[1] += n_copies
    return {
        "kinds": kinds,
        "asked": asked,
        "largest": max((report["largest"] for report in reports), default=0),
    }


def warnings_of(found: Mapping[str, Any], guards: Guards) -> list[str]:
    """Sources that lose much to copies, in words."""
    return [
        f"source {name}: {n_copies / n:.1%} of {n:,} documents that pass the rules go as copies of others"
        for name, (n, n_copies) in sorted(found["asked"].get("source", {}).items())
        if n >= guards.min_documents and n_copies > WARN_SHARE * n
    ]


def check_guards(
    guards: Guards, found: Mapping[str, Any], decisions: Sequence[Decision], store: Store, sizes: str
) -> None:
    """Stop where copies take out more than the guards allow.

    Args: found, of `add_up`; sizes, the column with the size of a document's cluster.
    Raises: ExpectationError naming the worst group, the limit, and examples.
    """
    if guards.largest_cluster is not None and found["largest"] > guards.largest_cluster:
        said = f"a cluster of {found['largest']:,} like documents, at most {guards.largest_cluster:,} may be"
        raise ExpectationError(
            _message("largest_cluster", said, _examples(decisions, store, sizes, found["largest"]))
        )
    for by, limit in (("source", guards.source_share), ("host", guards.host_share)):
        if limit is None:
            continue
        groups = found["asked"].get(by, {}).items()
        above = [(c / n, n, name) for name, (n, c) in groups if n >= guards.min_documents and c > limit * n]
        if above:
            share, n, name = max(above, key=lambda group: (group[0], group[1], group[2]))
            said = (
                f"{share:.1%} of the {n:,} documents of {by} {name} that pass the rules would go as copies of others, "
                f"at most {limit:.1%} may"
            )
            more = f" ({len(above) - 1:,} more above the limit)" if len(above) > 1 else ""
            value = None if name == NO_HOST else name
            raise ExpectationError(
                _message(f"{by}_share", said + more, _examples(decisions, store, by, value))
            )


def _message(guard: str, said: str, examples: list[str]) -> str:
    return (
        f"keep_one.guards.{guard}: {said}; for example {', '.join(examples)}. Nothing was released. Look at some with "
        "`bicorpus explain`; if they are copies, raise the limit and run again"
    )


def _examples(decisions: Sequence[Decision], store: Store, column: str, value: object) -> list[str]:
    """A few copies with this value in a column: removed document, its keeper and their similarity."""
    lines: list[str] = []
    for decision in decisions:
        columns = decision.read(store, {column})
        wanted = pc.is_null(columns[column]) if value is None else pc.equal(columns[column], pa.scalar(value))
        kept = final(decision, columns, store)
        mine = np.asarray(pc.fill_null(wanted, False).combine_chunks()) & kept.is_copy
        for row in np.flatnonzero(mine)[: N_EXAMPLES - len(lines)]:
            similarity = kept.similarity[int(row)].as_py()
            lines.append(f"{columns['doc_id'][int(row)]} for {kept.keeper_id[int(row)]} ({similarity:.3f})")
        if len(lines) == N_EXAMPLES:
            break
    return lines
