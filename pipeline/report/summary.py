"""The summary of a release for a terminal: the funnel per language, and each mix."""

from __future__ import annotations

from typing import Any

from pipeline.cells import pad, wide
from pipeline.translation import labels, t

MAX_LANGUAGES = 10
"""Number of languages with their own row, the largest first; all others are summed."""

MAX_REASONS = 5
"""Number of drop reasons with their own column, most frequent first; all others are summed. The README of the release
lists all of them."""


WIDTH = 80
"""Cells that the table of languages takes at most; every terminal has them."""


def by_language(funnel: dict[str, dict[str, int]], n_reasons: int = MAX_REASONS) -> list[list[str]]:
    """A table row per language: documents, kept, then dropped by reason, the `n_reasons` most frequent ones first."""
    ranked = sorted(funnel, key=lambda name: (-sum(funnel[name].values()), name))
    reasons: dict[str, int] = {}
    for row in funnel.values():
        for reason, count in row.items():
            reasons[reason] = reasons.get(reason, 0) + count
    kept = reasons.pop("kept", 0)
    order = sorted(reasons, key=lambda name: (-reasons[name], name))
    columns = {t("kept"): ["kept"]} if kept else {}
    columns |= {name: [name] for name in order[:n_reasons]}
    if order[n_reasons:]:
        columns[t("other rules")] = order[n_reasons:]
    groups = [(name, [name]) for name in ranked[:MAX_LANGUAGES]]
    if rest := ranked[MAX_LANGUAGES:]:
        groups.append((t(f"{len(rest)} others"), rest))
    groups.append((t("all"), ranked))
    lines = [[*labels("language", "documents"), *columns]]
    for label, names in groups:
        rows = [funnel[name] for name in names]
        counts = [sum(row.get(r, 0) for row in rows for r in members) for members in columns.values()]
        lines.append([label, f"{sum(counts):,}", *(f"{count:,}" if count else "." for count in counts)])
    return lines


def by_group(mix: dict[str, Any]) -> list[list[str]]:
    """A table row per group of a mix; Any: JSON values."""
    lines = [labels("group", "documents", "tokens", "of available", "share asked", "share")]
    for group in mix["groups"]:
        tokens = (f"{group['tokens']:,}", f"{group['available_tokens']:,}")
        shares = (f"{group['asked_share']:.2%}", f"{group['share']:.2%}")
        lines.append([group["group"], f"{group['n_docs']:,}", *tokens, *shares])
    return lines


def align(lines: list[list[str]]) -> str:
    """Columns of equal width, the first left-aligned, all others right-aligned."""
    widths = [max(map(wide, column)) for column in zip(*lines, strict=True)]
    padded = [
        [" " * (width - wide(cell)) + cell for cell, width in zip(line, widths, strict=True)]
        for line in lines
    ]
    heads = [pad(line[0], widths[0]) for line in lines]
    return "\n".join("  ".join([head, *line[1:]]) for head, line in zip(heads, padded, strict=True))


def funnel_table(funnel: dict[str, dict[str, int]], cells: int) -> str:
    """The table of `by_language` with as many reasons as fit into a number of cells, at least one."""
    for n_reasons in range(MAX_REASONS, 0, -1):
        table = align(by_language(funnel, n_reasons))
        if max(map(wide, table.split("\n"))) <= cells:
            break
    return table


def summary(lineage: dict[str, Any]) -> str:
    """The summary as text; Any: JSON values of lineage.json."""
    counts = lineage["counts"]
    parts = [
        t(
            f"{counts['read']:,} records read = {counts['ingested']:,} documents + {counts['quarantined']:,} "
            "in quarantine"
        ),
        t(
            f"{counts['ingested']:,} documents = {counts['kept']:,} kept + {counts['dropped']:,} dropped, by reason:"
        ),
        "",
        funnel_table(lineage["funnel"], WIDTH),
    ]
    for name, mix in sorted(lineage["mixes"].items()):
        parts += [
            "",
            t(f"mix {name}: {mix['tokens']:,} tokens of {counts['kept_tokens']:,} kept"),
            align(by_group(mix)),
        ]
    return "\n".join(parts)
