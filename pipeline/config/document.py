"""Read a run file as plain data: text, numbers, booleans, lists and mappings, without repeated keys.

The parsers of its sections rely on that, and check only the form of what they read.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.names import brief
from pipeline.storage.credentials import check_text

MAX_DEPTH = 32
"""Levels of nesting that a run file may have; a list that contains itself through an anchor has no end."""

Setting = Any
"""A value of the run file before its parser has checked its form."""


def read_document(path: str) -> tuple[str, Setting]:
    """Return the text of a run file and its value.

    Raises: ConfigError if it cannot be read, is not valid YAML, or contains a value that is no plain data.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; name a run file (`bicorpus init` writes one)"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start:,}; a run file is UTF-8 text") from error
    check_text(text, path)  # before any message quotes the text
    try:
        value = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_yaml_fault(error)}") from error
    except (
        ValueError,
        OverflowError,
        TypeError,
        RecursionError,
    ) as error:  # 2024-13-45; brackets without end
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    _check_plain(value, path, "", set(), 0)
    return text, value


MERGE = "tag:yaml.org,2002:merge"
"""The key `<<`, which takes the keys of another mapping that are not set beside it."""


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that raises for a repeated key instead of taking the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping.

        Raises: YAMLError for a repeated key, and for one that is a list or a mapping.
        """
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or isinstance(key, tuple):
                raise yaml.MarkedYAMLError(
                    None, None, f"a key is {brief(key)}; expected text", key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(None, None, f"key {key!r} appears twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _yaml_fault(error: yaml.YAMLError) -> str:
    """Return the fault on one line, with its line and column in the file."""
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _check_plain(value: Setting, path: str, where: str, seen: set[int], depth: int) -> None:
    """Check a value and all that it contains. seen: ids of what was checked, for values that anchors repeat.

    Raises: ConfigError for dates, sets, bytes, numbers that no column can contain, and keys that are no text.
    """
    place = f"{path}: {where}" if where else path
    if depth > MAX_DEPTH:
        raise ConfigError(f"{place[:100]}: nested more than {MAX_DEPTH} levels deep; expected a run file")
    if isinstance(value, (dict, list)):
        if id(value) in seen:
            return
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, item in items:
            if isinstance(value, list):
                inner = f"{where}[{key}]"
            elif isinstance(key, bool) or not isinstance(key, (str, int)):
                raise ConfigError(f"{place}: the key {key} is {_noun(key)}; expected text: put it in quotes")
            else:
                inner = f"{where}.{key}" if where else str(key)
            _check_plain(item, path, inner, seen, depth + 1)
        seen.add(id(value))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place} is {value}; expected a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ConfigError(f"{place} is {brief(value)}; expected a number of at most 64 bits")
    elif value is not None and not isinstance(value, (str, bool, int, float)):
        raise ConfigError(f"{place} is {_noun(value)} ({brief(str(value))}); put it in quotes if it is text")


def _noun(value: Setting) -> str:
    """Return what YAML took a value for."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a truth value"
    names = {"date": "a date", "datetime": "a time", "bytes": "binary data", "float": "a number"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
