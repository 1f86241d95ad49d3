"""Shared schemas and column names: canonical documents, quarantined records, spans, row numbers.

A column of a stage is named `stage.column` outside the stage; a name without a dot is a canonical column.
"""

from __future__ import annotations

import pyarrow as pa

TOKEN_IDS = "token_ids"
"""Column of token ids beside the texts of mixes with token files: large_binary, in the form of the token writer."""

CANONICAL = pa.schema(
    {
        "doc_id": pa.string(),
        "text": pa.large_string(),
        "source_id": pa.string(),
        "url": pa.string(),
        "host": pa.string(),
        "date": pa.string(),
        "snapshot": pa.string(),
        "source": pa.string(),
        "license": pa.string(),
        "provenance": pa.string(),
        "parent_id": pa.string(),
        "meta": pa.large_string(),
        "text_hash": pa.string(),
        "text_bytes": pa.int32(),
        "input": pa.string(),
        "input_row": pa.int64(),
    }
)
"""One row per document of a canonical shard.

doc_id: 26 characters base32 of hash128(source, input, input_row). text_hash: 32 hex digits, XXH3-128 of the
UTF-8 text; text_bytes: its length. snapshot: the crawl or dump that the document came from (`CC-MAIN-2025-30`), or
null. input: path below the source root. input_row: position of the record in that file, from 0 (a line, a row or a WARC
record, depending on the reader). meta: the record's other fields as a JSON object, or null.
"""

QUARANTINE = pa.schema(
    {
        "source": pa.string(),
        "input": pa.string(),
        "input_row": pa.int64(),
        "reason": pa.string(),
        "detail": pa.string(),
        "raw": pa.large_binary(),
    }
)
"""One row per record that could not become a document; input_row is -1 for the rest of an unreadable file."""

SPAN = pa.struct({"start": pa.int32(), "end": pa.int32(), "kind": pa.string()})
"""A half-open range of code points of canonical text."""

SPANS = pa.list_(SPAN)

VIRTUAL = ("rank", "profile")
"""Columns that are taken from the run file's sources at decision time and never stored."""

HANDED = ("eligible", "fixed", "order", "passes_base", "step", "cluster", "pairs", "passages", "n_chars")
"""Columns that the engine passes to global steps that read them. eligible: whether the document may be kept.
fixed: never removed as a duplicate (reference documents). order: preference, list<float64>, larger is better.
passes_base: whether it passes the base rules. step: int32, for the owners of passages, index of the step that found the
row's passages.
cluster, pairs: for keepers, these columns of the step that `keep_one.of` names. passages, n_chars: for owners, these
columns of each step that `keep_one.passages` names."""

REFERENCE = "reference"
"""Rule name of reference documents: duplicates of them are removed, and they are in no release themselves. They come
from a reference source or an excluded release."""

KNOWN = "known"
"""Column that the engine adds for a global step with a memory: list<struct<row: uint64, …>>, the stored results for
pairs of the document with others. In Outcome.known: the row number of the other document."""

OWNERS = "owners"
"""The step that chooses which occurrence of a repeated passage is kept. It runs after the rules and keepers, so that
only late rules and the edits of the release may read its columns."""

ROW = "row"
"""Name of the uint64 column that identifies documents within one run: shard ordinal << 32 | row of the shard."""

ROW_BITS = 32


def split_column(name: str) -> tuple[str | None, str]:
    """Split `stage.column` into stage and column; the stage of a canonical column is None."""
    stage, dot, column = name.partition(".")
    return (stage, column) if dot else (None, name)


def widened(dtype: pa.DataType) -> pa.DataType:
    """Return the dtype with 64-bit offsets, for strings and lists of a whole corpus: 32-bit offsets end at 2 GiB."""
    if pa.types.is_string(dtype):
        return pa.large_string()
    if pa.types.is_binary(dtype):
        return pa.large_binary()
    if pa.types.is_list(dtype):
        return pa.large_list(dtype.value_field.with_type(widened(dtype.value_type)))
    if pa.types.is_struct(dtype):
        return pa.struct([field.with_type(widened(field.type)) for field in dtype])
    return dtype
