"""Contents of a store, from its catalogs and run records alone."""

from __future__ import annotations

import json
from typing import Any

from pipeline.dataset.imported_table import CATALOG as IMPORTS
from pipeline.dataset.imported_table import describe_import
from pipeline.dataset.shard import SHARDS
from pipeline.errors import UsageError
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store

LAST_RUNS = 5


def status_of(store: Store) -> dict[str, Any]:  # Any: plain JSON
    """Sources, annotations, imported tables, releases and the last runs of a store.

    Raises: UsageError if the store has no ingested inputs.
    """
    store.check(write=False)
    groups = Catalog.load(store, SHARDS).entries
    if not groups:
        raise UsageError(
            f"{store.url}: nothing is built here yet; run `bicorpus run RUN.yaml --store {store.url}`"
        )
    sources: dict[str, dict[str, int]] = {}
    for group in groups.values():
        source = sources.setdefault(
            group["source"], dict.fromkeys(("files", "shards", "documents", "bytes", "quarantined"), 0)
        )
        source["files"] += len(group["files"])
        source["shards"] += len(group["shards"])
        source["documents"] += sum(shard[1] for shard in group["shards"])
        source["bytes"] += sum(shard[2] for shard in group["shards"])
        source["quarantined"] += sum(group["quarantined"].values())
    heads = [key for key, _ in store.list("releases/_heads")]
    releases = {}
    for key in heads:
        name = json.loads(store.get(key))["release"]
        releases[name] = "complete" if store.exists(f"releases/{name}/checksums.sha256") else "being written"
    runs = [json.loads(store.get(key)) for key, _ in list(store.list("runs"))[-LAST_RUNS:]]
    steps = Catalog.load(store, "annotations/recipes.json").entries
    return {
        "store": store.url, "sources": sources, "steps": steps, "imports": Catalog.load(store, IMPORTS).entries,
        "releases": releases, "runs": runs,
    }  # fmt: skip


def status_lines(status: dict[str, Any]) -> list[str]:
    """The status as lines for a terminal."""
    lines = [
        status["store"],
        f"{'source':<24} {'files':>7} {'shards':>7} {'documents':>12} {'MB':>10} {'quarantined':>12}",
    ]
    for name, s in sorted(status["sources"].items()):
        lines.append(
            f"{name:<24} {s['files']:>7,} {s['shards']:>7,} {s['documents']:>12,} {s['bytes'] / 1e6:>10,.1f} "
            f"{s['quarantined']:>12,}"
        )
    lines += [
        f"step {name} v{step['version']} {step['recipe'][:8]}"
        for name, step in sorted(status["steps"].items())
    ]
    lines += [f"import {describe_import(name, entry)}" for name, entry in sorted(status["imports"].items())]
    lines += [f"release {name}: {state}" for name, state in sorted(status["releases"].items())]
    for run in status["runs"]:
        tasks = ", ".join(f"{kind} {n:,}" for kind, n in run["tasks"].items())
        lines.append(f"run {run['id']}: {run['status']}, {run['seconds'].get('total', 0):.0f} s; {tasks}")
    return lines
