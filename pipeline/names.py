"""Errors for unknown names: where, the unknown name, and the most similar known one or the new name of a module."""

from __future__ import annotations

import difflib
import logging
import re
import unicodedata
from collections.abc import Iterable
from typing import Any  # values of parsed YAML

from pipeline.errors import ConfigError
from pipeline.translation import message

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


MAX_LISTED = 24
"""Largest number of names that a message lists."""

MAX_QUOTED = 60
"""Largest number of characters of a value that a message quotes."""


def present_name(module: str, where: str) -> str:
    """Return the present name of a module that a run file names; log a former one, which still works."""
    if module not in MOVED:
        return module
    LOG.warning("%s: %s is now %s; the former name still works", where, module, MOVED[module])
    return MOVED[module]


def is_plain_name(name: str) -> bool:
    """Whether a name may begin file names and columns: letters of any script, digits and _, of at most 100 bytes.

    In the composed form of Unicode (NFC): two forms of one name would be two sources that look the same.
    """
    return (
        re.fullmatch(r"\w+", name) is not None
        and unicodedata.is_normalized("NFC", name)
        and len(name.encode()) <= MAX_NAME_BYTES
    )


MAX_NAME_BYTES = 100
"""Largest length of a name in UTF-8; file systems allow 255, of which shards use 50."""


def check_keys(found: Iterable[Any], known: Iterable[str], where: str) -> None:
    """Check that all keys are known. found: keys of parsed YAML, which are text or numbers.

    Args: where, the setting that an error names.
    Raises: ConfigError for the first unknown key, with the most similar known one.
    """
    known = list(known)
    for key in found:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {brief(key)}{nearest(str(key), known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the known name most similar to `name`, or a list of known names.

    Case makes no difference, nor do `-` for `_` and `/` for `.`; failing that, a name that contains `name` counts.
    """
    known = sorted({str(item) for item in known})
    by_folded = {_folded(item): item for item in reversed(known)}
    folded = _folded(name)
    matches = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if not matches and len(folded) >= MIN_CONTAINED:
        last = folded.rpartition(".")[2]
        matches = [item for item in sorted(by_folded, key=len) if folded in item or item.endswith(f".{last}")]
    if matches:
        return message(f"; did you mean {by_folded[matches[0]]!r}?")
    more = message(f" and {len(known) - MAX_LISTED:,} more") if len(known) > MAX_LISTED else ""
    return message(f"; expected one of {', '.join(known[:MAX_LISTED]) or '(none)'}{more}")


MIN_CONTAINED = 4
"""Characters from which a name that another contains is taken for a part of it."""


def brief(value: object) -> str:
    """Return the `repr` of a value for a message on one line, at most MAX_QUOTED characters of it."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = "a very long number"
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace("/", ".")
