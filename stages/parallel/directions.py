"""Directions of pairs, which side a model wrote, and a key by which no pair occurs twice in one direction.

Reads documents of pairs (`stages.parallel`); writes the direction of translation, how the pair came about, and a hash
of direction and match text, in which width, case, punctuation and blanks do not count. `stages.web.caps` ranks
documents with the same key, so that a rule keeps one of them; the same pair the other way round has another key.
Vega-MT (arXiv 2209.09444) trains on pairs in both directions, with forward, back and cycle translations.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.stage import Stage, bind
from stages.kernels.text.grams import find_units
from stages.kernels.text.hashing import hash128
from stages.kernels.text.text import TABLES_PATH, load_tables, view
from stages.parallel import pairs_of

SCHEMA = pa.schema({"direction": pa.string(), "translation": pa.string(), "key": pa.string()})
"""direction: labels of source and target, `zho_Hans-eng_Latn`. translation: of pairs of which a model wrote a side,
`forward`, the target; `back`, the source; `cycle`, both, there and back; null for all others, and where `meta` does not
say which side is the original. key: direction and 32 hex digits. All null for documents that are no pairs."""

MACHINE = "machine"
"""`meta.method` of pairs of which a model wrote a side."""

FLAGS = {"forward": "forward", "backward": "back", "cycle": "cycle"}
"""`meta.direction` of such pairs -> their flag."""


def annotate(batch: pa.Table) -> pa.Table:
    """Return direction, flag and key of each document.

    Args: batch, with strings `text` and `meta`, JSON objects, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,).
    """
    texts, metas = batch["text"].to_pylist(), batch["meta"].to_pylist()
    fields = [_fields(text, meta) for text, meta in zip(texts, metas, strict=True)]
    pairs = [text if found else "" for text, found in zip(texts, fields, strict=True)]
    codes, starts, classes = view(pa.array(pairs, pa.large_string()))
    units, _, unit_starts = find_units(codes, starts, classes, load_tables().fold)
    rows = []
    for found, (a, b) in zip(fields, hash128(units, unit_starts).tolist(), strict=True):
        direction = f"{found.get('source_language')}-{found.get('target_language')}" if found else None
        flag = FLAGS.get(str(found.get("direction"))) if found and found.get("method") == MACHINE else None
        key = f"{direction}:{a:016x}{b:016x}" if direction else None
        rows.append({"direction": direction, "translation": flag, "key": key})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _fields(text: str | None, meta: str | None) -> dict[str, Any] | None:  # Any: values of the input
    """The fields of a document of pairs, None for any other."""
    if not text or not meta or pairs_of(text, meta) is None:
        return None
    found: dict[str, Any] = json.loads(meta)
    return found


STAGE = Stage(
    name="directions",
    version=1,
    reads=("text", "meta"),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH,),
)
