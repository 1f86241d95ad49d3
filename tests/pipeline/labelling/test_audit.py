"""Audits: what is drawn, the rates that verdicts give, and the way from a build to its report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.labelling.answers import Answer, Read
from pipeline.labelling.audit import (
    STRATUM,
    audit_numbers,
    choose,
    described,
    left_out,
    proportional,
    rates,
    verdicts_of,
    wilson,
)
from scripts.bench.audit_coverage import coverage
from tests.helpers.build import build, cli, tiny, write_run


def facts(n: int) -> pa.Table:
    """Documents of two sources and languages; a fifth is dropped by one of two rules."""
    outcome = ["kept", "kept", "kept", "kept", "short"]
    return pa.table(
        {
            "doc_id": [f"{i:026d}" for i in range(n)], "source": ["web" if i % 10 else "books" for i in range(n)],
            "language": [("zho_Hans", "eng_Latn")[i % 3 == 0] for i in range(n)],
            "outcome": [outcome[i % 5] if i % 50 != 4 else "spam" for i in range(n)], "tier": [""] * n,
        }
    )  # fmt: skip


def test_strata_are_drawn_in_proportion_and_rules_equally() -> None:
    """Half of the sheet is kept documents, every stratum occurs, rules have equal shares; a seed repeats a draw."""
    drawn = choose(facts(2000), 200, 0.5, 7)
    assert drawn.num_rows == len(set(drawn["doc_id"].to_pylist())) == 200
    outcomes = drawn["outcome"].to_pylist()
    assert outcomes.count("kept") == 100
    assert outcomes.count("spam") == 40 and outcomes.count("short") == 60  # there are only 40 of spam
    assert choose(facts(2000), 200, 0.5, 7).equals(drawn) and not choose(facts(2000), 200, 0.5, 8).equals(
        drawn
    )
    assert proportional([1, 1000, 9], 11) == [1, 9, 1] and proportional([5, 5], 100) == [5, 5]


def answers(drawn: pa.Table, bad: set[str], by: int = 1) -> Read:
    """Readers who all find the same documents bad."""
    read = Read()
    for k in range(by):
        read.answers[f"r{k}"] = {
            i: Answer(i, f"r{k}", None, i not in bad, None, (), None, "") for i in drawn["doc_id"].to_pylist()
        }
    return read


def test_rates_are_weighted_by_strata() -> None:
    """If all books and no other documents are bad, the rate is the share of books whatever was drawn of them."""
    table = facts(2000)
    drawn = choose(table, 300, 0.5, 1)
    books = set(table.filter(pa.compute.equal(table["source"], "books"))["doc_id"].to_pylist())
    found = {(r.by, r.group): r for r in rates(verdicts_of(drawn, answers(drawn, books, 2)))}
    kept = table.filter(pa.compute.equal(table["outcome"], "kept"))
    share = kept["source"].to_pylist().count("books") / kept.num_rows
    assert found["all", "kept"].rate == pytest.approx(share, abs=1e-6)
    assert found["source", "books"].rate == 1 and found["source", "web"].rate == 0
    assert found["rule", "short"].wrong == "good" and found["rule", "short"].rate == 1.0
    assert found["rule", "short"].population == table["outcome"].to_pylist().count("short")
    low, high = wilson(0.0, 100)
    assert low == pytest.approx(0, abs=1e-12) and high == pytest.approx(0.0370, abs=1e-4)


def test_strata_beyond_the_number_drawn_are_counted() -> None:
    """With more strata than documents, and with strata of which nothing was read, no document is missing silently."""
    table = facts(2000)
    sources = pa.array([f"s{i % 97}" for i in range(2000)])
    many = table.set_column(table.schema.get_field_index("source"), "source", sources)
    drawn = described(choose(many, 60, 0.5, 1).append_column("text", pa.array([""] * 60)), "r", "x")
    missing = left_out(drawn)
    of = drawn.group_by([*STRATUM, "population"]).aggregate([])
    totals = {name: many["outcome"].to_pylist().count(name) for name in ("kept", "short", "spam")}
    for outcome, n in totals.items():
        rows = [row["population"] for row in of.to_pylist() if row["outcome"] == outcome]
        assert sum(rows) + missing.get(outcome, 0) == n and missing.get(outcome, 0) > 0
    numbers = audit_numbers(drawn, answers(drawn.slice(0, 20), set()))
    for outcome, n in totals.items():
        rates_of = [r for r in numbers.rates if (r.by, r.group) in (("all", outcome), ("rule", outcome))]
        assert sum(r.population for r in rates_of) + numbers.unrepresented[outcome] == n
    assert left_out(choose(table, 200, 0.5, 7)) == {}


def test_intervals_cover_the_truth() -> None:
    """Of audits of a corpus with 3 % of planted bad documents, 94 % or more have the truth in their interval."""
    assert coverage(n_documents=6000, n_drawn=400, bad_share=0.03, n_audits=60, seed=3) >= 0.94


def test_answers_about_other_documents_are_refused() -> None:
    """The table of another sheet is an error, and so are answers without verdicts."""
    drawn = choose(facts(100), 20, 0.5, 1)
    other = answers(drawn, set())
    other.answers["r0"]["x"] = Answer("x", "r0", None, True, None, (), None, "")
    with pytest.raises(InputError, match="x is not among"):
        verdicts_of(drawn, other)
    with pytest.raises(InputError, match="no verdict"):
        verdicts_of(drawn, Read())


def test_from_a_build_to_its_report(tmp_path: Path) -> None:
    """Draw, fill the CSV, score; the next release has the rates in report and card, and names the audit's decisions."""
    rows: list[dict[str, Any]] = [
        {"id": str(i), "text": f"第 {i} 篇，" + ("广告广告" if i % 4 == 0 else "讲一件小事。") * 3}
        for i in range(40)
    ]
    rule = {"name": "short", "source_id": {"not_in": [str(i) for i in range(10)]}, "if_null": "keep"}
    run_path, store = write_run(tmp_path, tiny(tmp_path, rows, select=[rule])), tmp_path / "store"
    build(run_path, store)
    sheet = tmp_path / "audit.html"
    drawn = (
        cli("audit", "draw", run_path, "--store", store, "--to", sheet, "--documents", 20, "--json").ok().json
    )
    assert drawn["documents"] == 20 and drawn["kept"] == 10
    assert "广告" in sheet.read_text(encoding="utf-8") and "short" not in sheet.read_text(encoding="utf-8")
    with sheet.with_suffix(".csv").open(encoding="utf-8-sig", newline="") as stream:
        filled = list(csv.DictReader(stream))
    for row in filled:
        row |= {"keep": "否" if "广告" in row["text"] else "是", "labeller": "ann"}
    with sheet.with_suffix(".csv").open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, filled[0])
        writer.writeheader()
        writer.writerows(filled)
    table = sheet.with_suffix(".drawn.parquet")
    score = ("audit", "score", table, sheet.with_suffix(".csv"), "--store", store)
    shown = cli(*score).ok().out
    assert "removed wrongly" in shown and "short" in shown
    build(run_path, store)
    release = store / "releases" / "tiny"
    audit = json.loads((release / "report.json").read_text())["audit"]
    by = {(r["by"], r["group"]): r for r in audit["rates"]}
    assert audit["current"] and audit["read"] == 20 and by["rule", "short"]["read"] == 10
    names = np.array(pq.read_table(table)["outcome"].to_pylist())
    assert (names == "kept").sum() == by["all", "kept"]["read"]
    assert "| rule short | removed wrongly |" in (release / "README.md").read_text()
    build(write_run(tmp_path, tiny(tmp_path, rows)), store)
    assert not json.loads((release / "report.json").read_text())["audit"]["current"]
