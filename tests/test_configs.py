"""Presets in configs/: each builds the bundled sample, and cci4 contains the rules of the language profiles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.config.load import load_run
from pipeline.config.run_sets import with_set
from pipeline.rules.language_parts import find_parts
from pipeline.rules.parse import parse_rules
from pipeline.rules.presets import expand_presets
from pipeline.rules.rules import Rule
from stages.languages import load_profiles
from stages.parts import PART
from tests.helpers.build import build, cli, ledger, write_inputs, write_run
from tests.helpers.inputs import jsonl
from tests.helpers.paths import ROOT

PRESETS = sorted((ROOT / "configs").glob("*.yaml"))
ZH = "去年冬天下了很大的雪，院子里的老树断了几根枝条。父亲说，等到春天，我们再去买一棵小树，把它种在井边。"
EN = "The old mill stood at the end of the lane; nobody had worked in it since the war, and it was said to be haunted."
SOURCES: list[dict[str, Any]] = [  # Any: values of a run file
    {"name": "zh", "reader": "stages.readers.jsonl", "files": "zh/*.jsonl.gz"},
    {"name": "en", "reader": "stages.readers.jsonl", "files": "en/*.jsonl.zst"},
    {"name": "books", "reader": "stages.readers.parquet", "files": "books.parquet"},
    {"name": "web", "reader": "stages.readers.wet", "files": "web/*.warc.wet.gz", "rank": 1},
    {"name": "copies", "reader": "stages.readers.jsonl", "files": "copies.jsonl", "rank": 2},
]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_is_a_run_file(path: Path) -> None:
    """Every file of configs/ loads as it is, by the loader of the commands."""
    assert load_run(str(path)).annotate


def page_of(path: Path) -> dict[str, Any]:  # Any: sections of a run file
    """A preset as plain data, with the set that it names."""
    return with_set(dict(yaml.safe_load(path.read_text("utf-8"))), str(path))[0]


def select_of(name: str) -> dict[str, Rule]:
    """Rules of a preset by name, as a run judges by them."""
    page = page_of(ROOT / "configs" / name)
    parts = find_parts(page["annotate"], name)
    rules = parse_rules(expand_presets(page["select"], name), name)
    return {rule.name: rule.by_part(parts) for rule in rules}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_builds_the_sample(path: Path, tmp_path: Path) -> None:
    """With its sources replaced each preset parses, builds 362 documents, and its release verifies."""
    page = page_of(path)
    (tmp_path / "sample").mkdir()
    shutil.copy(ROOT / "sample" / "benchmarks.parquet", tmp_path / "sample")
    derived = [source for source in page["sources"] if "derive" in source]
    page |= {"sources": [*SOURCES, *derived], "ingest": {"shard_bytes": "200kB"}}
    record = build(write_run(write_inputs(tmp_path / "inputs"), page), tmp_path / "store")
    rows = ledger(tmp_path / "store", page["release"]["name"])
    actions = {rule.name: rule.action for rule in select_of(path.name).values()}
    dropped = {row["rule"] for row in rows} - {None, "duplicate", "parent_dropped"}
    assert record["ingested"] == len(rows)
    assert sum(row["source"] in {source["name"] for source in SOURCES} for row in rows) == 362
    assert sum(row["rule"] in (None, "duplicate") for row in rows) > 181
    assert dropped <= {name for name, action in actions.items() if action == "drop"}
    cli("verify", tmp_path / "store" / "releases" / page["release"]["name"]).ok()


def test_cantonese_and_wu_are_not_judged_by_value() -> None:
    """The scorer of value was trained on hardly any text in them, and half of plain conversation is below its cut."""
    rules = select_of("cci4.yaml")
    for name in ("zho_low_value", "zho_low_value_form"):
        (asked,) = [c.among or () for c in rules[name].where if c.column == "language.label"]
        assert "zho_Hans" in asked
        assert not {"yue_Hant", "yue_Hans", "wuu_Hans", "wuu_Hant"} & set(asked)


def test_the_quickstart_reads_its_sources(tmp_path: Path) -> None:
    """As shipped, every source of the quickstart is within the share of damage that the run file allows."""
    page = page_of(ROOT / "configs" / "quickstart.yaml")
    sources = [source for source in page["sources"] if "derive" not in source]
    for source in sources:
        names = [source["files"]] if isinstance(source["files"], str) else source["files"]
        source["files"] = [str(ROOT / "configs" / name) for name in names]
    run = write_run(
        tmp_path,
        {"corpus": "sources", "sources": sources, "ingest": page["ingest"], "release": {"name": "all"}},
    )
    record = build(run, tmp_path / "store")
    assert record["ingested"] > 3_000
    assert record["quarantined"]


def bounds(conditions: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:  # Any: Condition, and its values
    """Column -> bounds and values of conditions on measured columns, buckets excepted."""
    return {
        c.column: (c.min, c.max, c.among, c.not_among)
        for c in conditions
        if c.column.startswith(("signals.", "quality.", "language.hant_share"))
    }


@pytest.mark.parametrize("profile", load_profiles(), ids=lambda profile: profile.name)
def test_cci4_has_the_rules_of_the_profiles(profile: Any) -> None:  # Any: Profile
    """Every default rule of a language occurs in cci4 with its bounds; `und` serves all other labels."""
    found = select_of("cci4.yaml")
    measured = {field.name for field in PART}
    prefix = "other" if profile.name == "und" else profile.name
    names = {name.partition("_")[2] for name in found if name.startswith(f"{prefix}_")}
    assert names == {rule["name"] for rule in profile.rules}
    for default in parse_rules(list(profile.rules), profile.name):
        rule = found[f"{prefix}_{default.name}"]
        assert bounds(rule.conditions) == bounds(default.conditions), rule.name
        assert bounds(rule.where) == bounds(default.where), rule.name
        assert (rule.action, rule.if_null) == (default.action, default.if_null)
        asked = next(c for c in rule.where if c.column == "language.label")
        own = [
            c.among for c in default.where if c.column == "language.label"
        ]  # a rule for some labels of a profile
        assert asked.among == (None if profile.name == "und" else own[0] if own else tuple(profile.labels))
        assert (asked.not_among is not None) == (profile.name == "und")
        assert (rule.parts == "parts.signals") == bool(rule.tested() & measured), rule.name
        exempt = any(c.column == "cuts.bucket" and c.max == 16 for c in rule.where)
        assert exempt != (rule.base or rule.action == "flag"), rule.name


def test_the_paper_s_cuts_are_the_published_ones() -> None:
    """Chinese documents of 100 to 20,000 characters, 10 characters a line on average, and no rule for English."""
    drops = {name: rule for name, rule in select_of("cci4-paper.yaml").items() if rule.action == "drop"}
    before_passages = {name: rule for name, rule in drops.items() if not name.startswith("hollow")}
    chinese = {
        name: bounds(rule.conditions)
        for name, rule in before_passages.items()
        if rule.where and name != "high_perplexity"
    }
    assert chinese == {
        "too_short": {"signals.n_chars": (100, None, None, None)},
        "too_long": {"signals.n_chars": (None, 20000, None, None)},
        "narrow_lines": {"signals.mean_line_chars": (10, None, None, None)},
    }
    others = {"language", "high_loss", "high_perplexity", "contaminated"}
    assert {name for name, rule in before_passages.items() if not rule.where} | {"high_perplexity"} == others
    quantiles = {
        name: [(c.column, c.quantile.plain()) for c in drops[name].conditions if c.quantile]
        for name in sorted(others)
    }
    assert quantiles == {
        "contaminated": [], "language": [],
        "high_loss": [("causal_loss.loss", (None, 0.995, ("domain.label",)))],
        "high_perplexity": [("fluency.perplexity", (None, 0.995, ("language.label", "domain.label")))],
    }  # fmt: skip


def test_defaults_flag_harm_length_and_regularity() -> None:
    """No preset drops a document for toxicity, low perplexity or length, the published one aside."""
    actions = {name: rule.action for name, rule in select_of("cci4.yaml").items()}
    for name in ("toxic", "too_regular", "zho_too_long", "eng_too_long", "zho_narrow_lines", "low_quality"):
        assert actions[name] == "flag"


def test_collateral_counts_per_source_and_kind(tmp_path: Path) -> None:
    """The script prints the share that the rules keep of each good source and remove of each bad kind."""
    rows = [{"text": f"{ZH}第{i}天。", "source": "zh"} for i in range(6)]
    rows += [{"text": EN, "source": "en"}] * 3 + [{"text": "短。", "source": "en"}]
    jsonl(tmp_path / "docs.jsonl", rows)
    bad: list[dict[str, Any]] = [  # Any: values of columns
        {"text": "7 1 9 4 " * 60 + str(i), "label": "bad", "extra": '{"kind": "digits"}'} for i in range(4)
    ]
    bad += [{"text": ZH + EN, "label": "good", "extra": None}]
    pq.write_table(pa.Table.from_pylist(bad), tmp_path / "bad.parquet")
    options = ["--bad", "bad.parquet", "--bad-where", "label=bad", "--bad-by", "extra.kind"]
    page = page_of(ROOT / "configs" / "quickstart.yaml")
    page["select"] = [
        {"name": "language", "language.label": ["zho_Hans", "zho_Hant", "eng_Latn"], "base": True},
        {"name": "too_short", "signals.n_chars": {"min": 20}, "base": True},
        {"name": "many_digits", "signals.digit_share": {"max": 0.3}, "base": True},
    ]
    (entry,) = [step for step in page["annotate"] if "stages.decontaminate" in str(step)]
    entry["config"] = {"benchmarks": [str(ROOT / "sample" / "benchmarks.parquet")]}
    preset = write_run(tmp_path, page)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.bench.collateral", preset, "docs.jsonl", *options],
        cwd=tmp_path, check=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    assert "| zh | 6 | 1.000 |  |" in done.stdout
    assert "| en | 4 | 0.750 | " in done.stdout
    assert re.search(r"\| digits \| 4 \| 1\.00 \| 0\.00 \| \w+ 4 \|", done.stdout)
    assert "digits" not in done.stdout.split("| bad rows |")[0]
