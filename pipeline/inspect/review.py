"""Benchmark questions found in documents, for review: a table by benchmark, and the hits with their passages.

Hits of low coverage come first, since these are the unsure ones. Passages have the replacements of the release.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cells import clip, visible
from pipeline.errors import UsageError
from pipeline.inspect.opened import Finished
from pipeline.names import nearest
from pipeline.spans import apply_spans

FIELDS = ("benchmark", "item", "start", "end", "coverage")
EVIDENCE = {"weighted": pa.float32(), "role": pa.string(), "answer": pa.bool_(), "passage": pa.float32()}
"""Further fields of a hit, null where a build has none."""


class BenchmarkRow(NamedTuple):
    """Documents of a benchmark: items that occur in them, documents with one, kept ones, hits, hits with coverage of
    0.8 and more."""

    benchmark: str
    items: int
    documents: int
    kept: int
    hits: int
    sure: int


class Hit(NamedTuple):
    """A question in a document. keep: whether the document is kept; text: its text from start to end. weighted:
    coverage with rare units counted more; role: with its choices (`item`) or alone (`question`); answer: whether the
    answer follows; passage: share of the item's passage near it; None where unknown."""

    benchmark: str
    item: str
    coverage: float
    doc_id: str
    keep: bool
    start: int
    end: int
    weighted: float | None
    role: str | None
    answer: bool | None
    passage: float | None
    text: str


SURE = 0.8


def hit_columns(finished: Finished) -> list[str]:
    """Columns of hits of a build.

    Raises: UsageError if it has none.
    """
    names = [
        name for name, dtype in finished.run.column_types().items()
        if pa.types.is_list(dtype) and pa.types.is_struct(dtype.value_type)
        and set(FIELDS) <= {field.name for field in dtype.value_type}
    ]  # fmt: skip
    if not names:
        raise UsageError("the build was not compared with benchmarks; annotate with stages.decontaminate")
    return sorted(names)


def find_hits(finished: Finished) -> pa.Table:
    """All hits: FIELDS, EVIDENCE, doc_id, keep, shard (number) and row."""
    tables = []
    for number, decision in enumerate(finished.decisions()):
        names = hit_columns(finished)
        judged = finished.judge_shard(decision, {"doc_id", *names})
        for name in names:
            lists = judged.columns[name].combine_chunks()
            rows = pc.list_parent_indices(lists)
            hits = pc.list_flatten(lists)
            present = {field.name for field in hits.type}
            evidence = {
                field: hits.field(field) if field in present else pa.nulls(len(hits), dtype)
                for field, dtype in EVIDENCE.items()
            }
            tables.append(
                pa.table(
                    {
                        **{field: hits.field(field) for field in FIELDS}, **evidence,
                        "doc_id": judged.columns["doc_id"].take(rows), "keep": pa.array(judged.kept.keep).take(rows),
                        "shard": pa.repeat(number, len(hits)), "row": rows.cast(pa.int64()),
                    }
                )
            )  # fmt: skip
    return pa.concat_tables(tables)


def benchmark_rows(hits: pa.Table) -> list[BenchmarkRow]:
    """The table by benchmark, in order of name."""
    rows = []
    for name in sorted(pc.unique(hits["benchmark"]).to_pylist()):
        own = hits.filter(pc.equal(hits["benchmark"], name))
        kept = own.filter(own["keep"])
        sure = pc.sum(pc.greater_equal(own["coverage"], SURE).cast(pa.int64())).as_py()
        items, documents, n_kept = (
            int(pc.count_distinct(column).as_py()) for column in (own["item"], own["doc_id"], kept["doc_id"])
        )
        rows.append(BenchmarkRow(name, items, documents, n_kept, own.num_rows, int(sure or 0)))
    return rows


def chosen_hits(hits: pa.Table, benchmark: str | None, kept: bool, limit: int) -> pa.Table:
    """The hits to list, the least covered first.

    Raises: UsageError for a benchmark without hits.
    """
    if benchmark is not None:
        names = pc.unique(hits["benchmark"]).to_pylist()
        if benchmark not in names:
            raise UsageError(f"--benchmark: no hit of {benchmark!r}{nearest(benchmark, names)}")
        hits = hits.filter(pc.equal(hits["benchmark"], benchmark))
    hits = hits.filter(hits["keep"]) if kept else hits
    order = [
        ("coverage", "ascending"),
        ("benchmark", "ascending"),
        ("item", "ascending"),
        ("doc_id", "ascending"),
    ]
    return hits.sort_by(order).slice(0, limit)


def with_passages(finished: Finished, hits: pa.Table) -> Iterator[Hit]:
    """The hits with their passages, in the order of the table."""
    decisions = finished.decisions()
    texts: dict[tuple[int, int], str] = {}
    spans: dict[tuple[int, int], list[tuple[int, int, str]]] = {}
    for shard in sorted(set(hits["shard"].to_pylist())):
        rows = np.unique(hits.filter(pc.equal(hits["shard"], shard))["row"].to_numpy())
        texts |= {(shard, row): text for row, text in finished.text(decisions[shard].shard, rows)}
        spans |= {(shard, row): found for row, found in finished.replaced(decisions[shard], rows)}
    for row in hits.to_pylist():
        place, start, end = (row["shard"], row["row"]), row["start"], row["end"]
        inside = [
            (max(a, start) - start, min(b, end) - start, k)
            for a, b, k in spans.get(place, ())
            if a < end and start < b
        ]
        passage = apply_spans(texts[place][start:end], inside, finished.run.release.edits.replace)
        named = {
            name: row[name]
            for name in ("benchmark", "item", "coverage", "doc_id", "keep", "start", "end", *EVIDENCE)
        }
        yield Hit(**named, text=passage)


def plain_review(rows: list[BenchmarkRow], hits: list[Hit]) -> dict[str, Any]:  # Any: JSON
    """Both tables as plain data."""
    return {"benchmarks": [row._asdict() for row in rows], "hits": [hit._asdict() for hit in hits]}


def table_lines(rows: list[BenchmarkRow]) -> list[str]:
    """Lines of the table by benchmark."""
    heads = ("benchmark", "items", "documents", "kept", "hits", f"coverage ≥ {SURE}")
    lines = [f"{heads[0]:<24}" + "".join(f"{head:>16}" for head in heads[1:])]
    return lines + [f"{row[0]:<24}" + "".join(f"{n:>16,}" for n in row[1:]) for row in rows]


def hit_lines(hit: Hit) -> list[str]:
    """Lines of a hit: what was found where, and the passage."""
    state = "kept" if hit.keep else "dropped"
    facts = [hit.role or "", "answer follows" if hit.answer else ""]
    facts.append(f"passage {hit.passage:.2f}" if hit.passage is not None else "")
    head = f"{hit.coverage:.2f}  {hit.benchmark} {hit.item}  {hit.doc_id} [{hit.start}:{hit.end}]  {state}"
    return ["  ".join([head, *filter(None, facts)]), f"      {clip(visible(hit.text), 200)}"]
