"""Presets: named lists of rules that an entry of `select` can refer to.

The lists are data of `stages.languages`: the defaults of a language (`zho`, `eng`, `und`, ...) and published filters
(`gopher`, `fineweb`, ...). An entry that names a preset is expanded before rules are parsed; the parser and recipes
see plain rules only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys, nearest
from pipeline.recipe import load_step
from pipeline.rules.parse import parse_conditions

PRESETS = "stages.languages"
PRESET_KEYS = ("preset", "as", "only", "except", "where", "judged", "base", "action")


def expand_presets(entries: Any, where: str) -> Any:  # Any: parsed YAML
    """Replace each entry of `select` that names a preset by the rules of the preset; other entries are kept.

    Raises: ConfigError if a preset, or a rule named in `only` or `except`, does not exist, or if a rule's condition
    and the entry's exclude each other.
    """
    if not isinstance(entries, list):
        return entries
    rules: list[Any] = []
    for i, entry in enumerate(entries):
        if isinstance(entry, Mapping) and "preset" in entry:
            rules += _expand(entry, f"{where}[{i}]")
        else:
            rules.append(entry)
    return rules


def _expand(entry: Mapping[str, Any], where: str) -> list[dict[str, Any]]:  # Any: YAML values, here and below
    """Return the rules of one entry, with its name and conditions.

    Raises: ConfigError if there is no such preset or rule.
    """
    check_keys(entry, PRESET_KEYS, where)
    presets = load_step(PRESETS, "presets", where)()
    name = entry["preset"]
    if not isinstance(name, str) or name not in presets:
        raise ConfigError(
            f"{where}: no preset {brief(name)}{nearest(str(name), presets)}; there are {', '.join(presets)}"
        )
    if not isinstance(entry.get("as", name), str):
        raise ConfigError(
            f"{where}.as is {brief(entry['as'])}; expected text, which begins the names of rules"
        )
    combined = load_step(PRESETS, "combined_presets", where)()
    prefix = entry.get("as", "" if name in combined else name)
    rules = {rule["name"]: rule for rule in presets[name]}
    included = _names(entry, "only", rules, where) or list(rules)
    excluded = _names(entry, "except", rules, where)
    return [
        _with_entry(rule, entry, prefix, f"{where}: {name}.{rule['name']}")
        for rule in rules.values()
        if rule["name"] in included and rule["name"] not in excluded
    ]


def _names(entry: Mapping[str, Any], key: str, rules: Mapping[str, Any], where: str) -> list[str]:
    """Return the names of rules under `only` or `except`.

    Raises: ConfigError if they are not a list, or a rule does not exist.
    """
    names = entry.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{where}.{key} is {brief(names)}; expected a list of names of rules")
    for name in names:
        if name not in rules:
            raise ConfigError(f"{where}.{key}: no rule {name!r} in the preset{nearest(str(name), rules)}")
    return names


def _with_entry(
    rule: Mapping[str, Any], entry: Mapping[str, Any], prefix: str, setting: str
) -> dict[str, Any]:
    """Return a rule of a preset with the entry's name prefix, conditions, `base` and action.

    The prefix of names is `as`, by default the preset's name; a preset that combines others has none by default.
    """
    changed = {**rule, "name": f"{prefix}_{rule['name']}" if prefix else rule["name"]}
    if "base" in entry:
        changed["base"] = entry["base"]
    if "action" in entry and rule.get("action", "drop") == "drop":
        changed["action"] = entry["action"]
    where = _merge(rule.get("where") or {}, entry.get("where") or {}, setting)
    if not changed.get("base") and changed.get("action", "drop") == "drop":
        where = _merge(where, entry.get("judged") or {}, setting)
    return {**changed, "where": where} if where else changed


def _merge(conditions: Mapping[str, Any], others: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the conjunction of two mappings of columns to conditions.

    Raises: ConfigError if no row can pass both, or a column has two quantiles.
    """
    if not isinstance(others, Mapping):
        raise ConfigError(f"{where}: {brief(others)}; expected a mapping of columns to conditions")
    parse_conditions(others, where)  # before its values are compared with those of the rule
    merged = dict(conditions)
    for column, test in others.items():
        merged[column] = _both(merged[column], test, f"{where}: {column}") if column in merged else test
    return merged


def _both(left: Any, right: Any, where: str) -> dict[str, Any]:
    """Return the conjunction of two conditions on one column.

    Raises: ConfigError if no value can pass both, or both have a quantile.
    """
    merged = _tests(left)
    for key, value in _tests(right).items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key == "in":
            merged[key] = [item for item in merged[key] if item in value]
        elif key == "not_in":
            merged[key] = [*merged[key], *value]
        elif key in ("min", "max"):
            merged[key] = max(merged[key], value) if key == "min" else min(merged[key], value)
        else:
            raise ConfigError(f"{where}: {key} is in the rule and in the entry; leave one of them out")
    if merged.get("in") == []:
        raise ConfigError(
            f"{where}: no value passes the rule's condition and the entry's; leave the rule out"
        )
    return merged


def _tests(test: Any) -> dict[str, Any]:
    """Return a condition as a mapping of tests; a single value or a list becomes `in`."""
    if isinstance(test, Mapping):
        return {("in" if key == "is" else key): [v] if key == "is" else v for key, v in test.items()}
    return {"in": test if isinstance(test, list) else [test]}
