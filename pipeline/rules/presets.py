"""Presets: named lists of rules that `select` may name instead of spelling them out.

The lists are data of `stages.languages`: the defaults of a language (`zho`, `eng`, `und`, ...) and published filters
(`gopher`, `fineweb`, ...). An entry of a run file becomes plain rules here, before any rule is read, so that whatever
comes later, recipes included, sees rules alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import check_keys, nearest
from pipeline.recipe import load_step

PRESETS = "stages.languages"
PRESET_KEYS = ("preset", "as", "only", "except", "where", "judged", "base", "action")


def expand_presets(page: Any, where: str) -> Any:  # Any: whatever the YAML page holds there
    """Put the rules of a preset in the place of each entry of `select` that names one; all else stays.

    Raises: ConfigError for a preset or a rule of it that does not exist, and for conditions that no document can meet.
    """
    if not isinstance(page, list):
        return page
    rules: list[Any] = []
    for i, entry in enumerate(page):
        if isinstance(entry, Mapping) and "preset" in entry:
            rules += _expand(entry, f"{where}[{i}]")
        else:
            rules.append(entry)
    return rules


def _expand(entry: Mapping[str, Any], place: str) -> list[dict[str, Any]]:  # Any: YAML values, here and below
    """Rules of one entry, with its conditions, under its name."""
    check_keys(entry, PRESET_KEYS, place)
    presets = load_step(PRESETS, "presets", place)()
    name = entry["preset"]
    if name not in presets:
        raise ConfigError(
            f"{place}: no preset {name!r}{nearest(str(name), presets)}; there are {', '.join(presets)}"
        )
    found = {rule["name"]: rule for rule in presets[name]}
    chosen = _names(entry, "only", found, place) or list(found)
    left_out = _names(entry, "except", found, place)
    return [
        _with_entry(rule, entry, f"{place}: {name}.{rule['name']}")
        for rule in found.values()
        if rule["name"] in chosen and rule["name"] not in left_out
    ]


def _names(entry: Mapping[str, Any], key: str, known: Mapping[str, Any], place: str) -> list[str]:
    """Names of rules under `only` or `except`; all of them exist."""
    names = entry.get(key) or []
    if not isinstance(names, list):
        raise ConfigError(f"{place}.{key} is {names!r}; expected a list of names of rules")
    for name in names:
        if name not in known:
            raise ConfigError(f"{place}.{key}: no rule {name!r} in it{nearest(str(name), known)}")
    return names


def _with_entry(rule: Mapping[str, Any], entry: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A rule of a preset with the entry's name, conditions, base mark and action."""
    changed = {**rule, "name": f"{entry.get('as', entry['preset'])}_{rule['name']}"}
    if "base" in entry:
        changed["base"] = entry["base"]
    if "action" in entry and rule.get("action", "drop") == "drop":
        changed["action"] = entry["action"]
    where = _merge(rule.get("where") or {}, entry.get("where") or {}, place)
    if not changed.get("base") and changed.get("action", "drop") == "drop":
        where = _merge(where, entry.get("judged") or {}, place)
    return {**changed, "where": where} if where else changed


def _merge(mine: Mapping[str, Any], more: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Conditions that hold where both do.

    Raises: ConfigError if there is no such row, or a column has two quantiles.
    """
    if not isinstance(more, Mapping):
        raise ConfigError(f"{place}: {more!r}; expected a mapping of columns to conditions")
    merged = dict(mine)
    for column, test in more.items():
        merged[column] = _both(merged[column], test, f"{place}: {column}") if column in merged else test
    return merged


def _both(one: Any, other: Any, place: str) -> dict[str, Any]:
    """One condition for what two ask of a column."""
    merged = _tests(one)
    for key, value in _tests(other).items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key == "in":
            merged[key] = [item for item in merged[key] if item in value]
        elif key == "not_in":
            merged[key] = [*merged[key], *value]
        elif key in ("min", "max"):
            merged[key] = max(merged[key], value) if key == "min" else min(merged[key], value)
        else:
            raise ConfigError(f"{place}: {key} stands in the rule and in the entry; leave one of them out")
    if merged.get("in") == []:
        raise ConfigError(
            f"{place}: no value passes the rule's condition and the entry's; leave the rule out"
        )
    return merged


def _tests(test: Any) -> dict[str, Any]:
    """A condition as a mapping: a list or a value alone is `in`."""
    if isinstance(test, Mapping):
        return {("in" if key == "is" else key): [v] if key == "is" else v for key, v in test.items()}
    return {"in": test if isinstance(test, list) else [test]}
