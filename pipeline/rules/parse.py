"""Parse conditions and rules of a run file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import check_keys
from pipeline.rules.rules import Condition, Rule
from pipeline.schema import CANONICAL, VIRTUAL

TESTS = ("min", "max", "in", "is", "not_in", "quantile")


def parse_conditions(settings: Mapping[str, Any], where: str) -> tuple[Condition, ...]:
    """Parse `{column: {min: …}}`, `{column: value}` or `{column: [values]}`; a row passes if all conditions hold.

    Args: where, the name of the setting in errors.
    Raises: ConfigError if a condition is malformed.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} is {settings!r}; expected a mapping of columns to conditions")
    conditions = []
    for column, test in settings.items():
        if isinstance(test, list):
            test = {"in": test}
        elif not isinstance(test, Mapping):
            test = {"is": test}
        setting = f"{where}.{column}"
        check_keys(test, TESTS, setting)
        if not test:
            raise ConfigError(f"{setting} is empty; expected one of {', '.join(TESTS)}")
        conditions.append(_condition(str(column), test, setting))
    return tuple(conditions)


def _condition(column: str, test: Mapping[str, Any], where: str) -> Condition:
    for key in ("min", "max"):
        if key in test and (isinstance(test[key], bool) or not isinstance(test[key], (int, float))):
            raise ConfigError(f"{where}.{key} is {test[key]!r}; expected a number")
    for key in ("in", "not_in"):
        if key in test and not (isinstance(test[key], list) and test[key]):
            raise ConfigError(f"{where}.{key} is {test[key]!r}; expected a list with at least one value")
    among = tuple(test["in"]) if "in" in test else (test["is"],) if "is" in test else None
    quantile = None
    if "quantile" in test:
        spec = test["quantile"]
        if not isinstance(spec, Mapping):
            raise ConfigError(
                f"{where}.quantile is {spec!r}; expected {{min: 0.01, max: 0.99, by: column or [columns]}}"
            )
        check_keys(spec, ("min", "max", "by"), f"{where}.quantile")
        by = spec.get("by") or ()
        if not isinstance(by, (str, list, tuple)) or not all(isinstance(name, str) for name in by):
            raise ConfigError(f"{where}.quantile.by is {by!r}; expected a column or a list of columns")
        for bound in ("min", "max"):
            if bound in spec and not (isinstance(spec[bound], (int, float)) and 0 <= spec[bound] <= 1):
                raise ConfigError(
                    f"{where}.quantile.{bound} is {spec[bound]!r}; expected a share from 0 to 1"
                )
        quantile = (spec.get("min"), spec.get("max"), (by,) if isinstance(by, str) else tuple(by))
    not_among = tuple(test["not_in"]) if "not_in" in test else None
    return Condition(
        column=column,
        min=test.get("min"),
        max=test.get("max"),
        among=among,
        not_among=not_among,
        quantile=quantile,
    )


PLAIN_COLUMNS = (*(name for name in CANONICAL.names if name != "text"), *VIRTUAL)
"""Columns that rules may test although no stage writes them."""


RULE_KEYS = ("name", "where", "action", "if_null", "base", "trim")


def parse_rules(entries: Any, where: str) -> tuple[Rule, ...]:
    """Parse the `select` section of a run file.

    Args: entries, parsed YAML (hence Any); where, the name of the section in errors.
    Raises: ConfigError if it is not a list, or an entry is not a rule.
    """
    if not isinstance(entries, list):
        raise ConfigError(f"{where} is {type(entries).__name__}; expected a list of rules")
    return tuple(_rule(i, entry, where) for i, entry in enumerate(entries))


def _rule(i: int, entry: Any, where: str) -> Rule:
    if not isinstance(entry, Mapping) or not entry.get("name"):
        raise ConfigError(f"{where}[{i}] is {entry!r}; every rule needs a name")
    setting = f"{where}[{i}] ({entry['name']})"
    tests = {key: value for key, value in entry.items() if key not in RULE_KEYS}
    for key in tests:
        if "." not in str(key) and key not in PLAIN_COLUMNS:
            check_keys([key], (*RULE_KEYS, *PLAIN_COLUMNS), setting)
    if not tests:
        raise ConfigError(
            f"{setting} has no condition; name a column, such as `signals.n_chars: {{min: 100}}`"
        )
    action = entry.get("action", "drop")
    if action not in ("drop", "flag", "trim"):
        raise ConfigError(f"{setting}.action is {action!r}; expected drop, flag or trim")
    if entry.get("if_null") not in (None, "keep", "drop"):
        raise ConfigError(f"{setting}.if_null is {entry['if_null']!r}; expected keep or drop")
    trim = []
    for name, kinds in (entry.get("trim") or {}).items():
        trim.append((name if "." in name else f"{name}.spans", None if kinds == "all" else tuple(kinds)))
    if (action == "trim") != bool(trim):
        raise ConfigError(f"{setting}: `action: trim` and `trim: {{stage: [kinds]}}` go together")
    return Rule(
        name=str(entry["name"]), conditions=parse_conditions(tests, setting),
        where=parse_conditions(entry.get("where") or {}, f"{setting}.where"), action=action,
        if_null=entry.get("if_null"), base=bool(entry.get("base", False)), trim=tuple(trim),
    )  # fmt: skip
