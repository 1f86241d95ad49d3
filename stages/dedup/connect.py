"""Connected components in rounds: every document is labelled with the smallest row of its component.

Each row keeps one smaller row of its component, its parent, in the group of shards that contains it. In a round a group
contracts what it knows (union-find): its rows get the smallest known row as parent, and the owners of rows of other
groups are told of a smaller one. This is the small-star operation, on all rows of a group at once. A group asks the
owner of each parent that is no row of its own for that row's own parent: the large-star operation. Each parent is
asked for once by a group, regardless of the number of its children, so that a component of any size is spread over the
groups of its rows.

The labels are those of union-find. Alternating the two operations ends after O(log^2 n) rounds; contraction needs
fewer, one if there is one group.
Source: Kiveris et al., Connected Components in MapReduce and Beyond, SoCC 2014 (the Alternating Algorithm).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.rounds import Inbox, Round, Sent, Tables
from stages.kernels.dedup.unionfind import components

EDGES = pa.schema({"row": pa.uint64(), "parent": pa.uint64()})
"""A row and a smaller row of its component."""

ASKS = pa.schema({"row": pa.uint64(), "back": pa.uint64()})
"""A question for the parent of `row`; back: a row of the group that asks."""

REPLIES = pa.schema({"row": pa.uint64(), "asked": pa.uint64(), "parent": pa.uint64()})
"""An answer, to `row`: the parent of `asked`; rows without one are not answered."""


def contract(inbox: Inbox, shared: Tables, config: Any) -> Sent:  # Any: the config of any step
    """One round: tables `edges`, `asks` and `replies` to the same tables of the next one."""
    edges, asks = inbox["edges"], _columns(inbox, "asks", ASKS)
    _, asked, answer = _columns(inbox, "replies", REPLIES)
    rows, parents = (edges[name].to_numpy() for name in EDGES.names)
    nodes, left, right = number_ends(np.concatenate([rows, asked]), np.concatenate([parents, answer]))
    root = nodes[components(len(nodes), left, right)]
    here = inbox.holds(nodes)
    # the owner of a row that we asked for holds what it answered, and the row of the answer is told of a smaller one
    is_asked = np.zeros(len(nodes), bool)
    is_asked[np.searchsorted(nodes, asked)] = True
    moved = (root != nodes) & (here | ~is_asked)
    away = here & ~inbox.holds(root)
    roots, first = np.unique(root[away], return_index=True)
    wanted, back = asks
    found = look_up(nodes, root, wanted)
    has_parent = found != wanted
    replies = [back[has_parent], wanted[has_parent], found[has_parent]]
    counts = {"moved": [int(np.count_nonzero(moved & ~here)) + len(replies[0])], "asked": [len(roots)]}
    return Sent(
        {
            "edges": pa.table([nodes[moved], root[moved]], schema=EDGES),
            "asks": pa.table([roots, nodes[away][first]], schema=ASKS),
            "replies": pa.table(replies, schema=REPLIES),
        },
        {"connecting": pa.table(counts)},
    )


def look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Value of each wanted key, uint64 (n,), itself if there is none. keys: uint64, sorted and distinct."""
    if not len(keys):
        return wanted
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], wanted)


def _columns(inbox: Inbox, name: str, schema: pa.Schema) -> list[np.ndarray]:
    table = inbox.get(name)
    return [(schema.empty_table() if table is None else table)[column].to_numpy() for column in schema.names]


def number_ends(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the distinct values of pairs: uint64 (n,) twice to the values, sorted, and the index of both ends."""
    nodes, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    return nodes, places[: len(left)], places[len(left) :]


def count_moves(counted: Tables, shared: Tables, config: Any) -> Tables:
    """Add up what the groups sent, and how many turns in a row nothing moved."""
    moved, asked = (int(np.sum(counted["connecting"][name].to_numpy())) for name in ("moved", "asked"))
    before = shared.get("connecting")
    turns, quiet = (0, 0) if before is None else (before["turns"][0].as_py(), before["quiet"][0].as_py())
    quiet = 0 if moved else quiet + 1
    return {"connecting": pa.table({"asked": [asked], "quiet": [quiet], "turns": [turns + 1]})}


def is_unsettled(shared: Tables) -> bool:
    """Whether a label may still change: something moved in this turn, or what was asked in it has no answer yet."""
    last = shared["connecting"].to_pylist()[0]
    return not (last["quiet"] >= 2 or (last["quiet"] and not last["asked"]))


CONNECT = Round(
    name="connect",
    run=contract,
    takes=("edges", "asks", "replies"),
    add=count_moves,
    again=is_unsettled,
)
"""Takes `edges`, and leaves `edges` with the label of every row that is not the smallest of its component."""


def labels_of(rows: np.ndarray, edges: pa.Table) -> np.ndarray:
    """Label of each row, uint64 (n,), after the last round; a row without a parent is its own."""
    known, parents = (edges[name].to_numpy() for name in EDGES.names)
    order = np.argsort(known, kind="stable")
    return look_up(known[order], parents[order], rows)
