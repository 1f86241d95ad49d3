"""Check of the hold-out of a release: no mix has a document held out, nor one of its cluster or family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # JSON

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspect.release_files import read_order
from pipeline.mix.holdout import HOLDOUT
from pipeline.storage.store import Store
from pipeline.translation import message


def holdout_faults(
    release: Store, lineage: Mapping[str, Any], ledger: pa.Table, parents: pa.Table
) -> tuple[int, list[str]]:
    """Return the number of documents held out, and what is wrong.

    Args: ledger, of the release; parents, doc_id and parent_id of the documents in data/.
    """
    held = read_order(release, HOLDOUT)["doc_id"].combine_chunks()
    clusters = dict(zip(ledger["doc_id"].to_pylist(), ledger["cluster"].to_pylist(), strict=True))
    parent_of = dict(zip(parents["doc_id"].to_pylist(), parents["parent_id"].to_pylist(), strict=True))
    names = {
        name
        for doc_id in held.to_pylist()
        for name in (doc_id, clusters[doc_id], parent_of.get(doc_id))
        if name
    }
    faults = []
    for mix in sorted(set(lineage["mixes"]) - {HOLDOUT}):
        order = read_order(release, mix)["doc_id"]
        both = pc.unique(order.filter(pc.is_in(order, held))).to_pylist()
        faults += [message(f"{doc_id} is held out and in mix {mix}") for doc_id in both]
        for doc_id in set(pc.unique(order).to_pylist()) - set(both):
            if shared := names & {doc_id, clusters[doc_id], parent_of.get(doc_id)}:
                faults.append(
                    message(
                        f"{doc_id} in mix {mix} is of the cluster or family of {min(shared)}, which is held out"
                    )
                )
    return len(held), faults
