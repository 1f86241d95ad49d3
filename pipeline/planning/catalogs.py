"""Catalogs that a run has read or written: its record names them, so that `scrub` notices one that is missing.

Nothing else names a catalog, and a folder without one may also be that of a run that was killed before its first
commit.
"""

from __future__ import annotations

from pipeline.mapreduce.pair_memory import memory_folder
from pipeline.planning.session import Session
from pipeline.stage import Global


def used_catalogs(session: Session) -> list[str]:
    """Keys of the catalogs that a finished run has used, in order, without a request to the store.

    Some of them may not exist, such as that of a memory into which no pair was written.
    """
    keys = {key for key, catalog in session.state.catalogs.items() if catalog.entries}
    recipes = session.recipes
    folders = [f"global/{name}/{result.recipe[:8]}" for name, result in recipes.results.items()]
    for step in session.run_file.globals:
        definition = step.definition
        if not isinstance(definition, Global):
            continue
        if definition.indexed:
            folders.append(f"index/{step.name}/{recipes.static[step.name][:8]}")
        if definition.memory is not None:
            folders.append(memory_folder(definition, step.config))
    return sorted(keys | {f"{folder}/catalog.json" for folder in folders})
