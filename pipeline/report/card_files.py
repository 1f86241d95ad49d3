"""Sections of a release's card on its files: front matter, list of files, columns, loading and checking.

Source of the front matter: the Hugging Face hub's dataset card specification (hub-docs/datasetcard.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.report.hub import hub_languages, hub_licenses, hub_size
from pipeline.report.markdown import Markup, code, few, in_bytes, markdown, type_name
from pipeline.report.release_numbers import ReleaseNumbers
from pipeline.translation import labels, message, t


def front_matter(report: ReleaseNumbers, schemas: Mapping[str, pa.Schema]) -> dict[str, Any]:
    """Return the front matter: name, languages, licences, size, and a configuration for each table and language."""
    kept = kept_languages(report)
    metadata: dict[str, Any] = {"pretty_name": report.name}
    if languages := hub_languages(kept):
        metadata["language"] = languages
        metadata["multilinguality"] = ["multilingual" if len(languages) > 1 else "monolingual"]
    if licenses := hub_licenses(row.license for row in report.licenses):
        metadata["license"] = licenses
    metadata["size_categories"] = [hub_size(report.counts.kept)]
    metadata["task_categories"] = ["text-generation"]
    metadata["tags"] = ["pretraining", "bicorpus"]
    configs: dict[str, str | list[str]] = {"default": "data/*/part-*.parquet"} if kept else {}
    configs |= {name: f"data/{name}/part-*.parquet" for name in kept if name != "default"}
    configs |= {
        config_name(f): f"{f}/part-*.parquet" for f in schemas if f != "data" and not f.endswith(".parquet")
    }
    configs |= {
        f"data-{name}" if name else "data-other": paths for name, paths in report.rights_parts.items()
    }
    metadata["configs"] = [
        {"config_name": name, "data_files": [{"split": "train", "path": path}]}
        for name, path in configs.items()
    ]
    if kept:
        metadata["configs"][0]["default"] = True
    return metadata


def config_name(folder: str) -> str:
    """Return the hub's name of a table; characters that it does not allow become hyphens."""
    return re.sub(r"[^\w.-]+", "-", folder.replace("mixes/", "mix-", 1))


def kept_languages(report: ReleaseNumbers) -> list[str]:
    """Return the languages with a kept document, the largest first."""
    kept = {name: row["kept"] for name, row in report.funnel.items() if row.get("kept")}
    return sorted(kept, key=lambda name: (-kept[name], name))


FILES = (
    ("data/", message("every kept document once, a folder for each language")),
    ("mixes/", message("documents in training order, with their text")),
    ("orders/", message("which documents a mix contains, and how often, in training order")),
    ("tokens/", message("the same documents tokenised, in the same order")),
    ("cot/", message("worked solutions found in the documents")),
    ("ledger/", message("one row for every ingested document with the rule that dropped it")),
    (
        "clusters/",
        message("one row for every cluster of copies: size, kept members, counts by snapshot and source"),
    ),
    ("lineage.json", message("input files by digest, steps by recipe, all counts")),
    ("licenses.csv", message("documents and tokens by licence and source")),
    ("obligations.csv", message("what the licences oblige to, by source, in documents and tokens")),
    ("report.html", message("the numbers as pictures; `report.json` has them plain")),
    ("run.yaml", message("the run file")),
)


def file_section(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section that lists the files and their sizes."""
    rows = []
    for prefix, meaning in FILES:
        sizes = [file["bytes"] for file in files if file["path"].startswith(prefix)]
        if sizes:
            rows.append([code(prefix), Markup(t(meaning)), len(sizes), in_bytes(sum(sizes))])
    rows.append([code("croissant.json"), t("files and columns for programs (Croissant 1.1)"), 1, ""])
    rows.append([code("checksums.sha256"), t("SHA-256 of every other file"), 1, ""])
    return ["## " + t("Files"), "", *markdown(labels("", "", "files", "size"), rows)]


def column_section(schemas: Mapping[str, pa.Schema], meanings: Mapping[str, str]) -> list[str]:
    """Return the section on columns, one table for each distinct schema: files of mixes have the schema of the data."""
    lines = ["## " + t("Columns")]
    listed: list[pa.Schema] = []
    for schema in schemas.values():
        if any(schema.equals(other) for other in listed):
            continue
        listed.append(schema)
        same = [code(name) for name, other in schemas.items() if other.equals(schema)]
        rows = [[code(c.name), type_name(c.type), Markup(t(meanings.get(c.name, "")))] for c in schema]
        lines += ["", f"{few(same)}:", "", *markdown(labels("column", "type", "meaning"), rows)]
    return lines if listed else []


def loading_section(report: ReleaseNumbers, schemas: Mapping[str, pa.Schema]) -> list[str]:
    """Return the section with code that reads the release with three libraries; Datasets does not accept "."."""
    languages = kept_languages(report)
    if not languages:
        return []
    mix = next(
        (folder for folder in schemas if folder.startswith("mixes/")),
        None,
    )
    lines = [
        "## " + t("Loading it"), "", "```python",
        "import polars as pl", "import pyarrow.dataset as ds", "from datasets import load_dataset", "",
        f'release = "./{report.name}"  # ' + t("where it lies"),
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
    """Return the section on checking that the release is complete."""
    return [
        "## " + t("Checking it"), "",
        t(
            "`sha256sum -c checksums.sha256` checks the files. `bicorpus verify .` checks besides that every record is "
            "accounted for, and the ledger, data, mixes and tokens against each other."
        ),
    ]  # fmt: skip
