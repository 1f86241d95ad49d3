"""The report: one page without anything from outside, the same for the same numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.dom import minidom

import pyarrow as pa

from pipeline.report import lengths_of, page
from tests.build import cli, reference


def test_the_page_stands_alone_and_tells_the_numbers(tmp_path: Path) -> None:
    """No script, style sheet, font or picture is fetched; counts, rules and mixes of the release are on it."""
    release = Path(reference().store, reference().record["release"])
    numbers = json.loads((release / "report.json").read_text(encoding="utf-8"))
    text = (release / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(http", text)
    assert f"{numbers['counts']['kept']:,}" in text
    for name in (*numbers["mixes"], *(rule for rule in numbers["rules"] if numbers["failed"][rule])):
        assert name in text
    figures = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(figures) >= 4
    for figure in figures:
        minidom.parseString(figure.encode())
    assert page(numbers) == text
    cli("report", release, "--to", tmp_path / "report.html").ok()
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text


def test_names_from_a_run_file_are_text_and_not_markup() -> None:
    """A corpus or source named like a tag shows as such."""
    numbers = {
        "name": "<b>", "corpus": "c", "version": "0", "mixes": {}, "rules": [], "failed": {}, "lengths": {},
        "counts": dict.fromkeys(("read", "ingested", "kept", "kept_tokens", "quarantined"), 1),
        "funnel": {"eng_Latn": {"kept": 1}}, "quarantined": {"<i>": {"empty_text": 1}},
    }  # fmt: skip
    text = page(numbers)
    assert "<b>1</b>" in text and "<h1>&lt;b&gt;</h1>" in text and "&lt;i&gt;" in text


def test_lengths_fall_into_powers_of_two() -> None:
    """1 is in the first bin, 2 and 3 in the second, 4 in the third; the largest languages only."""
    facts = pa.table({"language": ["a"] * 4, "n_tokens": [1, 2, 3, 4]})
    assert lengths_of(facts) == {"a": [1, 2, 1]}
