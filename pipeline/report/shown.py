"""Tables of the card: their heads and rows, from the numbers of a release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from pipeline.report.markdown import share
from pipeline.report.release_numbers import LicenseNumbers, Mix, ScriptNumbers
from pipeline.translation import labels, t

Shown = tuple[list[str], list[list[Any]]]
"""Heads and rows; cells are numbers or text. Any: either."""


def mix_rows(mix: Mix) -> Shown:
    """Groups of a mix: what was asked, what is available, what it contains, and what is left out."""
    if any(group.asked is UNSET for group in mix.groups):  # a release of an earlier version
        rows: list[list[Any]] = [
            [g.group, g.n_docs, g.tokens, f"{g.asked_share:.2%}", f"{g.share:.2%}", f"{g.epochs:.2f}"]
            for g in mix.groups
        ]
        return labels("group", "documents", "tokens", "share asked", "share", "epochs"), rows
    rows = [
        [g.group, g.n_docs, g.available, g.asked, g.taken, g.discarded, f"{g.asked_share:.2%}", f"{g.share:.2%}",
         f"{g.epochs:.2f}"]
        for g in mix.groups
    ]  # fmt: skip
    heads = labels(
        "group", "documents", "available", "asked", mix.unit, "left out", "share asked", "share", "epochs"
    )
    return heads, rows


def script_rows(scripts: Sequence[ScriptNumbers]) -> Shown:
    """Labels of Chinese with their documents, characters and tokens, and the share of each."""
    rows: list[list[Any]] = [
        [
            row.language,
            row.documents, f"{row.documents_share:.1%}",
            row.characters, f"{row.characters_share:.1%}",
            row.tokens, f"{row.tokens_share:.1%}",
        ]
        for row in scripts
    ]  # fmt: skip
    return labels("language", "documents", "%", "characters", "%", "tokens", "%"), rows


def license_rows(licenses: Sequence[LicenseNumbers]) -> Shown:
    """Kept documents and tokens by licence; the last cell lists the sources."""
    tokens = sum(row.tokens for row in licenses)
    rows: list[list[Any]] = [
        [row.license or t("(none)"), row.documents, row.tokens, share(row.tokens, tokens), row.sources]
        for row in licenses
    ]
    return labels("licence", "documents", "tokens", "share of tokens", "sources"), rows
