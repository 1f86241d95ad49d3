"""Unknown names get a helpful error: the place, what was found, and the nearest name that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pipeline.errors import ConfigError


def check_keys(found: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first key that is not known, with the nearest one that is."""
    known = list(known)
    for key in found:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, or list them all: the tail of an error message."""
    known = sorted(known)
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else f"; expected one of {', '.join(known) or '(none)'}"
