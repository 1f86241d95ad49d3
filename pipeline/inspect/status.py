"""Contents of a store, from its catalogs and run records alone."""

from __future__ import annotations

from typing import Any

from pipeline.cells import pad, pad_left
from pipeline.dataset.imported_table import CATALOG as IMPORTS
from pipeline.dataset.imported_table import describe_import
from pipeline.dataset.shard import SHARDS
from pipeline.errors import UsageError
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_records import last_records
from pipeline.storage.seal import parse_sealed
from pipeline.storage.store import Store
from pipeline.translation import labels, message, t

LAST_RUNS = 5

HEADS = (message("files"), message("shards"), message("documents"), message("MB"), message("quarantined"))
WIDTHS = (24, 8, 8, 13, 11, 13)
"""Cells of the columns of sources, the first left-aligned."""


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
        name = parse_sealed(store.get(key), key, f"{store.url}/{key}")["release"]
        releases[name] = (
            message("complete")
            if store.exists(f"releases/{name}/checksums.sha256")
            else message("being written")
        )
    runs = last_records(store, LAST_RUNS)
    steps = Catalog.load(store, "annotations/recipes.json").entries
    return {
        "store": store.url, "sources": sources, "steps": steps, "imports": Catalog.load(store, IMPORTS).entries,
        "releases": releases, "runs": runs,
    }  # fmt: skip


def _values(source: dict[str, int]) -> list[str]:
    counts = (f"{source[name]:,}" for name in ("files", "shards", "documents"))
    return [*counts, f"{source['bytes'] / 1e6:,.1f}", f"{source['quarantined']:,}"]


def status_lines(status: dict[str, Any]) -> list[str]:
    """The status as lines for a terminal."""
    lines = [
        status["store"],
        pad(t("source"), WIDTHS[0])
        + "".join(pad_left(head, n) for head, n in zip(labels(*HEADS), WIDTHS[1:], strict=True)),
    ]
    for name, s in sorted(status["sources"].items()):
        lines.append(
            pad(name, WIDTHS[0])
            + "".join(pad_left(value, n) for value, n in zip(_values(s), WIDTHS[1:], strict=True))
        )
    lines += [
        t(f"step {name} v{step['version']} {step['recipe'][:8]}")
        for name, step in sorted(status["steps"].items())
    ]
    lines += [
        t(f"import {describe_import(name, entry)}") for name, entry in sorted(status["imports"].items())
    ]
    lines += [t(f"release {name}: {t(state)}") for name, state in sorted(status["releases"].items())]
    for run in status["runs"]:
        tasks = ", ".join(f"{t(kind)} {n:,}" for kind, n in run["tasks"].items() if n)
        lines.append(
            t(f"run {run['id']}: {t(run['status'])}, {run['seconds'].get('total', 0):.0f} s; {tasks}")
        )
    return lines
