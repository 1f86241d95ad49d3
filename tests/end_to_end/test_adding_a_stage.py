"""docs/adding-a-stage.md: what it shows works as it stands there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from pipeline.checking.check_stage import check_stage
from pipeline.schema import CANONICAL
from pipeline.stage import stage_of_function
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs/adding-a-stage.md"
MOST_LINES = 25


def blocks(language: str) -> list[str]:
    """Code blocks of the page, in order; its stage is imported under a name that the repository does not have."""
    text = PAGE.read_text("utf-8").replace("stages.shouting", "shown_shouting")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Names of the page's stage, which can be imported."""
    (tmp_path / "shown_shouting.py").write_text(blocks("python")[0], "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield dict(vars(__import__("shown_shouting")))
    sys.modules.pop("shown_shouting", None)


def test_the_stage_is_short_and_keeps_to_the_contract(shown: dict[str, Any]) -> None:
    """The simplest stage has at most 25 lines, docstrings and schema included, and passes every check."""
    assert blocks("python")[0].count("\n") <= MOST_LINES
    assert [check.line() for check in check_stage(shown["STAGE"]) if not check.ok or check.skipped] == []


def test_the_other_code_runs(shown: dict[str, Any]) -> None:
    """The test, the check, the settings and the test of a stage that reads another's columns do what they say."""
    _, test, function, check, settings, label, corpus = blocks("python")
    names: dict[str, Any] = {}
    exec(test, names)
    names["test_capitals_shout"]()
    exec(function, names := {"__name__": "no_ads"})
    found = stage_of_function(names["STAGE"].measure, "no_ads")
    assert found.load(found.config())(pa.table({"text": ["广告", "text"]}))["keep"].to_pylist() == [
        False,
        True,
    ]
    exec(check, {})
    names = {"__name__": "shown_shouting", **shown}
    exec(settings, names)
    assert names["STAGE"].config().min_letters == 20
    assert names["measure"]("SHORT", names["Config"]()) == {}
    exec(label, names)
    exec(corpus, names)


def test_the_run_file_names_the_stage_and_its_column() -> None:
    """The lines for a run file are YAML, with the module under `annotate` and the column in a rule."""
    (lines,) = blocks("yaml")
    page = yaml.safe_load(lines)
    assert page["annotate"] == ["shown_shouting"]
    assert set(page["select"][0]) == {"name", "shouting.upper_share"}


def test_every_canonical_column_is_listed() -> None:
    """The page lists the canonical columns, all of them and in their order."""
    (listed,) = re.findall(r"without a dot: `([^`]+)`", PAGE.read_text("utf-8"))
    assert listed.split() == CANONICAL.names
