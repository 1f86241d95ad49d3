"""The documents that neighbour steps name by row number, as a reader wants to see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.inspect.opened import Finished
from pipeline.schema import ROW_BITS

EXCERPT = 120

LISTS = {
    "near": ("neighbours.rows", "neighbours.cosines"),
    "other language": ("neighbours.other_rows", "neighbours.other_cosines"),
    "translation": ("translations.other", "translations.cosine"),
}
"""Relation -> the columns with row numbers and cosines."""


def neighbours(finished: Finished, values: dict[str, Any]) -> list[dict[str, Any]]:
    """List the neighbours of a document, by relation, nearest first; none without the steps.

    Args: values, of all columns of the document.
    Returns: relation, cosine, doc_id, source, url and the beginning of the text, of each.
    """
    listed = []
    for relation, (rows, cosines) in LISTS.items():
        if values.get(rows) is None:
            continue
        pairs = zip(np.atleast_1d(values[rows]), np.atleast_1d(values[cosines]), strict=True)
        listed += [_neighbour(finished, relation, int(row), float(cosine)) for row, cosine in pairs]
    return listed


def _neighbour(finished: Finished, relation: str, number: int, cosine: float) -> dict[str, Any]:
    """One neighbour, by row number of the run."""
    decision, row = finished.decisions()[number >> ROW_BITS], number & ((1 << ROW_BITS) - 1)
    shard = decision.shard
    names = ("doc_id", "source", "url")
    origin = {name: finished.document_column(shard, name)[row].as_py() for name in names}
    ((_, text),) = finished.shown_text(decision, np.array([row]))
    return {"relation": relation, "cosine": round(cosine, 4), **origin, "excerpt": text[:EXCERPT]}
