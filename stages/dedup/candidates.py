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
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.schema import ROW_BITS
from pipeline.stage import Global, Outcome, outcome_of
from stages.dedup.connect import CONNECT, EDGES, labels_of
from stages.dedup.scope import SCOPE_READS, Scope, check_scope, scope_salt
from stages.kernels.dedup.pairs import (
    are_distinct,
    drop_repeated,
    link_rows,
    pack,
    unpack,
)
from stages.kernels.text.hashing import hash_lanes

SCHEMA = pa.schema(
    {"groups": pa.list_(pa.uint64()), "partners": pa.list_(pa.uint64()), "is_copy": pa.bool_()}
)
"""groups: the groups in which the document is compared, each pair in one of them: the smallest row number of its
connected component, for all partners; or, in components of more than MAX_TOGETHER documents, the group of each partner:
the block of the end with fewer partners. partners: rows that form a candidate pair with it, ascending. is_copy: an
earlier row has the same match hash. All null for a document without a pair."""

MAX_TOGETHER = 4096
"""Most documents of a group. Candidate pairs below the threshold chain: with about one candidate pair per document,
most of the corpus forms one connected component, and its shingles would not fit into one process."""

BLOCK_DOCS = 1024
"""Most documents of a block: those of one large component that follow each other in a shard. A leader of an oversized
key has as many partners as the key has documents. It is copied into the blocks of its partners, so that each of them is
in one group, not in one for each of its leaders."""

KEYED = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "content": pa.uint64()})
PAIRS = pa.schema({"left": pa.uint64(), "right": pa.uint64(), "is_copy": pa.bool_()})
ENDS = pa.schema({"row": pa.uint64(), "other": pa.uint64(), "is_copy": pa.bool_()})
"""A distinct pair as sent to one of its ends."""

SIZES = pa.schema({"row": pa.uint64(), "back": pa.uint64(), "n_docs": pa.uint64()})
"""Documents of a component, named by `row`, in the group that contains `back`."""

LARGE = pa.schema({"row": pa.uint64(), "label": pa.uint64()})
"""A component of more than MAX_TOGETHER documents, to the group that contains `row`."""

BLOCKS = pa.schema(
    {"row": pa.uint64(), "other": pa.uint64(), "n_partners": pa.uint64(), "block": pa.uint64()}
)
"""Partners and block of a document of a large component, `other`, as sent to one of its partners, `row`."""

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


