"""Candidate pairs: documents with an equal band key or match hash, and the groups that the pairs connect.

Reads band keys and match hashes; writes for each document its groups and the documents it must be compared
with. Copies by match hash hang on one of them, the first, and it alone stands for them in the groups
of band keys: a page copied ten thousand times costs ten thousand pairs, not fifty million. A key shared by
more than `max_group` different documents is template text; its documents are compared with a few leaders
only. Documents derived from others meet only each other: what they say, their parents say as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Global, Outcome
from stages.kernels.hashing import hash_lanes
from stages.kernels.unionfind import components
from stages.scope import SCOPE_READS, Scope, check_scope, scope_salt

SCHEMA = pa.schema(
    {"groups": pa.list_(pa.uint64()), "partners": pa.list_(pa.uint64()), "is_copy": pa.bool_()}
)
"""groups: where the document meets its partners, each pair in one of them: the smallest row number of the documents
connected by candidate pairs or, where these are more than MAX_TOGETHER, the smaller row of each pair. partners: rows
that are a candidate pair with it, in order. is_copy: an earlier row has the same match hash. All null for a document
without a pair."""

MAX_TOGETHER = 4096
"""Most documents that are compared in one place. Candidate pairs below the threshold chain: at about one a document
most of a corpus hangs together, and no process could hold its shingles."""

KEYED = pa.schema({"key": pa.uint64(), "row": pa.uint64(), "content": pa.uint64()})
PAIRS = pa.schema({"left": pa.uint64(), "right": pa.uint64(), "is_copy": pa.bool_()})
READS = ("minhash.band_keys", "exact.match_hash", *SCOPE_READS)


@dataclass(frozen=True, kw_only=True)
class Config:
    """max_group: most documents of one key that are all compared with each other. leaders: above it, the
    number of documents, those of smallest match hash, that all others are compared with. scope: `global`, `source` or
    `snapshot`; only documents of one scope are compared."""

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
    """One row per band key and one per match hash, whose first 64 bits are its key and every row's
    `content`."""
    hashes = table["exact.match_hash"].combine_chunks()
    bands = table["minhash.band_keys"].combine_chunks()
    owners = pc.list_parent_indices(bands).to_numpy().astype(np.int64)
    known = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False))
    kind = scope_salt(table, config.scope)
    content = hash_lanes(hashes)[:, 0] ^ kind
    index = np.concatenate([known, owners])
    keys = np.concatenate([content[known], pc.list_flatten(bands).to_numpy() ^ kind[owners]])
    return pa.table([keys, table["row"].to_numpy()[index], content[index]], schema=KEYED)


def link_keys(table: pa.Table, config: Config) -> pa.Table:
    """Pairs of one partition: copies with the first of them, and the first ones of each key with each
    other."""
    keys, rows, content = (table[name].to_numpy() for name in KEYED.names)
    order = np.lexsort((rows, content, keys))
    keys, rows, content = keys[order], rows[order], content[order]
    new_key = np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]
    first = new_key | np.concatenate([[True], content[1:] != content[:-1]])[: len(keys)]
    place_of_first = np.flatnonzero(first)[np.cumsum(first) - 1]
    copies = np.flatnonzero(~first & (keys == content))
    starts = np.concatenate([np.flatnonzero(new_key[first]), [np.count_nonzero(first)]])
    near = link_groups(starts, config.max_group, config.leaders)
    left = np.concatenate([rows[place_of_first[copies]], rows[first][near[:, 0]]])
    right = np.concatenate([rows[copies], rows[first][near[:, 1]]])
    is_copy = np.arange(len(left)) < len(copies)
    return pa.table([np.minimum(left, right), np.maximum(left, right), is_copy], schema=PAIRS)


@nb.njit(cache=True, nogil=True)
def link_groups(starts: np.ndarray, max_group: int, leaders: int) -> np.ndarray:
    """Pair the members of each group: all with all, or in a group above max_group all with the leaders.

    Args: starts, int64 (n_groups + 1,): where each group begins among the members.
    Returns: int64 (n_pairs, 2), members.
    """
    n_pairs = 0
    for group in range(len(starts) - 1):
        size = starts[group + 1] - starts[group]
        n_heads = size if size <= max_group else leaders
        n_pairs += n_heads * size - n_heads * (n_heads + 1) // 2
    pairs = np.empty((n_pairs, 2), np.int64)
    n = 0
    for group in range(len(starts) - 1):
        low, high = starts[group], starts[group + 1]
        n_heads = high - low if high - low <= max_group else leaders
        for head in range(low, low + n_heads):
            for other in range(head + 1, high):
                pairs[n, 0], pairs[n, 1] = head, other
                n += 1
    return pairs


def finish(table: pa.Table, config: Config) -> Outcome:
    """Distinct pairs, at both ends; the groups that documents meet in; a summary."""
    left, right = table["left"].to_numpy(), table["right"].to_numpy()
    rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    n_rows = max(len(rows), 1)
    edges = np.unique(
        places[: len(left)].astype(np.uint64) * np.uint64(n_rows) + places[len(left) :].astype(np.uint64)
    )
    heads, tails = (part.astype(np.int64) for part in np.divmod(edges, np.uint64(n_rows)))
    labels = components(len(rows), heads, tails)
    sizes = np.bincount(labels, minlength=1)
    copies = np.isin(rows, right[table["is_copy"].to_numpy()])
    partners = _lists(len(rows), np.append(heads, tails), np.append(tails, heads), rows)
    columns = [rows, _groups(rows, labels, sizes, heads, tails), partners, copies]
    summary = {
        "documents": [len(rows)],
        "copies": [int(copies.sum())],
        "pairs": [len(edges)],
        "groups": [int(np.count_nonzero(sizes))],
        "largest_group": [int(sizes.max())],
    }
    return Outcome(
        rows=pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *SCHEMA])),
        artefacts={"summary": pa.table(summary)},
    )


def _groups(
    rows: np.ndarray, labels: np.ndarray, sizes: np.ndarray, heads: np.ndarray, tails: np.ndarray
) -> pa.ListArray:
    """The groups of each document; heads and tails, the smaller and the larger end of each pair."""
    together = sizes[labels] <= MAX_TOGETHER
    apart = ~together[heads]
    first = np.unique(heads[apart])
    members = np.concatenate([np.flatnonzero(together), first, tails[apart]])
    return _lists(len(rows), members, np.concatenate([labels[together], first, heads[apart]]), rows)


def _lists(n_rows: int, members: np.ndarray, others: np.ndarray, rows: np.ndarray) -> pa.ListArray:
    """The rows of `others`, in order, of each member from 0 to n_rows - 1."""
    order = np.lexsort((others, members))
    offsets = np.searchsorted(members[order], np.arange(n_rows + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(rows[others[order]], pa.uint64()))


GLOBAL = Global(
    name="candidates",
    version=3,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="band key, or the first half of the match hash",
    map=map_keys,
    reduce=link_keys,
    finish=finish,
    indexed=True,
)
