"""Section of a release's card on Chinese text by script."""

from __future__ import annotations

from typing import Any

from pipeline.report.card_files import Report
from pipeline.report.markdown import code, markdown


def script_section(report: Report) -> list[str]:
    """Return the section on Chinese text by script, and on conversions; empty without Chinese text."""
    scripts = report.get("scripts") or []
    if not scripts:
        return []
    rows = []
    for row in scripts:
        values: list[Any] = [row["language"]]
        for what in ("documents", "characters", "tokens"):
            values += [row[what], f"{row[f'{what}_share']:.1%}"]
        rows.append(values)
    heads = ["language", "documents", "%", "characters", "%", "tokens", "%"]
    lines = [
        "## Chinese by script",
        "",
        "Kept documents, by the language that was read.",
        "",
        *markdown(heads, rows),
    ]
    if labels := {
        row["language"]: row["released_as"] for row in scripts if row["released_as"] != row["language"]
    }:
        conversions = ", ".join(f"{code(old)} as {code(new)}" for old, new in sorted(labels.items()))
        lines += ["", f"Texts were converted as they were released, and labelled anew: {conversions}."]
    return lines
