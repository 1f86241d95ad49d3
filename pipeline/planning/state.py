"""Contents of a store that a run can reuse: ingested groups, shards, sidecars and results of global steps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pipeline.annotate.addresses import GlobalResult, Recipes
from pipeline.config.run_file import Derived, RunFile, Step
from pipeline.dataset.shard import INPUTS, SHARDS, Shard, parse_entry
from pipeline.ingest.derive import derivations, group_of
from pipeline.ingest.ingest import Group, find_groups, group_name
from pipeline.storage.catalog import Catalog
from pipeline.storage.store import Store


@dataclass
class State:
    """Catalogs and JSON objects of a store, each read once and cached for one run."""

    store: Store
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)  # Any: JSON

    def page(self, key: str) -> Any:  # Any: JSON
        """A JSON object, read once."""
        if key not in self.pages:
            self.pages[key] = json.loads(self.store.get(key))
        return self.pages[key]

    def catalog(self, key: str) -> Catalog:
        """A catalog, read once."""
        if key not in self.catalogs:
            self.catalogs[key] = Catalog.load(self.store, key)
        return self.catalogs[key]

    def unchanged_digests(self, group: Group) -> dict[str, str]:
        """Digests of input files whose size and time stamp have not changed, by path."""
        digests = {}
        for file in group.files:
            entry = self.catalog(INPUTS).entries.get(f"{group.source.name}/{file.relative}")
            if entry and (entry["size"], entry["stamp"]) == (file.size, file.stamp):
                digests[file.relative] = entry["digest"]
        return digests

    def ingested(self, group: Group, run: RunFile) -> str | None:
        """The name of a group that is ingested in its present form; else None."""
        digests = self.unchanged_digests(group)
        if len(digests) < len(group.files):
            return None
        name = group_name(group, run.ingest, digests)
        return name if name in self.catalog(SHARDS).entries else None

    def done(self, recipes: Recipes, step: Step, shard: Shard) -> bool:
        """Whether a stage's sidecar for a shard exists with the current recipe."""
        recipe = recipes.full(step.name, shard)
        if recipe is None:
            return False
        entry = self.catalog(f"{recipes.folder(step.name)}/catalog.json").entries.get(shard.id)
        return entry is not None and (entry["recipe"], entry["generation"]) == (recipe, shard.generation)

    def global_result(self, name: str, recipe: str) -> GlobalResult | None:
        """The result of a finished global step; None if the store lacks it."""
        entries = self.catalog(f"global/{name}/{recipe[:8]}/catalog.json").entries
        if entries.get("", {}).get("recipe") != recipe:
            return None
        return GlobalResult(recipe, {key: value for key, value in entries.items() if key})


def ingested_groups(run: RunFile, state: State) -> tuple[list[str], list[Group]]:
    """Names of the groups that are ingested in their present form, and the groups to ingest."""
    names: list[str] = []
    missing: list[Group] = []
    for source in run.sources:
        for group in find_groups(source, run.ingest):
            name = state.ingested(group, run)
            if name is None:
                missing.append(group)
            else:
                names.append(name)
    return names, missing


def derived_groups(
    run: RunFile, state: State, recipes: Recipes, shards: list[Shard]
) -> tuple[list[str], list[tuple[Derived, Shard, str]]]:
    """Names of the derived groups in the store, and those to derive: source, shard of the parents, name.

    Args: shards, of inputs; derived ones are ignored.
    """
    names: list[str] = []
    missing: list[tuple[Derived, Shard, str]] = []
    for derived, shard in derivations(run, shards):
        name = group_of(run, derived, shard, recipes)
        if name in state.catalog(SHARDS).entries:
            names.append(name)
        else:
            missing.append((derived, shard, name))
    return names, missing


def parents_of(names: list[str], state: State) -> dict[str, str]:
    """Shard id of each derived shard -> shard id of its parents."""
    entries = state.catalog(SHARDS).entries
    return {shard.id: entries[name]["parent"] for name in names for shard in parse_entry(entries[name])}


def shards_of(names: list[str], state: State) -> list[Shard]:
    """Shards of ingested groups in the order of the run, by id."""
    entries = state.catalog(SHARDS).entries
    return sorted(shard for name in names for shard in parse_entry(entries[name]))
