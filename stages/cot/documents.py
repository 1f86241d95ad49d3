"""Worked solutions as derived documents: each template becomes a document.

Reads canonical text, its templates and the edits of the release; creates one document per template: question, steps and
answer, in the words of the parent and in this order. Nothing is generated. The parts are stored in `meta`, from which a
release writes `cot/`. Rules decide which of the documents are kept, as for all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from pipeline.spans import apply_spans
from pipeline.stage import DERIVED, Derive
from stages.cot.layouts import check_layout, lay_out
from stages.cot.render import join, list_spans, render
from stages.cot.shape import name_task
from stages.cot.step_kinds import name_kinds, template_key

EXTRACTOR = "stages.cot"

ROWS = pa.schema(
    {
        "doc_id": pa.string(),
        "parent_id": pa.string(),
        "language": pa.string(),
        "question": pa.large_string(),
        "steps": pa.list_(pa.large_string()),
        "answer": pa.large_string(),
        "kinds": pa.list_(pa.string()),
        "step_kinds": pa.list_(pa.string()),
        "template": pa.string(),
        "task": pa.string(),
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
"""One row per kept document. spans: of question, steps and answer in the canonical text of parent_id, with these kinds,
in this order. step_kinds: what each step does, see `stages.cot.step_kinds`; template: their sequence; task: what
the question asks for, see `stages.cot.shape`. parallel_id: the same for solutions of one problem in two languages, see
`classifiers.solution_pairs`; null without. model, prompt_version and seed are null, because nothing is generated."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """min_support: templates with less support (see `stages.cot.support`) are skipped. layout: one of
    `stages.cot.layouts.LAYOUTS`; None for the parts as their author wrote them, one below the other."""

    min_support: float = 0.0
    layout: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_support <= 1:
            raise ConfigError(
                f"cot.documents.min_support is {self.min_support}; expected a number from 0 to 1"
            )
        if self.layout is not None:
            check_layout(self.layout, "cot.documents.layout")


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return one document for each template of a batch; see stage.Derive.

    Templates whose question, answer or steps are removed by edits are skipped, and their numbers remain unused.

    Args: table, with `text`, `cot.templates` and `edits`; replace, kind of an edit -> its replacement.
    Returns: a table of stage.DERIVED.
    """
    has_templates = pc.greater(pc.list_value_length(table["cot.templates"]), 0).fill_null(False)
    parents = [i for i, holds in enumerate(has_templates.to_pylist()) if holds]
    rows: list[dict[str, Any]] = []  # Any: values of DERIVED
    for parent, document in zip(parents, table.filter(has_templates).to_pylist(), strict=True):
        edits = [(span["start"], span["end"], span["kind"]) for span in document["edits"]]
        for number, template in enumerate(document["cot.templates"]):
            if template["support"] < config.min_support:
                continue
            rendered = render(document["text"], template, edits, replace)
            if all(rendered.values()):
                text = join(rendered)
                if config.layout is not None:
                    edited = apply_spans(document["text"], edits, replace).strip()
                    text = lay_out(config.layout, **rendered, document=edited)
                parts = {**rendered, "kinds": template["kinds"], "spans": list_spans(template)}
                meta = json.dumps({**parts, "support": round(template["support"], 6)}, ensure_ascii=False)
                rows.append({"parent": parent, "number": number, "text": text, "meta": meta})
    return pa.Table.from_pylist(rows, schema=DERIVED)


def make_rows(table: pa.Table) -> pa.Table:
    """Return the rows of a release's `cot/`, a table of ROWS; see stage.Derive."""
    rows = []
    for document in table.to_pylist():
        parts = json.loads(document.pop("meta"))
        rows.append({**document, **parts, **shape_of(parts), "extractor": EXTRACTOR})
    return pa.Table.from_pylist(rows, schema=ROWS)


def shape_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return kinds of steps, template and task of a row; parts: its question, steps and answer. Any: values of ROWS."""
    kinds = name_kinds(parts["steps"])
    task = name_task(parts["question"], parts["steps"], parts["answer"], kinds)
    return {"step_kinds": kinds, "template": template_key(kinds), "task": task}


COUNTED = ("task", "template")
"""Columns of ROWS by which the report counts them."""

DERIVE = Derive(
    name="cot_documents",
    version=1,
    config=Config,
    reads=("text", "cot.templates"),
    derive=make_documents,
    part="cot",
    schema=ROWS,
    rows=make_rows,
    counted=COUNTED,
)
