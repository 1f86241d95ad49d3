"""Recipes of sidecars that depend on results of global steps, as they are after documents have left.

The recipe of such a sidecar contains a digest of the results for its shard. If the others' results stay the same, the
next run computes the digest of what is left, so a sidecar without the erased rows gets the recipe with that digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from pipeline.annotate.addresses import GlobalResult, Recipes
from pipeline.dataset.sidecars import read_sidecar
from pipeline.erasure.changes import Change
from pipeline.inspect.opened import Finished
from pipeline.recipe import table_digest
from pipeline.schema import split_column


def readdressed(finished: Finished, changes: Sequence[Change]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the recipes that change, before and after: folder of the sidecars -> shard id -> recipes."""
    run, before = finished.run, finished.session.recipes
    present = {shard.id for shard in finished.session.shards}
    steps = [
        step
        for step in (*run.annotate, *run.late)
        if any(before.is_global(n) for n in _upstream(before, step.name))
    ]
    mine = [change for change in changes if change.shard.id in present and change.after.n_rows]
    if not steps or not mine:
        return {}
    after = Recipes(run, before.erased)
    after.results = {name: filtered(finished, name, result, mine) for name, result in before.results.items()}
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for step in steps:
        for change in mine:
            recipes = before.full(step.name, change.shard), after.full(step.name, change.after)
            if recipes[0] is not None and recipes[1] is not None and recipes[0] != recipes[1]:
                found.setdefault(before.folder(step.name), {})[change.shard.id] = (recipes[0], recipes[1])
    return found


def _upstream(recipes: Recipes, name: str) -> set[str]:
    """Names of all steps that a stage depends on, up to global steps."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        step = recipes.steps.get(waiting.pop())
        for column in step.reads() if step is not None else ():
            stage, _ = split_column(column)
            if stage in recipes.steps and stage not in found:
                found.add(stage)
                waiting += [] if recipes.is_global(stage) else [stage]
    return found


def filtered(finished: Finished, name: str, result: GlobalResult, changes: Sequence[Change]) -> GlobalResult:
    """Return a global result with the digests of the rows that are left in changed shards."""
    digests: dict[str, Mapping[str, str]] = dict(result.digests)
    for change in changes:
        if change.shard.id not in digests:
            continue
        ref = finished.session.recipes.ref(name, change.shard)
        rows = read_sidecar(finished.store, ref, change.shard).replace_schema_metadata()
        rows = rows.filter(pa.array(change.left()))
        digests[change.shard.id] = {
            column: table_digest(rows.select([column])) for column in rows.column_names
        }
    return replace(result, digests=digests)
