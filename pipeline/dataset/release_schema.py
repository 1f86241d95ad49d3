"""The schemas of the files of a release and the annotation columns behind their columns.

The run file's `release.columns` sets the annotation column of each release column; COLUMNS is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

COLUMNS: Mapping[str, Any] = {
    "language": "language.label",
    "language_score": "language.score",
    "domain": "domain.label",
    "quality_bucket": "cuts.bucket",
    "quality": {"value": "quality.value", "keep": "quality.keep", "intact": "quality.intact"},
    "perplexity": "fluency.perplexity",
    "cluster": "dedup.cluster",
    "cluster_size": "dedup.cluster_size",
    "n_tokens": "tokens.n_tokens",
    "tier": "cuts.tier",
    "rights": {name: f"licences.{name}" for name in (
        "spdx", "class", "attribution", "share_alike", "non_commercial", "no_derivatives", "evidence", "url", "opt_out",
        "opt_out_date")},
    "parallel_id": "solution_pairs.id",
}  # fmt: skip
"""Release column -> annotation column; `quality` maps names of scores to columns, `rights` its fields. Missing
annotations become nulls.

`tier` is counted in the report and the card; it is not a column of the files. `parallel_id` is a column of parts of
derived documents, such as `cot/`, alone."""

FORMAT = 4
"""Version of the files of a release: raised if the same decisions are written in another way or order."""

NO_LANGUAGE = "und"
"""Folder of documents without a language label."""

RIGHTS = pa.struct(
    {
        "spdx": pa.string(),
        "class": pa.string(),
        "attribution": pa.bool_(),
        "share_alike": pa.bool_(),
        "non_commercial": pa.bool_(),
        "no_derivatives": pa.bool_(),
        "evidence": pa.string(),
        "url": pa.string(),
        "opt_out": pa.bool_(),
        "opt_out_date": pa.string(),
    }
)
"""Licence of a document and what it obliges to, see stages.licences; null if the run did not look for it."""

LINEAGE = pa.struct({"input": pa.string(), "row": pa.int64(), "text_hash": pa.string()})


def data_schema(scores: Sequence[str]) -> pa.Schema:
    """Return the schema of data and mix files; scores: fields of the struct `quality`, at least one."""
    quality = pa.struct({name: pa.float32() for name in scores})
    return pa.schema(
        {
            "doc_id": pa.string(),
            "text": pa.large_string(),
            "language": pa.string(),
            "language_score": pa.float32(),
            "source": pa.string(),
            "source_id": pa.string(),
            "domain": pa.string(),
            "url": pa.string(),
            "date": pa.string(),
            "snapshot": pa.string(),
            "license": pa.string(),
            "rights": RIGHTS,
            "provenance": pa.string(),
            "quality_bucket": pa.int32(),
            "quality": quality,
            "perplexity": pa.float32(),
            "cluster_size": pa.int32(),
            "n_tokens": pa.int32(),
            "parent_id": pa.string(),
            "lineage": LINEAGE,
        }
    )


LEDGER = pa.schema(
    {
        "doc_id": pa.string(),
        "source": pa.string(),
        "source_id": pa.string(),
        "snapshot": pa.string(),
        "shard": pa.string(),
        "row": pa.int32(),
        "language": pa.string(),
        "keep": pa.bool_(),
        "rule": pa.string(),
        "flags": pa.list_(pa.string()),
        "cluster": pa.string(),
        "keeper_id": pa.string(),
        "duplicate": pa.string(),
        "similarity": pa.float32(),
        "cluster_size": pa.int32(),
        "quality_bucket": pa.int32(),
        "perplexity": pa.float32(),
        "copies": pa.int32(),
        "text_digest": pa.int64(),
        "row_digest": pa.int64(),
        "digest": pa.int64(),
    }
)
"""One row for every ingested document. source_id: the id that came with it. rule: the first rule that it fails, null
if and only if it is kept; duplicate: for the rule DUPLICATE, whether it has the text of its keeper (raw), the same
match text (exact) or a similar text (near); copies: how often the document is in the default mix, 0 if it was left
out to reach the ratio. text_digest, row_digest: of the released text and of the other columns of the document in
data/ (plus the digest of its row in a part of derived documents), null where it is not kept; digest: of the other
columns of this row; see row_digest.py."""


def _counts(name: str) -> pa.DataType:
    return pa.list_(pa.struct({name: pa.string(), "n_docs": pa.int32(), "n_kept": pa.int32()}))


CLUSTERS = pa.schema(
    {
        "cluster": pa.string(),
        "size": pa.int32(),
        "n_eligible": pa.int32(),
        "n_kept": pa.int32(),
        "keepers": pa.list_(pa.string()),
        "snapshots": _counts("snapshot"),
        "sources": _counts("source"),
    }
)
"""One row for every cluster of duplicates, in the order of `cluster`."""


def order_path(mix: str) -> str:
    """Return the path in a release of the training order of a mix.

    It is outside the folder of the mix, so that a loader of all Parquet files of that folder finds documents only.
    """
    return f"orders/{mix}.parquet"


ORDER = pa.schema({"doc_id": pa.string(), "part": pa.int32(), "row": pa.int32(), "epoch": pa.int32()})
"""One row per document of a mix, in training order; part and row: number of the release file of the mix, or of the data
files if the mix has none, and the row in it."""

DUPLICATE = "duplicate"
"""Rule name of documents for which another member of their cluster was kept."""

ORPHAN = "parent_dropped"
"""Rule name of derived documents whose parent was dropped."""
