"""How well the score of `classifiers.pairs` separates translations from other pairs.

True pairs are the paragraphs, between blank lines, of documents with a known translation that has as many of them, from
sources that the embedding was not trained on (`scripts.bench.embedding`). Shuffled pairs take the next paragraph of the
same document, which is about the same subject, or one of any document.

Example: python -m scripts.bench.bench_pairs --data FOLDER
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from classifiers import pairs
from scripts.bench.embedding import translations

MIN_CHARS = 12
"""Shorter paragraphs are headings, most of them the same in both languages."""

HAN = re.compile(r"[\u3400-\u9fff]")


def paragraph_pairs(data: Path) -> list[tuple[str, int, str, str]]:
    """(source, number of the document, Chinese paragraph, English paragraph)."""
    found = []
    for number, (source, chinese, english) in enumerate(translations(data, None)):
        sides = [
            [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
            for text in (chinese, english)
        ]
        if len(sides[0]) != len(sides[1]):
            continue
        for zh, en in zip(*sides, strict=True):
            if len(zh) >= MIN_CHARS and len(en) >= 2 * MIN_CHARS and HAN.search(zh) and not HAN.search(en):
                found.append((source, number, zh, en))
    return found


def measure(rows: list[tuple[str, str]]) -> pa.Table:
    """Columns of the stage for pairs."""
    meta = json.dumps({"n_pairs": 1})
    texts = [f"{zh}\n{en}" for zh, en in rows]
    return pairs.STAGE.load(pairs.Config())(pa.table({"text": texts, "meta": [meta] * len(rows)}))


def differ(row: tuple[str, int, str, str], other: tuple[str, int, str, str]) -> bool:
    """Whether two paragraphs are different ones: boilerplate that recurs is a translation wherever it is taken from."""
    return row[2] != other[2] and row[3] != other[3]


def auc(true: np.ndarray, other: np.ndarray) -> float:
    """Share of (true, other) with the true one higher, ties half."""
    both = np.concatenate([true, other])
    order = np.sort(both)
    ranks = (np.searchsorted(order, true, "left") + np.searchsorted(order, true, "right")) / 2
    return float((ranks.sum() - len(true) * len(true) / 2) / (len(true) * len(other)))


def main() -> None:
    """Print a table by source, and with --show the pairs that are judged worst."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--show", type=int, default=0, help="true pairs of the lowest and others of the highest scores"
    )
    options = parser.parse_args()
    rows = paragraph_pairs(options.data)
    near, far = [*range(1, len(rows)), 0], list(range(len(rows)))
    random.Random(0).shuffle(far)
    tables = {
        "true": measure([(zh, en) for _, _, zh, en in rows]),
        "next paragraph": measure([(rows[i][2], rows[j][3]) for i, j in enumerate(near)]),
        "any paragraph": measure([(rows[i][2], rows[j][3]) for i, j in enumerate(far)]),
    }
    sources = np.array([row[0] for row in rows])
    columns = {
        name: {
            kind: np.nan_to_num(table[name].to_numpy(zero_copy_only=False).astype(float))
            for kind, table in tables.items()
        }
        for name in ("score", "similarity")
    }
    same_document = np.array(
        [rows[i][1] == rows[j][1] and differ(rows[i], rows[j]) for i, j in enumerate(near)]
    )
    other = np.array([differ(rows[i], rows[j]) for i, j in enumerate(far)])
    chosen = {"next paragraph": same_document, "any paragraph": other}
    print(
        "| source | pairs | AUC of the score: next | any | of the cosine: next | any | below their own: next | any |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for source in [*sorted(set(sources)), "all"]:
        own = (sources == source) | (source == "all")
        numbers = [
            auc(
                columns[name]["true"][own],
                columns[name][kind][own & chosen[kind]],
            )
            for name in ("score", "similarity")
            for kind in ("next paragraph", "any paragraph")
        ]
        score = columns["score"]
        below = [
            float((score[kind] < score["true"])[own & chosen[kind]].mean())
            for kind in ("next paragraph", "any paragraph")
        ]
        print(f"| {source} | {own.sum():,} | " + " | ".join(f"{n:.3f}" for n in (*numbers, *below)) + " |")
    for cut in (0.1, 0.2, 0.3, 0.4):
        shares = ", ".join(f"{kind} {(columns['score'][kind] < cut).mean():.3f}" for kind in tables)
        print(f"below {cut}: {shares}")
    if options.show:
        for kind, order in (
            ("true", np.argsort(columns["score"]["true"])),
            ("any paragraph", np.argsort(np.where(other, -columns["score"]["any paragraph"], 0))),
        ):
            print(f"\n{kind}")
            for i in order[: options.show]:
                en = rows[i][3] if kind == "true" else rows[far[i]][3]
                values = {
                    k: v for k, v in tables[kind].slice(int(i), 1).to_pylist()[0].items() if v is not None
                }
                print(f"{values}\n  {rows[i][0]}: {rows[i][2][:110]}\n  {en[:160]}")


if __name__ == "__main__":
    main()
