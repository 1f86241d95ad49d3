"""Build sample/: some 3,700 real documents under open licences, in the usual file formats of crawls.

Reads a directory of Parquet tables (--data) with documents, file revisions and labelled bad text; writes JSONL (gzip
and zstd), Parquet and WET files with different field names, a few broken records, and README.md with the numbers that
tests/scripts/test_sample.py checks. The choice depends on SEED and document ids only: equal tables give equal files.

Example: python -m scripts.sample.make_sample --data ../data --out sample
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import opencc
import polars as pl

from scripts.sample import sample_benchmarks, sample_files, sample_pages, sample_raw
from scripts.sample.sample_files import Document

SEED = "bicorpus-sample-1"
MIN_CHARS, MAX_CHARS = 30, 20_000
MAX_CHANGED_SHARE = 0.35  # of shingles; revisions further apart are rewrites, not near duplicates


@dataclass(frozen=True)
class Pick:
    """Add n documents of one origin and language to one group of files."""

    group: str
    origin: str
    language: str
    n: int
    max_chars: int = MAX_CHARS
    machine_translated: bool = False


PICKS = (
    Pick("docs_zh", "pingcap-docs-cn", "zh-cn", 150, 9_000),
    Pick("docs_zh", "oi-wiki", "zh-cn", 90, 9_000),
    Pick("docs_zh", "d2l-zh", "zh-cn", 36, 12_000),
    Pick("docs_zh", "tf-docs-l10n", "zh-cn", 60, 9_000),
    Pick("docs_zh", "tf-docs-l10n-nb", "zh-cn", 20, 12_000),
    Pick("docs_zh", "rbe-zh", "zh-cn", 70),
    Pick("docs_zh", "ms-sfb-zh-cn", "zh-cn", 60, 5_000),
    Pick("docs_zh", "ms-sfb-zh-cn", "zh-cn", 20, 5_000, machine_translated=True),
    Pick("docs_zh", "ms-office-dev-zh", "zh-cn", 40, 5_000),
    Pick("docs_zh", "ms-office-dev-zh", "zh-cn", 20, 5_000, machine_translated=True),
    Pick("docs_zh", "cmrc2018", "zh-cn", 250),
    Pick("docs_zh", "drcd", "zh-tw", 190),
    Pick("docs_zh", "ms-sfb-zh-tw", "zh-tw", 60, 5_000),
    Pick("books_zh", "law-cn", "zh-cn", 230, 9_000),
    Pick("books_zh", "classic-novels", "zh-cn", 190, 9_000),
    Pick("books_zh", "classical-prose", "zh-cn", 55, 12_000),
    Pick("books_zh", "classical-prose", "lzh", 40, 9_000),
    Pick("books_zh", "chinese-poetry", "zh-cn", 40),
    Pick("books_zh", "chinese-poetry", "zh-tw", 40),
    Pick("docs_en", "peps", "en", 145),
    Pick("docs_en", "eips", "en", 130),
    Pick("docs_en", "openstax-physics", "en", 50),
    Pick("docs_en", "openstax-us-history", "en", 60),
    Pick("docs_en", "openstax-psychology", "en", 40),
    Pick("docs_en", "openstax-sociology", "en", 40),
    Pick("docs_en", "d2l-en", "en", 36),
    Pick("docs_en", "tf-docs-en", "en", 90),
    Pick("docs_en", "ms-office-dev-en", "en", 110),
    Pick("web_mixed", "18f-blog", "en", 205),
    Pick("web_mixed", "owasp-cheatsheets", "en", 60),
    Pick("web_mixed", "cncf-glossary", "en", 40),
    Pick("web_mixed", "react-docs-zh", "zh-cn", 60, 12_000),
    Pick("web_mixed", "vue-docs-zh", "zh-cn", 60, 12_000),
    Pick("web_mixed", "cncf-glossary", "zh-cn", 40),
    Pick("web_mixed", "cncf-glossary", "zh-tw", 43),
    Pick("web_mixed", "opensource-guide", "zh-hans", 3),
    Pick("web_mixed", "opensource-guide", "zh-hant", 4),
    *(
        Pick("web_mixed", "cncf-glossary", language, 9)
        for language in "de fr es it pt-br ru tr vi hi bn".split()
    ),
    *(Pick("web_mixed", "cncf-glossary", language, 20) for language in ("ja", "ko")),
    *(Pick("web_mixed", "tf-docs-l10n", language, 14) for language in ("ja", "ko")),
    *(Pick("web_mixed", "tf-docs-l10n", language, 9) for language in ("es-419", "pt-br")),
)
N_REVISED, N_TWINS, N_BILINGUAL, N_COPIES, N_REPOSTS, N_MIXED_LINES, N_SPAM = 60, 40, 30, 12, 8, 40, 70
N_BAD_PER_KIND = {"zh": 6, "en": 5}
BAD_ORIGINS_LEFT_OUT = ("leetcode-en", "leetcode-zh", "fcc-news-zh")  # licence of the texts unclear
ADULT = re.compile(
    r"(?i)sex|xxx|porn|horny|dirty|cum|babe|girls?|hot|adult|dating|18\+|gay|naughty|naked|flirt"
)


def order(row_id: str) -> str:
    """Sort key for a pseudo-random order by SEED, the same on every machine."""
    return hashlib.blake2b(f"{SEED}:{row_id}".encode(), digest_size=16).hexdigest()


def read_documents(data: Path) -> list[Document]:
    """Read usable documents in shuffled order: open licence, MIN_CHARS to MAX_CHARS characters, not split."""
    table = pl.concat(pl.read_parquet(path) for path in sorted(data.glob("docs_zh_en-*.parquet")))
    wanted = pl.col("source").is_in(sorted({pick.origin for pick in PICKS}))
    n_chars = pl.col("text").str.len_chars()
    # A few old PEPs have another licence in their Copyright section.
    free = (pl.col("source") != "peps") | pl.col("text").str.contains("(?i)public domain|CC0")
    table = table.filter(wanted & free & (n_chars >= MIN_CHARS) & (n_chars <= MAX_CHARS))
    table = table.filter(~pl.col("url").str.contains("#part"))
    documents = [
        Document(
            id=row["id"],
            text=row["text"],
            url=sample_files.permalink(
                row["url"], row["commit"], row["id"] if row["source"] in ("cmrc2018", "drcd") else ""
            ),
            license=row["license"],
            origin=row["source"],
            repo="/".join(row["url"].removeprefix("github:").split("/")[:2]),
            commit=row["commit"],
            language=row["lang_hint"],
            kind="machine-translated" if row["note"] else "document",
        )
        for row in table.to_dicts()
    ]
    return sorted(documents, key=lambda document: order(document.id))


def choose(documents: list[Document], pick: Pick, taken: set[str]) -> list[Document]:
    """Take the first documents that match a pick and are not taken yet; adds their ids to `taken`."""
    kind = "machine-translated" if pick.machine_translated else "document"
    fitting = (
        document
        for document in documents
        if document.origin == pick.origin
        and document.language == pick.language
        and document.kind == kind
        and len(document.text) <= pick.max_chars
        and document.id not in taken
    )
    chosen = [document for _, document in zip(range(pick.n), fitting, strict=False)]
    taken.update(document.id for document in chosen)
    return chosen


def shingles(text: str) -> set[str]:
    """Character 5-grams, without whitespace."""
    dense = "".join(text.split())
    return {dense[i : i + 5] for i in range(max(len(dense) - 4, 1))}


def revisions(data: Path, documents: list[Document], n: int) -> list[tuple[Document, list[Document]]]:
    """Pair up to n documents with one or two slightly different older revisions of the same file."""
    table = pl.read_parquet(data / "dedup_docs.parquet").filter(pl.col("kind") == "real").sort("doc_id")
    head = {row["text"]: row for row in table.filter(pl.col("version") == "HEAD").to_dicts()}
    old: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in table.filter(pl.col("version") != "HEAD").sort("version", descending=True).to_dicts():
        old.setdefault((row["source"], row["key"]), []).append(row)
    pairs: list[tuple[Document, list[Document]]] = []
    for document in documents:
        if len(pairs) == n:
            break
        newest = head.get(document.text)
        if newest is None or len(document.text) > 9_000:
            continue
        shingles_new, near = shingles(document.text), []
        for other in old.get((newest["source"], newest["key"]), ()):
            shingles_old = shingles(other["text"])
            if len(shingles_new ^ shingles_old) and len(
                shingles_new ^ shingles_old
            ) <= MAX_CHANGED_SHARE * len(shingles_new | shingles_old):
                near.append(
                    replace(document, id=order(other["doc_id"])[:16], text=other["text"], kind="revision")
                )
        if near:
            pairs.append((document, near[: 1 + len(pairs) % 3 // 2]))
    return pairs


def traditional_twins(documents: Iterable[Document], n: int) -> list[Document]:
    """Convert the first n documents to Traditional characters (OpenCC s2tw)."""
    convert = opencc.OpenCC("s2tw").convert
    return [
        replace(
            document, id=order(document.id)[:16], text=convert(document.text), language="zh-tw", kind="twin"
        )
        for _, document in zip(range(n), documents, strict=False)
    ]


def bilingual(documents: list[Document]) -> list[Document]:
    """Interleave the paragraphs of English pages and their Chinese translations with equally many paragraphs."""
    both: dict[tuple[str, str], dict[str, Document]] = {}
    for document in documents:
        if document.origin in ("cncf-glossary", "tf-docs-l10n", "tf-docs-en") and document.kind == "document":
            path = re.sub(r"/(en-snapshot|en|zh-cn)/", "/", document.url, count=1)
            both.setdefault((document.repo, path), {})[document.language] = document
    interleaved: list[Document] = []
    for pair in both.values():
        if not {"en", "zh-cn"} <= pair.keys():
            continue
        en, zh = (pair[language].text.split("\n\n") for language in ("en", "zh-cn"))
        if len(en) == len(zh) > 2 and pair["en"].text != pair["zh-cn"].text:
            text = "\n\n".join(f"{a}\n\n{b}" if a != b else a for a, b in zip(en, zh, strict=True))
            new_id = order(pair["zh-cn"].id)[:16]
            interleaved.append(replace(pair["zh-cn"], id=new_id, text=text, language="mul", kind="bilingual"))
    return [document for document in interleaved if len(document.text) <= MAX_CHARS][:N_BILINGUAL]


def mixed_lines(documents: list[Document], n: int) -> list[Document]:
    """Take single lines of mixed English and Chinese, one per page, as short posts."""
    posts: list[Document] = []
    for document in documents:
        if document.origin not in ("pingcap-docs-cn", "react-docs-zh", "oi-wiki") or len(posts) == n:
            continue
        for line in document.text.splitlines():
            n_han, n_latin = len(re.findall(r"[一-鿿]", line)), len(re.findall(r"[A-Za-z]", line))
            if 40 <= len(line) <= 300 and 8 <= n_han and 1 <= n_latin / n_han <= 4 and line.endswith("。"):
                new_id = order(document.id + line)[:16]
                text = line.strip().lstrip("->*+ ")
                posts.append(replace(document, id=new_id, text=text, language="mul", kind="mixed line"))
                break
    return posts


def bad_text(data: Path, documents: list[Document]) -> list[Document]:
    """Take SMS spam and artificially damaged text (mojibake, Markov chains, keywords, repetition)."""
    table = pl.read_parquet(data / "quality_truth.parquet").filter(
        pl.col("text").str.len_chars() >= MIN_CHARS
    )
    rows = sorted(table.to_dicts(), key=lambda row: order(row["id"]))
    spam = [
        r
        for r in rows
        if r["source"] == "uci-sms-spam" and r["label"] == "spam" and not ADULT.search(r["text"])
    ]
    bad = [
        Document(r["id"], r["text"], "", r["license"], r["source"], r["repo"], r["commit"], "en", "spam")
        for r in spam[:N_SPAM]
    ]
    homes = {document.origin: document for document in documents}
    n_of: dict[tuple[str, str], int] = {}
    for row in rows:
        match = re.match(r"constructed: (\S+) made from a real document \((.*)\)", row["label_from"])
        if match is None or match[2] in BAD_ORIGINS_LEFT_OUT or match[2] not in homes:
            continue
        kind = (row["lang"], match[1])
        n_of[kind] = n_of.get(kind, 0) + 1
        if n_of[kind] <= N_BAD_PER_KIND[row["lang"]]:
            home = homes[match[2]]
            bad.append(
                replace(home, id=row["id"], text=row["text"], url="", kind=match[1], language=row["lang"])
            )
    return bad


def build(data: Path) -> tuple[dict[str, list[Document]], list[sample_pages.Raw]]:
    """Choose the documents of every group of files, in shuffled order, and the raw pages and texts.

    Returns: group -> documents; raw pages and texts.
    """
    documents = read_documents(data)
    groups: dict[str, list[Document]] = {name: [] for name in ("docs_zh", "books_zh", "docs_en", "web_mixed")}
    taken: set[str] = set()
    zh = [d for d in documents if d.origin in ("pingcap-docs-cn", "oi-wiki", "tf-docs-l10n")]
    en = [d for d in documents if d.origin in ("peps", "eips")]
    for name, pool in (("docs_zh", zh), ("docs_en", en)):
        for document, older in revisions(data, pool, N_REVISED):
            groups[name].append(document)
            groups["web_mixed"] += older
            taken.add(document.id)
    for pick in PICKS:
        groups[pick.group] += choose(documents, pick, taken)
    articles = [d for d in groups["docs_zh"] if d.origin == "cmrc2018"]
    laws = [d for d in groups["books_zh"] if d.origin == "law-cn" and len(d.text) < 4_000]
    groups["docs_zh"] += traditional_twins([*articles[: N_TWINS // 2], *laws[: N_TWINS // 2]], N_TWINS)
    groups["web_mixed"] += bilingual(documents)
    copies = [
        d
        for name in ("docs_zh", "docs_en")
        for d in sorted(groups[name], key=lambda d: order(d.id))[:N_COPIES]
    ]
    groups["web_mixed"] += [replace(d, kind="copy") for d in copies]
    reposts = [replace(d, kind="copy", url="") for d in articles[-N_REPOSTS:]]
    groups["forum_spam"] = [*bad_text(data, documents), *mixed_lines(documents, N_MIXED_LINES), *reposts]
    groups["web_mixed"] = [sample_files.site_address(document) for document in groups["web_mixed"]]
    raws = raw_forms(data, documents, groups, taken)
    raws += sample_benchmarks.pages(sample_benchmarks.choose(data, order))
    return {name: sorted(group, key=lambda d: order(d.id + d.kind)) for name, group in groups.items()}, raws


def raw_forms(
    data: Path, documents: list[Document], groups: dict[str, list[Document]], taken: set[str]
) -> list[sample_pages.Raw]:
    """Choose raw pages, in shuffled order, and texts; only a few of them are also in a group."""
    urls = {
        sample_pages.address(sample_files.site_address(document).url)
        for group in groups.values()
        for document in group
    }

    def take(fitting: list[Document], pick: sample_pages.TextPick) -> list[Document]:
        return choose(fitting, Pick(pick.folder, pick.origin, pick.language, pick.n, pick.max_chars), taken)

    short = [d for d in groups["docs_zh"] + groups["docs_en"] if len(d.text) < 4_000]
    copied = [d for d in short if d.origin in ("rbe-zh", "oi-wiki", "eips")]
    pages = sample_pages.choose_pages(data, urls, order)
    texts = sample_pages.choose_texts(documents, take, copied, order)
    return sorted(pages, key=lambda raw: order(raw.url + raw.place)) + texts


def main() -> None:
    """Read the command line and write the sample."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="directory of the input Parquet tables")
    parser.add_argument("--out", type=Path, default=Path("sample"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    groups, raws = build(arguments.data)
    sample_benchmarks.write(sample_benchmarks.choose(arguments.data, order), arguments.out)
    sample_files.write(
        groups, arguments.out, sample_raw.describe(raws, sample_raw.write(raws, arguments.out))
    )


if __name__ == "__main__":
    main()
