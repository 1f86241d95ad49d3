"""The receipt of an erasure: what was removed, which releases held it and where, and what remains outside the store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import order_path
from pipeline.errors import BicorpusError
from pipeline.inspect.locate import token_bounds
from pipeline.inspect.release_files import read_checksums, read_order
from pipeline.storage.store import Store, open_store
from pipeline.translation import t

Plain = dict[str, Any]  # Any: JSON


def held_by(release: Store, doc_ids: pa.Array) -> Plain | None:
    """Return where a release holds documents: rows by file and token ranges; None if it holds none.

    A token range has the mix, the epoch, positions in the token stream of the mix, and file and positions in it.
    """
    try:
        listed = read_checksums(release)
        files = {name: found for name in sorted(listed) if (found := rows_of(release, name, doc_ids))}
        ranges = [
            entry for mix in sorted(json.loads(release.get("lineage.json"))["mixes"])
            if order_path(mix) in files for entry in token_ranges(release, mix, doc_ids, listed)
        ]  # fmt: skip
    except (BicorpusError, pa.ArrowException, KeyError, ValueError) as error:
        return {"release": release.url, "files": {}, "token_ranges": [], "unreadable": str(error)[:200]}
    if not files:
        return None
    return {"release": release.url, "files": files, "token_ranges": ranges}


def rows_of(release: Store, name: str, doc_ids: pa.Array) -> list[int]:
    """Return the rows of a Parquet file that are of these documents, or derived from them."""
    if not name.endswith(".parquet"):
        return []
    with release.open(name) as stream:
        file = pq.ParquetFile(stream)
        columns = [c for c in ("doc_id", "parent_id") if c in file.schema_arrow.names]
        if not columns:
            return []
        table = file.read(columns)
    found = np.zeros(table.num_rows, bool)
    for column in columns:
        found |= np.asarray(pc.is_in(table[column], doc_ids).combine_chunks())
    return [int(row) for row in np.flatnonzero(found)]


def token_ranges(release: Store, mix: str, doc_ids: pa.Array, listed: Iterable[str]) -> list[Plain]:
    """Return the ranges of the token stream of a mix that hold documents; positions in files if it has token files."""
    order = read_order(release, mix)
    bounds = token_bounds(release, mix, order)
    key, starts, names = f"tokens/{mix}/tokens.json", np.zeros(1, np.int64), [""]
    if key in set(listed):
        parts = json.loads(release.get(key))["parts"]
        starts = np.cumsum([0, *(part["tokens"] for part in parts)])[:-1]
        names = [f"tokens/{mix}/{part['part']}" for part in parts]
    entries = []
    for position in np.flatnonzero(np.asarray(pc.is_in(order["doc_id"], doc_ids).combine_chunks())).tolist():
        first, end = int(bounds[position]), int(bounds[position + 1])
        part = max(int(np.searchsorted(starts, first, side="right")) - 1, 0)
        entry: Plain = {
            "mix": mix, "doc_id": order["doc_id"][position].as_py(), "epoch": order["epoch"][position].as_py(),
            "first": first, "end": end,
        }  # fmt: skip
        if names[part:]:
            entry |= {"file": names[part], "first_in_file": first - int(starts[part])}
        entries.append(entry)
    return entries


def releases_of(store: Store) -> list[str]:
    """Return the names of the finished releases of a store."""
    keys = [key.split("/") for key, _ in store.list("releases")]
    return sorted({key[1] for key in keys if len(key) == 3 and key[2] == "checksums.sha256"})


def holding_releases(store: Store, doc_ids: Iterable[str], others: Iterable[str]) -> list[Plain]:
    """Return where releases hold documents. others: URLs of releases outside the store.

    Those of the store are `stored`. A release that cannot be read is listed too, without files.
    """
    wanted = pa.array(sorted(doc_ids), pa.string())
    found = []
    for name in releases_of(store):
        entry = held_by(open_store(f"{store.url}/releases/{name}"), wanted)
        found += [] if entry is None else [{**entry, "release": name, "stored": True}]
    for url in others:
        entry = held_by(open_store(url), wanted)
        found += [] if entry is None else [entry]
    return found


def inputs_of(documents: Iterable[Plain]) -> list[Plain]:
    """Return the input files that still contain documents, with the positions of their records."""
    rows: dict[tuple[str, str], list[int]] = {}
    for document in documents:
        if document["parent_id"] is None:
            rows.setdefault((document["source"], document["input"]), []).append(document["input_row"])
    return [
        {"source": source, "input": path, "rows": sorted(positions)}
        for (source, path), positions in sorted(rows.items())
    ]


def imports_of(store: Store) -> list[str]:
    """Return the outside tables of a store, whose keys may name erased documents."""
    return sorted(key for key, _ in store.list("imports") if key.endswith(".parquet"))


def lines(receipt: Plain) -> list[str]:
    """Return a receipt for a terminal."""
    counts: dict[str, int] = {}
    for document in receipt["documents"]:
        counts[document["why"]] = counts.get(document["why"], 0) + 1
    found = ", ".join(f"{t(why)} {n:,}" for why, n in sorted(counts.items())) or "0"
    n_all = len(receipt["documents"])
    shown = [
        t(f"{n_all:,} documents would be erased: {found}")
        if receipt["dry_run"]
        else t(f"{n_all:,} documents erased: {found}")
    ]
    for document in receipt["documents"][:20]:
        shown.append(f"  {document['doc_id']}  {document['source']}  {t(document['why'])}")
    if n_all > 20:
        shown.append(t(f"  and {n_all - 20:,} more"))
    for release in receipt["releases"]:
        n_rows, n_ranges = sum(map(len, release["files"].values())), len(release["token_ranges"])
        shown.append(
            t(f"release {release['release']} holds them: {n_rows:,} rows, {n_ranges:,} token ranges")
        )
    for name in receipt["deleted_releases"]:
        shown.append(t(f"release {name} deleted"))
    n_inputs = len(receipt["outside"]["inputs"])
    if n_inputs:
        shown.append(t(f"outside the store: {n_inputs:,} input files still contain them"))
    shown += [t(note) for note in receipt["notes"]]
    if receipt["key"]:
        shown.append(t(f"receipt: {receipt['key']}"))
    return shown
