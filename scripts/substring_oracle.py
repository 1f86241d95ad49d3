"""Compare repeated passages with those of an independent oracle, which takes every window of real text.

The oracle hashes the text of each window by itself (BLAKE2b, 128 bits), groups all windows of equal hash, and joins
consecutive windows that stand in the same places: nothing of anchors, exchange or kernels is in it. The steps run in a
temporary store as in any build. Exits 1 and names the first document that differs.

Example: python scripts/substring_oracle.py docs.parquet --mb 10
"""

from __future__ import annotations

import json
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq
from bench_substring import run_page

from pipeline.build import Build
from pipeline.cluster import SerialEngine
from pipeline.load import load_run
from pipeline.progress import Progress
from pipeline.store import open_store
from stages.anchors import Config
from stages.kernels.anchors import WIDE_RANGES

Occurrences = list[list[tuple[int, int]]]


def choose(files: tuple[str, ...], text: str, n_bytes: int) -> list[str]:
    """Documents at even distances over all files, about n_bytes of UTF-8 of them."""
    texts = [t for file in files for t in pq.read_table(file, columns=[text])[text].to_pylist() if t]
    total = sum(len(t.encode()) for t in texts)
    n_blocks = max(1, total // max(n_bytes, 1))
    blocks = [texts[low : low + 20] for low in range(0, len(texts), 20)]  # neighbours share most
    return [t for i, block in enumerate(blocks) if i % n_blocks == 0 for t in block]


def find(texts: list[str], config: Config) -> Occurrences:
    """Occurrences of each text, by the definitions in docs/substring.md."""
    han, other = config.min_chars_han or 0, config.min_chars_other or 0
    digests, spans, docs = [], [], []
    for number, text in enumerate(texts):
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        wide = np.zeros(len(codes), bool)
        for low, high in WIDE_RANGES:
            wide |= (codes >= low) & (codes < high)
        before = np.append(0, np.cumsum(np.where(wide, other, han)))
        ends = np.searchsorted(before, before + han * other)
        starts = np.flatnonzero(ends <= len(codes))
        for start, end in zip(starts.tolist(), ends[starts].tolist(), strict=True):
            digests.append(blake2b(text[start:end].encode(), digest_size=16).digest())
            spans.append((start, end))
            docs.append(number)
    if not digests:
        return [[] for _ in texts]
    _, groups, counts = np.unique(np.array(digests, "S16"), return_inverse=True, return_counts=True)
    of, place = np.array(docs), np.array(spans)
    after = np.append(groups[1:], -1)  # the group of the window one character on, none at the end of a text
    after[np.append(of[1:] != of[:-1], True)] = -1
    lowest, highest = np.full(len(counts), len(counts)), np.full(len(counts), -1)
    np.minimum.at(lowest, groups, after)
    np.maximum.at(highest, groups, after)
    goes_on = (lowest == highest)[groups] & (after >= 0)
    goes_on &= counts[groups] == counts[after]
    found: Occurrences = [[] for _ in texts]
    joined = False
    for i in np.flatnonzero(counts[groups] > 1).tolist():
        start, end = place[i].tolist()
        here = found[of[i]]
        joined = bool(i and goes_on[i - 1] and of[i] == of[i - 1] and here)
        if joined:
            here[-1] = (here[-1][0], end)
        else:
            here.append((start, end))
    return found


def steps(texts: list[str], preset: str, folder: str) -> dict[str, list[tuple[int, int]]]:
    """Occurrences by text, of the steps themselves; equal texts have equal ones."""
    docs, path = Path(folder, "docs.jsonl"), Path(folder, "run.yaml")
    docs.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    path.write_text(json.dumps(run_page((str(docs),), None, {"preset": preset})), encoding="utf-8")
    store = Path(folder, "store")
    Build(load_run(str(path)), open_store(str(store)), SerialEngine(), Progress(quiet=True)).run()
    found = {}
    for rows in store.glob("global/substring/*/rows/*.parquet"):
        shard = pq.read_table(store / "shards" / rows.name, columns=["text"])["text"].to_pylist()
        for text, passages in zip(shard, pq.read_table(rows)["passages"].to_pylist(), strict=True):
            found[text] = [(passage["start"], passage["end"]) for passage in passages or ()]
    return found


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", default="text", show_default=True, help="Column of the Parquet files with the text.")
@click.option(
    "--mb", default=10.0, show_default=True, help="Text to compare; takes some 0.5 GB of memory per MB."
)
@click.option("--preset", default="equalised", show_default=True, help="Of stages.anchors.")
def main(files: tuple[str, ...], text: str, mb: float, preset: str) -> None:
    """Compare passages in text of FILES (Parquet) with the oracle."""
    texts = choose(files, text, int(mb * 1e6))
    with tempfile.TemporaryDirectory(prefix="bicorpus-oracle-") as folder:
        found = steps(texts, preset, folder)
    texts = [t for t in texts if t in found]
    expected = find(texts, Config(preset=preset))
    for one, passages in zip(texts, expected, strict=True):
        if found[one] != passages:
            sys.exit(f"different: {one[:60]!r}: found {found[one][:5]}, expected {passages[:5]}")
    n_bytes = sum(len(t.encode()) for t in texts)
    click.echo(
        f"equal: {len(texts):,} documents, {n_bytes / 1e6:.1f} MB, {sum(map(len, expected)):,} occurrences of passages"
    )


if __name__ == "__main__":
    main()
