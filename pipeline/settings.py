"""Check the values of settings against the declared types of a config class."""

from __future__ import annotations

import collections.abc
import os
import types
import typing
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.names import brief

NOUNS = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null",
    os.PathLike: "a path", dict: "a mapping",
}  # fmt: skip


def check_settings(config: type, settings: Mapping[str, Any]) -> None:  # Any: values of parsed YAML
    """Check that each setting has the type that its field of a dataclass declares.

    Checked are text, numbers, booleans, literals, tuples, mappings and unions of these; other types are not.

    Raises: ConfigError for the first value of another type, with what was expected.
    """
    try:
        hints = typing.get_type_hints(config)
    except NameError:  # the module imports the names of its types for type checkers alone
        return
    for name, value in settings.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{name} is {brief(value)}; expected {_noun(hints[name])}")


def _fits(value: Any, hint: Any) -> bool:  # Any: a type hint
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return any(value == arg and type(value) is type(arg) for arg in args)
    if origin is tuple or hint is tuple:
        return isinstance(value, (list, tuple)) and _fit(value, args)
    if origin in (collections.abc.Mapping, dict):
        return isinstance(value, Mapping) and all(
            _fits(k, args[0]) and _fits(v, args[1]) for k, v in value.items()
        )
    if isinstance(value, bool):
        return hint not in (int, float, str, os.PathLike, type(None))
    if hint is float:
        return isinstance(value, (int, float))
    return not isinstance(hint, type) or hint not in NOUNS or isinstance(value, hint)


def _fit(values: Any, args: tuple[Any, ...]) -> bool:
    """Whether the items of a list have the types of a tuple: (X, ...) for any number of X, (X, Y) for two."""
    if not args:
        return True
    if len(args) == 2 and args[1] is Ellipsis:
        return all(_fits(item, args[0]) for item in values)
    return len(values) == len(args) and all(_fits(item, arg) for item, arg in zip(values, args, strict=True))


def _noun(hint: Any) -> str:
    """Describe a type for a user."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_noun(arg) for arg in args)
    if origin is typing.Literal:
        return f"one of {', '.join(str(arg) for arg in args)}"
    if origin is tuple:
        inner = [_noun(arg) for arg in args if arg is not Ellipsis]
        return f"a list, each item {inner[0]}" if Ellipsis in args else f"a list of {', '.join(inner)}"
    if origin in (collections.abc.Mapping, dict):
        return "a mapping"
    return NOUNS.get(hint, getattr(hint, "__name__", str(hint)))
