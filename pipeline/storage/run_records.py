"""Records of runs: JSON with a digest, `runs/<id>.json`, whose ids sort by the time at which the runs began."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.storage.base import Store
from pipeline.storage.seal import parse_sealed, sealed_json

FOLDER = "runs"

Plain = dict[str, Any]
"""A record as plain JSON: the fields of `planning.session.RunRecord`."""


def write_record(store: Store, record: Mapping[str, Any]) -> None:  # Any: plain JSON
    """Write a record under its id."""
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False).removesuffix("\n}") + "}"
    key = f"{FOLDER}/{record['id']}.json"
    store.put(key, sealed_json(text.encode(), key))


def read_record(store: Store, key: str) -> Plain:
    """Read a record by its key.

    Raises: DamagedError if it is damaged.
    """
    found: Plain = parse_sealed(store.get(key), key, f"{store.url}/{key}")
    return found


def record_keys(store: Store) -> list[str]:
    """Keys of all records, the oldest first."""
    return sorted(key for key, _ in store.list(FOLDER) if key.endswith(".json"))


def last_records(store: Store, n: int) -> list[Plain]:
    """Return the last n records, the oldest first.

    Raises: DamagedError if one is damaged.
    """
    return [read_record(store, key) for key in record_keys(store)[-n:]]
