"""A key of the question of a derived document, so that one of several chains for the same question can be kept.

Reads `meta`, in which worked solutions and generated chains have their question; writes a hash of its match text, in
which width, case, punctuation and blanks do not count. `stages.web.caps` ranks documents with the same key.
"""

from __future__ import annotations

import json

import pyarrow as pa

from pipeline.stage import Stage, bind
from stages.kernels.text.grams import find_units
from stages.kernels.text.hashing import hash128
from stages.kernels.text.text import TABLES_PATH, load_tables, view

SCHEMA = pa.schema({"key": pa.string()})
"""key: 32 hex digits, the same for questions of equal match text; null for documents that are not derived or have no
question."""


def annotate(batch: pa.Table) -> pa.Table:
    """Return the key of each document's question.

    Args: batch, with strings `meta`, JSON objects, and `parent_id`, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,).
    """
    pairs = zip(batch["meta"].to_pylist(), batch["parent_id"].to_pylist(), strict=True)
    questions = [_question(meta) if parent else None for meta, parent in pairs]
    codes, starts, classes = view(pa.array([question or "" for question in questions], pa.large_string()))
    units, _, unit_starts = find_units(codes, starts, classes, load_tables().fold)
    hashes = hash128(units, unit_starts)
    is_known = [
        bool(question) and unit_starts[i + 1] > unit_starts[i] for i, question in enumerate(questions)
    ]
    keys = [
        f"{a:016x}{b:016x}" if known else None
        for (a, b), known in zip(hashes.tolist(), is_known, strict=True)
    ]
    return pa.table({"key": pa.array(keys, pa.string())}, schema=SCHEMA)


def _question(meta: str | None) -> str | None:
    """The question in the fields of a document."""
    if not meta or '"question"' not in meta:
        return None
    try:
        fields = json.loads(meta)
    except ValueError:
        return None
    question = fields.get("question") if isinstance(fields, dict) else None
    return question if isinstance(question, str) else None


STAGE = Stage(
    name="questions",
    version=1,
    reads=("meta", "parent_id"),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH,),
)
