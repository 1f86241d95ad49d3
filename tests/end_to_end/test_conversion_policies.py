"""What becomes of Traditional Chinese in a release: kept, converted, derived or split, on the bundled sample."""

from __future__ import annotations

import functools
import gzip
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_run
from pipeline.errors import ConfigError
from tests.helpers.build import build, cli, command, digests, ledger, to_line, write_run
from tests.helpers.convert import convert
from tests.helpers.paths import SAMPLE

MIXED = (
    "下面的程式碼會讀取檔案：\n\n```\n# 讀取檔案\nname = '臺灣'\n```\n\n"
    "說明在 https://example.com/說明/臺灣 這裡，請看。\n"
) * 3
JAPANESE_PAGE = (
    "駅前の図書館は、毎週月曜日が休館日です。返却された本は、入口のポストに入れてください。\n國立國會圖書館\n"
    * 4
)


@functools.cache
def sample_rows() -> list[dict[str, Any]]:
    """Short Chinese documents of the sample in both scripts, and two of our own."""
    found: list[dict[str, Any]] = []
    with gzip.open(SAMPLE / "docs_zh-00.jsonl.gz") as stream:
        for line in stream.read().split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            text = row.get("content") if isinstance(row, dict) else None
            if isinstance(text, str) and 150 < len(text) < 900:
                found.append({"text": text, "url": row.get("url")})
    marks = [sum(row["text"].count(c) for c in "這說來個時對為國學會們") for row in found]
    traditional = [row for row, n in zip(found, marks, strict=True) if n > 5][:24]
    simplified = [row for row, n in zip(found, marks, strict=True) if n == 0][:24]
    return [*traditional, *simplified, {"text": MIXED}, {"text": JAPANESE_PAGE}]


def page(**release: Any) -> dict[str, Any]:
    """A run file over the sample rows whose release has further settings; `sources` are more sources."""
    sources = release.pop("sources", [])
    mix = release.pop("mix", None)
    return {
        "corpus": "scripts",
        "sources": [{"name": "web", "reader": "stages.readers.jsonl", "files": "web-*.jsonl"}, *sources],
        "annotate": ["classifiers.language", "stages.pii", {"use": "stages.tokens", "view": "release"}],
        "select": [{"name": "empty", "tokens.n_tokens": {"min": 1}}],
        "release": {"name": "v1", "edits": {"pii": "all"}, "replace": {"email": "<EMAIL>"}, **release},
        **({"mix": mix} if mix else {}),
    }


@pytest.fixture(scope="module")
def inputs() -> Iterator[Path]:
    """A folder with the rows in three files."""
    folder = Path(tempfile.mkdtemp(prefix="bicorpus-scripts-"))
    for i in range(3):
        (folder / f"web-{i}.jsonl").write_text("".join(map(to_line, sample_rows()[i::3])), "utf-8")
    yield folder
    shutil.rmtree(folder)


def released(store: Path, folder: str = "data") -> list[dict[str, Any]]:
    """Rows of a release's parts."""
    parts = sorted((store / "releases/v1" / folder).rglob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part, partitioning=None).to_pylist()]


def scripts(store: Path) -> dict[str, dict[str, Any]]:
    """The table of Chinese by script in the report, by label."""
    report = json.loads((store / "releases/v1/report.json").read_text("utf-8"))
    return {row["language"]: row for row in report["scripts"]}


def test_keep_is_the_default(inputs: Path, tmp_path: Path) -> None:
    """Texts are released as they are, each under its label; report and card have the shares of each script."""
    build(write_run(inputs, page(), "keep.yaml"), tmp_path)
    rows = released(tmp_path)
    assert {row["text"] for row in rows if row["language"] == "zho_Hant"} <= {
        row["text"] for row in sample_rows()
    }
    found = scripts(tmp_path)
    for label in ("zho_Hans", "zho_Hant"):
        mine = [row for row in rows if row["language"] == label]
        chars, tokens = sum(len(row["text"]) for row in mine), sum(row["n_tokens"] for row in mine)
        assert (found[label]["documents"], found[label]["characters"], found[label]["tokens"]) == (
            len(mine),
            chars,
            tokens,
        )
        assert len(mine) > 15 and found[label]["released_as"] == label
    assert abs(sum(row["characters_share"] for row in found.values()) - 1) < 1e-5
    assert "jpn_Jpan" not in found
    card = (tmp_path / "releases/v1/README.md").read_text("utf-8")
    assert "## Chinese by script" in card and "converted" not in card


