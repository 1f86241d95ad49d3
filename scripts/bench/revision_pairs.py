"""Collect versions of documents from git histories, with the exact Jaccard index of each pair of versions.

Writes DOCS and PAIRS in the form that `scripts.bench.dedup_truth` reads. From each checkout (a clone with its history,
bare or not) files of documentation are drawn at random, from each file a few of its versions, and every pair of
versions of a file is compared. The index is that of `dedup_truth.exact_jaccard`, over sets, without hashes or
signatures, so that it is no result of the code that is measured.

Example: python -m scripts.bench.revision_pairs --docs docs.parquet --pairs pairs.parquet clones/*
"""

from __future__ import annotations

import random
import re
import subprocess
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.bench.dedup_truth import exact_jaccard

PROSE = re.compile(r"\.(?:md|mdx|rst|txt|adoc|asc|mediawiki)$", re.IGNORECASE)
MIN_CHARS, MAX_CHARS = 200, 200_000
HAN = re.compile("[\u4e00-\u9fff]")
HAN_SHARE = 0.1
"""Least share of ideographs in a document that counts as Chinese."""


def git(checkout: Path, *args: str, stdin: bytes = b"") -> bytes:
    """Output of a git command.

    Raises: CalledProcessError if git fails.
    """
    return subprocess.run(
        ["git", "-C", str(checkout), *args], input=stdin, capture_output=True, check=True
    ).stdout


def versions(checkout: Path) -> dict[str, list[tuple[str, str]]]:
    """File -> (date, blob) of each of its distinct versions on the current branch, the newest first."""
    listed = git(
        checkout, "-c", "core.quotePath=false", "log", "--no-merges", "--no-renames", "--raw", "--no-abbrev",
        "--diff-filter=AM", "--format=@%cs",
    )  # fmt: skip
    found, date = defaultdict[str, list[tuple[str, str]]](list), ""
    for line in listed.decode("utf-8", "replace").splitlines():
        if line.startswith("@"):
            date = line[1:]
        elif line.startswith(":"):
            fields, path = line.split("\t", 1)
            blob = fields.split()[3]
            if PROSE.search(path) and all(blob != other for _, other in found[path]):
                found[path].append((date, blob))
    return {path: blobs for path, blobs in found.items() if len(blobs) > 1}


def texts_of(checkout: Path, blobs: list[str]) -> list[str | None]:
    """Text of each blob; None if it is missing, no UTF-8, or too short or long."""
    texts: list[str | None] = []
    out, at = git(checkout, "cat-file", "--batch", stdin="\n".join(blobs).encode() + b"\n"), 0
    for _ in blobs:
        end = out.index(b"\n", at)
        head, at = out[at:end].split(), end + 1
        if head[-1] == b"missing":
            texts.append(None)
            continue
        size = int(head[2])
        try:
            text = out[at : at + size].decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        texts.append(text if MIN_CHARS <= len(text) <= MAX_CHARS else None)
        at += size + 1
    return texts


def language(text: str) -> str:
    """zh or en, by the share of ideographs."""
    return "zh" if len(HAN.findall(text)) >= HAN_SHARE * len(text) else "en"


@click.command()
@click.argument("checkouts", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--docs", "docs_path", required=True, type=click.Path(dir_okay=False))
@click.option("--pairs", "pairs_path", required=True, type=click.Path(dir_okay=False))
@click.option("--files", default=80, show_default=True, help="Files drawn from each checkout.")
@click.option("--each", default=4, show_default=True, help="Versions drawn from each file.")
@click.option("--seed", default=1, show_default=True)
def main(
    checkouts: tuple[Path, ...], docs_path: str, pairs_path: str, files: int, each: int, seed: int
) -> None:
    """Write documents and pairs of CHECKOUTS, folders with git histories."""
    docs, pairs = [], []
    for checkout in checkouts:
        name, rng = "/".join(checkout.resolve().parts[-2:]), random.Random(seed)
        history = versions(checkout)
        for path in sorted(rng.sample(sorted(history), min(files, len(history)))):
            drawn = sorted(rng.sample(history[path], min(each, len(history[path]))), reverse=True)
            texts = texts_of(checkout, [blob for _, blob in drawn])
            kept = [
                {"doc_id": blob, "text": text, "lang": language(text), "key": f"{name}:{path}", "kind": "real",
                 "version": date}
                for (date, blob), text in zip(drawn, texts, strict=True) if text is not None
            ]  # fmt: skip
            docs += kept
            pairs += [
                {
                    "id_a": a["doc_id"],
                    "id_b": b["doc_id"],
                    "jaccard5": exact_jaccard(a["text"], b["text"], a["lang"]),
                }
                for a, b in combinations(kept, 2)
                if a["lang"] == b["lang"]
            ]
        click.echo(f"{name}: {len(docs):,} documents, {len(pairs):,} pairs so far", err=True)
    unique = list({doc["doc_id"]: doc for doc in docs}.values())
    pq.write_table(pa.Table.from_pylist(unique), docs_path)
    pq.write_table(pa.Table.from_pylist(pairs), pairs_path)


if __name__ == "__main__":
    main()
