"""HTML tables of the report's sections about quality buckets by scorer."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from pipeline.report.release_numbers import BucketNumbers, Drift
from pipeline.report.tables import SHOWN_PANELS, table
from pipeline.translation import labels, t

ALL = "*"
SHOWN_DRIFTS = 20
"""Largest number of rows of the table of drift, the largest first; report.json has all."""


def largest_buckets(numbers: BucketNumbers) -> list[str]:
    """Languages with the largest populations, and all together where there are several."""
    sized = [row for row in numbers.summary if row.language != ALL and row.population]
    names = [row.language for row in sorted(sized, key=lambda row: (-row.size, row.language))[:SHOWN_PANELS]]
    return names + ([ALL] if len(names) > 1 else [])


def overlap_table(numbers: BucketNumbers, language: str) -> str:
    """The overlap matrix of a language's top buckets, darker for larger shares; the diagonal has the documents."""
    rows = [row for row in numbers.overlap if row.language == language]
    found = {(row.scorer, row.other): row for row in rows}
    scorers = list(dict.fromkeys(row.scorer for row in rows))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in scorers)
    lines = []
    for scorer in scorers:
        cells = [
            _cell(found[scorer, other].share, found[scorer, other].documents, scorer == other)
            for other in scorers
        ]
        lines.append(f"<tr><th>{html.escape(scorer)}</th>{''.join(cells)}</tr>")
    caption = html.escape(t("all languages") if language == ALL else language)
    return f'<table class="heat"><caption>{caption}</caption><tr><th></th>{head}</tr>{"".join(lines)}</table>'


def _cell(share: float | None, documents: int, is_own: bool) -> str:
    if is_own:
        return f"<td>{t(f'{documents:,} docs')}</td>"
    if share is None:
        return "<td>—</td>"
    return f'<td style="background: rgba(42, 127, 98, {share * 0.6:.2f})">{share:.1%}</td>'


def drift_table(drift: Sequence[Drift]) -> str:
    """Drift of each language and scorer, the largest first."""
    ordered = sorted(drift, key=lambda row: (-row.psi, row.language, row.scorer))[:SHOWN_DRIFTS]
    rows = [
        [
            f"{row.language}, {row.scorer}", row.documents, f"{row.psi:.4f}", f"{row.chance:.4f}",
            f"{row.moved:.1%}",
            f"{row.worst_bucket}: {row.expected:.1%} → {row.actual:.1%}", row.cut_by,
        ]
        for row in ordered
    ]  # fmt: skip
    return table(
        labels(
            "language, scorer",
            "documents",
            "psi",
            "by chance",
            "moved",
            "bucket that differs most",
            "edges of",
        ),
        rows,
    )


def sample_details(numbers: BucketNumbers) -> list[str]:
    """One element to open for each language and scorer, with documents of each bucket, the best first."""
    groups: dict[tuple[str, str], list[list[Any]]] = {}  # Any: text or numbers
    for row in sorted(numbers.samples, key=lambda row: -row.bucket):
        cells = [row.bucket, row.doc_id, t("kept") if row.keep else t("dropped"), row.text]
        groups.setdefault((row.language, row.scorer), []).append(cells)
    order = {name: i for i, name in enumerate(dict.fromkeys(row.language for row in numbers.samples))}
    return [
        f"<details><summary>{html.escape(f'{language}, {scorer}')}</summary>"
        + table(labels("bucket", "document", "verdict", "text"), rows)
        + "</details>"
        for (language, scorer), rows in sorted(groups.items(), key=lambda item: order[item[0][0]])
    ]
