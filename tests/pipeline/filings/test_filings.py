"""Filings and the Croissant description, from one release with licences, personal data and an audit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.filings.eu import YES, category_fields
from pipeline.filings.facts import PUBLIC_DATA, SYNTHETIC, open_release
from pipeline.filings.filing import BLANK
from pipeline.labelling.audit import store_audit
from pipeline.report.audit_numbers import AuditNumbers, AuditRate
from pipeline.storage.store import open_store
from tests.helpers.build import build, cli, tiny, write_run


def rows() -> list[dict[str, Any]]:
    """Sixty documents of thirty hosts; one host has a third of the text, two documents an opt-out."""
    found = []
    for i in range(60):
        text = f"第 {i} 篇。" + ("湖边的老人每天清晨都来钓鱼。" * (20 if i % 30 == 0 else 3))
        text += "联系 zhang.wei@example.com" if i % 10 == 1 else ""
        row = {
            "id": str(i),
            "text": text,
            "url": f"https://www.h{i % 30}.example/{i}",
            "license": "CC BY 4.0",
        }
        found.append(row | ({"robots": "noai"} if i in (3, 4) else {}))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filings of a release."""
    folder = tmp_path_factory.mktemp("filings")
    page = tiny(
        folder, rows(), annotate=["stages.licences", "stages.pii"],
        select=[{"name": "opted_out", "licences.opt_out": False, "where": {"source_id": ["3"]}}],
        release={"edits": {"pii": ["email"]}, "replace": {"email": "<EMAIL>"}},
    )  # fmt: skip
    store = folder / "store"
    rate = AuditRate(
        by="all", group="kept", wrong="bad", population=59, read=50, found=1, rate=0.02, low=0.004, high=0.1
    )
    source = AuditRate(
        by="source", group="docs", wrong="bad", population=59, read=50, found=4, rate=0.08, low=0.03, high=0.2
    )
    audit = AuditNumbers(release="tiny", recipe="other", drawn=60, read=50, readers=2, rates=[rate, source])
    run_path = write_run(folder, page)
    store_audit(open_store(str(store)), audit)
    build(run_path, store)
    facts = {"provider": "Example Corp., 示例公司", "sources": {"docs": "crawled"}}
    (folder / "facts.yaml").write_text(yaml.safe_dump(facts, allow_unicode=True), encoding="utf-8")
    for kind in ("eu", "cn"):
        arguments = (
            "filing",
            kind,
            store / "releases" / "tiny",
            "--to",
            folder,
            "--facts",
            folder / "facts.yaml",
        )
        assert "fields are blank" in cli(*arguments).ok().err + cli(*arguments).ok().out
    return folder


def fields(folder: Path, name: str) -> dict[str, Any]:
    """Values of a filing's fields."""
    page = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return {field["key"]: field["value"] for section in page["sections"] for field in section["fields"]}


def test_the_summary_for_the_eu(folder: Path) -> None:
    """Largest domains, opt-outs, personal data; what the release cannot tell is blank, in both languages."""
    found = fields(folder, "eu-summary")
    assert found["provider"].startswith("Example Corp.") and found["model"] is None
    assert found["crawlers_used"]["en"] == "yes" and found["crawled_modality"]["zh"] == "文本"
    assert found["public_used"]["en"] == "no" and found["public_large"] is None and found["version"] is None
    assert found["opt_out_rules"] == ["opted_out: 1"] and found["opt_outs_left"] == 1
    text = (folder / "eu-summary.en.md").read_text(encoding="utf-8")
    assert "The largest 3 of 30 domains" in text and "| h0.example | 2 |" in text
    assert f"**Model and versions, models it depends on**: {BLANK['en']}".replace("(", r"(") in text.replace(
        "\\", ""
    )
    chinese = (folder / "eu-summary.zh.md").read_text(encoding="utf-8")
    assert "最大的 3 个域名（共 30 个）" in chinese and "示例公司" in chinese and BLANK["zh"] in chinese
    assert "| email | 6 | replaced |" in text


def test_public_data_sets_are_listed_by_size() -> None:
    """Those above 3 % of all are named as large; whether a category was used is blank while one source states none."""
    rows = [["big", 10, 9, 970, None, None], ["small", 1, 1, 30, None, None]]
    found = {key: value for key, _, value in category_fields(PUBLIC_DATA, YES, rows)}
    assert (
        found["public_large"] == ["big"]
        and found["public_other"] == ["small"]
        and found["public_used"] == YES
    )
    assert {key: value for key, _, value in category_fields(SYNTHETIC, None, [])}["synthetic_used"] is None


def test_rules_of_presets_are_found(folder: Path) -> None:
    """A rule counts whether it is written out or comes from a preset, by its own columns or by those of the entry."""
    opened = open_release(open_store(str(folder / "store" / "releases" / "tiny")))
    entry = {"preset": "gopher", "only": ["too_short"], "where": {"toxicity.toxic": {"min": 0.5}}}
    opened = replace(opened, run={"select": [entry, {"name": "opted_out", "licences.opt_out": False}]})
    assert opened.rules_on("toxic") == opened.rules_on("n_words") == {"gopher_too_short": 0}
    assert opened.rules_on("opt_out") == {"opted_out": 1} and opened.rules_on("url_lists") == {}


def test_the_chinese_tables(folder: Path) -> None:
    """Pass rate against the limit, a source with more than 5 % bad is barred, the plan is listed."""
    found = fields(folder, "cn-tables")
    assert found["pass_rate"] == "98.00%" and found["passes"]["zh"] == "是"
    assert found["enough"]["en"] == "no" and found["current"]["en"] == "no"
    assert found["machine_pass_rate"] is None  # no step looked for harmful text
    text = (folder / "cn-tables.zh.md").read_text(encoding="utf-8")
    assert "| docs | crawled | 60 | 59 |" in text and "| 8.00% | 是 |" in text


def test_a_fact_that_no_field_asks_for_is_refused(folder: Path, tmp_path: Path) -> None:
    """A misspelt key names the nearest one, and a category that does not exist is an error."""
    release = folder / "store" / "releases" / "tiny"
    for facts, said in (
        ({"provder": "x"}, "did you mean 'provider'"),
        ({"sources": {"docs": "web"}}, "expected one of"),
    ):
        path = tmp_path / "facts.yaml"
        path.write_text(yaml.safe_dump(facts), encoding="utf-8")
        refused = cli("filing", "eu", release, "--to", tmp_path, "--facts", path)
        assert refused.code == 2 and said in refused.err


def test_croissant_has_rai_fields_that_the_library_accepts(folder: Path) -> None:
    """Version 1.1 with fields on collection, personal data and annotation; mlcroissant finds no error."""
    path = folder / "store" / "releases" / "tiny" / "croissant.json"
    page = json.loads(path.read_text(encoding="utf-8"))
    assert page["conformsTo"][0].endswith("/croissant/1.1")
    assert "email: in 6 kept documents, replaced or removed" in page["rai:personalSensitiveInformation"]
    assert "50 documents" in page["rai:dataAnnotationProtocol"]
    mlcroissant = pytest.importorskip("mlcroissant", reason="a dev dependency")
    assert not mlcroissant.Dataset(jsonld=str(path)).metadata.ctx.issues.errors
