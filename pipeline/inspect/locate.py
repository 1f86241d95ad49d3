"""Find the documents of a training step, for example those behind a loss spike.

By position in the token stream of a mix, by sample of a feed, or by sample of Megatron (`megatron.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.feed.sources import Sequences, Source, open_source
from pipeline.inspect.megatron import MegatronIndex
from pipeline.inspect.release_files import each_part, part_names, read_checksums, read_order, read_rows
from pipeline.inspect.verify_ledger import ids
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
    bounds = token_bounds(release, mix, order)
    starts, total = bounds[:-1], int(bounds[-1])
    if not 0 <= first < last or first >= total:
        raise UsageError(f"tokens {first:,} to {last:,}: expected a range within the mix's {total:,} tokens")
    low = int(np.searchsorted(starts, first, side="right")) - 1
    high = int(np.searchsorted(starts, last, side="left"))
    return [
        {**entry, "first_token": int(starts[low + i]), **shown}
        for i, (entry, shown) in enumerate(documents_at(release, mix, order, np.arange(low, high)))
    ]


def token_bounds(release: Store, mix: str, order: pa.Table) -> np.ndarray:
    """Positions in the token stream at which the documents of a mix begin, and its end: int64 (n_docs + 1,).

    From the token files if the mix has those of Megatron or datatrove, otherwise from the counts of the documents.
    """
    key = f"tokens/{mix}/tokens.json"
    if release.exists(key) and {"megatron", "ds"} & set(json.loads(release.get(key))["formats"]):
        return Sequences(release.url, mix, 1).bounds
    bounds = np.zeros(len(order) + 1, np.int64)
    np.cumsum(token_counts(release, mix, order) + 1, out=bounds[1:])
    return bounds


def token_counts(release: Store, mix: str, order: pa.Table) -> np.ndarray:
    """Tokens of the documents of a mix in training order, int64 (n_docs,): of the files of the mix, or of data/."""
    listed, columns = read_checksums(release), ["doc_id", "n_tokens"]
    if part_names(listed, f"mixes/{mix}/"):
        parts = each_part(release, listed, f"mixes/{mix}/", columns[1:])
        return np.concatenate([_counts(table) for _, table in parts])
    tables = [
        (ids(table["doc_id"]), _counts(table)) for _, table in each_part(release, listed, "data/", columns)
    ]
    keys, counts = (np.concatenate(arrays) for arrays in zip(*tables, strict=True))
    place = np.argsort(keys)
    found: np.ndarray = counts[place[np.searchsorted(keys, ids(order["doc_id"]), sorter=place)]]
    return found


def _counts(table: pa.Table) -> np.ndarray:
    return np.asarray(table["n_tokens"].combine_chunks().fill_null(0), np.int64)


def documents_at(
    release: Store, mix: str, order: pa.Table, rows: np.ndarray
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Documents at positions of the order of a mix: entries of the order, and SHOWN_COLUMNS but doc_id. rows: int64."""
    entries = order.take(rows).to_pylist()
    doc_ids = {entry["doc_id"] for entry in entries}
    listed = read_checksums(release)
    prefix = f"mixes/{mix}/" if part_names(listed, f"mixes/{mix}/") else "data/"
    found = {
        row.pop("doc_id"): row
        for row in read_rows(release, listed, prefix, doc_ids, SHOWN_COLUMNS).to_pylist()
    }
    return [(entry, found[entry["doc_id"]]) for entry in entries]


def locate_samples(
    release: Store, source: Source, positions: Iterable[int]
) -> list[dict[str, Any]]:  # Any: plain rows
    """Documents of samples of a feed, as `locate_documents` returns them, each with the position of its `sample`.

    `first_token` is the document's position in the token stream of the mix, for texts its position in the mix.

    Raises: UsageError if the mix has no such sample.
    """
    rows, samples = [], []
    for position in positions:
        if not 0 <= position < len(source):
            raise UsageError(f"sample {position:,}: the mix has {len(source):,}, counted from 0")
        found = source.documents(position)
        rows += found.tolist()
        samples += [position] * len(found)
    is_text = source.identity["samples"] == "texts"
    return document_rows(release, source.identity["mix"], rows, samples, of_documents=is_text)


def document_rows(
    release: Store, mix: str, rows: Sequence[int], samples: Sequence[int], of_documents: bool = False
) -> list[dict[str, Any]]:  # Any: plain rows
    """Rows of documents by position in the order of a mix. of_documents: whether samples are documents, not tokens."""
    order = read_order(release, mix)
    firsts = np.arange(len(order)) if of_documents else token_bounds(release, mix, order)
    found = documents_at(release, mix, order, np.array(rows, np.int64))
    return [
        {"sample": sample, **entry, "first_token": int(firsts[row]), **shown}
        for sample, row, (entry, shown) in zip(samples, rows, found, strict=True)
    ]


def step_samples(steps: range, batch_size: int, world_size: int, rank: int | None, start: int) -> list[int]:
    """Positions of the samples that a feed hands out in some steps, of one rank or of all, in the order of the mix.

    Args: batch_size, of each rank; start, samples consumed before step 0.
    """
    first = start + steps.start * batch_size * world_size
    last = start + steps.stop * batch_size * world_size
    return list(range(first, last) if rank is None else range(first + rank, last, world_size))


def locate_positions(
    release: Store, mix: str, at: str | None, step: str | None, *, length: int, samples: str, batch_size: int,
    world_size: int, rank: int | None, start: int, megatron: str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What the command `locate` prints, see its options; `at` or `step` is a position or a range, the other one None.

    Raises: UsageError for a range that is none, and if the mix has no such position.
    """
    low, high = parse_range(at or step or "", 1)
    if low >= high:
        raise UsageError(f"{at or step}: expected a range that ends after it begins")
    if step is None and megatron is None and samples == "tokens":
        return locate_documents(release, mix, low * length, high * length)
    if step is None:
        positions = list(range(low, high))
    else:
        positions = step_samples(range(low, high), batch_size, world_size, rank, start)
    if megatron is not None:
        parts = Sequences(release.url, mix, 1)
        index = MegatronIndex(megatron, parts)
        found = [(p, row) for p in positions for row in index.documents(p)]
        return document_rows(release, mix, [row for _, row in found], [p for p, _ in found])
    source = open_source(
        release.url, mix, sequence_length=length if samples == "tokens" else None, packed=samples == "packed"
    )
    return locate_samples(release, source, positions)


def parse_range(text: str, length: int) -> tuple[int, int]:
    """Parse `N`, one position, or the half-open range `N:M`, in units of `length`; returns first and last.

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
        (f"{row['sample']:>12,}  " if "sample" in row else "")
        + t(
            f"{row['first_token']:>14,}  {row['n_tokens'] or 0:>8,} tokens  {row['doc_id']}  epoch {row['epoch']}  "
        )
        + f"{row['language']}  {row['source']}/{row['lineage']['input']}:{row['lineage']['row']}  {row['url'] or ''}"
        for row in documents
    ]
