"""What to do about a damaged or missing object of a store: what has to be forgotten, so that a run makes it again.

A run finds what it lacks from catalogs, so an object is made again once its catalog no longer names it. What cannot
be made again from inputs and the run file is never deleted: outside tables, lists of erased documents, leases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass

from pipeline.dataset.shard import SHARDS
from pipeline.errors import DamagedError, StoreError
from pipeline.storage.catalog import Catalog, catalog_of, is_segment
from pipeline.storage.lease import hold
from pipeline.storage.store import Store
from pipeline.translation import message

MAX_REPAIRS = 64
"""Objects that one run makes again before it gives up: more damage than that is a broken disk."""


@dataclass(frozen=True)
class Repair:
    """How to make an object again.

    catalog, names: entries to remove. folders, keys: to delete. lease: name of the lease to hold meanwhile. inputs:
    group of input files that must exist, because the object is made from them. why_not: why it cannot be made again,
    else empty.
    """

    catalog: str = ""
    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    lease: str = ""
    inputs: str = ""
    why_not: str = ""


def repair_of(store: Store, key: str) -> Repair:
    """Return how to make an object of a store again, by its key."""
    if is_segment(key):
        key = catalog_of(key)
    parts = key.split("/")
    if parts[0] in NOT_REMADE:
        return Repair(why_not=NOT_REMADE[parts[0]])
    match parts:
        case ["runs", _] | ["verdicts", _, _]:
            return Repair(keys=(key,))
        case ["shards", _] | ["quarantine", _, _] | ["annotations", _] | ["annotations", _, _, _]:
            return _repair_of_rows(key, parts)
        case ["global", step, recipe, *_]:
            return Repair(folders=(f"global/{step}/{recipe}",), lease=f"global-{step}-{recipe}")
        case ["index", _, *_]:
            return _repair_of_index(key, parts)
        case ["exchange", work, *_]:
            return Repair(folders=(f"exchange/{work}",))
        case ["releases", *_]:
            return _repair_of_release(key, parts)
        case _:
            return NO_OBJECT


NOT_REMADE = {
    "tombstones": message("it keeps erased documents out of the store; restore it from a copy of the store"),
    "imports": message("it is a table from outside; `bicorpus import` its files again under the same name"),
    "leases": message("it is a lease; delete it if no run uses the store"),
    "requests": message("answers of language models; those that are lost are asked for again"),
}
"""Why objects in some folders cannot be made again."""

NO_OBJECT = Repair(why_not=message("it is no object of a store"))


def _repair_of_rows(key: str, parts: list[str]) -> Repair:
    """Of a shard, a sidecar, quarantined records, and of their catalogs."""
    folder, name = key.rpartition("/")[0], parts[-1]
    stem = name.rpartition(".")[0]
    match parts:
        case ["shards", "inputs.json"] | ["annotations", "recipes.json"]:
            return Repair(keys=(key,))
        case ["shards", "catalog.json"]:
            return Repair(keys=(key,), inputs="*")
        case ["shards", _] | ["quarantine", _, _]:
            group = stem.rpartition("-")[0] if parts[0] == "shards" else stem
            return Repair(SHARDS, (group,), keys=(key,), inputs=group)
        case ["annotations", _, version, "catalog.json"]:
            imported = version.startswith("v0-")
            return Repair(keys=(key,), inputs="*" if imported else "")
        case ["annotations", _, version, _] if version.startswith("v0-"):  # scores that came with the records
            group = stem.rpartition("-")[0]
            return Repair(SHARDS, (group,), keys=(key,), inputs=group)
        case ["annotations", _, _, _]:
            return Repair(f"{folder}/catalog.json", (stem,), keys=(key,))
        case _:
            return NO_OBJECT


def _repair_of_index(key: str, parts: list[str]) -> Repair:
    """Of an index or a memory of pairs."""
    folder = key.rpartition("/")[0]
    match parts:
        case [_, _, "erased.json"]:
            return Repair(
                why_not=message(
                    "it lists the documents that were erased; restore it from a copy of the store, or erase them again"
                )
            )
        case [_, step, recipe, "catalog.json"]:
            return Repair(folders=(f"index/{step}/{recipe}",), lease=f"index-{step}-{recipe}")
        case [_, step, recipe, _]:  # a pair is remembered at both ends: one alone would not be compared again
            return Repair(folders=(folder,), lease=f"index-{step}-{recipe}")
        case [_, step, recipe, run, _]:
            catalog = f"index/{step}/{recipe}/catalog.json"
            return Repair(catalog, (run,), folders=(folder,), lease=f"index-{step}-{recipe}")
        case _:
            return NO_OBJECT


def _repair_of_release(key: str, parts: list[str]) -> Repair:
    """Of a release, finished or not: without its checksums it is written again."""
    match parts:
        case [_, "_work" | "_new", release, *_]:
            return Repair(folders=(f"releases/_work/{release}", f"releases/_new/{release}"))
        case [_, "_heads", _]:
            return Repair(keys=(key,))
        case [_, release, *_]:
            return Repair(keys=(f"releases/{release}/checksums.sha256",))
        case _:
            return NO_OBJECT


def forget(store: Store, repair: Repair) -> None:
    """Delete an object that a run makes again, and the catalog entries that name it.

    Raises: LeaseError if another run holds what has to be changed; StoreError if the store cannot be written.
    """
    with hold(store, repair.lease) if repair.lease else nullcontext():
        if repair.catalog:
            Catalog.load(store, repair.catalog).update({}, remove=repair.names)
        for folder in repair.folders:
            store.delete_prefix(folder)
        for key in repair.keys:
            store.delete(key)


def dependents(store: Store, key: str) -> list[str]:
    """Name what was computed from an object: annotations of a shard and releases with its documents, by folder."""
    parts = key.split("/")
    if parts[0] != "shards" or parts[-1] in ("catalog.json", "inputs.json"):
        return []
    shard = parts[-1].removesuffix(".parquet")
    found = []
    for name, _ in store.list("annotations"):
        if name.endswith(f"/{shard}.parquet"):
            found.append(name.rpartition("/")[0])
    for name, _ in store.list("releases"):
        if name.endswith("/lineage.json") and shard.encode() in store.get(name):
            found.append(name.rpartition("/")[0])
    return sorted(found)


class Healer:
    """Makes what a run finds damaged be made again: forgets each object once, and says so."""

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self.store, self.say = store, say
        self.healed: list[str] = []

    def heal(self, error: DamagedError) -> None:
        """Forget a damaged object, so that the next attempt computes it again.

        Raises: StoreError if it cannot be made again, was made again before, or is one of too many.
        """
        repair = repair_of(self.store, error.key) if error.key else Repair(why_not="?")
        if not error.key or error.key in self.healed or len(self.healed) >= MAX_REPAIRS:
            raise error
        if repair.why_not:
            raise StoreError(message(f"{error}; it cannot be made again: {repair.why_not}")) from error
        self.healed.append(error.key)
        self.say(message(f"damaged: {error}; it is made again"))
        forget(self.store, repair)


def is_remade(repair: Repair, present: Iterable[str] | None) -> bool | None:
    """Return whether the next run can make an object again; None if that depends on inputs that nobody can name here.

    Args: present, groups whose input files exist; None if unknown.
    """
    if repair.why_not:
        return False
    if not repair.inputs:
        return True
    if present is None:
        return None
    return repair.inputs == "*" or repair.inputs in set(present)
