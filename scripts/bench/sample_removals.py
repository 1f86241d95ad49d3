"""Draw a random sample of removed duplicates, each with its keeper, for manual inspection.

Writes one Markdown file: similarity, origin and length of both texts, and the positions where they differ. No metric
replaces reading them to judge whether the removed text is a duplicate.

Example: python -m scripts.bench.sample_removals run.yaml --store ./store --languages zho_Hans,zho_Hant --out zh.md
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import xxhash

from pipeline.config.load import load_run
from pipeline.inspect.opened import Finished, open_build
from pipeline.storage.store import open_store

MAX_CHARS = 60_000
"""Characters of a text that are compared; the rest is only counted."""

MAX_SHOWN = 12
"""Differences shown per pair."""


def removed(finished: Finished, languages: set[str]) -> list[dict[str, Any]]:
    """Removed duplicates in some languages: doc_id, keeper_id, similarity, language. Any: column values."""
    layout = finished.releasing.layout
    label = layout.columns["language"]
    assert label is not None
    rows = []
    for decision in finished.decisions():
        judged = finished.judge_shard(decision, {label})
        outcomes, labels = judged.outcomes(layout), judged.columns[label].to_pylist()
        ids, keepers = judged.columns["doc_id"].to_pylist(), judged.kept.keeper_id.to_pylist()
        similarities = judged.kept.similarity.to_pylist()
        for row in np.flatnonzero(outcomes == layout.duplicate):
            if labels[row] in languages:
                pair = {"doc_id": ids[row], "keeper_id": keepers[row], "similarity": similarities[row]}
                rows.append({**pair, "language": labels[row]})
    return rows


def document(finished: Finished, doc_id: str) -> dict[str, Any]:
    """Text, source, URL and source id of a document. Any: column values."""
    decision, row = finished.locate(doc_id)
    ((_, text),) = finished.text(decision.shard, np.array([row]))
    origin = {
        name: finished.document_column(decision.shard, name)[row].as_py()
        for name in ("source", "url", "source_id")
    }
    return {"text": text, **origin}


def pieces(text: str) -> list[str]:
    """Words, single ideographs, punctuation marks and whitespace, in order."""
    return re.findall(r"[A-Za-z0-9_]+|\s+|.", text[:MAX_CHARS], re.DOTALL)


def differences(left: str, right: str) -> list[str]:
    """Differences between two texts with some context before each; text of the removed document first."""
    a, b = pieces(left), pieces(right)
    lines = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            before = "".join(a[max(i - 12, 0) : i])
            lines.append(f"…{before}[-{shortened(a[i:j])}-]{{+{shortened(b[k:m])}+}}")
    return lines


def shortened(parts: list[str]) -> str:
    """A piece of text, shortened to fit on a line."""
    text = "".join(parts)
    return text if len(text) <= 160 else f"{text[:90]} … {text[-50:]} ({len(text):,} characters)"


def origin(doc: dict[str, Any]) -> str:
    """Source, id or URL, and length of a document. Any: see document."""
    return f"{doc['source']} {doc['source_id'] or doc['url']}, {len(doc['text']):,} characters"


@click.command()
@click.argument("run_path")
@click.option("--store", "store_url", required=True)
@click.option("--languages", required=True, help="Labels, comma-separated.")
@click.option("--n", "n_sample", default=200, show_default=True)
@click.option("--out", "out_path", required=True)
def main(run_path: str, store_url: str, languages: str, n_sample: int, out_path: str) -> None:
    """Sample removals of a finished build and write them with their keepers."""
    store = open_store(store_url)
    finished = open_build(load_run(run_path, store=store), store)
    rows = removed(finished, set(languages.split(",")))
    rows.sort(key=lambda row: xxhash.xxh3_64_intdigest(row["doc_id"].encode()))
    lines = [f"# {min(n_sample, len(rows))} of {len(rows):,} removals in {languages}", ""]
    for i, row in enumerate(rows[:n_sample]):
        dropped, kept = document(finished, row["doc_id"]), document(finished, row["keeper_id"])
        changes = differences(dropped["text"], kept["text"])
        lines += [
            f"## {i + 1}. {row['doc_id']} for {row['keeper_id']}, similarity {row['similarity']:.3f}",
            f"removed: {origin(dropped)}; kept: {origin(kept)}; {len(changes)} differences",
            f"begins: {shortened([dropped['text'][:120]])!r}",
            *changes[:MAX_SHOWN],
            "",
        ]
    Path(out_path).write_text("\n".join(lines), encoding="utf-8")
    click.echo(f"{out_path}: {min(n_sample, len(rows))} of {len(rows):,} removals")


if __name__ == "__main__":
    main()
