"""Parse conditions and rules of a run file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import brief, check_keys
from pipeline.rules.rules import Condition, Quantile, Rule
from pipeline.schema import CANONICAL, VIRTUAL

TESTS = ("min", "max", "in", "is", "not_in", "quantile")


def parse_conditions(settings: Mapping[str, Any], where: str) -> tuple[Condition, ...]:
    """Parse `{column: {min: …}}`, `{column: value}` or `{column: [values]}`; a row passes if all conditions hold.

    Args: where, the name of the setting in errors.
    Raises: ConfigError if a condition is malformed.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} is {brief(settings)}; expected a mapping of columns to conditions")
    conditions = []
    for column, test in settings.items():
        if isinstance(test, list):
            test = {"in": test}
        elif not isinstance(test, Mapping):
            test = {"is": test}
        setting = f"{where}.{column}"
        check_keys(test, TESTS, setting)
        if not test or test == {"is": None}:
            raise ConfigError(f"{setting} is empty; expected one of {', '.join(TESTS)}")
        conditions.append(_condition(str(column), test, setting))
    return tuple(conditions)


def _condition(column: str, test: Mapping[str, Any], where: str) -> Condition:
    for key in ("min", "max"):
        if key in test and (isinstance(test[key], bool) or not isinstance(test[key], (int, float))):
            raise ConfigError(f"{where}.{key} is {brief(test[key])}; expected a number")
    for key in ("in", "not_in"):
        if key in test and not (isinstance(test[key], list) and test[key]):
            raise ConfigError(f"{where}.{key} is {brief(test[key])}; expected a list with at least one value")
    for value in (*test.get("in", ()), *test.get("not_in", ()), *([test["is"]] if "is" in test else [])):
        if not isinstance(value, (str, int, float)):
            raise ConfigError(
                f"{where}: {brief(value)} is no value of a column; expected text, numbers or booleans"
            )
    among = tuple(test["in"]) if "in" in test else (test["is"],) if "is" in test else None
    quantile = None
    if "quantile" in test:
        spec = test["quantile"]
        if not isinstance(spec, Mapping):
            raise ConfigError(
                f"{where}.quantile is {brief(spec)}; expected {{min: 0.01, max: 0.99, by: column or [columns]}}"
            )
        check_keys(spec, ("min", "max", "by", "documents", "beyond"), f"{where}.quantile")
        by = spec.get("by") or ()
        if not isinstance(by, (str, list, tuple)) or not all(isinstance(name, str) for name in by):
            raise ConfigError(f"{where}.quantile.by is {brief(by)}; expected a column or a list of columns")
        for bound in ("min", "max"):
            if bound in spec and not (isinstance(spec[bound], (int, float)) and 0 <= spec[bound] <= 1):
                raise ConfigError(
                    f"{where}.quantile.{bound} is {brief(spec[bound])}; expected a share from 0 to 1"
                )
        documents, beyond = spec.get("documents", 1), spec.get("beyond")
        if isinstance(documents, bool) or not isinstance(documents, int) or documents < 1:
            raise ConfigError(
                f"{where}.quantile.documents is {brief(documents)}; expected a whole number from 1"
            )
        if beyond is not None and (isinstance(beyond, bool) or not isinstance(beyond, (int, float))):
            raise ConfigError(f"{where}.quantile.beyond is {brief(beyond)}; expected a number")
        columns = (by,) if isinstance(by, str) else tuple(by)
        quantile = Quantile(spec.get("min"), spec.get("max"), columns, documents, beyond)
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
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f"{where}[{i}] is {brief(entry)}; expected a rule: a mapping with a name and a condition"
        )
    if not isinstance(entry.get("name"), str) or not entry["name"]:
        found = f"name is {brief(entry['name'])}" if "name" in entry else f"no name in {brief(dict(entry))}"
        raise ConfigError(f"{where}[{i}]: {found}; every rule needs a name, which is text")
    setting = f"{where}[{i}] ({brief(entry['name'])[1:-1]})"
    tests = {key: value for key, value in entry.items() if key not in RULE_KEYS}
    for key in tests:
        if "." not in str(key) and key not in PLAIN_COLUMNS:
            check_keys([key], (*RULE_KEYS, *PLAIN_COLUMNS), setting)
    for key in ("where", "trim"):
        if not isinstance(entry.get(key) or {}, Mapping):
            raise ConfigError(f"{setting}.{key} is {brief(entry[key])}; expected a mapping of columns")
    if not isinstance(entry.get("base", False), bool):
        raise ConfigError(f"{setting}.base is {brief(entry['base'])}; expected true or false")
    if not tests:
        raise ConfigError(
            f"{setting} has no condition; name a column, such as `signals.n_chars: {{min: 100}}`"
        )
    action = entry.get("action", "drop")
    if action not in ("drop", "flag", "trim"):
        raise ConfigError(f"{setting}.action is {brief(action)}; expected drop, flag or trim")
    if entry.get("if_null") not in (None, "keep", "drop"):
        raise ConfigError(f"{setting}.if_null is {brief(entry['if_null'])}; expected keep or drop")
    trim = []
    for name, kinds in (entry.get("trim") or {}).items():
        if kinds != "all" and not (
            isinstance(kinds, list) and kinds and all(isinstance(k, str) for k in kinds)
        ):
            raise ConfigError(
                f"{setting}.trim.{name} is {brief(kinds)}; expected `all` or a list of span kinds"
            )
        column = name if "." in str(name) else f"{name}.spans"
        trim.append((column, None if kinds == "all" else tuple(kinds)))
    if (action == "trim") != bool(trim):
        raise ConfigError(f"{setting}: `action: trim` and `trim: {{stage: [kinds]}}` go together")
    return Rule(
        name=entry["name"], conditions=parse_conditions(tests, setting),
        where=parse_conditions(entry.get("where") or {}, f"{setting}.where"), action=action,
        if_null=entry.get("if_null"), base=entry.get("base", False), trim=tuple(trim),
    )  # fmt: skip
