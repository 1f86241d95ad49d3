"""HTML tables of a release's report, from its numbers as plain JSON."""

from __future__ import annotations

import html
import re
from typing import Any

from pipeline.report.profile import TALLY

Numbers = dict[str, Any]
"""Plain JSON: what numbers.report_numbers gives, and the lengths; older releases have the summary alone."""

SHOWN_PANELS = 4
"""Languages with a picture or rows of their own, the largest; report.json has them all."""

TIERS = {"high": 0, "medium": 1, "low": 2}
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


def language_table(numbers: Numbers) -> str:
    """Documents, kept documents and tokens of every language, the largest first."""
    funnel, tallies = numbers["funnel"], numbers.get("profile", {}).get("languages", {})
    totals = {name: sum(row.values()) for name, row in funnel.items()}
    tokens = sum(tally[TALLY.index("kept_tokens")] for tally in tallies.values())
    rows = []
    for name in sorted(totals, key=lambda name: (-totals[name], name)):
        kept = funnel[name].get("kept", 0)
        row = [name, totals[name], kept, share(kept, totals[name])]
        if tallies:
            kept_tokens = tallies[name][TALLY.index("kept_tokens")]
            row += [kept_tokens, share(kept_tokens, tokens)]
        rows.append(row)
    heads = [
        "language",
        "documents",
        "kept",
        "kept %",
        *(["kept tokens", "share of tokens"] if tallies else []),
    ]
    return table(heads, rows)


def script_table(scripts: list[dict[str, Any]]) -> str:
    """Chinese labels with their documents, characters and tokens, and the share of each."""
    rows = []
    for row in scripts:
        name = (
            row["language"]
            if row["released_as"] == row["language"]
            else f"{row['language']}, as {row['released_as']}"
        )
        counts = [
            [row[what], f"{row[f'{what}_share']:.1%}"] for what in ("documents", "characters", "tokens")
        ]
        rows.append([name, *(value for pair in counts for value in pair)])
    return table(["language", "documents", "%", "characters", "%", "tokens", "%"], rows)


def tier_table(tiers: dict[str, dict[str, list[int]]]) -> str:
    """Documents of each tier, and its share of the language's kept bytes."""
    rows = []
    for language in largest_of(tiers):
        total = sum(row[2] for row in tiers[language].values())
        for tier, (kept, dropped, kept_bytes, _) in sorted(
            tiers[language].items(), key=lambda item: TIERS.get(item[0], 3)
        ):
            rows.append([f"{language}, {tier}", kept + dropped, kept, share(kept_bytes, total)])
    return table(["tier", "documents", "kept", "share of kept bytes"], rows)


def mix_table(mix: dict[str, Any]) -> str:
    """Groups of a mix: what was asked, what it holds."""
    rows = [
        [
            g["group"],
            g["n_docs"],
            g["tokens"],
            f"{g['asked_share']:.2%}",
            f"{g['share']:.2%}",
            f"{g['epochs']:.2f}",
        ]
        for g in mix["groups"]
    ]
    return table(["group", "documents", "tokens", "share asked", "share", "epochs"], rows)


def kinds_table(by: str, kinds: dict[str, dict[str, int]], tallies: dict[str, list[int]]) -> str:
    """Copies by source or language: the same text, the same match text, near, and their share of the documents."""
    rows = []
    for name in sorted(kinds, key=lambda name: (-sum(kinds[name].values()), name)):
        counts = [kinds[name].get(kind, 0) for kind in ("raw", "exact", "near")]
        n_documents = tallies[name][TALLY.index("documents")] if name in tallies else 0
        rows.append([name, *counts, share(sum(counts), n_documents)])
    return table([by, "same text", "same match text", "near", "share of documents"], rows)


def sample_table(samples: list[dict[str, Any]]) -> str:
    """Pairs near the threshold with what differs in them."""
    rows = []
    for pair in samples:
        verdict = "above" if pair["verified"] else "below"
        names = f"{pair['language']}, {pair['similarity']:.3f}, {verdict}: {pair['doc_a']}, {pair['doc_b']}"
        for place in pair["differences"] or [{"removed": "", "kept": ""}]:
            rows.append([names, place["removed"], place["kept"]])
            names = ""
    return table(["pair", "one", "the other"], rows)


def quarantine_table(quarantined: dict[str, dict[str, int]]) -> str:
    """Quarantined records by source and reason."""
    rows = [
        [s, reason, n] for s, reasons in sorted(quarantined.items()) for reason, n in sorted(reasons.items())
    ]
    return table(["source", "reason", "records"], rows)


def share(part: int, whole: int) -> str:
    """A share in per cent; a dash when there is nothing to have a share of."""
    return f"{part / whole:.1%}" if whole else "—"


def megabytes(n_bytes: int) -> str:
    """Bytes in millions."""
    return f"{n_bytes / 1e6:,.1f}"


def largest_of(groups: dict[str, dict[str, list[int]]]) -> list[str]:
    """Languages of a split count with most documents."""
    totals = {name: sum(row[0] + row[1] for row in rows.values()) for name, rows in groups.items()}
    return sorted(totals, key=lambda name: (-totals[name], name))[:SHOWN_PANELS]
