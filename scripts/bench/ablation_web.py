"""Build corpora for an ablation from raw web pages of public repositories: as they are, and by the recommended set.

Takes git repositories that hold copies of web pages (test pages of extractors, mirrors of sites), writes their HTML
files to a folder, at most `--bytes` of each repository, and builds five releases over one store: `raw` (extracted text,
the rule on languages alone), `recommended`, and that set without deduplication, without its rules on quality scores,
and with these alone. Each has a mix of equal tokens in Chinese and English. `ablation.yaml` compares them on
documentation and books of the bundled sample, which are in none of them.

The scores of `classifiers.quality` learnt from labelled pages, some of which may be of the same repositories.

Example: python -m scripts.bench.ablation_web REPOSITORY... --to /tmp/web
         bicorpus ablate /tmp/web/ablation.yaml --to /tmp/web/runs
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any  # run files

import click
import yaml

from tests.helpers.build import command

ROOT = Path(__file__).parents[2]
ENDINGS = (".html", ".htm", ".shtml")
SCORES = ("low_value", "damaged", "spam", "furniture")
"""Parts of the names of rules on scores of `classifiers.quality`."""

COPIES = "same_source_id"
"""The rule that reads a step of deduplication."""

Page = dict[str, Any]


def write_pages(repository: Path, folder: Path, n_bytes: int) -> tuple[int, int]:
    """Write the HTML files of the newest commit, in order of their hashes, until n_bytes; returns files and bytes."""
    listing = _git(repository, "ls-tree", "-r", "-l", "-z", "HEAD").decode("utf-8", "replace")
    sizes: dict[str, int] = {}
    for line in filter(None, listing.split("\0")):
        facts, _, path = line.partition("\t")
        _, kind, blob, n = facts.split()
        if kind == "blob" and path.lower().endswith(ENDINGS) and n.isdigit():
            sizes[blob] = int(n)  # once, whatever its paths are
    folder.mkdir(parents=True)
    n_files = total = 0
    for blob, size in sorted(sizes.items()):
        if total + size > n_bytes:
            break
        (folder / f"{blob}.html").write_bytes(_git(repository, "cat-file", "blob", blob))
        n_files, total = n_files + 1, total + size
    return n_files, total


def _git(repository: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True).stdout


def run_files(names: list[str]) -> Iterator[tuple[str, Page]]:
    """Name and content of each run file, over pages of some repositories."""
    shares = {"zho_Hans": 0.5, "eng_Latn": 0.5}
    page: Page = yaml.safe_load(command("rules", "recommended").ok().out)
    page |= {
        "corpus": "web",
        "sources": [
            {"name": name, "reader": "stages.readers.html", "files": f"pages/{name}/*.html"} for name in names
        ],
        "ingest": {"max_quarantined_share": 1.0},  # stored pages have empty ones among them
        "mix": {"default": "even", "max_discard": 1.0, "mixes": {"even": {"by": "language.label", "share": shares}}},
    }  # fmt: skip

    def with_rules(keep: Callable[[str], bool]) -> list[Page]:
        return [rule for rule in page["select"] if keep(rule["name"])]

    def is_score(name: str) -> bool:
        return any(part in name for part in SCORES)

    without_copies = {"keep_one": None, "global": [], "select": with_rules(lambda name: name != COPIES)}
    yield "raw", page | without_copies | {"select": with_rules(lambda name: name == "language")}
    yield "recommended", page
    yield "no_dedup", page | without_copies
    yield "no_scores", page | {"select": with_rules(lambda name: not is_score(name))}
    yield (
        "scores_only",
        page | without_copies | {"select": with_rules(lambda name: name == "language" or is_score(name))},
    )


def ablation(store: str, names: list[str]) -> Page:
    """The file of the ablation."""
    sample = ROOT / "sample"
    return {
        "corpora": {name: {"release": f"{store}/releases/{name}", "mix": "even"} for name in names},
        "baseline": "raw",
        "evaluate": {
            "zh": {"files": [str(sample / "docs_zh-00.jsonl.gz")], "bytes": 200_000},
            "zh_books": {"files": [str(sample / "books_zh.parquet")], "bytes": 200_000},
            "en": {"files": [str(sample / "docs_en-00.jsonl.zst")], "bytes": 200_000},
        },
        "seeds": [1, 2, 3, 4, 5],
        "sizes": {
            "small": {"width": 64, "layers": 2, "heads": 2, "context": 128},
        },
        "train": {"tokens": 250_000, "batch": 16, "learning_rate": 3e-4},
        "chinese_share": 0.5,
    }


@click.command()
@click.argument(
    "repositories", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option(
    "--bytes", "n_bytes", default=20_000_000, show_default=True, help="Most bytes of HTML of a repository."
)
def main(repositories: tuple[Path, ...], folder: Path, n_bytes: int) -> None:
    """Gather pages, build the releases, and write ablation.yaml."""
    names = []
    print("| repository | pages | MB of HTML |\n|---|---:|---:|")
    for number, repository in enumerate(repositories):
        names.append(f"r{number:02d}")
        n_files, size = write_pages(repository, folder / "pages" / names[-1], n_bytes)
        print(f"| {repository} | {n_files:,} | {size / 1e6:.1f} |", flush=True)
    built = []
    for name, page in run_files(names):
        path = folder / f"{name}.yaml"
        page = {key: value for key, value in page.items() if value is not None}
        page["release"] = page.get("release", {}) | {"name": name}
        path.write_text(yaml.safe_dump(page, allow_unicode=True, sort_keys=False), encoding="utf-8")
        command("run", path, "--store", folder / "store", "--quiet").ok()
        counts = json.loads((folder / "store/releases" / name / "lineage.json").read_text())["counts"]
        built.append(name)
        print(
            f"{name}: {counts['kept']:,} of {counts['ingested']:,} documents, {counts['kept_tokens']:,} tokens",
            flush=True,
        )
    content = ablation("store", built)
    (folder / "ablation.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    print(folder / "ablation.yaml")


if __name__ == "__main__":
    sys.exit(main())
