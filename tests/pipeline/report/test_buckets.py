"""Quality buckets in a build: what the report shows of them, and edges of an earlier release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.report.page import page
from pipeline.report.release_numbers import check_numbers
from tests.helpers.build import Ended, build, cli, tiny, write_run
from tests.helpers.pages import page_data

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"quotes\" 'and' ]]> "


def rows_of(n: int, shift: float = 0.0) -> list[dict[str, Any]]:  # Any: values of fields
    """Documents with two scores that disagree, in two languages."""
    return [
        {
            "id": str(i), "text": f"{HOSTILE}{i} 页面 {'text ' * (i % 9)}", "lang": ("eng_Latn", "zho_Hans")[i % 2],
            "edu": i / n + shift, "ppl": 1000.0 - i if i % 3 else float(i), "cluster": f"c{i}",
        }
        for i in range(n)
    ]  # fmt: skip


def write(folder: Path, rows: list[dict[str, Any]], release: str, **settings: Any) -> Path:
    """A run file with buckets over scores that came with the records."""
    config = {"scores": ["mine.edu", "lm.ppl"], "low_is_best": ["lm.ppl"], "min_rows": 20, **settings}
    text = tiny(folder, rows)
    text["sources"][0] |= {
        "columns": {
            "language.label": "lang:string",
            "mine.edu": "edu",
            "lm.ppl": "ppl",
            "dedup.cluster": "cluster:string",
        }
    }
    text["annotate"] = ["stages.tokens"]
    text["global"] = [{"use": "stages.cuts", "config": config}]
    text["select"] = [{"name": "low", "cuts.edu_bucket": {"min": 1}, "if_null": "keep"}]
    text["release"] = {"name": release}
    return write_run(folder, text)


def numbers_of(store: Path, release: str) -> dict[str, Any]:
    """What report.json of a release holds."""
    return dict(json.loads((store / "releases" / release / "report.json").read_text(encoding="utf-8")))


def failing(run_path: Path, store: Path) -> Ended:
    """A run that is expected to fail."""
    return cli("run", run_path, "--store", store, "--engine", "local")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the release v1."""
    folder = tmp_path_factory.mktemp("buckets")
    build(write(folder, rows_of(200), "v1"), folder / "store")
    return folder


def test_the_report_shows_scorers(built: Path) -> None:
    """Overlap and samples of every scorer are in the report, texts escaped; sizes are token counts."""
    numbers = numbers_of(built / "store", "v1")
    found = numbers["buckets"]
    assert {row["unit"] for row in found["summary"]} == {"tokens.n_tokens"}
    scorers = {"mine.edu", "lm.ppl", "ensemble"}
    assert {(row["scorer"], row["other"]) for row in found["overlap"]} == {
        (a, b) for a in scorers for b in scorers
    }
    own = {
        row["scorer"]: row
        for row in found["overlap"]
        if row["language"] == "*" and row["scorer"] == row["other"]
    }
    assert all(row["share"] == 1 and row["documents"] for row in own.values())
    assert {row["scorer"] for row in found["samples"]} == scorers
    dropped = [row for row in found["samples"] if not row["keep"]]
    assert dropped and all(row["bucket"] == 0 for row in dropped if row["scorer"] == "mine.edu")
    text = page(check_numbers(numbers))
    assert text == (built / "store/releases/v1/report.html").read_text(encoding="utf-8")
    assert page_data(text)["numbers"] == numbers and found["drift"] is None
    assert "<script>alert(1)" not in text and "\\u003cscript\\u003ealert(1)" in text
    card = (built / "store/releases/v1/README.md").read_text(encoding="utf-8")
    assert "equal shares of tokens (`tokens.n_tokens`)" in card


def buckets_of(store: Path, release: str) -> list[int | None]:
    """The ensemble's bucket of each document, by id."""
    ledger = pq.read_table(store / "releases" / release / "ledger").sort_by("doc_id")
    return list(ledger["quality_bucket"].to_pylist())


@pytest.mark.parametrize("source", ["release:v1", "edges.parquet", "store/releases/v1/report.json"])
def test_edges_of_an_earlier_run_place_the_same_documents_alike(built: Path, source: str) -> None:
    """By the edges of a release, an artefact or a report, the same documents have the same buckets."""
    store = built / "store"
    artefact = next((store / "global/cuts").glob("*/edges.parquet"))
    (built / "edges.parquet").write_bytes(artefact.read_bytes())
    build(write(built, rows_of(200), "v2", edges=source, max_drift=0.01), store)
    assert buckets_of(store, "v2") == buckets_of(store, "v1")
    numbers = numbers_of(store, "v2")
    assert numbers["buckets"]["edges"] == numbers_of(store, "v1")["buckets"]["edges"]
    assert all(row["psi"] == 0 for row in numbers["buckets"]["drift"])
    assert page_data(store / "releases/v2/report.html")["numbers"]["buckets"]["drift"]


def test_drift_is_reported_and_stops_a_run(built: Path, tmp_path: Path) -> None:
    """Documents that score higher drift from the edges; above the limit nothing is released and the exit code is 5."""
    store = built / "store"
    path = write(tmp_path, rows_of(200, 0.4), "v3", edges="release:v1")
    build(path, store)
    drift = {(row["language"], row["scorer"]): row for row in numbers_of(store, "v3")["buckets"]["drift"]}
    assert drift["eng_Latn", "mine.edu"]["moved"] > 0.3 and drift["eng_Latn", "lm.ppl"]["psi"] == 0
    ended = failing(write(tmp_path, rows_of(200, 0.4), "v4", edges="release:v1", max_drift=0.25), store)
    assert ended.code == 5 and "mine.edu of " in ended.err and "population stability index" in ended.err
    assert not (store / "releases/v4").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"edges": "release:none"}, "has no finished release 'none'"),
        ({"edges": "missing.parquet"}, "No such file"),
        ({"edges": "docs.jsonl"}, "found no bucket edges"),
        ({"edges": "release:v1", "n_buckets": 10, "high": 8, "medium": 4}, "has 20 buckets; expected 10"),
        ({"edges": "release:v1", "scores": ["mine.other"], "low_is_best": []}, "no edges of 'mine.other'"),
        ({"scores": ["mine.other"], "low_is_best": []}, "no column 'mine.other'"),
        ({"scores": ["tokens.spans"], "low_is_best": []}, "no column 'tokens.spans'"),
        ({"size": "tokens.count"}, "no column 'tokens.count'"),
    ],
)
def test_settings_that_do_not_fit_stop_before_any_work(
    built: Path, settings: dict[str, Any], message: str
) -> None:
    """Edges that cannot be read or do not fit, and columns that do not exist, are named; the exit code is 2."""
    ended = failing(write(built, rows_of(200), "v5", **settings), built / "store")
    assert ended.code == 2 and message in ended.err


def test_sizes_are_bytes_where_tokens_depend_on_buckets(built: Path, tmp_path: Path) -> None:
    """Token counts of a text that is trimmed by bucket cannot size the buckets: bytes do."""
    path = write(tmp_path, rows_of(100), "v6")
    text = path.read_text(encoding="utf-8")
    text = text.replace("- stages.tokens", "- {use: stages.tokens, view: release}\n- stages.web.boilerplate")
    text = text.replace(
        "select:",
        "select:\n- {name: cut, action: trim, trim: {boilerplate: all}, cuts.bucket: {min: 5}, if_null: keep}",
    )
    path.write_text(text, encoding="utf-8")
    build(path, tmp_path / "store")
    assert {row["unit"] for row in numbers_of(tmp_path / "store", "v6")["buckets"]["summary"]} == {
        "text_bytes"
    }
