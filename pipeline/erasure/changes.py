"""What an erasure changes: rows that leave shards, and the shards as they are afterwards."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dataset.shard import Shard
from pipeline.dataset.tombstones import PENDING
from pipeline.storage.seal import parse_sealed, sealed_json
from pipeline.storage.store import Store
from pipeline.translation import message


@dataclass(frozen=True)
class Change:
    """Rows that leave a shard. group: its entry of the catalog; n_orphans: how many of the rows leave because their
    parents do. after: the shard without them; its generation counts the documents that were erased from it."""

    shard: Shard
    rows: tuple[int, ...]
    after: Shard
    group: str
    n_orphans: int = 0

    def left(self) -> np.ndarray:
        """Return which rows are left: bool (n_rows,)."""
        left = np.ones(self.shard.n_rows, bool)
        left[list(self.rows)] = False
        return left

    def moved(self) -> np.ndarray:
        """Return the new number of each row, -1 for those that leave: int64 (n_rows,)."""
        left = self.left()
        return np.where(left, np.cumsum(left) - 1, -1)


@dataclass(frozen=True)
class Changes:
    """All changes of an erasure, which are applied more than once if a process is stopped.

    header, facts: of the tombstones, see list_tombstones. recipes: folder of a stage's sidecars -> shard -> recipe
    before and after, where it depends on results of global steps for the shard. quarantine: keys of files in which
    records are hidden. receipt: of the erasure, without what applying it counts.
    """

    name: str
    header: Mapping[str, Any]  # Any: JSON
    facts: Mapping[str, Any]
    shards: tuple[Change, ...]
    recipes: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    quarantine: tuple[str, ...] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)

    def by_shard(self) -> dict[str, Change]:
        """Return the changes by shard id."""
        return {change.shard.id: change for change in self.shards}

    def save(self, store: Store) -> None:
        """Write the changes, which have to be applied from then on."""
        plain = dataclasses.asdict(self)
        store.put(PENDING, sealed_json(json.dumps(plain, sort_keys=True).encode(), PENDING))


def load_changes(store: Store) -> Changes | None:
    """Read the changes of an erasure that was stopped; None if there is none."""
    found = store.get_with_tag(PENDING)
    if found is None:
        return None
    plain = parse_sealed(found[0], PENDING, f"{store.url}/{PENDING}")
    shards = [
        Change(Shard(**c["shard"]), tuple(c["rows"]), Shard(**c["after"]), c["group"], c["n_orphans"])
        for c in plain["shards"]
    ]
    recipes = {
        folder: {shard: (before, after) for shard, (before, after) in entries.items()}
        for folder, entries in plain["recipes"].items()
    }
    return Changes(
        plain["name"], plain["header"], plain["facts"], tuple(shards), recipes, tuple(plain["quarantine"]),
        plain["receipt"],
    )  # fmt: skip


@dataclass(frozen=True)
class Leaving:
    """Documents of a shard that an erasure removes, by row: their ids and bytes of text, and why."""

    shard: Shard
    doc_ids: Mapping[int, str]
    text_bytes: Mapping[int, int]
    why: Mapping[int, str]


ORPHAN = message("derived")
"""Why a document leaves whose parent does."""


def changes_of(leaving: Iterable[Leaving], groups: Mapping[str, dict[str, Any]]) -> tuple[Change, ...]:
    """Return the change of each shard, parents first.

    Args: leaving, those that lose documents, parents before what is derived from them; groups, entries of the catalog
    of shards. Any: JSON.
    """
    group_of = {row[0]: name for name, entry in groups.items() for row in entry["shards"]}
    generations = {row[0]: row[3] for entry in groups.values() for row in entry["shards"]}
    changes = []
    for found in leaving:
        shard, group = found.shard, group_of[found.shard.id]
        rows = sorted(found.doc_ids)
        n_orphans = sum(found.why[row] == ORPHAN for row in rows)
        generation = shard.generation + len(rows)
        if (parent := groups[group].get("parent")) is not None:
            generation = generations.get(parent, 1) + groups[group].get("erased", 0) + len(rows) - n_orphans
        after = dataclasses.replace(
            shard, n_rows=shard.n_rows - len(rows), generation=generation,
            text_bytes=shard.text_bytes - sum(found.text_bytes[row] for row in rows),
        )  # fmt: skip
        generations[shard.id] = generation
        changes.append(Change(shard, tuple(rows), after, group, n_orphans))
    return tuple(changes)
