"""Checks of a step's output against its declarations, and the output of every step on a small corpus."""

from __future__ import annotations

import functools
import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schema import ROW, SPANS, widened
from pipeline.spans import check_spans
from pipeline.stage import Annotate, Global, Outcome, Stage
from tests.helpers.golden import DOCUMENTS
from tests.helpers.steps import Corpus, globals_, loaded, stages, values
from tests.helpers.strategies import table_of


def check(stage: Stage, annotate: Annotate, table: pa.Table) -> str:
    """Annotate, compare the result with the declared schema, rows and spans, and return its values."""
    result = annotate(table)
    assert result.schema.equals(stage.writes), f"wrote {result.schema}, declares {stage.writes}"
    assert result.num_rows == table.num_rows
    result.validate(full=True)
    for field in stage.writes:
        if field.type == SPANS:
            spans = result[field.name].combine_chunks()
            check_spans(spans, table["text"].combine_chunks(), field.name)
            assert all(pc.struct_field(pc.list_flatten(spans), "kind").to_pylist()), "a span without a kind"
    return values(result)


@functools.cache
def a_corpus() -> Corpus:
    """Three shards of documents with exact copies, near duplicates and excerpts of each other; read only."""
    first = [*DOCUMENTS, DOCUMENTS[3] * 3]
    second = [text.upper() for text in DOCUMENTS[::2]] + [DOCUMENTS[3] + "\n" + DOCUMENTS[0], *DOCUMENTS[:5]]
    third = [text[: len(text) * 9 // 10] or text for text in DOCUMENTS] + [DOCUMENTS[0] + DOCUMENTS[1]]
    return Corpus([table_of(first), table_of(second, 100), table_of(third, 200)])


def outcome_values(step: Global, outcome: Outcome) -> str:
    """Row values in row order, and artefacts by name."""
    rows = "none"
    if outcome.rows is not None:
        written = outcome.rows.drop_columns([ROW]).schema
        assert written.names == step.writes.names
        assert all(
            kind in (f.type, widened(f.type)) for kind, f in zip(written.types, step.writes, strict=True)
        )
        assert outcome.rows.schema.field(ROW).type == pa.uint64()
        assert len(pc.unique(outcome.rows[ROW])) == outcome.rows.num_rows
        rows = values(outcome.rows.sort_by(ROW))
    return "\n".join([rows, *(f"{name}\n{values(t)}" for name, t in sorted(outcome.artefacts.items()))])


def all_output_digest() -> str:
    """One digest of the output of every step on the small corpus."""
    corpus = a_corpus()
    hasher = hashlib.sha256()
    for stage in stages().values():
        for table in corpus.inputs(stage):
            hasher.update(values(loaded(stage.name)(table)).encode("utf-8", "surrogatepass"))
    for step in globals_().values():
        hasher.update(outcome_values(step, corpus.outcome(step, 4)).encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()
