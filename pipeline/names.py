"""Errors for unknown names: where, the unknown name, and the most similar known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pipeline.errors import ConfigError


def check_keys(found: Iterable[str], known: Iterable[str], where: str) -> None:
    """Check that all keys are known.

    Args: where, the setting that an error names.
    Raises: ConfigError for the first unknown key, with the most similar known one.
    """
    known = list(known)
    for key in found:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the known name most similar to `name`, or a list of all known names."""
    known = sorted(known)
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return (
        f"; did you mean {matches[0]!r}?" if matches else f"; expected one of {', '.join(known) or '(none)'}"
    )
