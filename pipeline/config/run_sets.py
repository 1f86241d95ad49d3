"""Sets of sections that a run file names with `use`: its own sections are added to those of the set.

A mapping is merged key by key, at any depth; an entry of a list takes the place of the set's entry for the same module,
rule or preset, or is appended. `mix`, `sources`, `ingest` and `tokens` are no part of a set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.names import brief, nearest
from pipeline.recipe import load_step
from pipeline.rules.presets import PRESETS

USE = "use"
Origins = dict[str, list[int | None]]
"""Section -> for each entry of the merged list, its index in the run file; None for one of the set."""


def run_sets() -> dict[str, str]:
    """Return name -> text in YAML of the sets that a run file may name."""
    return dict(load_step(PRESETS, "run_sets", USE)())


def set_of(name: Any, where: str) -> dict[str, Any]:  # Any: parsed YAML, here and below
    """Return the sections of a set.

    Raises: ConfigError if there is no set of that name.
    """
    sets = run_sets()
    if not isinstance(name, str) or name not in sets:
        raise ConfigError(f"{where}: no set {brief(name)}{nearest(str(name), sets)}")
    return dict(yaml.safe_load(sets[name]))


def with_set(sections: dict[str, Any], path: str) -> tuple[dict[str, Any], Origins]:
    """Return the sections of a run file with those of the set that it names, and where entries of lists come from.

    Raises: ConfigError if there is no such set.
    """
    if USE not in sections:
        return sections, {}
    merged, origins = set_of(sections[USE], f"{path}: {USE}"), Origins()
    for name, own in sections.items():
        if name == USE:
            continue
        base = merged.get(name)
        if isinstance(base, list) and isinstance(own, list):
            merged[name], origins[name] = _lists(base, own)
        elif isinstance(base, dict) and isinstance(own, dict):
            merged[name] = _mappings(base, own)
        elif own is not None or base is None:
            merged[name] = own
    return merged, origins


def _lists(base: list[Any], own: list[Any]) -> tuple[list[Any], list[int | None]]:
    merged, origins = list(base), list[int | None]([None] * len(base))
    keys = [_key(entry) for entry in base]
    for i, entry in enumerate(own):
        key = _key(entry)
        if key is not None and key in keys:
            at = keys.index(key)
            merged[at], origins[at] = entry, i
        else:
            merged.append(entry)
            origins.append(i)
    return merged, origins


def _key(entry: Any) -> tuple[str, str] | None:
    """What an entry of `annotate`, `global` or `select` is about; None if it is malformed."""
    if isinstance(entry, str):
        return "use", entry
    if isinstance(entry, Mapping):
        for key in ("as", "use", "import", "name", "preset"):
            if isinstance(entry.get(key), str):
                return key, entry[key]
    return None


def _mappings(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        inner = merged.get(key)
        merged[key] = (
            _mappings(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return merged


def spelt_out(sections: Mapping[str, Any], text: str) -> str:
    """Return the text of a run file with its set spelt out, and its own text as a comment behind that."""
    as_written = "".join(f"# {line}\n" for line in text.splitlines())
    plain = yaml.safe_dump(
        dict(sections), allow_unicode=True, sort_keys=False, width=120, default_flow_style=None
    )
    return f"# `use` spelt out, so that this file says the same with any version.\n{plain}\n# As written:\n{as_written}"
