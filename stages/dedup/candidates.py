"""Candidate pairs: documents with an equal band key or match hash, and the connected components of these pairs.

Reads band keys and match hashes; writes for each document its groups and the documents it must be compared
with. Exact copies (equal match hashes) are represented by their first document; only it takes part in LSH, so that
a page copied ten thousand times costs ten thousand pairs, not fifty million. A key shared by more than `max_group`
different documents is template text; its documents are compared with a few leaders only. Derived documents are
compared only with each other, because they repeat their parents' text by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome
from stages.dedup.scope import SCOPE_READS, Scope, check_scope, scope_salt
from stages.kernels.dedup.pairs import (
    are_distinct,
    drop_repeated,
    link_rows,
    list_groups,
    list_partners,
    number_rows,
    pack,
    unpack,
)
from stages.kernels.dedup.unionfind import components
from stages.kernels.text.hashing import hash_lanes

SCHEMA = pa.schema(
    {"groups": pa.list_(pa.uint64()), "partners": pa.list_(pa.uint64()), "is_copy": pa.bool_()}
)
"""groups: the groups in which the document is compared with its partners, each pair in one of them: the smallest row
number of its connected component or, for components of more than MAX_TOGETHER documents, the smaller row of each pair.
partners: rows that form a candidate pair with it, ascending. is_copy: an earlier row has the same match hash. All null
for a document without a pair."""

MAX_TOGETHER = 4096
"""Most documents of a group. Candidate pairs below the threshold chain: with about one candidate pair per document,
most of the corpus forms one connected component, and its shingles would not fit into one process."""

KEYED = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "content": pa.uint64()})
PAIRS = pa.schema({"left": pa.uint64(), "right": pa.uint64(), "is_copy": pa.bool_()})
READS = ("minhash.band_keys", "exact.match_hash", *SCOPE_READS)


@dataclass(frozen=True, kw_only=True)
class Config:
    """max_group: most documents of one key that are all compared with each other. leaders: for a key of more documents,
    the number of documents, those of smallest match hash, that all others are compared with. scope: `global`, `source`
    or `snapshot`; only documents of one scope are compared."""

    max_group: int = 64
    leaders: int = 8
    scope: Scope = "global"

    def __post_init__(self) -> None:
        check_scope(self.scope, "candidates.scope")
        if not 1 <= self.leaders <= self.max_group:
            raise ConfigError(
                f"candidates.leaders is {self.leaders}; expected 1 to candidates.max_group ({self.max_group})"
            )


def map_keys(table: pa.Table, config: Config) -> pa.Table:
    """Return one row per band key and one per match hash of each document.

    Args: table, with READS and `row`.
    Returns: a table of KEYED; `content` is the first 64 bits of the match hash, which is also the key of its row.
    """
    hashes = table["exact.match_hash"].combine_chunks()
    bands = table["minhash.band_keys"].combine_chunks()
    owners = pc.list_parent_indices(bands).to_numpy().astype(np.int64)
    hashed = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False))
    salt = scope_salt(table, config.scope)
    content = hash_lanes(hashes)[:, 0] ^ salt
    index = np.concatenate([hashed, owners])
    keys = np.concatenate([content[hashed], pc.list_flatten(bands).to_numpy() ^ salt[owners]])
    return pa.table([keys, table["row"].to_numpy()[index], content[index]], schema=KEYED)


def link_keys(table: pa.Table, config: Config) -> pa.Table:
    """Return the pairs of one partition: exact copies with their first document, and first documents that share a key
    with each other.

    Args: table, of KEYED, sorted by key, then row.
    Returns: a table of PAIRS.
    """
    keys, rows, content = (table[name].to_numpy() for name in KEYED.names)
    left, right, n_copies = link_rows(keys, rows, content, config.max_group, config.leaders)
    return pa.table([left, right, np.arange(len(left)) < n_copies], schema=PAIRS)


def merge_pairs(table: pa.Table, config: Config) -> pa.Table:
    """Return distinct pairs, by row (a combiner): most pairs of near duplicates share several keys.

    Args: table, of PAIRS. Returns: a table of PAIRS.
    """
    batches = [
        [column.to_numpy(zero_copy_only=False) for column in batch.columns] for batch in table.to_batches()
    ]
    if not batches or (len(batches) == 1 and are_distinct(*batches[0][:2])):
        return table
    used = int(np.bitwise_or.reduce([np.bitwise_or.reduce(part) for batch in batches for part in batch[:2]]))
    low = (used & ((1 << ROW_BITS) - 1)).bit_length()
    width = low + (used >> ROW_BITS).bit_length()
    if 2 * width + 1 > 64:
        return _merge_wide(table)
    packed, n_packed = np.empty(table.num_rows, np.uint64), 0
    for left, right, is_copy in batches:
        pack(left, right, is_copy, low, width, packed[n_packed : n_packed + len(left)])
        n_packed += len(left)
    packed.sort()
    return pa.table([*unpack(packed[: drop_repeated(packed)], low, width)], schema=PAIRS)


def _merge_wide(table: pa.Table) -> pa.Table:
    """See merge_pairs; for row numbers of which two do not fit into 64 bits."""
    left, right, is_copy = (table[name].to_numpy() for name in PAIRS.names)
    order = np.lexsort((~is_copy, right, left))
    left, right = left[order], right[order]
    new = np.append(True, (left[1:] != left[:-1]) | (right[1:] != right[:-1]))[: len(left)]
    return pa.table([left[new], right[new], is_copy[order][new]], schema=PAIRS)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return groups and partners of each document, from the distinct pairs, and a summary.

    Args: table, of PAIRS, of all partitions.
    Returns: rows of `row` and SCHEMA; the artefact `summary`.
    """
    (pairs,) = merge_pairs(table, config).to_batches() or [pa.RecordBatch.from_pylist([], PAIRS)]
    rows, heads, tails = number_rows(pairs["left"].to_numpy(), pairs["right"].to_numpy())
    labels = components(len(rows), heads, tails)
    sizes = np.bincount(labels, minlength=1).astype(np.uint32)
    copies = np.zeros(len(rows), bool)
    copies[tails[pairs["is_copy"].to_numpy(zero_copy_only=False)]] = True
    summary = {
        "documents": [len(rows)],
        "copies": [int(copies.sum())],
        "pairs": [len(heads)],
        "groups": [int(np.count_nonzero(sizes))],
        "largest_group": [int(sizes.max())],
    }
    lists = list_groups(rows, labels, sizes, heads, tails, MAX_TOGETHER), list_partners(rows, heads, tails)
    groups, partners = (
        pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
        for offsets, values in lists
    )
    columns = {"row": rows, "groups": groups, "partners": partners, "is_copy": copies}
    return Outcome(
        rows=pa.table(columns),
        artefacts={"summary": pa.table(summary)},
    )


GLOBAL = Global(
    name="candidates",
    version=3,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="band key, or the first half of the match hash",
    map=map_keys,
    reduce=link_keys,
    combine=merge_pairs,
    finish=finish,
    indexed=True,
)
