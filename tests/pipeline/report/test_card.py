"""The card and the Croissant description of a release: the fields that hubs and loaders read, and their truth."""

from __future__ import annotations

import hashlib
import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.dataset.release_schema import LEDGER, ORDER, data_schema
from pipeline.report.card import card
from pipeline.report.croissant import column_field
from pipeline.report.hub import hub_languages, hub_licenses, hub_size
from pipeline.report.markdown import in_bytes, markdown
from pipeline.report.release_numbers import check_numbers
from pipeline.report.release_pages import MEANINGS, PAGES
from stages.cot.documents import ROWS
from tests.helpers.build import build, cli, ledger, reference, texts, tiny, write_run

LABELLED: list[dict[str, Any]] = [  # Any: values of fields
    {"id": str(i), "text": f"第 {i} 篇文章，讲的是图书馆。" if i % 3 else f"Document {i} of a small corpus.",
     "lang": "zho_Hans" if i % 3 else "eng_Latn", "license": ("CC-BY-4.0", "MIT | other", None)[i % 3], "score": i / 40,
     "ppl": float(2 ** (i % 12)), "domain": ("law", "医学")[i % 2]}
    for i in range(40)
]  # fmt: skip
"""Documents that bring their labels and scores with them."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with languages, scores, domains and licences, and a rule for one language."""
    folder = tmp_path_factory.mktemp("labelled")
    page = tiny(folder, LABELLED)
    page["sources"][0] |= {
        "columns": {
            "lang.label": "lang:string", "edu.score": "score", "lm.ppl": "ppl", "top.domain": "domain:string",
        }
    }  # fmt: skip
    page["select"] = [
        {"name": "odd", "lm.ppl": {"max": 1000}, "where": {"lang.label": ["zho_Hans"]}, "if_null": "keep"},
        {"name": "poor", "edu.score": {"min": 0.1}, "if_null": "keep", "action": "flag"},
    ]
    columns = {
        "language": "lang.label",
        "quality": {"edu": "edu.score", "教育 a-b": "edu.score"},
        "perplexity": "lm.ppl",
        "domain": "top.domain",
    }
    page["release"] = {"name": "v1", "columns": columns}
    page["mix"] = {"default": "a b", "mixes": {"a b": {}}}
    build(write_run(folder, page), folder / "store")
    return folder / "store" / "releases" / "v1"


def small() -> Path:
    """The release of the small corpus, which has no labels."""
    return reference().store / "releases" / "v1"


