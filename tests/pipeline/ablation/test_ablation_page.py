"""The pages of an ablation from given results: both languages, intervals and curves as they were measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.ablation.compare import BETTER, OPEN, WORSE
from pipeline.ablation.page import write_pages
from tests.helpers.ablation import ablation_results
from tests.helpers.pages import page_data


def test_the_page_has_what_was_measured_in_both_languages(tmp_path: Path) -> None:
    """Intervals with both ends, mean and range of the curves, sentences in English and Chinese; names are text."""
    write_pages(ablation_results(), str(tmp_path))
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "</script><b>" not in page and "</script><b>small" in (tmp_path / "README.md").read_text("utf-8")
    data = page_data(page)
    (interval,) = data["intervals"]
    assert interval["rows"] == [
        {"name": "other (small)", "mean": 0.3, "low": 0.1, "high": 0.4, "verdict": BETTER}
    ]
    (curve,) = data["curves"]
    assert [c["name"] for c in curve["corpora"]] == ["plain", "other"]
    other = curve["corpora"][1]
    assert other["tokens"] == [10, 20] and other["mean"] == pytest.approx([5, 5]) and other["least"] == [4, 4]
    assert (
        data["texts"]["en"]["title"] == "other beside plain"
        and data["texts"]["zh"]["title"] != "other beside plain"
    )
    for name, said in data["texts"].items():
        assert (
            len(said["sentences"]) == 3
            and len(said["tables"]) == 3
            and said["marks"].keys() == {BETTER, WORSE, OPEN}
        )
        assert said["tables"][0]["rows"][0][:3] == ["small", "other", "en bits per byte"], name
    assert "share of Chinese (40% to 50%)" in data["texts"]["en"]["sentences"][1]
    assert json.loads((tmp_path / "results.json").read_text())["differences"]