def test_convert_at_release(inputs: Path, tmp_path: Path) -> None:
    """Every Traditional text is released in Simplified, with label and token count of that; all else is untouched."""
    kept, run = tmp_path / "kept", write_run(inputs, page(convert="stages.conversion"), "convert.yaml")
    build(write_run(inputs, page(), "keep.yaml"), kept)
    shutil.copytree(kept, tmp_path / "store")
    record = build(run, tmp_path / "store")
    assert record["tasks"]["ingest"] == 0 and set(record["cpu_s"]) <= {"read", "write", "tokens"}
    before, after = ({row["doc_id"]: row for row in released(store)} for store in (kept, tmp_path / "store"))
    assert before.keys() == after.keys()
    assert Counter(row["language"] for row in after.values())["zho_Hant"] == 0
    traditional = [doc_id for doc_id, row in before.items() if row["language"] == "zho_Hant"]
    assert len(traditional) >= 20
    for doc_id, row in after.items():
        if doc_id in traditional:
            assert row["text"] == convert(before[doc_id]["text"]) and row["language"] == "zho_Hans"
        else:
            assert row["text"] == before[doc_id]["text"]
    (mixed,) = (row["text"] for row in after.values() if "name = " in row["text"])
    assert "# 讀取檔案\nname = '臺灣'" in mixed and "https://example.com/說明/臺灣 这里，请看" in mixed
    assert JAPANESE_PAGE in {row["text"] for row in after.values()}
    assert any(before[i]["n_tokens"] != after[i]["n_tokens"] for i in traditional)
    assert scripts(tmp_path / "store")["zho_Hant"]["released_as"] == "zho_Hans"
    card = (tmp_path / "store/releases/v1/README.md").read_text("utf-8")
    assert "labelled anew: `zho_Hant` → `zho_Hans`" in card
    assert {row["language"] for row in ledger(tmp_path / "store")} == {
        row["language"] for row in after.values()
    }
    cli("verify", tmp_path / "store/releases/v1", "--store", tmp_path / "store", "--run", run).ok()
    options = ("--engine", "local", "--workers", 2, "--batch-rows", 3)
    command("run", run, "--store", tmp_path / "fresh", "--quiet", *options, PYTHONHASHSEED="3").ok()
    assert digests(tmp_path / "fresh") == digests(tmp_path / "store")


def test_verify_notices_a_text_that_was_not_converted(inputs: Path, tmp_path: Path) -> None:
    """A released text that differs from the conversion of its record fails the check of derived texts."""
    run = write_run(inputs, page(convert="stages.conversion"), "convert.yaml")
    build(run, tmp_path / "store")
    build(write_run(inputs, page(), "keep.yaml"), tmp_path / "kept")
    part = sorted((tmp_path / "store/releases/v1/data/zho_Hans").glob("part-*.parquet"))[0]
    table = pq.read_table(part, partitioning=None)
    texts_ = {row["doc_id"]: row["text"] for row in released(tmp_path / "kept")}
    forged = [texts_[doc_id] for doc_id in table["doc_id"].to_pylist()]
    place = table.column_names.index("text")
    pq.write_table(
        table.set_column(place, table.schema.field("text"), pa.array(forged, pa.large_string())), part
    )
    ended = cli("verify", tmp_path / "store/releases/v1", "--store", tmp_path / "store", "--run", run)
    assert ended.code != 0 and "released texts derived again" in ended.out


def test_convert_as_a_derived_source(inputs: Path, tmp_path: Path) -> None:
    """Each Traditional document has a Simplified child with its own label, tokens and ledger row, dropped with it."""
    derived = {
        "name": "simplified",
        "derive": "stages.conversion",
        "of": ["web"],
        "config": {"scheme": "tw2s"},
    }
    run = write_run(inputs, page(sources=[derived]), "derived.yaml")
    build(run, tmp_path)
    rows = released(tmp_path)
    by_id = {row["doc_id"]: row for row in rows}
    children = [row for row in rows if row["source"] == "simplified"]
    parents = [row for row in rows if row["language"] == "zho_Hant"]
    assert len(children) == len(parents) >= 20
    for child in children:
        parent = by_id[child["parent_id"]]
        assert child["text"] == convert(parent["text"], "tw2s") and child["language"] == "zho_Hans"
        assert child["url"] == parent["url"] and child["n_tokens"] > 0
    assert not (tmp_path / "releases/v1/None").exists()
    cli("verify", tmp_path / "releases/v1", "--store", tmp_path, "--run", run).ok()
    strict = page(sources=[derived])
    strict["select"].append({"name": "hans_only", "language.label": {"not_in": ["zho_Hant"]}})
    build(write_run(inputs, strict, "strict.yaml"), tmp_path)
    reasons = Counter((row["source"], row["rule"]) for row in ledger(tmp_path) if row["rule"])
    assert reasons == {("web", "hans_only"): len(parents), ("simplified", "parent_dropped"): len(parents)}


def test_split_gives_each_script_its_own_output_and_ratio(inputs: Path, tmp_path: Path) -> None:
    """Folders by label, mixes of one script, and a mix with a ratio between scripts."""
    mix = {
        "default": "both",
        "max_discard": 1.0,
        "mixes": {
            "hans": {"by": "language.label", "share": {"zho_Hans": 1}},
            "hant": {"by": "language.label", "share": {"zho_Hant": 1}},
            "both": {"by": "language.label", "share": {"zho_Hans": 0.75, "zho_Hant": 0.25}},
        },
    }
    build(write_run(inputs, page(mix=mix), "split.yaml"), tmp_path)
    data = Counter(row["language"] for row in released(tmp_path))
    for name, label in (("hans", "zho_Hans"), ("hant", "zho_Hant")):
        assert Counter(row["language"] for row in released(tmp_path, f"mixes/{name}")) == {label: data[label]}
    tokens: Counter[str] = Counter()
    for row in released(tmp_path, "mixes/both"):
        tokens[row["language"]] += row["n_tokens"]
    assert abs(tokens["zho_Hant"] / tokens.total() - 0.25) < 0.02


def test_settings_are_checked(inputs: Path) -> None:
    """An unknown scheme, a module without a conversion and a missing label stop the run at its start."""
    for convert_, said in (
        ({"use": "stages.conversion", "config": {"scheme": "x"}}, "release.convert.config: conversion.scheme"),
        ("stages.tokens", "has no CONVERT"), ({"config": {}}, "expected at least"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            load_run(write_run(inputs, page(convert=convert_), "bad.yaml"))
    without = page(convert="stages.conversion")
    without["annotate"] = without["annotate"][1:]
    with pytest.raises(ConfigError, match=r"release.convert: no column 'language.label'"):
        load_run(write_run(inputs, without, "bad.yaml"))
