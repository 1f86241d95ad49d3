"""A sheet that a model fills: the files that people write, invalid answers apart, two labellers compared, resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.labelling.ask import read_sheet
from pipeline.labelling.sheet import sheet_csv
from tests.helpers.llm_server import Reply, Server, serve

pytest.importorskip("openai", reason="the extra llm is not installed")

TEXTS = [
    "=SUM(A1) is how it begins.", "第二篇，说的是图书馆。\n第二行。", "- a list\n- of two", "'quoted' from the start",
    'with "quotes", commas', "@mention of nobody", "The ferry leaves twice a day.", "  indented\r\nwith a return",
]  # fmt: skip


def documents() -> list[dict[str, Any]]:
    """Documents of a sheet."""
    languages = ["zho_Hans" if "图" in text else "eng_Latn" for text in TEXTS]
    return [{"doc_id": f"d{i}", "language": languages[i], "text": text} for i, text in enumerate(TEXTS)]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """The CSV of a sheet, as `label sheet` writes it."""
    path = tmp_path / "labels.csv"
    path.write_text(sheet_csv(documents()), encoding="utf-8", newline="")
    return path


def answer(score: int, **values: Any) -> Reply:
    """An answer to the rubric."""
    found = {
        "score": score,
        "keep": score > 2,
        "kind": "essay",
        "flags": ["ads", "ads", "mt"],
        "domain": "none",
    }
    return Reply(json.dumps(found | values))


def by_document(n: int, body: dict[str, Any]) -> Reply:
    """Scores by the seed and the text; one answer that the rubric does not have, one that is no JSON."""
    text = body["messages"][-1]["content"]
    if "ferry" in text:
        return answer(3, kind="poem")
    return Reply("no") if "nobody" in text else answer((len(text) + body["seed"]) % 6)


def ask(sheet: Path, server: Server, name: str, *options: str, **values: Any) -> Any:
    """Run `label ask`; returns the result."""
    servers = sheet.parent / "servers.yaml"
    servers.write_text(yaml.safe_dump({"*": {"base_url": server.url, "backoff_s": 0.01, **values}}))
    arguments = [
        "label",
        "ask",
        str(sheet),
        "--store",
        str(sheet.parent / "store"),
        "--servers",
        str(servers),
    ]
    arguments += ["--model", "m", "--to", str(sheet.parent / f"labels.{name}.csv"), *options]
    return CliRunner().invoke(main, arguments)


def test_a_sheet_is_read_back_as_it_was(sheet: Path) -> None:
    """What was made safe for spreadsheets is undone; line ends within cells are kept."""
    assert [row["text"] for row in read_sheet(str(sheet))] == TEXTS


def test_a_model_fills_a_sheet_as_people_do(sheet: Path) -> None:
    """Answers are in the file that compare and import read; invalid ones are apart, with what the model wrote."""
    with serve(by_document) as server:
        result = ask(sheet, server, "a")
        assert result.exit_code == 0, result.output
        assert "6 of 8 documents labelled by labels.a" in result.stdout
        with (sheet.parent / "labels.a.csv").open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["doc_id"] for row in rows] == [f"d{i}" for i in range(8)]
        assert rows[0]["flags"] == "ads|mt" and rows[0]["labeller"] == "labels.a" and rows[6]["score"] == ""
        without = [
            json.loads(line) for line in (sheet.parent / "labels.a.without.jsonl").read_text().splitlines()
        ]
        assert [(row["doc_id"], row["reason"][:22]) for row in without] == [
            ("d5", "invalid: no JSON"), ("d6", "invalid: kind breaks e"),
        ]  # fmt: skip
        assert without[0]["answer"] == "no"
        facts = json.loads((sheet.parent / "labels.a.asked.json").read_text())
        assert (
            facts["rubric"]["version"] == 1
            and facts["usage"]["invalid"] == 2
            and facts["settings"]["seed"] == 1
        )
        assert {a.body["messages"][0]["content"][0] for a in server.asked} == {"Y", "你"}
        assert len(server.asked) == 8 + 2  # invalid answers are asked for once more
        assert ask(sheet, server, "a").exit_code == 0 and len(server.asked) == 10
        facts = json.loads((sheet.parent / "labels.a.asked.json").read_text())
        assert facts["tokens"] == {"input": 800, "output": 80} and facts["usage"]["requests"] == 0


def test_two_labellers_are_compared(sheet: Path) -> None:
    """Two models, prompts or seeds are two labellers, compared as people are."""
    with serve(by_document) as server:
        assert ask(sheet, server, "a").exit_code == 0
        assert ask(sheet, server, "b", "--seed", "5", "--prompt", "en", "--labeller", "bo").exit_code == 0
    paths = [str(sheet.parent / f"labels.{name}.csv") for name in ("a", "b")]
    (pair,) = json.loads(CliRunner().invoke(main, ["label", "compare", *paths, "--json"]).stdout)
    assert pair["labellers"] == ["bo", "labels.a"] and pair["documents"] == 6
    assert pair["kind_agreement"] == 1.0 and pair["spearman"] is not None


def test_a_budget_stops_and_the_same_command_goes_on(sheet: Path) -> None:
    """Rows beyond the budget are open; a plan counts them."""
    with serve(by_document) as server:
        result = ask(sheet, server, "a", "--again", "0", budget={"requests": 3})
        assert result.exit_code == 0 and "5 of these have no answer yet" in result.stdout
        planned = json.loads(ask(sheet, server, "a", "--again", "0", "--plan", "--json").stdout)
        assert (planned["requests"], planned["cached"]) == (5, 3)
        assert ask(sheet, server, "a", "--again", "0").exit_code == 0 and len(server.asked) == 8


def test_a_wrong_option_is_one_line(sheet: Path) -> None:
    """No CSV, no JSON, no model of the file."""
    with serve(by_document) as server:
        for options, text in (
            (("--extra", "{"), "--extra"), (("--extra", '{"model": "x"}'), "extra.model"), (("--to", "x.txt"), ".csv"),
        ):  # fmt: skip
            result = ask(sheet, server, "a", *options)
            assert result.exit_code == 2 and text in result.stderr, result.output
        assert not server.asked
