"""The part of a release's card on its files: front matter for the hub, what lies where, columns, how to load and check.

Source of the front matter: the Hugging Face hub's dataset card specification (hub-docs/datasetcard.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from stages.hub import hub_languages, hub_licenses, hub_size
from stages.markdown import Markup, code, few, in_bytes, markdown, type_name

Report = Mapping[str, Any]
"""Plain JSON: what report.json of a release holds."""


def front_matter(report: Report, schemas: Mapping[str, pa.Schema]) -> dict[str, Any]:
    """What the hub reads: names, languages, licences, size, and a configuration for each table and language."""
    kept = kept_languages(report)
    page: dict[str, Any] = {"pretty_name": report["name"]}
    if languages := hub_languages(kept):
        page["language"] = languages
        page["multilinguality"] = ["multilingual" if len(languages) > 1 else "monolingual"]
    if licenses := hub_licenses(row["license"] for row in report["licenses"]):
        page["license"] = licenses
    page["size_categories"] = [hub_size(report["counts"]["kept"])]
    page["task_categories"] = ["text-generation"]
    page["tags"] = ["pretraining", "bicorpus"]
    configs = {"default": "data/*/part-*.parquet"} if kept else {}
    configs |= {name: f"data/{name}/part-*.parquet" for name in kept if name != "default"}
    configs |= {
        config_name(f): f"{f}/part-*.parquet" for f in schemas if f != "data" and not f.endswith(".parquet")
    }
    page["configs"] = [
        {"config_name": name, "data_files": [{"split": "train", "path": path}]}
        for name, path in configs.items()
    ]
    if kept:
        page["configs"][0]["default"] = True
    return page


def config_name(folder: str) -> str:
    """The hub's name of a table; what it forbids becomes a hyphen."""
    return re.sub(r"[^\w.-]+", "-", folder.replace("mixes/", "mix-", 1))


def kept_languages(report: Report) -> list[str]:
    """Languages with a kept document, the largest first."""
    kept = {name: row["kept"] for name, row in report["funnel"].items() if row.get("kept")}
    return sorted(kept, key=lambda name: (-kept[name], name))


FILES = (
    ("data/", "every kept document once, a folder for each language"),
    ("mixes/", "documents in training order; `order.parquet` says which, and how often"),
    ("tokens/", "the same documents tokenised, in the same order"),
    ("cot/", "worked solutions found in the documents"),
    ("ledger/", "one row for every ingested document with the rule that dropped it"),
    ("clusters/", "one row for every cluster of copies: size, kept members, counts by snapshot and source"),
    ("lineage.json", "input files by digest, steps by recipe, all counts"),
    ("licenses.csv", "documents and tokens by licence and source"),
    ("report.html", "the numbers as pictures; `report.json` has them plain"),
    ("run.yaml", "the run file"),
)


def file_section(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """What lies where, and how large it is."""
    rows = []
    for prefix, meaning in FILES:
        found = [file["bytes"] for file in files if file["path"].startswith(prefix)]
        if found:
            rows.append([code(prefix), Markup(meaning), len(found), in_bytes(sum(found))])
    rows.append([code("croissant.json"), "files and columns for programs (Croissant 1.0)", 1, ""])
    rows.append([code("checksums.sha256"), "SHA-256 of every other file", 1, ""])
    return ["## Files", "", *markdown(["", "", "files", "size"], rows)]


def column_section(schemas: Mapping[str, pa.Schema], meanings: Mapping[str, str]) -> list[str]:
    """Columns of each kind of table, each told once; the parts of mixes have those of the data."""
    lines = ["## Columns"]
    told: list[pa.Schema] = []
    for schema in schemas.values():
        if any(schema.equals(other) for other in told):
            continue
        told.append(schema)
        same = [code(name) for name, other in schemas.items() if other.equals(schema)]
        rows = [[code(c.name), type_name(c.type), Markup(meanings.get(c.name, ""))] for c in schema]
        lines += ["", f"{few(same)}:", "", *markdown(["column", "type", "meaning"], rows)]
    return lines if told else []


def loading_section(report: Report, schemas: Mapping[str, pa.Schema]) -> list[str]:
    """Code that reads the release with three libraries; Datasets takes no "." for the folder."""
    languages = kept_languages(report)
    if not languages:
        return []
    mix = next(
        (folder for folder in schemas if folder.startswith("mixes/") and not folder.endswith(".parquet")),
        None,
    )
    lines = [
        "## Loading it", "", "```python",
        "import polars as pl", "import pyarrow.dataset as ds", "from datasets import load_dataset", "",
        f'release = "./{report["name"]}"  # where it lies',
        f'documents = load_dataset(release, "{languages[0]}", split="train", streaming=True)',
    ]  # fmt: skip
    if mix:
        call = f'load_dataset(release, "{config_name(mix)}", split="train", streaming=True)'
        lines.append(f"in_training_order = {call}")
    lines += [
        'columns = ["text", "language", "n_tokens"]',
        'for batch in ds.dataset(f"{release}/data", format="parquet").to_batches(columns=columns):', "    ...",
        'reasons = pl.scan_parquet(f"{release}/ledger/part-*.parquet").group_by("language", "rule").len().collect()',
        "```",
    ]  # fmt: skip
    return lines


def checking_section() -> list[str]:
    """How to check that the release is whole."""
    return [
        "## Checking it", "",
        "`sha256sum -c checksums.sha256` checks the files. `bicorpus verify .` checks besides that every record is "
        "accounted for, and the ledger, data, mixes and tokens against each other.",
    ]  # fmt: skip
