"""The report of a release: one page that needs no network, with its numbers as data, and charts in either language.

The script of the page (report.js) draws sections from the numbers; the plotting library is embedded once. The same
numbers give the same bytes: a page has a date only if records of runs are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.dataset.release_schema import DUPLICATE
from pipeline.report.held import HeldNumbers
from pipeline.report.html_page import charts_page, read_asset, script_messages, translations
from pipeline.report.release_numbers import ReleaseNumbers, plain_numbers
from pipeline.rules.meanings import meaning_of
from pipeline.translation import in_language, labels, message, t

SHOWN_LANGUAGES = 5
"""Number of languages with a line of their own in the figure of lengths."""

NAMED = (
    message("source"), message("language"), message("drop"), message("flag"), message("trim"), message("high"),
    message("medium"), message("low"), message("done"), message("failed"), message("running"),
)  # fmt: skip
"""Values that the page translates, besides the messages in its script."""


def lengths_of(counts: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Kept documents per power-of-two bin of tokens, for the largest languages. Args: counts, for all languages."""
    largest = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))[:SHOWN_LANGUAGES]
    return {name: list(bins) for name, bins in largest}


def page(
    numbers: ReleaseNumbers, held: HeldNumbers | None = None, times: dict[str, Any] | None = None
) -> str:
    """Return the HTML page. held: numbers of a sample of known language; times: of runs, see run_times (Any: JSON)."""
    script = report_script()
    rules = {*numbers.failed, *numbers.rules, DUPLICATE}
    meanings = {name: meaning for name in sorted(rules) if (meaning := meaning_of(name))}
    with in_language("zh"):
        warnings = {warning: t(warning) for warning in numbers.warnings}
    data = {
        "numbers": plain_numbers(numbers), "held": msgspec.to_builtins(held), "times": times, "meanings": meanings,
        "warnings": warnings, "duplicate": DUPLICATE, "integers": numbers.integers,
        "words": translations([*script_messages(script), *NAMED, *meanings.values()]),
    }  # fmt: skip
    (noscript,) = labels("This page needs JavaScript; report.json has the same numbers.")
    facts = t(f"bicorpus {numbers.version}, corpus {numbers.corpus}")
    return charts_page(numbers.name, script, data, noscript, facts)


def report_script() -> str:
    """The script of the page."""
    return read_asset("base.js") + read_asset("sections.js") + read_asset("report.js")
