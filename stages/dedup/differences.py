"""Checks that reject false near duplicates: similar texts with different numbers, headings or scripts.

A similarity threshold cannot separate them: pages of one template may differ less than two versions of one page.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.kernels.dedup.jaccard import count_shared, sort_rows, sort_sets
from stages.kernels.dedup.minhash import NOTHING, WORDS, MatchText, hash_units, match_text
from stages.kernels.dedup.names import (
    MAX_HEADING,
    MIN_HEADING,
    find_names,
    have_other_headings,
    have_other_names,
    weigh_names,
)
from stages.kernels.dedup.numbers import hash_numbers, tell_apart
from stages.kernels.scripts.writing import SCRIPTS, count_scripts, have_other_scripts
from stages.kernels.text.ragged import from_binary, to_binary
from stages.kernels.text.text import load_tables

COLUMNS = ("numbers", "units", "names", "times", "heading", "scripts")
"""Of each text, as bytes (see kernels.text.ragged): hashes of its numbers; hashes of its units, sorted; hashes of the
units of its first line that recur in it, and how often each does; hashes of the units of the Markdown heading that it
begins with; number of units of each script."""

COMMENT = r"\A\s*(?:<!--[\s\S]*?-->\s*)*"
"""Blanks and HTML comments before the first line."""

MARK = "#"
"""First character of a heading in Markdown."""


def columns_of(text: pa.ChunkedArray, match: MatchText, compared: np.ndarray) -> dict[str, pa.Array]:
    """Return COLUMNS of texts.

    Args: text, strings, (n_docs,); match, match text of the same texts; compared, bool (n_docs,), the texts whose
    columns are needed.
    Returns: large_binary (n_docs,) by name of column.
    """
    classes, modes = load_tables().classes, np.where(compared, WORDS, NOTHING).astype(np.uint8)
    numbers = sort_sets(*hash_numbers(*match, classes))
    units, starts = sort_rows(*hash_units(match, modes))
    lines = first_lines(text)
    marked = np.asarray(pc.starts_with(lines, MARK).combine_chunks())
    head, head_starts = hash_units(match_text(lines), modes)
    short = marked & (np.diff(head_starts) < MIN_HEADING)
    if short.any():  # a generic section heading; the line after it names the subject
        longer = first_lines(text.filter(pa.array(short)), 2)
        lines = pc.replace_with_mask(lines, pa.array(short), longer.combine_chunks())
        head, head_starts = hash_units(match_text(lines), modes)
    scripts = count_scripts(*match, classes) * compared[:, None]
    script_starts = np.arange(len(scripts) + 1) * len(SCRIPTS)
    names, times, name_starts = find_names(units, starts, head, head_starts)
    marked &= ~short & (np.diff(head_starts) <= MAX_HEADING)
    kept = np.repeat(marked, np.diff(head_starts))
    heading = sort_sets(head[kept], np.append(0, np.cumsum(np.diff(head_starts) * marked)))
    counted = (scripts.reshape(-1), script_starts)
    rows = (numbers, (units, starts), (names, name_starts), (times, name_starts), heading, counted)
    return {name: to_binary(*row) for name, row in zip(COLUMNS, rows, strict=True)}


def first_lines(text: pa.ChunkedArray, n_lines: int = 1) -> pa.ChunkedArray:
    """Return the first n_lines lines of each text, after blank lines and HTML comments: (n_docs,), "" for null."""
    begun = pc.replace_substring_regex(pc.fill_null(text, ""), COMMENT, "", max_replacements=1)
    for _ in range(n_lines - 1):  # a line break before the last of them becomes a blank, as in match text
        begun = pc.replace_substring_regex(begun, r"\s*\n\s*", " ", max_replacements=1)
    return pc.list_element(pc.split_pattern(begun, "\n", max_splits=1), 0)


def differ(texts: pa.Table, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare the texts of each pair: whether their numbers, their names or headings, and their scripts differ.

    Args: texts, a table with COLUMNS; left and right, int64 (n_pairs,), positions of both ends in `texts`.
    Returns: bool (n_pairs,) each: other numbers, other names or headings, other scripts.
    """
    values, ends = {}, {}
    for name in COLUMNS:
        dtype = np.int64 if name in ("times", "scripts") else np.uint64
        values[name], starts = from_binary(texts[name].combine_chunks(), dtype)
        ranges = np.stack([starts[:-1], starts[1:]], axis=1)
        ends[name] = ranges[left], ranges[right]
    sizes = {name: [np.diff(ranges)[:, 0] for ranges in both] for name, both in ends.items()}
    shared = {name: count_shared(values[name], *ends[name]) for name in ("numbers", "heading")}
    n_left, n_right = sizes["units"]
    counts = sizes["numbers"]
    other_numbers = tell_apart(shared["numbers"], counts[0], counts[1], np.minimum(n_left, n_right))
    weights = [
        weigh_names(values["names"], values["times"], ends["names"][i], values["units"], ends["units"][1 - i])
        for i in (0, 1)
    ]
    other_names = have_other_names((weights[0], weights[1]), (n_left, n_right))
    other_names |= have_other_headings(shared["heading"], sizes["heading"][0], sizes["heading"][1])
    scripts = values["scripts"].reshape(-1, len(SCRIPTS))
    other_scripts = have_other_scripts(scripts[left], scripts[right], np.minimum(n_left, n_right))
    return other_numbers, other_names, other_scripts
