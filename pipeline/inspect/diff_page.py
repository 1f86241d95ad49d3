"""The comparison of two releases as one page that needs no network: counts, documents, changes, and plots of drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.inspect.drift import LARGE, MODERATE, counts_by_language
from pipeline.report.html_page import charts_page, read_asset, script_messages, translations
from pipeline.report.release_numbers import ReleaseNumbers, read_numbers
from pipeline.storage.store import Store
from pipeline.translation import labels

FOLDER = Path(__file__).parent


def diff_page(comparison: dict[str, Any], old: Store, new: Store) -> str:
    """Return the HTML page. comparison: of `compare_releases`, plain JSON."""
    numbers = [read_numbers(release.get("report.json")) for release in (old, new)]
    script = diff_script()
    data = {
        "comparison": comparison, "histograms": histograms(*numbers), "version": __version__, "moderate": MODERATE,
        "large": LARGE, "integers": sorted({*numbers[0].integers, *numbers[1].integers}),
        "names": [one.name for one in numbers], "words": translations(script_messages(script)),
    }  # fmt: skip
    (noscript,) = labels("This page needs JavaScript; `bicorpus diff --json` prints the same numbers.")
    return charts_page(f"{numbers[0].name} → {numbers[1].name}", script, data, noscript)


def diff_script() -> str:
    """The script of the page."""
    return read_asset("base.js") + read_asset("sections.js") + (FOLDER / "diff.js").read_text("utf-8")


def histograms(old: ReleaseNumbers, new: ReleaseNumbers) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Counts of kept documents of both releases over the same bins, by column and language.

    Returns: column -> language -> `bins`, codes in ascending order, `old` and `new`, for what `drift_rows` compares.
    """
    found: dict[str, dict[str, dict[str, list[int]]]] = {}
    for column in sorted(old.signals.keys() & new.signals.keys()):
        before, after = counts_by_language(old, column), counts_by_language(new, column)
        for language in sorted(before.keys() & after.keys()):
            bins = sorted(before[language].keys() | after[language].keys())
            sides = [[counts[language].get(code, 0) for code in bins] for counts in (before, after)]
            if all(map(sum, sides)):
                found.setdefault(column, {})[language] = {"bins": bins, "old": sides[0], "new": sides[1]}
    return found
