"""Chains of `classifiers.cot_llm` as derived documents, in a named layout.

Reads canonical text, its chain and the edits of the release; creates one document per chain. The parts are stored in
`meta`, from which a release writes `cot/`, with the rows of `stages.cot.documents`. Which documents are kept is up to
rules, as for all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.spans import Span, apply_spans
from pipeline.stage import DERIVED, Derive
from stages.cot.documents import COUNTED, ROWS, shape_of
from stages.cot.layouts import LAYOUTS, check_layout, lay_out

EXTRACTOR = "classifiers.cot_llm"
KINDS = ("generated",)
COLUMNS = (
    "question", "steps", "answer", "segments", "step_segments", "support", "model", "prompts", "seed",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """layout: one of LAYOUTS. min_support: chains with less support are skipped."""

    layout: str = LAYOUTS[0]
    min_support: float = 0.0

    def __post_init__(self) -> None:
        check_layout(self.layout, "cot_llm.documents.layout")
        if not 0 <= self.min_support <= 1:
            raise ConfigError(
                f"cot_llm.documents.min_support is {self.min_support}; expected a number from 0 to 1"
            )


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return one document for each chain of a batch; see stage.Derive.

    A chain is skipped if an edit of the release removes a whole segment that it is about.

    Args: table, with `text`, the columns of `cot_llm` and `edits`; replace, kind of an edit -> its replacement.
    Returns: a table of stage.DERIVED.
    """
    has_chain = pc.is_valid(table["cot_llm.question"])
    parents = [i for i, holds in enumerate(has_chain.to_pylist()) if holds]
    rows: list[dict[str, Any]] = []  # Any: values of DERIVED
    for parent, document in zip(parents, table.filter(has_chain).to_pylist(), strict=True):
        edits = [(span["start"], span["end"], span["kind"]) for span in document["edits"]]
        chain = {name: document[f"cot_llm.{name}"] for name in COLUMNS}
        if chain["support"] < config.min_support or _is_cut(chain["segments"], edits, replace):
            continue
        edited = apply_spans(document["text"], edits, replace).strip()
        text = lay_out(config.layout, chain["question"], chain["steps"], chain["answer"], edited)
        meta = {
            "question": chain["question"], "steps": chain["steps"], "answer": chain["answer"], "kinds": KINDS,
            "spans": chain["segments"], "support": round(chain["support"], 6), "model": chain["model"],
            "prompt_version": chain["prompts"], "seed": chain["seed"], "layout": config.layout,
        }  # fmt: skip
        rows.append(
            {"parent": parent, "number": 0, "text": text, "meta": json.dumps(meta, ensure_ascii=False)}
        )
    return pa.Table.from_pylist(rows, schema=DERIVED)


def _is_cut(segments: list[dict[str, Any]], edits: list[Span], replace: Mapping[str, str]) -> bool:
    removed = [(start, end) for start, end, kind in edits if not replace.get(kind)]
    return any(start <= s["start"] and s["end"] <= end for s in segments for start, end in removed)


def make_rows(table: pa.Table) -> pa.Table:
    """Return the rows of a release's `cot/`, a table of ROWS; see stage.Derive.

    spans are those of the segments that the chain is about, of the kind `segment`.
    """
    rows = []
    for document in table.to_pylist():
        meta = json.loads(document.pop("meta"))
        rows.append({**document, **meta, **shape_of(meta), "extractor": EXTRACTOR})
    return pa.Table.from_pylist(rows, schema=ROWS)


DERIVE = Derive(
    name="cot_llm_documents",
    version=1,
    config=Config,
    reads=("text", *(f"cot_llm.{name}" for name in COLUMNS)),
    derive=make_documents,
    part="cot",
    schema=ROWS,
    rows=make_rows,
    counted=COUNTED,
    provenance="LLM",
)
