"""Answers of language models erased from the cache of a store: those about some documents, or that contain a text.

A record takes the place of each erased answer, so that no later run asks for it again: its request counts as refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.config.run_file import RunFile
from pipeline.mapreduce.index import recipes_of
from pipeline.planning.services import CACHE, inputs, serve, service_steps
from pipeline.planning.state import State, derived_groups, ingested_groups, shards_of
from pipeline.service import Services
from pipeline.storage.journal import Journal
from pipeline.storage.store import Store

ERASED = b'{"refused":"refused: erased"}'
"""Data of the record in place of an erased answer."""
NOWHERE = {"*": {"base_url": "http://127.0.0.1"}}
"""A server for stages that make their requests and ask nothing."""


def folders(store: Store) -> list[str]:
    """Folders of the cache, one for each model."""
    return sorted({"/".join(key.split("/")[:2]) for key, _ in store.list(CACHE)})


def erase_text(store: Store, text: str, is_dry: bool = False) -> dict[str, int]:
    """Erase every answer that contains a text, or only count them; returns the number of answers by folder."""

    def contains(data: bytes) -> bool:
        try:
            answer = json.loads(data)
        except ValueError:
            return False
        return any(text in str(value) for value in answer.values()) if isinstance(answer, dict) else False

    erased = {}
    for folder in folders(store):
        journal = Journal(store, folder)
        keys = journal.find(contains)
        erased[folder] = len(keys) if is_dry else journal.erase(keys, ERASED)
    return erased


def erase_about(run: RunFile, store: Store, doc_ids: Sequence[str], is_dry: bool = False) -> dict[str, int]:
    """Erase the answers about documents of a build, or only count them; returns the number of answers by folder."""
    keys = keys_about(run, store, frozenset(doc_ids))
    journals = {folder: Journal(store, folder) for folder in folders(store)}
    return {f: j.count(keys) if is_dry else j.erase(keys, ERASED) for f, j in journals.items()}


def keys_about(run: RunFile, store: Store, doc_ids: frozenset[str]) -> set[str]:
    """Keys of the answers about documents: requests are made again, as the stages of the run file make them."""
    state, recipes = State(store), recipes_of(run, store)
    names, _ = ingested_groups(run, state)
    derived, _ = derived_groups(run, state, recipes, shards_of(names, state))
    services = Services(NOWHERE, lambda name: Journal(store, f"{CACHE}/{name}"))
    keys: set[str] = set()
    for step in service_steps(run):
        served = serve(step, services)
        for shard in shards_of([*names, *derived], state):
            for batch, _ in inputs(step, shard, recipes, state, shard.n_rows, doc_ids):
                keys.update(served.keys(batch))
    services.close()
    return keys
