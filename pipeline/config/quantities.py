"""Quantities in a run file: sizes with units, whole numbers, shares and booleans.

`where` is the position in the run file, with which messages begin. Any: a YAML value.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.errors import ConfigError

MiB = 1 << 20
UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12, "kib": 1 << 10, "mib": MiB, "gib": 1 << 30}


def parse_bytes(value: int | str, where: str) -> int:
    """Parse `64MiB`, `256MB`, `1.5B` or a plain number.

    Raises: ConfigError for anything else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", str(value).strip().lower())
    if not match or match[2] not in UNITS:
        raise ConfigError(f"{where}: found {value!r}; expected a number with an optional unit, such as 64MiB")
    return int(float(match[1]) * UNITS[match[2]])


def parse_whole(value: Any, where: str) -> int:
    """Return a whole number of at least 0.

    Raises: ConfigError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{where} is {value!r}; expected a whole number of at least 0")
    return value


def parse_share(value: Any, where: str) -> float:
    """Return a share in [0, 1].

    Raises: ConfigError for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"{where} is {value!r}; expected a share from 0 to 1")
    return float(value)


def parse_boolean(value: Any, where: str) -> bool:
    """Return true or false.

    Raises: ConfigError for anything else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{where} is {value!r}; expected true or false")
    return value
