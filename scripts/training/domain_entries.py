"""Texts on domains of which there is little running text, by the labels of an earlier model, and seed phrases.

Reads Parquet files of dictionary entries and running text with the labels of an earlier model (columns text, source,
language, label, score); writes one file with the columns text, source, language and domain, as `domain_data.py` does.
Entries on one domain are joined; running text is kept where the label is sure. Common domains are not used.

Example: python -m scripts.training.domain_entries entries.parquet --out domain_entries.parquet
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_data import Document, groups
from scripts.training.domain_teacher import SEEDS_PATH, WITHOUT

RARE = frozenset({
    "Adult", "Autos & Vehicles", "Beauty & Fitness", "Hobbies & Leisure", "Home & Garden", "Internet & Telecom", "News",
    "Online Communities", "Pets & Animals", "Real Estate", "Sensitive Subjects", "Shopping", "Travel & Transportation",
})  # fmt: skip
"""Domains with little running text."""
MIN_SCORE, SURE = 0.3, 0.7
"""Minimum probability of the label of an entry, and of running text, according to the earlier model."""
PER_TEXT, N_TEXTS, N_USES = 8, 60, 3
"""Entries of a text, maximum number of texts of a domain and language, and how often an entry is used at most."""
SEEDS_PER_TEXT, N_SEED_TEXTS = 3, 6


def collect(rows: list[dict[str, str]], rng: random.Random) -> list[Document]:
    """Running text, then texts of entries and of seed phrases."""
    entries, seeds, documents = defaultdict(list), defaultdict(list), []
    for row in rows:
        if row["label"] not in RARE or float(row["score"]) < MIN_SCORE:
            continue
        if row["source"] in WITHOUT:
            entries[row["label"], row["language"]].append(row["text"])
        elif float(row["score"]) >= SURE:
            documents.append(Document(row["text"], row["source"], row["language"], row["label"]))
    for (domain, language), texts in sorted(entries.items()):
        orders = [text for _ in range(N_USES) for text in rng.sample(texts, len(texts))]
        for text in list(groups(orders, PER_TEXT, "\n"))[:N_TEXTS]:
            documents.append(Document(text, "entries", language, domain))
    for line in SEEDS_PATH.read_text("utf-8").splitlines():
        domain, phrase = line.split("\t")
        seeds[domain, "zh" if re.search(r"[\u3400-\u9fff]", phrase) else "en"].append(phrase)
    for (domain, language), phrases in sorted(seeds.items()):
        for _ in range(N_SEED_TEXTS):
            chosen = rng.sample(phrases, min(SEEDS_PER_TEXT, len(phrases)))
            documents.append(Document("\n".join(chosen), "seeds", language, domain))
    return documents


def main() -> None:
    """Read the command line and join."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("entries", type=Path, nargs="+", help="Parquet files of labelled entries")
    parser.add_argument("--out", type=Path, default=Path("domain_entries.parquet"))
    arguments = parser.parse_args()
    rows = [row for path in arguments.entries for row in pq.read_table(path).to_pylist()]
    documents = collect(rows, random.Random(1))
    pq.write_table(pa.Table.from_pylist([d._asdict() for d in documents]), arguments.out, compression="zstd")


if __name__ == "__main__":
    main()
