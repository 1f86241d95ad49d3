"""Search in texts: row group by row group, for a limited time, so that a search over millions answers at once.

Patterns are RE2's, whose time is linear in the text: no pattern can hold the server up.
Source of the syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.browse.frame import Frame
from pipeline.cells import visible
from pipeline.errors import UsageError

BUDGET_S = 0.7
"""Seconds after which a search returns what it has, with the row to go on from."""

MAX_FOUND = 50
"""Documents that one answer holds."""

BEFORE, AFTER = 40, 160
"""Characters shown before and after the beginning of a match."""


def search(
    frame: Frame, rows: np.ndarray, pattern: str, is_regex: bool, after: int,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:  # fmt: skip
    """Find texts that contain a pattern, without regard to case.

    Args: rows, to search in, ascending; after, search rows above this one (-1 for all).
    Returns: `found` (row, excerpt), `searched` and `total` numbers of documents, `next` (None at the end).
    Raises: UsageError for a pattern that is no regular expression.
    """
    rest = rows[rows > after]
    deadline, last = clock() + BUDGET_S, after
    found: list[dict[str, Any]] = []
    options: dict[str, Any] = {"pattern": pattern, "ignore_case": True}
    match, place = (
        (pc.match_substring_regex, pc.find_substring_regex)
        if is_regex
        else (pc.match_substring, pc.find_substring)
    )
    try:
        match(pa.array([""], pa.large_string()), **options)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"{pattern!r}: no regular expression of RE2 ({error})") from error
    for here, texts in frame.text_groups(rest):
        hits = np.flatnonzero(np.asarray(match(texts, **options).combine_chunks()))
        hits = hits[: MAX_FOUND - len(found)]
        some = texts.take(pa.array(hits))
        offsets = place(some, **options).to_pylist()
        found += [
            {"row": int(here[hit]), "excerpt": around(text.as_py(), offset)}
            for hit, text, offset in zip(hits.tolist(), some, offsets, strict=True)
        ]
        last = int(here[hits[-1]]) if len(found) == MAX_FOUND else int(here[-1])
        if len(found) == MAX_FOUND or clock() > deadline:
            break
    left = int((rows > last).sum()) if len(rest) else 0
    return {"found": found, "searched": len(rows) - left, "total": len(rows), "next": last if left else None}


def around(text: str, offset: int) -> str:
    """The text around a match. offset: of its beginning, in bytes."""
    start = len(text.encode()[:offset].decode(errors="ignore"))
    return visible(text[max(start - BEFORE, 0) : start + AFTER])
