"""One document for the explorer: why it was kept or dropped, windows of its text, and the spans in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.browse.frame import Frame, plain
from pipeline.cells import visible
from pipeline.inspect.explain import N_COPIES, explain_document
from pipeline.report.signals import SPAN_FIELDS
from pipeline.rules.meanings import meaning_of

WINDOW = 20_000
"""Largest number of characters of a text in one answer."""

EXCERPT = 220

MAX_SPANS = 20_000
"""Largest number of spans of a document that are listed."""


def document(frame: Frame, row: int) -> dict[str, Any]:
    """Everything about one document but its text: verdict, rules with margins, keeper or copies, cluster, spans."""
    decision, place = frame.place(row)
    found = explain_document(frame.finished, decision, place, lambda doc_id: frame.place(frame.row_of(doc_id)),
                             lambda doc_id: copies_of(frame, doc_id))  # fmt: skip
    for rule in found["rules"]:
        rule["meaning"] = meaning_of(rule["name"]) or ""
    spans = sorted(spans_of(frame, row), key=lambda span: (span["start"], span["end"]))
    cluster = frame.finished.releasing.layout.columns["cluster"]
    return plain_json(
        {**found, "row_number": row, "spans": spans[:MAX_SPANS], "n_spans": len(spans),
         "cluster": members(frame, cluster, row) if cluster else []}
    )  # fmt: skip


def plain_json(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(name): plain_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    return plain(value.item() if isinstance(value, np.generic) else value)


def copies_of(frame: Frame, doc_id: str) -> dict[str, Any]:
    """Number of duplicates removed in favour of a document, and a few of them."""
    keeper = pc.fill_null(pc.equal(frame.column("keeper_id"), doc_id), False)
    is_copy = pc.equal(frame.column("rule"), frame.finished.releasing.layout.duplicate)
    rows = np.flatnonzero(np.asarray(pc.and_(keeper, pc.fill_null(is_copy, False)).combine_chunks()))
    some = frame.take(rows[:N_COPIES].tolist(), ("doc_id", "duplicate", "similarity"))
    return {
        "copies": len(rows),
        "some": [
            {"doc_id": r["doc_id"], "kind": r["duplicate"], "similarity": r["similarity"]} for r in some
        ],
    }


def members(frame: Frame, cluster: str, row: int) -> list[dict[str, Any]]:
    """The first documents of the cluster of a document, itself included; empty without one."""
    column = frame.column(cluster)
    name = column[row]
    if not name.is_valid:
        return []
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(column, name), False).combine_chunks()))[:50]
    listed = frame.take(rows.tolist(), ("doc_id", "source", "keep", "rule", "similarity"))
    return [{"row": int(number), **values} for number, values in zip(rows, listed, strict=True)]


def spans_of(frame: Frame, row: int) -> Iterator[dict[str, Any]]:
    """Every span of a document: column, label, range in code points of its canonical text, and what replaces it."""
    decision, place = frame.place(row)
    edits = frame.run.release.edits
    edited = dict(edits.spans)
    for name, dtype in sorted(frame.types.items()):
        if not pa.types.is_nested(dtype) or not has_range(dtype):
            continue
        value = frame.read_part(decision, name)[place].as_py()
        for label, start, end, is_marked in ranges(value, ""):
            kinds = edited.get(name, ())
            is_edit = name in edited and (kinds is None or label in kinds)
            yield {
                "column": name, "label": label, "start": start, "end": end, "edit": is_edit, "marked": is_marked,
                "replacement": edits.replace.get(label, "") if is_edit else None,
            }  # fmt: skip


def has_range(dtype: pa.DataType) -> bool:
    """Whether values of a nested dtype contain ranges of text."""
    if pa.types.is_struct(dtype):
        names = {field.name for field in dtype}
        return {"start", "end"} <= names or any(has_range(field.type) for field in dtype)
    return pa.types.is_nested(dtype) and has_range(dtype.value_type)


def ranges(value: Any, name: str) -> Iterator[tuple[str, int, int, bool]]:
    """(label, start, end, whether it has a kind) of every range in a nested value.

    A label is the kind, or another label of the range, or the name of the field that has it.
    """
    if isinstance(value, list):
        for item in value:
            yield from ranges(item, name)
    elif isinstance(value, dict):
        if isinstance(value.get("start"), int) and isinstance(value.get("end"), int):
            kind = next((value[field] for field in SPAN_FIELDS if value.get(field)), None)
            label = kind or value.get("label") or name
            yield str(label), value["start"], value["end"], kind is not None
        for field, item in value.items():
            if isinstance(item, (dict, list)):
                yield from ranges(item, field)


def text_window(frame: Frame, row: int, start: int, length: int) -> dict[str, Any]:
    """A window of the canonical text, in code points: `text`, `start`, and `total` of the whole."""
    ((_, text),) = frame.texts([row])
    start = min(max(start, 0), len(text))
    return {"text": text[start : start + min(length, WINDOW)], "start": start, "total": len(text)}


def excerpts(frame: Frame, rows: list[int]) -> dict[str, str]:
    """The beginning of the text of each row."""
    return {str(row): visible(text[: 4 * EXCERPT])[:EXCERPT] for row, text in frame.texts(rows)}
