"""Comparing releases: each change of a verdict is counted once, under its old and its new reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from pipeline.inspect.diff import compare_releases, diff_lines
from pipeline.inspect.drift import ks
from pipeline.report.html_page import plotly_script
from pipeline.storage.store import open_store
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.pages import page_data


def test_changes_are_counted_by_what_they_were_and_are(tmp_path: Path) -> None:
    """A stricter rule, a new file and a changed record each show, and nothing else does."""
    rows = [{"id": str(i), "text": "字" * (i + 1)} for i in range(6)]
    page = tiny(
        tmp_path, rows, annotate=["stages.tokens"], select=[{"name": "short", "tokens.n_tokens": {"min": 1}}]
    )
    page["release"] = {"name": "v1"}
    build(write_run(tmp_path, page), tmp_path / "store")
    (tmp_path / "docs.jsonl").write_text(
        "".join(f'{{"id": "{i}", "text": "{"字" * (i + 1 + (i == 5))}"}}\n' for i in range(7)),
        encoding="utf-8",
    )
    page["release"] = {"name": "v2"}
    page["select"] = [{"name": "short", "tokens.n_tokens": {"min": 2}}]
    build(write_run(tmp_path, page), tmp_path / "store")
    releases = [open_store(f"{tmp_path}/store/releases/{name}") for name in ("v1", "v2")]
    found = compare_releases(*releases)
    n_short = sum(change["documents"] for change in found["changes"] if change["to"] == "short")
    assert n_short >= 1
    changes = {(change["from"], change["to"]): change["documents"] for change in found["changes"]}
    assert changes == {("kept", "short"): n_short, ("not ingested", "kept"): 1}
    assert found["texts"] == 1
    assert found["languages"] == {"und": [6, 7 - n_short]}
    assert any("kept -> short" in line for line in diff_lines(found))
    command = ("diff", *(release.url for release in releases), "--to", tmp_path / "diff.html")
    assert "would write" in cli(*command, "--dry-run").ok().out and not (tmp_path / "diff.html").exists()
    ended = cli(*command, "--json").ok()
    assert ended.json == json.loads(json.dumps(found))
    data = page_data(tmp_path / "diff.html")
    assert data["comparison"] == ended.json and data["names"] == ["v1", "v2"]
    assert found["drift"] and {row["column"] for row in found["drift"]} == data["histograms"].keys()
    for row in found["drift"]:
        counts = data["histograms"][row["column"]][row["language"]]
        assert (sum(counts["old"]), sum(counts["new"])) == (row["old"], row["new"])
        assert round(ks(np.array(counts["old"]), np.array(counts["new"])), 4) == row["ks"]
    text = (tmp_path / "diff.html").read_text("utf-8").replace(plotly_script(), "")
    assert not re.search(r"<(link|img|iframe)|@import|url\(|<script[^>]*src|https?://", text)


def test_a_release_equals_itself(tmp_path: Path) -> None:
    """A comparison without changes is reported as such."""
    record = build(write_run(tmp_path, tiny(tmp_path)), tmp_path / "store")
    release = open_store(f"{tmp_path}/store/{record['release']}")
    assert diff_lines(compare_releases(release, release))[-1] == "no document changed"
