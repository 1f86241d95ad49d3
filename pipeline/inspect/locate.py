"""Find the documents at token positions of a mix, for example those behind a loss spike in training."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.inspect.release_files import read_checksums, read_order, read_parts
from pipeline.names import nearest
from pipeline.storage.store import Store
from pipeline.translation import t

SHOWN_COLUMNS = ["doc_id", "language", "source", "url", "n_tokens", "lineage"]


def locate_documents(
    release: Store, mix: str, first: int, last: int
) -> list[dict[str, Any]]:  # Any: plain rows
    """Documents with tokens, end token included, at positions [first, last) of a mix in training order.

    Returns: rows with doc_id, part, row, epoch, first_token, n_tokens, language, source, url and lineage.
    Raises: UsageError if the release has no such mix, or the mix has no such position.
    """
    lineage = json.loads(release.get("lineage.json"))
    if mix not in lineage["mixes"]:
        raise UsageError(f"no mix {mix!r} in this release{nearest(mix, lineage['mixes'])}")
    order = read_order(release, mix)
    documents = in_order(release, mix, order)
    sizes = documents["n_tokens"].fill_null(0).to_numpy().astype(np.int64) + 1
    starts = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    if not 0 <= first < last or first >= total:
        raise UsageError(f"tokens {first:,} to {last:,}: expected a range within the mix's {total:,} tokens")
    low = int(np.searchsorted(starts, first, side="right")) - 1
    high = int(np.searchsorted(starts, last, side="left"))
    rows = documents.slice(low, high - low).to_pylist()
    entries = order.slice(low, high - low).to_pylist()
    return [
        {
            **entry,
            "first_token": int(starts[low + i]),
            **{name: row[name] for name in SHOWN_COLUMNS if name != "doc_id"},
        }
        for i, (entry, row) in enumerate(zip(entries, rows, strict=True))
    ]


def in_order(release: Store, mix: str, order: pa.Table) -> pa.Table:
    """SHOWN_COLUMNS of the documents of a mix in training order, from the files of the mix, or from data/ by id."""
    listed = read_checksums(release)
    documents = read_parts(release, listed, f"mixes/{mix}/", SHOWN_COLUMNS)
    if documents.num_rows:
        return documents
    data = read_parts(release, listed, "data/", SHOWN_COLUMNS)
    position = {doc_id: i for i, doc_id in enumerate(data["doc_id"].to_pylist())}
    return data.take(pa.array([position[doc_id] for doc_id in order["doc_id"].to_pylist()], pa.int64()))


def parse_range(text: str, length: int) -> tuple[int, int]:
    """Parse `N`, one position, or the half-open range `N:M`, in units of `length` tokens; returns token positions.

    Raises: UsageError for anything else.
    """
    first, colon, last = text.partition(":")
    if not first.isdigit() or (colon and not last.isdigit()):
        raise UsageError(f"{text!r}: expected a position or a range of positions, such as 1000 or 1000:2000")
    start = int(first)
    return start * length, (int(last) if colon else start + 1) * length


def document_lines(documents: list[dict[str, Any]]) -> list[str]:
    """The documents for a terminal."""
    return [
        t(
            f"{row['first_token']:>14,}  {row['n_tokens'] or 0:>8,} tokens  {row['doc_id']}  epoch {row['epoch']}  "
        )
        + f"{row['language']}  {row['source']}/{row['lineage']['input']}:{row['lineage']['row']}  {row['url'] or ''}"
        for row in documents
    ]
