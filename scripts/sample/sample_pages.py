"""Raw pages and files of the sample: a small crawl as WARC, a folder of HTML, a folder of Markdown and text.

Chooses pages of openly licensed sites and texts of the documents table, and converts some of them to GB18030 and Big5,
declared or not. The choice depends on ids only. sample_raw.py writes the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import opencc
import polars as pl

from scripts.sample.sample_files import Document

ORIGINS = {"oi-wiki-site": "oi-wiki", "data-juicer-site": "juicer", "peps-site": "", "owasp-site": "owasp"}
"""Origin of pages -> prefix of their file names."""

LABELS = {"gb18030": "GBK", "big5": "Big5", "utf-8": "UTF-8"}
"""Encoding -> its name in HTTP headers and pages; GBK is decoded as its superset GB18030."""

CODECS = {"big5": "cp950"}
"""Encoding -> Python codec for its use on the web, if the name differs."""

META_CHARSET = re.compile(r'<meta charset="?utf-8"?>', re.IGNORECASE)
HTML_LANG = re.compile(r"(<html\b[^>]*\blang=)\"?zh[\w-]*\"?", re.IGNORECASE)
SCRIPT_AS_TEXT = "Cross_Site_Scripting_Prevention"
"""Part of the URL of a page that shows `<script>` as text and also runs scripts."""


@dataclass(frozen=True)
class Raw:
    """A page or text as the bytes of a file or response.

    place: file below sample/, or `crawl`. declared: where the encoding is declared, header or meta; else empty.
    """

    place: str
    url: str
    data: bytes
    encoding: str
    declared: str
    origin: str
    repo: str
    commit: str
    license: str
    language: str
    kind: str = "document"


@dataclass(frozen=True)
class PagePick:
    """Take n pages of one origin, unchanged or converted to another script and encoding."""

    place: str
    origin: str
    n: int
    max_bytes: int
    encoding: str = "utf-8"
    declared: str = "meta"
    traditional: bool = False


OI, JUICER, PEPS, OWASP = ORIGINS
PAGE_PICKS = (
    PagePick("crawl", OI, 8, 170_000),
    PagePick("crawl", OI, 3, 150_000, "gb18030", "header"),
    PagePick("crawl", OI, 3, 150_000, "gb18030", "meta"),
    PagePick("crawl", OI, 3, 150_000, "gb18030", ""),
    PagePick("crawl", OI, 3, 150_000, traditional=True),
    PagePick("crawl", OI, 2, 150_000, "big5", "header", traditional=True),
    PagePick("crawl", OI, 2, 150_000, "big5", "meta", traditional=True),
    PagePick("crawl", OI, 2, 150_000, "big5", "", traditional=True),
    PagePick("crawl", JUICER, 14, 50_000),
    PagePick("crawl", PEPS, 30, 40_000),
    PagePick("crawl", OWASP, 7, 80_000),
    PagePick("pages", OI, 3, 150_000),
    PagePick("pages", OI, 1, 150_000, "gb18030", "meta"),
    PagePick("pages", OI, 1, 150_000, "big5", "", traditional=True),
    PagePick("pages", JUICER, 7, 40_000),
    PagePick("pages", PEPS, 9, 30_000),
)
N_KNOWN = 3
"""Pages per site whose source file is also in the sample: near duplicates across formats."""

N_SAVED = 2
"""Pages of the crawl that are also saved in the folder of HTML, in UTF-8."""


@dataclass(frozen=True)
class TextPick:
    """Take n documents as Markdown files, every second one with front matter, or as plain text."""

    origin: str
    language: str
    n: int
    max_chars: int
    folder: str
    ending: str = ".md"
    encoding: str = "utf-8"


TEXT_PICKS = (
    TextPick("rbe-zh", "zh-cn", 8, 4_000, "zh"),
    TextPick("oi-wiki", "zh-cn", 6, 6_000, "zh"),
    TextPick("law-cn", "zh-cn", 4, 4_000, "zh", ".txt", "gb18030"),
    TextPick("opensource-guide", "zh-hant", 2, 20_000, "zh"),
    TextPick("drcd", "zh-tw", 3, 2_000, "zh", ".txt", "big5"),
    TextPick("18f-blog", "en", 10, 6_000, "en"),
    TextPick("peps", "en", 5, 12_000, "en", ".txt"),
)
N_NOTE_COPIES = 3
"""Files with the text of a document in docs_zh or docs_en: exact duplicates across formats."""

Choose = Callable[[list[Document], TextPick], list[Document]]


def address(url: str) -> str:
    """Normalise a URL: without fragment, index page and trailing slash."""
    return re.sub(r"(/index)?\.html$|/$", "", url.split("#")[0])


def reencode(html: str, encoding: str, declared: str, traditional: Callable[[str], str] | None) -> bytes:
    """Convert a UTF-8 page to another script and encoding; characters missing in Big5 become character references."""
    if traditional:
        html = HTML_LANG.sub(r'\1"zh-Hant"', traditional(html), count=1)
    meta = f'<meta charset="{LABELS[encoding]}">' if declared == "meta" else ""
    html = html if (encoding, declared) == ("utf-8", "meta") else META_CHARSET.sub(meta, html, count=1)
    return html.encode(CODECS.get(encoding, encoding), "xmlcharrefreplace")


def choose_pages(data: Path, known: set[str], order: Callable[[str], str]) -> list[Raw]:
    """Choose pages by PAGE_PICKS; `known` contains the URLs of documents already in the sample."""
    table = pl.read_parquet(data / "web_pages.parquet").filter(pl.col("source").is_in(list(ORIGINS)))
    rows = sorted(table.to_dicts(), key=lambda row: order(row["id"]))
    convert = opencc.OpenCC("s2tw").convert
    taken: set[str] = set()
    n_left = dict.fromkeys(ORIGINS, N_KNOWN)
    chosen: list[Raw] = []
    for pick in PAGE_PICKS:
        pages = [
            r for r in rows
            if r["source"] == pick.origin and len(r["html"]) <= pick.max_bytes and _fits(r, pick.origin)
        ]  # fmt: skip
        n_wanted = len(chosen) + pick.n
        for row in pages:
            name = _key(row["url"])
            if len(chosen) == n_wanted or name in taken:
                continue
            if address(row["url"]) in known:
                if not n_left[pick.origin]:
                    continue
                n_left[pick.origin] -= 1
            taken.add(name)
            chosen.append(_page(row, pick, convert))
    script_page = next(r for r in rows if SCRIPT_AS_TEXT in r["url"])
    chosen.append(_page(script_page, PagePick("crawl", OWASP, 1, 0), convert))
    return [*chosen, *_saved([r for r in chosen if r.encoding == "gb18030" and r.place == "crawl"])]


def _fits(row: dict[str, Any], origin: str) -> bool:  # Any: columns of the pages table
    """Exclude English pages of the bilingual site, tables of contents, and the few PEPs under another licence."""
    if origin == PEPS:
        return re.search(rb"public domain|CC0", row["html"], re.IGNORECASE) is not None
    if origin == JUICER:
        return row["lang_hint"] == "zh-Hans"
    return origin != OI or row["url"].count("/") > 4


def _key(url: str) -> str:
    """Identifier of a page, the same for all versions of its site."""
    return re.sub(r"/zh_CN/[^/]+/", "/zh_CN/", address(url))


def _page(row: dict[str, Any], pick: PagePick, convert: Callable[[str], str]) -> Raw:  # Any: as above
    html = row["html"].decode("utf-8")
    data = reencode(html, pick.encoding, pick.declared, convert if pick.traditional else None)
    language = "zh-tw" if pick.traditional else {"zh-Hans": "zh-cn"}.get(row["lang_hint"], "en")
    place = pick.place
    if place == "pages":
        stem = "-".join(filter(None, (ORIGINS[pick.origin], *_key(row["url"]).split("/")[-1:])))
        packed = len(data) > 60_000
        place = f"pages/{'en' if language == 'en' else 'zh'}/{stem.lower()}.html{'.gz' if packed else ''}"
    return Raw(
        place, row["url"], data, pick.encoding, pick.declared, row["source"], row["repo"], row["commit"],
        row["license"], language, "twin" if pick.traditional else "document",
    )  # fmt: skip


def _saved(pages: Sequence[Raw]) -> list[Raw]:
    """The first pages as HTML files in UTF-8."""
    return [
        replace(
            page, place=f"pages/zh/saved-{_key(page.url).split('/')[-1]}.html.gz", encoding="utf-8", kind="copy",
            data=META_CHARSET.sub("", page.data.decode("gb18030")).encode(), declared="",
        )
        for page in pages[:N_SAVED]
    ]  # fmt: skip


def choose_texts(
    documents: list[Document], choose: Choose, copies: Iterable[Document], order: Callable[[str], str]
) -> list[Raw]:
    """Choose texts by TEXT_PICKS and encode them as files."""
    chosen: list[Raw] = []
    for pick in TEXT_PICKS:
        fitting = [document for document in documents if _encodes(document.text, pick.encoding)]
        chosen += [_note(d, pick, i % 2 == 0) for i, d in enumerate(choose(fitting, pick))]
    shuffled = sorted(copies, key=lambda d: order(f"note:{d.id}"))
    for document in shuffled[:N_NOTE_COPIES]:
        pick = TextPick(document.origin, document.language, 1, 0, "copies")
        chosen.append(_note(replace(document, kind="copy"), pick, False))
    return chosen


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(CODECS.get(encoding, encoding))
    except UnicodeEncodeError:
        return False
    return True


def _note(document: Document, pick: TextPick, front: bool) -> Raw:
    text = document.text if document.text.endswith("\n") else document.text + "\n"
    text = document.text if document.kind == "copy" else text
    if pick.ending == ".md" and front:
        text = f"---\nlicense: {document.license}\nurl: {document.url}\n---\n\n{text}"
    stem = re.sub(r"[\W_]+", "-", Path(unquote(document.url.split("#")[0])).stem.lower())[:24].strip("-")
    place = (
        f"notes/{pick.folder}/{'-'.join(filter(None, (document.origin, stem, document.id[:6])))}{pick.ending}"
    )
    data = text.encode(CODECS.get(pick.encoding, pick.encoding))
    return Raw(
        place, document.url, data, pick.encoding, "", document.origin, document.repo, document.commit,
        document.license, document.language, document.kind,
    )  # fmt: skip