def share_pairs(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """First round: the distinct pairs of the smaller rows of a group, to both ends; the larger row is the copy."""
    left, right, is_copy = merge_pairs(inbox[RESULTS], config).columns
    ends = [pa.table([left, right, pa.repeat(False, len(left))], schema=ENDS)]
    ends.append(pa.table([right, left, is_copy], schema=ENDS))
    return Sent(
        {"pairs": pa.concat_tables(ends), "edges": pa.table([right, left], schema=EDGES)},
        {"summary": pa.table({"pairs": [len(left)]})},
    )


def count_labels(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Third round: documents of each component in a group, to the row that names the component."""
    rows = np.unique(inbox["pairs"]["row"].to_numpy())
    labels, first, counts = np.unique(labels_of(rows, inbox["edges"]), return_index=True, return_counts=True)
    return Sent({"sizes": pa.table([labels, rows[first], counts.astype(np.uint64)], schema=SIZES)})


def find_large(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Fourth round: the components of more than MAX_TOGETHER documents, to the groups that contain some of them."""
    labels, back, counts = (inbox["sizes"][name].to_numpy() for name in SIZES.names)
    distinct, component = np.unique(labels, return_inverse=True)
    sizes = np.bincount(component, counts, len(distinct)).astype(np.int64)
    is_large = sizes[component] > MAX_TOGETHER
    summary = {
        "documents": [int(sizes.sum())],
        "groups": [len(distinct)],
        "largest_group": [int(sizes.max(initial=0))],
    }
    large = pa.table([back[is_large], labels[is_large]], schema=LARGE)
    return Sent({"large": large}, {"summary": pa.table(summary)})


def share_blocks(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Fifth round: the number of partners and the block of each document of a large component, to its partners."""
    if not inbox["large"].num_rows:
        return Sent({"blocks": BLOCKS.empty_table()})
    listed = _listed(inbox)
    sizes, blocks = np.diff(listed.starts), _blocks(listed)
    inside = listed.is_large[listed.node]
    node = listed.node[inside]
    sent = [listed.partners[inside], listed.rows[node], sizes[node].astype(np.uint64), blocks[node]]
    return Sent({"blocks": pa.table(sent, schema=BLOCKS)})


@dataclass(frozen=True)
class _Listed:
    """The documents of a group that have pairs, and their pairs by document.

    rows, uint64 (n_docs,), sorted; labels, uint64, and is_large, bool (n_docs,), of their components; starts, int64
    (n_docs + 1,), the range of each one's pairs; node, int64 (n_pairs,), the index of the document of a pair; partners,
    uint64, ascending for each document, and is_copy, bool (n_pairs,).
    """

    rows: np.ndarray
    labels: np.ndarray
    is_large: np.ndarray
    starts: np.ndarray
    node: np.ndarray
    partners: np.ndarray
    is_copy: np.ndarray


def _listed(inbox: Inbox) -> _Listed:
    pairs = merge_pairs(inbox["pairs"].rename_columns(PAIRS.names), Config())
    ends, partners, is_copy = (pairs[name].to_numpy() for name in PAIRS.names)
    first = np.append(True, ends[1:] != ends[:-1])[: len(ends)]
    rows = ends[first]
    labels = labels_of(rows, inbox["edges"])
    is_large = np.isin(labels, inbox["large"]["label"].to_numpy())
    starts = np.append(np.flatnonzero(first), len(ends))
    return _Listed(rows, labels, is_large, starts, np.cumsum(first) - 1, partners, is_copy)


def _blocks(listed: _Listed) -> np.ndarray:
    """The first row of the block of each document, uint64 (n_docs,)."""
    shards = listed.rows >> np.uint64(ROW_BITS)
    order = np.lexsort((listed.rows, listed.labels, shards))
    labels, shards = listed.labels[order], shards[order]
    place = np.arange(len(order))
    is_first = np.append(True, (labels[1:] != labels[:-1]) | (shards[1:] != shards[:-1]))[: len(order)]
    rank = place - np.maximum.accumulate(np.where(is_first, place, 0))
    blocks = np.empty(len(order), np.uint64)
    blocks[order] = listed.rows[order][place - rank % BLOCK_DOCS]
    return blocks


def list_groups(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Last round: groups and partners of each document."""
    listed = _listed(inbox)
    inside, sizes, own = listed.is_large[listed.node], np.diff(listed.starts), _blocks(listed)
    row, other, n_partners, block = (inbox["blocks"][name].to_numpy() for name in BLOCKS.names)
    order = np.lexsort((other, row))  # one for each pair of a large component, in the order of `listed`
    node, n_partners = listed.node[inside], n_partners[order].astype(np.int64)
    is_leaf = (sizes[node] < n_partners) | ((sizes[node] == n_partners) & (row < other)[order])
    group = listed.labels[listed.node]
    group[inside] = np.where(is_leaf, own[node], block[order])
    is_listed = inside.copy()
    is_listed[listed.starts[:-1]] = True  # one for all partners of a small component
    ends = np.append(0, np.cumsum(is_listed))[listed.starts]
    copies = np.zeros(len(listed.rows), bool)
    copies[listed.node[listed.is_copy]] = True
    columns = {
        "row": listed.rows,
        "groups": _lists(group[is_listed], ends),
        "partners": _lists(listed.partners, listed.starts),
        "is_copy": copies,
    }
    return Sent(values=pa.table(columns), counted={"summary": pa.table({"copies": [int(copies.sum())]})})


def _lists(values: np.ndarray, starts: np.ndarray) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array(starts, pa.int64()), pa.array(values, pa.uint64()))


def add_up(counted: Tables, shared: Tables, config: Config) -> Tables:
    """Add the counts of the groups to the summary; the largest of `largest_group`."""
    (found,) = counted.values()
    totals = {
        name: [int(max(column.to_pylist()) if name == "largest_group" else sum(column.to_pylist()))]
        for name, column in zip(found.column_names, found.columns, strict=True)
    }
    before = shared["summary"].to_pydict() if "summary" in shared else {}
    return {"summary": pa.table(before | totals)}


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefact `summary`."""
    return {"summary": shared["summary"].select(["documents", "copies", "pairs", "groups", "largest_group"])}


ROUNDS = (
    Round(name="share pairs", run=share_pairs, takes=(RESULTS,), add=add_up),
    CONNECT,
    Round(name="count labels", run=count_labels, reads=("pairs", "edges")),
    Round(name="find large", run=find_large, takes=("sizes",), add=add_up),
    Round(name="share blocks", run=share_blocks, reads=("pairs", "edges", "large")),
    Round(name="list groups", run=list_groups, takes=("pairs", "edges", "large", "blocks"), add=add_up),
)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return groups and partners of each document, from the pairs, and a summary; the rounds in one process.

    Args: table, of PAIRS, of all partitions.
    Returns: rows of `row` and SCHEMA; the artefact `summary`.
    """
    return outcome_of(GLOBAL, table, config)


GLOBAL = Global(
    name="candidates",
    version=5,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="band key, or the first half of the match hash",
    map=map_keys,
    reduce=link_keys,
    combine=merge_pairs,
    finish=finish,
    rounds=ROUNDS,
    close=close,
    route="left",
    indexed=True,
)
