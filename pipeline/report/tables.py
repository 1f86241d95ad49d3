"""HTML tables of a release's report, from its numbers."""

from __future__ import annotations

import html
import re
from typing import Any

from pipeline.report.markdown import share
from pipeline.report.release_numbers import (
    Difference,
    ReleaseNumbers,
    SamplePair,
    ScriptNumbers,
    Splits,
    Tallies,
)
from pipeline.report.shown import script_rows
from pipeline.translation import labels, message, t

SHOWN_PANELS = 4
"""Number of languages, the largest, with a figure or rows of their own; report.json has all."""

TIERS = {message("high"): 0, message("medium"): 1, message("low"): 2}
"""Order of the tiers; any others come after them."""


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """An HTML table; numbers get thousands separators."""

    def cell(value: Any) -> str:
        if isinstance(value, int):
            return f"<td>{value:,}</td>"
        kind = "" if re.fullmatch(r"[\d.,]+%?|—", str(value)) else ' class="text"'
        return f"<td{kind}>{html.escape(str(value))}</td>"

    texts = [
        ' class="text"' if rows and 'class="text"' in cell(rows[0][i]) else "" for i in range(len(heads))
    ]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for name, kind in zip(heads, texts, strict=True))
    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def language_table(numbers: ReleaseNumbers) -> str:
    """Documents, kept documents and tokens of every language, the largest first."""
    funnel, tallies = numbers.funnel, numbers.profile.languages
    totals = {name: sum(row.values()) for name, row in funnel.items()}
    tokens = sum(tally.kept_tokens for tally in tallies.values())
    rows = []
    for name in sorted(totals, key=lambda name: (-totals[name], name)):
        kept = funnel[name].get("kept", 0)
        row = [name, totals[name], kept, share(kept, totals[name])]
        if tallies:
            kept_tokens = tallies[name].kept_tokens
            row += [kept_tokens, share(kept_tokens, tokens)]
        rows.append(row)
    heads = [
        *labels("language", "documents", "kept", "kept %"),
        *(labels("kept tokens", "share of tokens") if tallies else []),
    ]
    return table(heads, rows)


def script_table(scripts: list[ScriptNumbers]) -> str:
    """Labels of Chinese, with the label that converted documents are released with."""
    heads, rows = script_rows(scripts)
    for cells, row in zip(rows, scripts, strict=True):
        if row.released_as != row.language:
            cells[0] = t(f"{row.language}, as {row.released_as}")
    return table(heads, rows)


def tier_table(tiers: Splits) -> str:
    """Documents of each tier, and its share of the language's kept bytes."""
    rows = []
    for language in largest_of(tiers):
        total = sum(row.kept_bytes for row in tiers[language].values())
        for tier, row in sorted(tiers[language].items(), key=lambda item: TIERS.get(item[0], 3)):
            rows.append([f"{language}, {t(tier)}", row.documents, row.kept, share(row.kept_bytes, total)])
    return table(labels("tier", "documents", "kept", "share of kept bytes"), rows)


def kinds_table(by: str, kinds: dict[str, dict[str, int]], tallies: Tallies) -> str:
    """Duplicates by source or language: same text, same match text, near duplicates, and their share of documents."""
    rows = []
    for name in sorted(kinds, key=lambda name: (-sum(kinds[name].values()), name)):
        counts = [kinds[name].get(kind, 0) for kind in ("raw", "exact", "near")]
        n_documents = tallies[name].documents if name in tallies else 0
        rows.append([name, *counts, share(sum(counts), n_documents)])
    return table([t(by), *labels("same text", "same match text", "near", "share of documents")], rows)


def sample_table(samples: list[SamplePair]) -> str:
    """Pairs near the threshold, with the places where they differ."""
    rows = []
    for pair in samples:
        verdict = t("above") if pair.verified else t("below")
        names = f"{pair.language}, {pair.similarity:.3f}, {verdict}: {pair.doc_a}, {pair.doc_b}"
        for place in pair.differences or [Difference(removed="", kept="")]:
            rows.append([names, place.removed, place.kept])
            names = ""
    return table(labels("pair", "one", "the other"), rows)


def quarantine_table(quarantined: dict[str, dict[str, int]]) -> str:
    """Quarantined records by source and reason."""
    rows = [
        [s, reason, n] for s, reasons in sorted(quarantined.items()) for reason, n in sorted(reasons.items())
    ]
    return table(labels("source", "reason", "records"), rows)


def megabytes(n_bytes: int) -> str:
    """Bytes in millions."""
    return f"{n_bytes / 1e6:,.1f}"


def largest_of(groups: Splits) -> list[str]:
    """Languages with the most documents."""
    totals = {name: sum(row.documents for row in rows.values()) for name, rows in groups.items()}
    return sorted(totals, key=lambda name: (-totals[name], name))[:SHOWN_PANELS]
