"""The command `label`, from a build to labels that a rule uses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.helpers.build import build, cli, tiny, write_run

COLUMNS = {"language.label": "lang:string", "mine.score": "score", "topic.label": "topic:string"}


def rows_of(n: int) -> list[dict[str, Any]]:  # Any: values of fields
    """Documents of two languages with scores and topics."""
    return [
        {
            "id": str(i), "text": f"=Document {i}, <b>第 {i} 篇</b>\n" + "text 文本\n" * (i * 7 % 60),
            "lang": ("eng_Latn", "zho_Hans")[i % 2], "score": i / n, "topic": ("a", None, "b")[i % 3],
        }
        for i in range(n)
    ]  # fmt: skip


def run_file(folder: Path, name: str = "run.yaml", **changes: Any) -> Path:
    """A run file over these documents."""
    page = tiny(folder, rows_of(60), **changes)
    page["sources"][0] |= {"columns": COLUMNS}
    page["release"] = {"name": "v1", "columns": {"domain": "topic.label"}}
    return write_run(folder, page, name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run file and a finished store."""
    folder = tmp_path_factory.mktemp("label")
    build(run_file(folder), folder / "store")
    return folder


def sheet(folder: Path, *options: object) -> dict[str, Any]:
    """Draw a sheet; returns what the command printed."""
    arguments = (
        "label",
        "sheet",
        folder / "run.yaml",
        "--store",
        folder / "store",
        "--to",
        folder / "sheet.html",
    )
    return dict(cli(*arguments, "--score", "mine.score", "--json", *options).ok().json)


def fill(folder: Path, name: str, score: int) -> Path:
    """Fill the CSV of the sheet as a person would in a spreadsheet; one row is left open."""
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for i, row in enumerate(rows[:-1]):
        row |= {
            "score": str((score + i) % 6), "keep": "yes" if i % 2 else "no", "kind": "news", "domain": "none",
            "flags": "ads|mt" if i else "", "labeller": name,
        }  # fmt: skip
    path = folder / f"sheet.{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_sheet_is_drawn_filled_imported_and_used(built: Path) -> None:
    """Documents drawn by score are labelled in the CSV, imported, and dropped by a rule on the label."""
    found = sheet(built, "--documents", 20, "--quantiles", 4)
    assert found == {
        "documents": 20, "languages": {"eng_Latn": 10, "zho_Hans": 10}, "score": "mine.score",
        "to": str(built / "sheet.html"),
    }  # fmt: skip
    drawn = pq.read_table(built / "sheet.drawn.parquet").to_pylist()
    for language in ("eng_Latn", "zho_Hans"):
        numbers = [row["quantile"] for row in drawn if row["language"] == language]
        assert sorted(numbers.count(q) for q in range(4)) == [2, 2, 3, 3]
    texts = {row["text"] for row in rows_of(60)}
    with (built / "sheet.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert all(row["text"].removeprefix("'") in texts for row in csv.DictReader(stream))
    answers = fill(built, "ann", 0)
    ended = cli("label", "import", "people", answers, "--store", built / "store", "--workers", 1)
    assert "19 documents labelled (ann 19); 1 rows without an answer" in ended.ok().out
    assert "use it in a run file with  annotate: [{import: people}]" in ended.out
    rule = {"name": "people", "people.keep": True, "if_null": "keep"}
    path = run_file(built, "labelled.yaml", annotate=[{"import": "people"}], select=[rule])
    assert build(path, built / "store")["kept"] == 50


def test_a_dry_run_of_a_sheet_writes_nothing(built: Path) -> None:
    """It draws the documents, and says how many."""
    before = sorted(path.name for path in built.iterdir())
    to = ("--to", built / "dry.html", "--dry-run")
    arguments = (
        "label",
        "sheet",
        built / "run.yaml",
        "--store",
        built / "store",
        *to,
        "--score",
        "mine.score",
    )
    assert "dry.drawn.parquet" in cli(*arguments).ok().out
    assert sorted(path.name for path in built.iterdir()) == before


def test_labellers_are_compared_on_the_command_line(built: Path) -> None:
    """Agreement and disagreements of two files are printed, with the start of each text, and as JSON."""
    sheet(built, "--documents", 12)
    first, second = fill(built, "ann", 0), fill(built, "bo", 1)
    ended = cli("label", "compare", first, second, "--sheet", built / "sheet.csv").ok()
    assert "ann and bo: 11 documents" in ended.out and "keep: kappa 1.000, equal 1.000" in ended.out
    assert "score 5 / 0, keep" in ended.out and "Document" in ended.out
    (pair,) = json.loads(cli("label", "compare", first, second, "--json").ok().out)
    assert pair["documents"] == 11 and pair["disagreements"][0]["score"] == [5, 0]
    assert cli("label", "compare", first).code == 2


def test_another_draw_and_another_language(built: Path) -> None:
    """--language and --where narrow the draw; the same seed draws the same documents."""
    found = sheet(built, "--language", "zho_Hans", "--where", "mine.score>=0.5", "--documents", 5)
    assert found["languages"] == {"zho_Hans": 5}
    first = (built / "sheet.html").read_bytes()
    drawn = pq.read_table(built / "sheet.drawn.parquet")
    assert min(drawn["score"].to_pylist()) >= 0.5
    sheet(built, "--language", "zho_Hans", "--where", "mine.score>=0.5", "--documents", 5)
    assert (built / "sheet.html").read_bytes() == first
    sheet(built, "--language", "zho_Hans", "--where", "mine.score>=0.5", "--documents", 5, "--seed", 2)
    assert (built / "sheet.html").read_bytes() != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--score", "mine.scores"], "--score: no column 'mine.scores'; did you mean 'mine.score'"),
        (["--score", "topic.label"], "expected numbers"),
        (["--language", "fra_Latn"], "no document is labelled 'fra_Latn'"),
        (["--where", "mine.score>2"], "no document matches"),
        (["--to", "sheet.txt"], "expected a file name with the extension .html"),
    ],
)
def test_a_draw_that_cannot_be_made_says_why(built: Path, options: list[str], message: str) -> None:
    """Unknown columns and labels, and comparisons without a match, are named; the exit code is 2."""
    arguments = ("label", "sheet", built / "run.yaml", "--store", built / "store", "--to", built / "x.html")
    ended = cli(*arguments, *options)
    assert ended.code == 2 and message in ended.err
    assert not (built / "x.html").exists()
