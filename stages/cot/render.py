"""Render templates as text: rows of a release's `cot` part.

Reads canonical text, templates and the spans that edit the text; writes question, steps and answer in the words
of the document, with the same edits as the document itself. Pure: no file is read or written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import pyarrow as pa

from pipeline.schema import SPANS
from pipeline.spans import Span, apply_spans

EXTRACTOR = "stages.cot"

SCHEMA = pa.schema(
    {
        "doc_id": pa.string(),
        "parent_id": pa.string(),
        "language": pa.string(),
        "question": pa.large_string(),
        "steps": pa.list_(pa.large_string()),
        "answer": pa.large_string(),
        "kinds": pa.list_(pa.string()),
        "spans": SPANS,
        "support": pa.float32(),
        "extractor": pa.string(),
        "model": pa.string(),
        "prompt_version": pa.string(),
        "seed": pa.int64(),
        "parallel_id": pa.string(),
        "domain": pa.string(),
        "license": pa.string(),
    }
)
"""One row per template. spans: where question, steps and answer stand in the canonical text of parent_id, with
these kinds, in this order. model, prompt_version and seed are null: the words are the document's own."""

READS = ("doc_id", "text", "language.label", "domain.label", "license", "cot.templates", "edits")
"""Columns that `build_table` looks at; domain.label and edits may be missing, and edits null."""

DocIds = Callable[[str, Sequence[int]], Iterable[str]]
"""Names the documents made of one parent: its doc_id and their numbers, from 0 -> doc_ids."""


class Rendered(TypedDict):
    """A template as text."""

    question: str
    steps: list[str]
    answer: str


def render(
    text: str,
    template: Mapping[str, Any],  # Any: structs and lists of them, as TEMPLATE has them
    edits: Iterable[Span] = (),
    replace: Mapping[str, str] | None = None,
) -> Rendered:
    """Cut question, steps and answer out of a canonical text, edited as a release edits it.

    Args: template, a value of `cot.templates`; edits, spans of the canonical text; replace, kind -> text that
    stands for the span, as in `pipeline.spans.apply_spans`. A step that the edits leave empty is left out.
    """
    edits = list(edits)

    def piece(span: Mapping[str, int]) -> str:
        start, end = span["start"], span["end"]
        inside = [
            (max(a, start) - start, min(b, end) - start, k) for a, b, k in edits if a < end and b > start
        ]
        return apply_spans(text[start:end], inside, replace).strip()

    steps = [step for step in map(piece, template["steps"]) if step]
    return {"question": piece(template["question"]), "steps": steps, "answer": piece(template["answer"])}


def list_spans(template: Mapping[str, Any]) -> list[dict[str, int | str]]:
    """The spans of a template with their kinds: question, step for each step, answer."""
    return [
        {**template["question"], "kind": "question"},
        *({**step, "kind": "step"} for step in template["steps"]),
        {**template["answer"], "kind": "answer"},
    ]


def build_table(documents: pa.Table, doc_ids: DocIds, replace: Mapping[str, str] | None = None) -> pa.Table:
    """Render all templates of a table of documents, in order: one row of SCHEMA per template.

    Args: documents, with the columns of READS; doc_ids, names the rows. A template that edits leave without
    question, answer or steps gives no row, and its number stays free.
    """
    names = [name for name in READS if name in documents.column_names]
    rows = []
    for document in documents.select(names).to_pylist():
        templates = document["cot.templates"] or []
        edits = [(span["start"], span["end"], span["kind"]) for span in document.get("edits") or []]
        for doc_id, template in zip(
            doc_ids(document["doc_id"], range(len(templates))), templates, strict=True
        ):
            rendered = render(document["text"], template, edits, replace)
            if all(rendered.values()):
                rows.append(
                    {
                        "doc_id": doc_id,
                        "parent_id": document["doc_id"],
                        "language": document["language.label"],
                        **rendered,
                        "kinds": template["kinds"],
                        "spans": list_spans(template),
                        "support": template["support"],
                        "extractor": EXTRACTOR,
                        "domain": document.get("domain.label"),
                        "license": document["license"],
                    }
                )
    return pa.Table.from_pylist(rows, schema=SCHEMA)
