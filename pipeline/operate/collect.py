"""Find what a store holds and none of its run files uses, and delete it: old annotations, shards, results, releases.

What the named run files need, all releases that are not asked to be dropped, imported tables, answers of language
models and lists of erased documents are kept. A run that needs what was deleted computes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pipeline.config.run_file import RunFile
from pipeline.dataset.shard import INPUTS, SHARDS, parse_entry
from pipeline.dataset.tombstones import PENDING
from pipeline.errors import UsageError
from pipeline.inspect.opened import open_build
from pipeline.mapreduce.index import open_index
from pipeline.mapreduce.pair_memory import memory_folder
from pipeline.storage.catalog import Catalog, catalog_of, is_segment
from pipeline.storage.exclusion import DELETIONS, check_unused, hold_alone
from pipeline.storage.lease import Lease
from pipeline.storage.seal import parse_sealed
from pipeline.storage.store import Store
from pipeline.translation import message, t


@dataclass(frozen=True)
class Retention:
    """What to keep beside what run files need. releases: a pattern of names of which only the last `keep` by name are
    kept, empty for all; runs: records of the last so many runs, None for all."""

    releases: str = ""
    keep: int = 1
    runs: int | None = None


@dataclass
class Live:
    """What run files use: names of groups, ids of shards, folders of annotations, results and indexes, releases."""

    groups: set[str] = field(default_factory=set)
    shards: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    releases: set[str] = field(default_factory=set)


@dataclass
class Garbage:
    """What is to be deleted. keys: by reason; sizes: bytes by key. catalogs: names to remove by key of the catalog.
    folders: of which nothing is kept."""

    keys: dict[str, list[str]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    catalogs: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, key: str, size: int) -> None:
        """Add an object."""
        self.keys.setdefault(reason, []).append(key)
        self.sizes[key] = size

    def plain(self) -> dict[str, Any]:  # Any: plain JSON
        """Return counts and bytes by reason as plain JSON."""
        rows = {
            reason: {"objects": len(keys), "bytes": sum(self.sizes[key] for key in keys)}
            for reason, keys in sorted(self.keys.items())
        }
        return {"objects": len(self.sizes), "bytes": sum(self.sizes.values()), "reasons": rows}

    def lines(self) -> list[str]:
        """The garbage for a terminal: one line for each reason."""
        rows = self.plain()["reasons"].items()
        lines = [
            t(f"{row['objects']:>8,} objects {row['bytes'] / 1e6:>12,.1f} MB  {t(reason)}")
            for reason, row in rows
        ]
        return lines or [t("nothing to delete")]


def collect(store: Store, runs: Sequence[RunFile], retention: Retention, delete: bool = False) -> Garbage:
    """Find what can be deleted, and delete it with `delete`.

    Args: runs, every run file that uses the store and is to stay cheap to run.
    Raises: UsageError without run files, or if the build of one is not finished, so that what it needs is not known;
    LeaseError if anything else uses the store.
    """
    if not runs:
        raise UsageError("name every run file of the store: what none of them uses is deleted")
    store.check(write=delete)
    with hold_alone(store, DELETIONS) if delete else nullcontext() as lease:
        if lease is None:
            check_unused(store)
        if store.exists(PENDING):
            raise UsageError("an erasure was stopped before its end; `bicorpus run` finishes it")
        live = Live()
        for run in runs:
            add_live(live, run, store)
        garbage = find_garbage(store, live, dropped_releases(store, live, retention), retention)
        if lease:
            remove(store, garbage, lease)
    return garbage


def add_live(live: Live, run: RunFile, store: Store) -> None:
    """Add what a run file uses.

    Raises: UsageError if its build is not finished.
    """
    build = open_build(run, store)
    session = build.session
    if build.releasing.selector.find(live.folders) is None:
        raise UsageError(f"{run.path}: keepers or owners are not chosen; run `bicorpus run` first")
    live.releases.add(run.release.name)
    live.groups |= set(session.group_names)
    live.shards |= {shard.id for shard in session.shards}
    recipes = session.recipes
    live.folders |= {recipes.folder(step.name) for step in (*run.annotate, *run.late)}
    live.folders |= {f"global/{name}/{result.recipe[:8]}" for name, result in recipes.results.items()}
    for shard in session.shards:
        live.folders |= {
            folder_of(recipes.ref(name, shard).key)
            for name, sources in recipes.imported.items()
            if shard.source in sources
        }
    for step in run.globals:
        index = open_index(store, step, recipes)
        if index is not None:
            live.folders.add(index.folder)
        if step.definition.memory is not None:
            live.folders.add(memory_folder(step.definition, step.config))


def folder_of(key: str) -> str:
    """The folder of a recipe: the first three names of a key."""
    return "/".join(key.split("/")[:3])


def dropped_releases(store: Store, live: Live, retention: Retention) -> set[str]:
    """Names of the releases that a retention drops; never one that a run file names."""
    if not retention.releases:
        return set()
    heads = (
        parse_sealed(store.get(key), key, f"{store.url}/{key}") for key, _ in store.list("releases/_heads")
    )
    names = sorted(head["release"] for head in heads)
    matching = [name for name in names if fnmatchcase(name, retention.releases)]
    return set(matching[: max(len(matching) - retention.keep, 0)]) - live.releases


def find_garbage(store: Store, live: Live, dropped: Iterable[str], retention: Retention) -> Garbage:
    """List what no run file uses, in the order of the store."""
    garbage, dropped = Garbage(), set(dropped)
    entries = Catalog.load(store, SHARDS).entries
    groups = {name for name in entries if name not in live.groups}
    shards = {shard.id for name in groups for shard in parse_entry(entries[name])} - live.shards
    kept = {f"{e['source']}/{f['path']}" for n, e in entries.items() if n in live.groups for f in e["files"]}
    segments: dict[str, set[str]] = {}
    garbage.catalogs[SHARDS] = sorted(groups)
    garbage.catalogs[INPUTS] = sorted(set(Catalog.load(store, INPUTS).entries) - kept)
    for key, size in list(store.list("")):
        if reason := reason_of(key, live, groups, shards, dropped):
            garbage.add(reason, key, size)
            if key.startswith(("annotations/", "global/", "index/")) and folder_of(key) not in live.folders:
                garbage.folders.add(folder_of(key))
        elif is_segment(key) and key not in named_segments(store, catalog_of(key), segments):
            garbage.add(message("parts of catalogs that a killed run left"), key, size)
    garbage.folders |= {f"{kind}/{name}" for kind in ("releases", "verdicts") for name in dropped}
    records = [(key, size) for key, size in store.list("runs")]
    for key, size in records[: max(len(records) - retention.runs, 0)] if retention.runs is not None else ():
        garbage.add(message("records of old runs"), key, size)
    for key in garbage.keys.get("sidecars of shards that are not used", ()):
        folder, _, name = key.rpartition("/")
        garbage.catalogs.setdefault(f"{folder}/catalog.json", []).append(name.removesuffix(".parquet"))
    return garbage


def named_segments(store: Store, key: str, known: dict[str, set[str]]) -> set[str]:
    """Segments that a catalog names; all of its folder if it is missing, since `scrub` may need them. known: by key."""
    if key not in known:
        is_there = store.exists(key)
        own = (name for name, _ in Catalog.load(store, key).segments)
        known[key] = set(own if is_there else (name for name, _ in store.list(key.rpartition("/")[0])))
    return known[key]


def reason_of(key: str, live: Live, groups: set[str], shards: set[str], dropped: set[str]) -> str:
    """Why an object can be deleted; empty for one that is kept."""
    parts = key.split("/")
    stem = parts[-1].rpartition(".")[0]
    folder = folder_of(key)
    match parts:
        case ["shards", name] if name.endswith(".parquet") and stem in shards:
            return message("shards of inputs that are not used")
        case ["quarantine", _, _] if stem in groups:
            return message("shards of inputs that are not used")
        case ["annotations", _, _, _] if folder not in live.folders:
            return message("annotations of other settings or versions")
        case ["annotations", _, _, name] if name.endswith(".parquet") and stem in shards:
            return message("sidecars of shards that are not used")
        case ["global", _, _, *_] if folder not in live.folders:
            return message("results of global steps of other inputs or settings")
        case ["index", _, _, _, *_] if folder not in live.folders:
            return message("indexes of other settings")
        case ["releases", "_heads", _] if stem in dropped:
            return message("dropped releases")
        case ["releases", name, *_] if name in dropped:
            return message("dropped releases")
        case ["verdicts", name, *_] if name in dropped:
            return message("dropped releases")
    return ""


def remove(store: Store, garbage: Garbage, lease: Lease) -> None:
    """Delete what was found: entries of catalogs first, so that a run that starts now computes again what it lacks.

    Raises: LeaseError if the lease is lost, before anything more is deleted.
    """
    deleted = set(garbage.sizes)
    for key, names in sorted(garbage.catalogs.items()):
        lease.check()
        if names and key not in deleted:
            Catalog.load(store, key).update({}, remove=names)
    heads = sorted(key for key in deleted if key.startswith("releases/") and key.endswith("checksums.sha256"))
    for key in heads:
        lease.check()
        store.delete(key)
    for folder in sorted(garbage.folders):
        lease.check()
        store.delete_prefix(folder)
    for key in sorted(key for key in deleted if not garbage.folders.intersection(above(key))):
        lease.check()
        store.delete(key)


def above(key: str) -> set[str]:
    """The folders that a key is in."""
    parts = key.split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}