def parts_of(release: Path) -> tuple[dict[str, Any], str]:
    """Front matter and body of a card."""
    _, head, body = (release / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def files_below(release: Path) -> list[str]:
    """Every file of a release by its path inside."""
    return sorted(path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file())


def test_the_hub_reads_the_card(labelled: Path) -> None:
    """huggingface_hub parses the front matter; languages, licences, size and task are among its known values."""
    hub = pytest.importorskip("huggingface_hub", reason="comes with datatrove")
    data = hub.DatasetCard((labelled / "README.md").read_text(encoding="utf-8")).data
    assert data.pretty_name == "v1" and data.task_categories == ["text-generation"]
    assert data.language == ["en", "zh"] and data.multilinguality == ["multilingual"]
    assert data.license == ["cc-by-4.0", "other", "unknown"] and data.size_categories == ["n<1K"]
    assert data.to_dict()["configs"][0]["config_name"] == "default"


def test_each_configuration_finds_its_files(labelled: Path) -> None:
    """Patterns of all configurations meet files, languages share out the data, and names are legal and unique."""
    for release in (small(), labelled):
        head, _ = parts_of(release)
        found: dict[str, int] = {}
        for config in head["configs"]:
            paths = [p for entry in config["data_files"] for p in release.glob(entry["path"])]
            found[config["config_name"]] = sum(pq.read_metadata(path).num_rows for path in paths)
        assert len(found) == len(head["configs"]) and all(found.values())
        assert not [name for name in found if re.search(r"[<>:/\\|?* ]", name)]
        numbers = json.loads((release / "report.json").read_text(encoding="utf-8"))
        languages = [name for name, row in numbers["funnel"].items() if row.get("kept")]
        assert found["default"] == sum(found[name] for name in languages) == numbers["counts"]["kept"]
        assert found["ledger"] == numbers["counts"]["ingested"]
        assert [config["config_name"] for config in head["configs"] if config.get("default")] == ["default"]
    assert "mix-a-b" in found


def test_the_card_tells_the_numbers_of_the_release() -> None:
    """Conservation, rules, sources, licences, mixes and steps are those of the files beside it."""
    release = small()
    _, body = parts_of(release)
    rows = ledger(reference().store)
    kept, copies = sum(row["keep"] for row in rows), sum(row["rule"] == "duplicate" for row in rows)
    assert f"ingested = kept {kept:,} + dropped {len(rows) - kept:,}" in body
    assert f"{copies:,} documents that pass every rule were dropped" in body
    n_short = sum(row["rule"] == "too_short" for row in rows)
    assert re.search(rf"^\| too_short \| {n_short} ", body, re.M)
    for source in {row["source"] for row in rows}:
        mine = [row for row in rows if row["source"] == source]
        n_kept = sum(row["keep"] for row in mine)
        assert re.search(rf"^\| {source} \|.*\| {n_kept} \| {n_kept / len(mine):.1%} \|", body, re.M)
    for line in (release / "licenses.csv").read_text(encoding="utf-8").splitlines()[1:]:
        assert (line.split('"')[1] or "(none)") in body
    for name in ("half", "natural", "`stages.minhash`", "`stages.dedup`", "`boilerplate.spans` (all kinds)"):
        assert name in body
    assert "Personal data was not looked for" in body and "No step looked for toxic" in body


def test_labels_scores_and_domains_are_counted(labelled: Path) -> None:
    """Domains and languages of the card are those of the documents; unmeasured properties are not mentioned."""
    _, body = parts_of(labelled)
    dropped = {i for i, row in enumerate(LABELLED) if row["ppl"] > 1000 and row["lang"] == "zho_Hans"}
    law = [i for i, row in enumerate(LABELLED) if row["domain"] == "law"]
    assert dropped and re.search(rf"^\| law \| {len(law)} \| {len(set(law) - dropped)} \|", body, re.M)
    assert re.search(r"^\| poor \| 4 \|$", body, re.M)
    assert "MIT \\| other" in body and "## Quality" not in body and "## Copies" not in body
    assert "Near copies were not looked for." in body


def test_every_column_has_a_meaning() -> None:
    """The card describes each column of data, ledger, orders, worked solutions and lineage."""
    columns = {*data_schema(["a"]).names, *LEDGER.names, *ORDER.names, *ROWS.names}
    assert columns <= set(MEANINGS)
    assert {f"lineage.{field.name}" for field in data_schema(["a"]).field("lineage").type} <= set(MEANINGS)


def test_the_chinese_card_says_the_same(labelled: Path) -> None:
    """README.zh-CN.md has the numbers of README.md in the same order of sections, and no English prose."""
    for release in (small(), labelled):
        english = parts_of(release)[1]
        chinese = (release / "README.zh-CN.md").read_text(encoding="utf-8")
        for ours, theirs in zip(chinese.split("\n## "), english.split("\n## "), strict=True):
            assert sorted(re.findall(r"\d[\d,.]*\d|\d", ours)) == sorted(
                re.findall(r"\d[\d,.]*\d|\d", theirs)
            )
        fenced = re.sub(r"```.*?```", "", chinese, flags=re.DOTALL)
        prose = [
            line for line in fenced.splitlines()[3:] if re.search("[A-Za-z]{2}", re.sub("`[^`]*`", "", line))
        ]
        assert prose
        assert not [line for line in prose if line[0] not in "|#" and not re.search("[\u4e00-\u9fff]", line)]
        heads = [line for line in fenced.splitlines() if line.startswith("## ")]
        assert not [line for line in heads if not re.search("[\u4e00-\u9fff]", line)]


def test_a_release_of_nothing_has_a_card(tmp_path: Path) -> None:
    """When rules drop every document, the card states it and configures no data to load."""
    page = tiny(tmp_path, select=[{"name": "none", "text_bytes": {"max": 0}}])
    page["release"] = {"name": "v1"}
    build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / "releases" / "v1"
    head, body = parts_of(release)
    assert [config["config_name"] for config in head["configs"]] == ["ledger"] and "language" not in head
    assert "ingested = kept 0 + dropped 8" in body and "load_dataset" not in body
    assert "data" not in [table["@id"] for table in described(release)["recordSet"]]
    cli("verify", release).ok()


def described(release: Path) -> dict[str, Any]:
    """The Croissant description."""
    return dict(json.loads((release / "croissant.json").read_text(encoding="utf-8")))


def test_croissant_names_every_file(labelled: Path) -> None:
    """Each file is part of a set or listed with its digest and size; only the pages that describe it are not."""
    for release in (small(), labelled):
        page = described(release)
        objects = {node["name"]: node for node in page["distribution"] if node["@type"] == "cr:FileObject"}
        patterns = [node["includes"] for node in page["distribution"] if node["@type"] == "cr:FileSet"]
        matched = {name for name in files_below(release) if any(fnmatch(name, p) for p in patterns)}
        assert matched and not matched & set(objects)
        left = set(files_below(release)) - matched - set(objects)
        assert left == {*PAGES, "checksums.sha256"}
        for name, node in objects.items():
            data = (release / name).read_bytes()
            assert (
                node["sha256"] == hashlib.sha256(data).hexdigest() and node["contentSize"] == f"{len(data)} B"
            )
        assert not re.search(r"\b20\d\d-\d\d", json.dumps(page))  # a date would change from run to run


def test_mlcroissant_reads_the_documents(labelled: Path) -> None:
    """The reference library finds no error, and gives each document once with its text and nested columns."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="a dev dependency")
    for release, expected in ((small(), texts(reference().store)), (labelled, texts(labelled.parents[1]))):
        dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
        assert not dataset.metadata.ctx.issues.errors
        found = {row["data/doc_id"].decode(): row for row in dataset.records("data")}
        assert {doc_id: row["data/text"].decode() for doc_id, row in found.items()} == expected
        rows = [row["ledger/keep"] for row in dataset.records("ledger")]
        assert sum(rows) == len(expected) < len(rows)
        for table in dataset.metadata.record_sets:
            assert next(iter(dataset.records(table.id)))
    row = next(row for row in found.values() if row["data/url"] is None)
    edu, same = row["data/quality"]["data/quality/edu"], row["data/quality"]["data/quality/教育_a-b"]
    assert 0 <= edu == same <= 1 and len(row["data/lineage"]) == 3


def test_lists_of_structs_have_fields_of_their_own() -> None:
    """A list is a repeated field with the struct's members as subfields; a dtype unknown to Croissant is an error."""
    kind = pa.list_(pa.struct({"start": pa.int32(), "kind": pa.string()}))
    field = column_field("cot", pa.field("spans", kind), {"fileSet": {"@id": "cot/parts"}}, {})
    assert field["repeated"] and [part["dataType"] for part in field["subField"]] == ["sc:Integer", "sc:Text"]
    with pytest.raises(TypeError, match=r"t/c: Croissant has no data type for map<string, string>"):
        column_field("t", pa.field("c", pa.map_(pa.string(), pa.string())), {}, {})


def test_hub_names() -> None:
    """Codes and ids known to the hub are kept; others become `other`, and no licence becomes `unknown`."""
    assert hub_languages(["zho_Hant", "eng_Latn", "zho_Hans", "yue_Hant", "mul", "zxx", "und"]) == [
        "en",
        "yue",
        "zh",
    ]
    assert hub_licenses(["CC-BY-SA-4.0", "cc-by-sa-4.0 (Wikipedia)", "house rules", ""]) == [
        "cc-by-sa-4.0", "other", "unknown",
    ]  # fmt: skip
    assert [hub_size(n) for n in (0, 999, 1000, 10**12 - 1, 10**12)] == [
        "n<1K", "n<1K", "1K<n<10K", "100B<n<1T", "n>1T",
    ]  # fmt: skip


def test_tables_stand_whatever_names_hold() -> None:
    """A bar or a line break in a name does not break its row, and numbers are right-aligned."""
    assert markdown(["name", "n"], [["a|b\nc", 1234]]) == [
        "| name | n |",
        "|---|---:|",
        "| a\\|b c | 1,234 |",
    ]
    assert [in_bytes(n) for n in (0, 999, 1000, 2_500_000, 10**16)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.5 MB",
        "10.0 PB",
    ]


def test_many_languages_share_a_column(labelled: Path) -> None:
    """The funnel gives the six largest languages a column each, and one to the rest, which add up to all."""
    numbers = json.loads((labelled / "report.json").read_text(encoding="utf-8"))
    funnel = {f"l{i:02d}_Latn": {"kept": 20 - i, "odd": i} for i in range(9)}
    numbers |= {"funnel": funnel, "failed": {"odd": 40, "poor": 0}}
    numbers["profile"]["languages"] = {name: [20, 20 - i, 0, 9, 9, 9] for i, name in enumerate(funnel)}
    body = card(check_numbers(numbers), [], {}, MEANINGS)
    (line,) = re.findall(r"^\| odd \|.*$", body, re.M)
    cells = [int(cell) for cell in re.findall(r"\d+", line)]
    assert cells == [0, 1, 2, 3, 4, 5, 6 + 7 + 8, 36, 40] and "3 others" in body
