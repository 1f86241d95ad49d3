"""Values of a run file: sizes with units, whole numbers, shares, booleans, text, lists and mappings.

`where` is the position in the run file, with which messages begin. Any: a YAML value.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import brief

MiB = 1 << 20
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12, "kib": 1 << 10, "mib": MiB, "gib": 1 << 30}


def parse_bytes(value: int | str, where: str) -> int:
    """Parse `64MiB`, `256MB`, `1.5B` or a plain number, and round down to a whole one.

    Raises: ConfigError for anything else.
    """
    return int(parse_quantity(value, where))


def parse_quantity(value: float | str, where: str) -> float:
    """Parse a number from 0 with an optional unit: `500GB`, `1.5B`, `5e12`, 0.05.

    Raises: ConfigError for anything else.
    """
    match = re.fullmatch(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
    if isinstance(value, bool) or not match or match[2] not in UNITS:
        raise ConfigError(
            f"{where}: found {brief(value)}; expected a number with an optional unit, such as 64MiB"
        )
    return float(match[1]) * UNITS[match[2]]


def parse_whole(value: Any, where: str) -> int:
    """Return a whole number of at least 0.

    Raises: ConfigError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{where} is {brief(value)}; expected a whole number of at least 0")
    return value


def parse_share(value: Any, where: str) -> float:
    """Return a share in [0, 1].

    Raises: ConfigError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"{where} is {brief(value)}; expected a share from 0 to 1")
    return float(value)


def parse_boolean(value: Any, where: str) -> bool:
    """Return true or false.

    Raises: ConfigError for anything else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{where} is {brief(value)}; expected true or false")
    return value


def parse_text(value: Any, where: str) -> str:
    """Return text that is not empty.

    Raises: ConfigError for anything else.
    """
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"{where} is {brief(value)}; expected text{' in quotes' if value is not None else ''}"
        )
    return value


def parse_choice(value: Any, choices: tuple[str, ...], where: str) -> str:  # Any: a YAML value
    """Return one of several words.

    Raises: ConfigError for another value; it names the most similar word.
    """
    if value not in choices:
        raise ConfigError(f"{where}: {brief(value)}; expected {', '.join(choices[:-1])} or {choices[-1]}")
    return str(value)


def parse_texts(value: Any, where: str) -> list[str]:
    """Return a list of texts; one text is a list of one, null is an empty list.

    Raises: ConfigError for anything else.
    """
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item for item in values):
        raise ConfigError(f"{where} is {brief(value)}; expected text, or a list of texts")
    return values


def parse_mapping(value: Any, where: str) -> dict[str, Any]:
    """Return a mapping whose keys are text; null is an empty one.

    Raises: ConfigError for anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {brief(value)}; expected a mapping")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{where}: the key {brief(key)} is a number; put it in quotes if it is text")
    return value


def parse_list(value: Any, where: str) -> list[Any]:
    """Return a list; null is an empty one.

    Raises: ConfigError for anything else.
    """
    if value is not None and not isinstance(value, list):
        raise ConfigError(f"{where} is {brief(value)}; expected a list")
    return value or []
