"""What the report shows of quality buckets: edges, overlap of the scorers, drift, and sample documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotate.views import view_text
from pipeline.cells import visible
from pipeline.config.release_columns import Layout
from pipeline.dataset.shard import read_shard_rows
from pipeline.schema import ROW_BITS, split_column
from pipeline.select.verdicts import Decision, final

if TYPE_CHECKING:
    from pipeline.planning.session import Session

ARTEFACTS = ("edges", "summary", "overlap", "samples")
SAMPLE_CHARS = 160
"""Characters of a sample document that are shown."""


def bucket_numbers(
    session: Session, layout: Layout, decisions: Sequence[Decision]
) -> dict[str, Any] | None:  # Any: plain JSON
    """Numbers of the step behind the column quality_bucket; None if it writes none of these artefacts.

    Texts of samples are shown as they would be released.
    """
    step, _ = split_column(layout.columns["quality_bucket"] or "")
    if step is None or not session.recipes.is_global(step):
        return None
    folder, store = session.recipes.folder(step), session.store
    if not all(store.exists(f"{folder}/{name}.parquet") for name in ARTEFACTS):
        return None
    tables = {}
    for name in (*ARTEFACTS, "drift"):
        if name != "drift" or store.exists(f"{folder}/drift.parquet"):
            with store.open(f"{folder}/{name}.parquet") as stream:
                tables[name] = pq.read_table(stream)
    edges = tables["edges"].select(["language", "scorer", "bucket", "lower", "size", "effective"])
    return {
        "step": step,
        "edges": [list(row.values()) for row in edges.to_pylist()],
        "summary": tables["summary"].to_pylist(),
        "overlap": tables["overlap"].to_pylist(),
        "drift": tables["drift"].to_pylist() if "drift" in tables else None,
        "samples": sample_rows(session, decisions, tables["samples"]),
    }


def sample_rows(session: Session, decisions: Sequence[Decision], samples: pa.Table) -> list[dict[str, Any]]:
    """The sample documents of each bucket, with their ids, whether they are kept, and the start of their texts."""
    numbers = samples["row"].to_numpy()
    shown: dict[int, dict[str, Any]] = {}
    for ordinal in np.unique(numbers >> np.uint64(ROW_BITS)).tolist():
        rows = np.unique(numbers[numbers >> np.uint64(ROW_BITS) == ordinal])
        places = (rows & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
        for row, document in zip(
            rows.tolist(), shown_documents(session, decisions[ordinal], places), strict=True
        ):
            shown[row] = document
    return [
        {name: sample[name] for name in ("language", "scorer", "bucket")} | shown[sample["row"]]
        for sample in samples.to_pylist()
    ]


def shown_documents(
    session: Session, decision: Decision, places: np.ndarray, n_chars: int = SAMPLE_CHARS
) -> list[dict[str, Any]]:
    """Id, verdict and start of the text, as it would be released, of some documents of a shard.

    Every sample of a document in a report is rendered here. places: rows of the shard, ascending.
    """
    store, edits, n_rows = session.store, session.run_file.release.edits, decision.shard.n_rows
    columns = decision.read(store, {"doc_id", *edits.columns()})
    keep = final(decision, store).keep
    wanted = np.zeros(n_rows, bool)
    wanted[places] = True
    documents = []
    for start, batch in read_shard_rows(store, decision.shard, ["text"], wanted):
        rows = np.flatnonzero(wanted[start : start + batch.num_rows])
        some = {name: column.take(pa.array(rows + start)) for name, column in columns.items()}
        texts = view_text(edits, some | {"text": batch["text"].take(pa.array(rows))})
        for row, doc_id, text in zip(rows, some["doc_id"], texts, strict=True):
            start_of_text = visible(text.as_py()[: 4 * n_chars])[:n_chars]
            documents.append(
                {"doc_id": doc_id.as_py(), "keep": bool(keep[start + row]), "text": start_of_text}
            )
    return documents
