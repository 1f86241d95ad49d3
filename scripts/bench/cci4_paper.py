"""What each step of configs/cci4-paper.yaml leaves of documents: the preset with sources and models of yours.

Sources are Parquet files with a column `text`, by the names that the groups of the preset's mixes have (web_zh, web_en,
code, ...). Models are named as in a run file; each may be left out, as in the preset. The build is that of the command.
Prints Markdown: documents behind each step in the order of the paper, texts that the edits change, chains,
and the groups of both mixes.

    python -m scripts.bench.cci4_paper --source web_zh=zh.parquet --source code=code.parquet --causal models/smollm2 \
        --like instructions.npz --chains SmolLM2 --servers servers.yaml --words words.txt --store ./store
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import yaml

from pipeline.report.markdown import markdown

CHAINS = "chains"
"""The derived source of the preset."""

PRESET = Path(__file__).resolve().parents[2] / "configs" / "cci4-paper.yaml"
STEPS = (
    ("language", "language"), ("too_short", "document length"), ("too_long", "document length"),
    ("narrow_lines", "mean line length"), ("duplicate", "near copies"), ("hollow_zh", "repeated passages"),
    ("hollow_en", "repeated passages"), ("high_loss", "loss"), ("high_perplexity", "perplexity"),
    ("contaminated", "contamination"), ("parent_dropped", "with their parents"),
)  # fmt: skip
"""Rules of the ledger and the steps that they belong to, in the order of the paper."""


def run_file(sources: dict[str, str], models: dict[str, Any], name: str) -> dict[str, Any]:  # Any: a run file
    """The preset with other sources, and with the models that are given."""
    page: dict[str, Any] = yaml.safe_load(PRESET.read_text("utf-8"))
    derived = [source for source in page["sources"] if "derive" in source]
    read = [
        {"name": key, "reader": "stages.readers.parquet", "files": os.path.abspath(path)}
        for key, path in sources.items()
    ]
    page |= {"sources": [*read, *derived], "ingest": {"shard_bytes": "2MB"}}
    page["release"]["name"] = name
    for step in page["annotate"]:
        if isinstance(step, dict) and step["use"] in models:
            config = dict(models[step["use"]])
            gate = config.pop("gate", step.get("gate"))
            step["config"] = {**step.get("config", {}), **config}
            step |= {"gate": gate} if gate else {}
    return page


def steps_table(rows: Sequence[dict[str, Any]]) -> list[str]:  # Any: rows of a ledger
    """Documents behind each step, by the rule that removes a document; chains apart."""
    read = [row for row in rows if row["source"] != CHAINS]
    left = len(read)
    lines = [["read", "", "", f"{left:,}"]]
    for rule, step in STEPS:
        removed = sum(row["rule"] == rule for row in read)
        left -= removed
        lines.append([step, f"`{rule}`", f"{removed:,}", f"{left:,}"])
    for rule in ("toxic", "low_quality"):
        flagged = sum(row["keep"] and rule in (row["flags"] or ()) for row in read)
        lines.append(["kept with a flag", f"`{rule}`", "", f"{flagged:,}"])
    chains = [row for row in rows if row["source"] == CHAINS]
    lines.append(
        [
            "chains",
            "",
            f"{sum(not row['keep'] for row in chains):,}",
            f"{sum(row['keep'] for row in chains):,}",
        ]
    )
    return markdown(["step", "rule", "removed", "documents"], lines)


def edits_table(report: dict[str, Any]) -> list[str]:  # Any: report.json
    """Documents with spans that the release may remove, by column and kind."""
    rows = [
        [f"`{column}`", kind, f"{kept:,}", f"{n_spans:,}"]
        for column, kinds in sorted(report["spans"].items())
        for kind, (_, kept, n_spans) in sorted(kinds.items())
    ]
    return markdown(["spans of", "kind", "kept documents", "spans"], rows)


def mixes_table(report: dict[str, Any]) -> list[str]:  # Any: report.json
    """Groups of the two mixes: share and epochs."""
    rows = [
        [
            name,
            f"`{group['group']}`",
            f"{group['tokens']:,}",
            f"{group['asked_share']:.2%}",
            f"{group['share']:.2%}",
        ]
        for name in ("openseek", "openseek_tiers")
        for group in report["mixes"][name]["groups"]
    ]
    return markdown(["mix", "group", "tokens", "share asked", "share"], rows)


@click.command()
@click.option("--source", "sources", multiple=True, required=True, help="NAME=FILE; repeatable.")
@click.option("--causal", help="A causal language model, by folder or name of a hub.")
@click.option("--max-tokens", default=4096, show_default=True, help="Of a document, for the causal model.")
@click.option("--like", "likeness", help="A model of bicorpus train like.")
@click.option("--chains", help="The model that is asked for chains; with --servers.")
@click.option(
    "--chains-gate", default=0.6, show_default=True, help="Least quality.value of documents asked about."
)
@click.option("--servers", type=click.Path(exists=True, dir_okay=False))
@click.option("--words", type=click.Path(exists=True, dir_okay=False), help="Listed words, one a line.")
@click.option("--benchmarks", type=click.Path(exists=True, dir_okay=False))
@click.option("--store", required=True)
@click.option("--workers", default=1, show_default=True)
def main(  # the options of the command
    sources: tuple[str, ...], causal: str | None, max_tokens: int, likeness: str | None, chains: str | None,
    chains_gate: float, servers: str | None, words: str | None, benchmarks: str | None, store: str, workers: int,
) -> None:  # fmt: skip
    """Build the preset and print the tables."""
    models: dict[str, Any] = {"classifiers.causal_loss": {"max_tokens": max_tokens}}
    if causal:
        models["classifiers.causal_loss"]["models"] = {"lm": os.path.abspath(causal)}
    if likeness:
        models["classifiers.like"] = {"models": {"instructions": os.path.abspath(likeness)}}
    if chains:
        models["classifiers.cot_llm"] = {"model": chains, "gate": {"quality.value": {"min": chains_gate}}}
    if words:
        models["stages.web.line_rules"] = {"words": [os.path.abspath(words)]}
    if benchmarks:
        models["stages.decontaminate"] = {"benchmarks": [os.path.abspath(benchmarks)]}
    folder = Path(store).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    page = run_file(dict(source.split("=", 1) for source in sources), models, "paper")
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(yaml.safe_dump(page, allow_unicode=True, sort_keys=False), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(path),
        "--store",
        str(folder),
        "--workers",
        str(workers),
    ]
    subprocess.run([*command, *(["--servers", servers] if servers else [])], check=True)
    release = folder / "releases" / "paper"
    report = json.loads((release / "report.json").read_text("utf-8"))
    for table in (
        steps_table(pq.read_table(release / "ledger").to_pylist()),
        edits_table(report),
        mixes_table(report),
    ):
        click.echo("\n".join([*table, ""]))


if __name__ == "__main__":
    main()
