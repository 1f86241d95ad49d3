"""Checks that reject false near duplicates: similar texts with different numbers, headings, scripts or signs.

A similarity threshold cannot separate them: pages of one template may differ less than two versions of one page.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.kernels.dedup.forms import load_match_fold
from stages.kernels.dedup.formulas import load_sign_set
from stages.kernels.dedup.jaccard import count_shared, sort_rows, sort_sets
from stages.kernels.dedup.minhash import (
    NOTHING,
    SYMBOLS_BELOW,
    WORDS,
    MatchText,
    hash_units,
    load_roles,
    match_text,
)
from stages.kernels.dedup.names import (
    MAX_HEADING,
    MIN_HEADING,
    ORDINAL,
    PART,
    WORD,
    find_names,
    have_other_headings,
    have_other_names,
    weigh_headings,
    weigh_names,
)
from stages.kernels.dedup.numbers import hash_numbers, tell_apart
from stages.kernels.dedup.sign_contexts import count_conflicts, hash_contexts, have_other_signs
from stages.kernels.scripts.writing import SCRIPTS, count_scripts, have_other_scripts
from stages.kernels.text.ragged import from_binary, to_binary
from stages.kernels.text.tables import HAN
from stages.kernels.text.text import load_tables, view

COLUMNS = (
    "numbers",
    "units",
    "names",
    "times",
    "heading",
    "scripts",
    "contexts",
    "sign_keys",
    "signs",
    "n_codes",
)
"""Of each text, as bytes (see kernels.text.ragged): hashes of its numbers; hashes of its units, sorted; hashes of the
units of its first line that recur in it, and how often each does; hashes of the units of the Markdown heading that it
begins with; number of units of each script; hashes of neighbouring units; of those with signs between them, their
hashes and the hashes of units and signs; number of code points of match text."""

ROMAN = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")

COMMENT = r"\A\s*(?:<!--[\s\S]*?-->\s*)*"
"""Blanks and HTML comments before the first line."""

NO_WORDS = (
    r"(?i)\A(#+\s+)(?:\d+(?:\.\d+)*[.、]?\s+"
    r"|第\s*(?:\d+|[〇零一二三四五六七八九十百两兩]+)\s*[章节節篇编編部卷讲講]\s*[:：、.]?\s*"
    r"|(?:chapter|part|section|appendix)\s+(?:\d+|[ivx]+|[a-z])\s*(?:[:.–—-]\s*|$))"
    r"|\]\([^()\s]*\)"
)
"""What is no part of a heading's words: the number of a section or a chapter, which changes with those before it and is
written in digits or words, and the target of a link in Markdown."""

ORDER = "〇零一二三四五六七八九十百千万上中下前后东西南北甲乙丙丁戊己庚辛壬癸"
"""Ideographs of which a single one distinguishes two subjects: 一年级, 二年级."""

ORDINALS = (
    *map(str, range(2100)),
    *"abcdefghjklmnopqrstuwyz",
    *(t + u for t in ("", "x", "xx") for u in ROMAN),
)
"""Words that distinguish pages of a series: numbers, years among them, letters, and Roman numerals up to 29."""

MARK = "#"
"""First character of a heading in Markdown."""


def columns_of(text: pa.ChunkedArray, match: MatchText, compared: np.ndarray) -> dict[str, pa.Array]:
    """Return COLUMNS of texts.

    Args: text, strings, (n_docs,); match, match text of the same texts; compared, bool (n_docs,), the texts whose
    columns are needed.
    Returns: large_binary (n_docs,) by name of column.
    """
    tables, modes = load_tables(), np.where(compared, WORDS, NOTHING).astype(np.uint8)
    decoded = view(text)
    numbers = sort_sets(
        *hash_numbers(decoded.codes, decoded.starts, decoded.classes, load_match_fold(), compared)
    )
    neighbours, neighbour_starts, keys, signs, sign_starts, n_codes = hash_contexts(
        *match, load_roles(), load_sign_set(), compared
    )
    contexts = sort_sets(neighbours, neighbour_starts)
    units, starts = sort_rows(*hash_units(match, modes, symbols=False))
    lines = _words_of(first_lines(text))
    marked = np.asarray(pc.starts_with(lines, MARK).combine_chunks())
    head, head_starts = hash_units(match_text(lines), modes, symbols=False)
    short = marked & (np.diff(head_starts) < MIN_HEADING)
    if short.any():  # a generic section heading; the line after it names the subject
        longer = _words_of(first_lines(text.filter(pa.array(short)), 2))
        lines = pc.replace_with_mask(lines, pa.array(short), longer.combine_chunks())
        head, head_starts = hash_units(match_text(lines), modes, symbols=False)
    scripts = count_scripts(*match, tables.classes) * compared[:, None]
    script_starts = np.arange(len(scripts) + 1) * len(SCRIPTS)
    names, times, name_starts = find_names(units, starts, head, head_starts)
    marked &= ~short & (np.diff(head_starts) <= MAX_HEADING)
    kept = np.repeat(marked, np.diff(head_starts))
    heading = sort_sets(head[kept], np.append(0, np.cumsum(np.diff(head_starts) * marked)))
    counted = (scripts.reshape(-1), script_starts)
    rows = (
        numbers, (units, starts), (names, name_starts), (times, name_starts), heading, counted,
        contexts, (keys, sign_starts), (signs, sign_starts), (n_codes, np.arange(len(n_codes) + 1)),
    )  # fmt: skip
    return {name: to_binary(*row) for name, row in zip(COLUMNS, rows, strict=True)}


def _words_of(lines: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(lines, NO_WORDS, r"\1")


@cache
def _known_units() -> tuple[np.ndarray, np.ndarray]:
    """Load the hashes of ideographs and of ordinals, uint64, sorted; the kind of each, PART or ORDINAL, uint8."""
    classes, fold = load_tables().classes, load_match_fold()
    codes = np.unique(fold[classes == HAN])
    codes = codes[~np.isin(codes, [0, *map(ord, ORDER)])].astype(np.uint32)
    match = MatchText(codes, np.array([0, len(codes)]))
    parts = hash_units(match, np.array([WORDS], np.uint8), symbols=False)[0]
    ordinals = match_text(pa.chunked_array([pa.array([" ".join((*ORDINALS, *ORDER))], pa.large_string())]))
    order = hash_units(ordinals, np.array([WORDS], np.uint8), symbols=False)[0]
    units, places = np.unique(np.concatenate([order, parts]), return_index=True)
    return units, np.where(places < len(order), ORDINAL, PART).astype(np.uint8)


def _kinds_of(units: np.ndarray) -> np.ndarray:
    """The kind of each unit of a heading, see `kernels.dedup.names`: uint8 (n_units,)."""
    known, kinds = _known_units()
    places = np.minimum(np.searchsorted(known, units), len(known) - 1)
    return np.where(known[places] == units, kinds[places], WORD).astype(np.uint8)


def first_lines(text: pa.ChunkedArray, n_lines: int = 1) -> pa.ChunkedArray:
    """Return the first n_lines lines of each text, after blank lines and HTML comments: (n_docs,), "" for null."""
    begun = pc.replace_substring_regex(pc.fill_null(text, ""), COMMENT, "", max_replacements=1)
    for _ in range(n_lines - 1):  # a line break before the last of them becomes a blank, as in match text
        begun = pc.replace_substring_regex(begun, r"\s*\n\s*", " ", max_replacements=1)
    return pc.list_element(pc.split_pattern(begun, "\n", max_splits=1), 0)


def differ(texts: pa.Table, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """Compare the texts of each pair: whether numbers, names or headings, scripts, and signs between words differ.

    Args: texts, a table with COLUMNS; left and right, int64 (n_pairs,), positions of both ends in `texts`.
    Returns: bool (n_pairs,) each: other numbers, other names or headings, other scripts, other signs.
    """
    values, ends = {}, {}
    for name in COLUMNS:
        dtype = np.int64 if name in ("times", "scripts", "n_codes") else np.uint64
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
    kinds = _kinds_of(values["heading"])
    heading, units = ends["heading"], ends["units"]
    missing = [
        weigh_headings(
            values["heading"], kinds, heading[i], heading[1 - i], values["units"], units[i], units[1 - i]
        )
        for i in (0, 1)
    ]
    other_names |= have_other_headings(
        shared["heading"], sizes["heading"], np.minimum(missing[0], missing[1])
    )
    scripts = values["scripts"].reshape(-1, len(SCRIPTS))
    other_scripts = have_other_scripts(scripts[left], scripts[right], np.minimum(n_left, n_right))
    is_short = np.maximum(values["n_codes"][left], values["n_codes"][right]) < SYMBOLS_BELOW
    starts = from_binary(texts["signs"].combine_chunks(), np.uint64)[1]
    in_order = {name: sort_rows(values[name].copy(), starts)[0] for name in ("sign_keys", "signs")}

    def most_conflicts(neighbours: np.ndarray, ranges: str) -> np.ndarray:
        counts = [
            count_conflicts(
                values["sign_keys"], values["signs"], ends["signs"][i],
                neighbours, ends[ranges][1 - i], in_order["signs"], ends["signs"][1 - i],
            )
            for i in (0, 1)
        ]  # fmt: skip
        return np.maximum(*counts)

    conflicts, exchanged = (
        most_conflicts(values["contexts"], "contexts"), most_conflicts(in_order["sign_keys"], "signs")
    )  # fmt: skip
    other_signs = have_other_signs(conflicts, exchanged, (sizes["signs"][0], sizes["signs"][1]), is_short)
    return other_numbers, other_names, other_scripts, other_signs
