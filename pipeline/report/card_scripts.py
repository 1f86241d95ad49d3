"""Section of a release's card on Chinese text by script."""

from __future__ import annotations

from pipeline.report.markdown import code, markdown
from pipeline.report.release_numbers import ReleaseNumbers
from pipeline.report.shown import script_rows
from pipeline.translation import t


def script_section(report: ReleaseNumbers) -> list[str]:
    """Return the section on Chinese text by script, and on conversions; empty without Chinese text."""
    scripts = report.scripts
    if not scripts:
        return []
    lines = [
        "## " + t("Chinese by script"),
        "",
        t("Kept documents, by the language that was read."),
        "",
        *markdown(*script_rows(scripts)),
    ]
    if converted := {row.language: row.released_as for row in scripts if row.released_as != row.language}:
        conversions = ", ".join(f"{code(old)} → {code(new)}" for old, new in sorted(converted.items()))
        lines += ["", t(f"Texts were converted as they were released, and labelled anew: {conversions}.")]
    return lines
