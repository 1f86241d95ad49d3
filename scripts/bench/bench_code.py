"""Measure the labels of `classifiers.language` on code: the share of `zxx` among files, excerpts and fenced blocks.

Each --files is NAME=PATTERN (a glob, ** allowed) of source files in one language, such as those that Python and Debian
install. 300 files are sampled per pattern and labelled whole and as excerpts of 15 lines, some of which contain only a
licence or a usage message. DOCUMENTS are Parquet files (column text) of Markdown with fenced blocks that name their
language. Prints Markdown tables.

Example: python -m scripts.bench.bench_code docs-*.parquet --files 'Python=/usr/lib/python3*/**/*.py'
"""

from __future__ import annotations

import glob
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.language import STAGE
from classifiers.language.config import Config
from pipeline.stage import Annotate

LIMIT, LINES = 300, 15
CHARS = range(300, 60_000)
BLOCK_CHARS = range(40, 4001)
LEAST_BLOCKS = 100
FENCE = re.compile(r"^```[ \t]*([A-Za-z0-9_+#-]+)[^\n]*\n(.*?)^```", re.S | re.M)


def draw(rng: random.Random, pattern: str) -> list[str]:
    """Sample up to LIMIT matching files that are valid UTF-8 and whose length is in CHARS."""
    paths = sorted(glob.glob(pattern, recursive=True))
    rng.shuffle(paths)
    texts: list[str] = []
    for path in paths:
        data = Path(path).read_bytes() if Path(path).is_file() else b""
        if (
            b"\0" not in data
            and len(text := data.decode("utf-8", "replace")) in CHARS
            and "\ufffd" not in text
        ):
            texts.append(text)
        if len(texts) == LIMIT:
            break
    return texts


def piece(rng: random.Random, text: str) -> str:
    """LINES consecutive lines from a random position."""
    lines = text.split("\n")
    start = rng.randrange(max(len(lines) - LINES + 1, 1))
    return "\n".join(lines[start : start + LINES])


def blocks(paths: tuple[Path, ...]) -> dict[str, set[str]]:
    """Fenced code blocks, grouped by the language named at the fence."""
    blocks_of: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
            for name, code in FENCE.findall(text):
                if len(code) in BLOCK_CHARS:
                    blocks_of[name.lower()].add(code)
    return blocks_of


def row(annotate: Annotate, name: str, texts: list[str]) -> str:
    """A table row: number of texts, share labelled zxx, and the three most frequent other labels."""
    labels = annotate(pa.table({"text": pa.array(texts, pa.large_string())}))["label"].to_pylist()
    counts = Counter(labels)
    n_code = counts.pop("zxx", 0)
    others = " ".join(f"{label} {n}" for label, n in counts.most_common(3))
    return f"| {name} | {len(texts):,} | {n_code / max(len(texts), 1):.3f} | {others} |"


@click.command(help=__doc__)
@click.argument("documents", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--files", "kinds", multiple=True, metavar="NAME=PATTERN", help="Source files; repeatable.")
def main(documents: tuple[Path, ...], kinds: tuple[str, ...]) -> None:
    """Print the tables."""
    annotate, rng = STAGE.load(Config()), random.Random(3)
    click.echo("| code | texts | zxx | others |\n|---|---:|---:|---|")
    for kind in kinds:
        name, _, pattern = kind.partition("=")
        texts = draw(rng, pattern)
        click.echo(row(annotate, f"{name}, files", texts))
        long = [text for text in texts if text.count("\n") >= LINES]
        click.echo(row(annotate, f"{name}, {LINES} lines", [piece(rng, text) for text in long]))
    for name, codes in sorted(blocks(documents).items(), key=lambda item: (-len(item[1]), item[0])):
        if len(codes) >= LEAST_BLOCKS:
            chosen = rng.sample(sorted(codes), min(LIMIT, len(codes)))
            click.echo(row(annotate, f"`{name}` blocks", chosen))


if __name__ == "__main__":
    main()
