"""Errors for unknown names: where, the unknown name, and the most similar known one or the new name of a module."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable

from pipeline.errors import ConfigError

LOG = logging.getLogger("bicorpus")

MOVED = {
    "stages.exact": "stages.dedup.exact",
    "stages.candidates": "stages.dedup.candidates",
    "stages.keepers": "stages.dedup.keepers",
    "stages.repeats": "stages.dedup.repeated_ids",
    "stages.anchors": "stages.passages.anchors",
    "stages.shared_anchors": "stages.passages.shared_anchors",
    "stages.equal_ranges": "stages.passages.equal_ranges",
    "stages.repeated_windows": "stages.passages.repeated_windows",
    "stages.substring": "stages.passages.substring",
    "stages.owners": "stages.passages.owners",
    "stages.paragraphs": "stages.passages.paragraphs",
    "stages.repeated_paragraphs": "stages.passages.repeated_paragraphs",
    "stages.similar_lines": "stages.passages.similar_lines",
    "stages.boilerplate": "stages.web.boilerplate",
    "stages.caps": "stages.web.caps",
    "stages.claims": "stages.web.claims",
    "stages.line_rules": "stages.web.line_rules",
    "stages.urls": "stages.web.urls",
    "stages.token_files": "stages.tokens.files",
}
"""Modules that a run file could name and that were renamed: old name -> new name. docs/upgrading.md lists them."""


def present_name(module: str, where: str) -> str:
    """Return the present name of a module that a run file names; log a former one, which still works."""
    if module not in MOVED:
        return module
    LOG.warning("%s: %s is now %s; the former name still works", where, module, MOVED[module])
    return MOVED[module]


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
