"""What a store has of a run: ingested groups, shards, sidecars and results of global steps."""

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
    """What a store already holds, read catalog by catalog and kept for one run."""

    store: Store
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)  # Any: JSON

    def page(self, key: str) -> Any:  # Any: whatever the object holds
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
        """Digests of those input files whose size and stamp are as they were."""
        known = {}
        for file in group.files:
            entry = self.catalog(INPUTS).entries.get(f"{group.source.name}/{file.relative}")
            if entry and (entry["size"], entry["stamp"]) == (file.size, file.stamp):
                known[file.relative] = entry["digest"]
        return known

    def ingested(self, group: Group, run: RunFile) -> str | None:
        """The group's name if it was ingested as it is; None if it has to be."""
        digests = self.unchanged_digests(group)
        if len(digests) < len(group.files):
            return None
        name = group_name(group, run.ingest, digests)
        return name if name in self.catalog(SHARDS).entries else None

    def done(self, recipes: Recipes, step: Step, shard: Shard) -> bool:
        """Whether a stage's sidecar for a shard is there with the recipe that is wanted."""
        recipe = recipes.full(step.name, shard)
        if recipe is None:
            return False
        entry = self.catalog(f"{recipes.folder(step.name)}/catalog.json").entries.get(shard.id)
        return entry == {"recipe": recipe, "generation": shard.generation}

    def global_result(self, name: str, recipe: str) -> GlobalResult | None:
        """A finished global step."""
        entries = self.catalog(f"global/{name}/{recipe[:8]}/catalog.json").entries
        if entries.get("", {}).get("recipe") != recipe:
            return None
        return GlobalResult(recipe, {key: value for key, value in entries.items() if key})


def ingested_groups(run: RunFile, state: State) -> tuple[list[str], list[Group]]:
    """Names of the groups that are ingested as they are, and the groups that have to be."""
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
    """Names of the derived groups that are there, and what has to be made, out of which shard, by which name.

    Args: shards, those that were read; derived ones are passed over.
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
    """Shards of derived groups -> the shards that they were made of."""
    entries = state.catalog(SHARDS).entries
    return {shard.id: entries[name]["parent"] for name in names for shard in parse_entry(entries[name])}


def shards_of(names: list[str], state: State) -> list[Shard]:
    """Shards of ingested groups in the run's order, which is by id."""
    entries = state.catalog(SHARDS).entries
    return sorted(shard for name in names for shard in parse_entry(entries[name]))
