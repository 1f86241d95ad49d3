"""Write the documents of the sample in four file formats, and the README that lists them.

Reads groups of documents; writes JSONL (gzip, zstd), Parquet and WET files, and README.md. Broken records are inserted
into the JSONL files at fixed lines. make_sample.py chooses the documents; sample_raw.py writes pages.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard


@dataclass(frozen=True)
class Document:
    """A document and its origin; url is empty if only the collection is known."""

    id: str
    text: str
    url: str
    license: str
    origin: str
    repo: str
    commit: str
    language: str
    kind: str


Origin = tuple[str, str, str, str, str]
"""Group of files, origin, repository, commit, licence."""


@dataclass(frozen=True)
class More:
    """Contents of the README about raw pages and files.

    documents: language, kind and origin of each. tables: name in the template -> Markdown.
    """

    documents: Sequence[tuple[str, str, Origin]]
    n_broken: int
    tables: dict[str, str]


SITES = {
    "18f-blog": (r".*/posts/(\d+)-(\d+)-(\d+)-(.*)\.md", r"https://18f.gsa.gov/\1/\2/\3/\4/"),
    "peps": (r".*/(pep-\d+)\..*", r"https://peps.python.org/\1/"),
    "eips": (r".*/(eip-\d+)\.md", r"https://eips.ethereum.org/EIPS/\1"),
    "oi-wiki": (r".*?/docs/(.*?)(?:/index)?\.md", r"https://oi-wiki.org/\1/"),
    "owasp-cheatsheets": (r".*/([\w-]+)\.md", r"https://cheatsheetseries.owasp.org/cheatsheets/\1.html"),
    "react-docs-zh": (r".*/src/content/(.*)\.md", r"https://zh-hans.react.dev/\1"),
    "vue-docs-zh": (r".*?/src/(.*)\.md", r"https://cn.vuejs.org/\1.html"),
    "cncf-glossary": (r".*?/content/(?:en/)?(.*?)(?:/_index)?\.md", r"https://glossary.cncf.io/\1/"),
    "opensource-guide": (r".*/_articles/(.*)\.md", r"https://opensource.guide/\1/"),
    "pingcap-docs-cn": (r".*/(.*)\.md", r"https://docs.pingcap.com/zh/tidb/stable/\1"),
    "tf-docs-l10n": (r".*?/site/([\w-]+)/(.*)\.md", r"https://www.tensorflow.org/\2?hl=\1"),
}
"""Origin -> (path pattern, URL) of the site that publishes the files of a repository; the URIs of WET records."""


def permalink(url: str, commit: str, fragment: str = "") -> str:
    """Convert `github:owner/repo/path` to the URL of that file at that commit."""
    owner, repo, path = url.removeprefix("github:").split("/", 2)
    path, _, part = path.partition("#")
    tail = part or fragment
    return f"https://github.com/{owner}/{repo}/blob/{commit}/{quote(path)}" + (f"#{tail}" if tail else "")


def site_address(document: Document) -> Document:
    """Replace the URL of a document by the URL at which its file is published, if known."""
    pattern, address = SITES.get(document.origin, ("", ""))
    match = re.fullmatch(pattern, document.url.replace(f"/blob/{document.commit}/", "/"))
    return replace(document, url=match.expand(address)) if match else document


Broken = tuple[int, str, bytes]
"""Line before which a broken record is inserted, its defect, the record."""

BROKEN: dict[str, tuple[Broken, ...]] = {
    "docs_zh-00.jsonl.gz": (
        (10, "JSON cut off", '{"id": "broken-1", "content": "这一行写到一半就断'.encode()),
        (200, "no text field", '{"id": "broken-2", "title": "只有标题，没有正文"}'.encode()),
        (300, "empty text", b'{"id": "broken-3", "content": ""}'),
    ),
    "docs_en-00.jsonl.zst": (
        (20, "invalid UTF-8", b'{"doc_id": "broken-4", "text": "A byte that is not UTF-8: \xff\xfe, here."}'),
        (150, "text is null", b'{"doc_id": "broken-5", "text": null}'),
        (250, "not an object", b'["broken-6", "a list instead of an object"]'),
    ),
    "forum_spam.jsonl.gz": (
        (
            15,
            "NUL in text",
            b'{"raw_content": "A NUL character \\u0000 in the middle of a post that is long enough."}',
        ),
        (40, "text is a number", b'{"raw_content": 20240615}'),
        (60, "text of blanks only", '{"raw_content": " \\n\\t\u3000 "}'.encode()),
        (80, "GBK instead of UTF-8", '{"raw_content": "这一行是用国标编码写的，不是万国码。"}'.encode("gbk")),
        (90, "unpaired surrogate", b'{"raw_content": "Half of a character: \\ud83d and then nothing."}'),
    ),
}

FIELDS = {
    "docs_zh": {"id": "id", "text": "content", "url": "url", "license": "license"},
    "docs_en": {"id": "doc_id", "text": "text", "url": "url", "license": "license"},
    "forum_spam": {"text": "raw_content", "license": "license", "url": "url"},
    "books_zh": {"text": "text", "url": "url", "license": "license"},
    "web_mixed": {"url": "WARC-Target-URI", "license": "X-License", "text": "body"},
}
"""Group of files -> field of Document -> name of the field in the file."""

WARC_DATE = "2025-01-01T00:00:00Z"  # repository files have no crawl date; one fixed date for every record


def jsonl(documents: Sequence[Document], group: str, broken: Sequence[Broken]) -> bytes:
    """Serialise documents as JSON Lines, with broken records inserted at their lines."""
    lines = [
        json.dumps(
            {
                field: getattr(document, name)
                for name, field in FIELDS[group].items()
                if getattr(document, name)
            },
            ensure_ascii=False,
        ).encode()
        for document in documents
    ]
    for line, _, record in broken:
        lines.insert(line, record)
    return b"".join(line + b"\n" for line in lines)


def gzip_bytes(data: bytes) -> bytes:
    """Compress as one gzip member without a time stamp, so that equal input gives equal bytes."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def parquet(documents: Sequence[Document], group: str) -> bytes:
    """Serialise documents as Parquet (zstd), 200 rows per row group."""
    columns = {
        field: [getattr(document, name) for document in documents] for name, field in FIELDS[group].items()
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    sink = io.BytesIO()
    pq.write_table(
        table, sink, compression="zstd", compression_level=19, use_dictionary=["license"], row_group_size=200
    )
    return sink.getvalue()


def warc_record(kind: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """Serialise one WARC/1.0 record as a gzip member.

    Source: WARC 1.0, ISO 28500:2009, annex D.
    """
    digest = base64.b32encode(hashlib.sha1(body).digest()).decode()
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {dict(headers)} {digest}")
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        *(f"{field}: {value}" for field, value in headers),
        f"WARC-Date: {WARC_DATE}",
        f"WARC-Record-ID: <urn:uuid:{name}>",
        f"WARC-Block-Digest: sha1:{digest}",
        f"Content-Length: {len(body)}",
    ]
    return gzip_bytes("\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\r\n\r\n")


def wet(documents: Sequence[Document]) -> bytes:
    """Serialise documents as WET: a warcinfo record, then one conversion record per document, licence in a header."""
    about = b"description: plain text of openly licensed repository files; see README.md\r\n"
    parts = [warc_record("warcinfo", [("Content-Type", "application/warc-fields")], about)]
    for document in documents:
        headers = [
            (field, getattr(document, name)) for name, field in FIELDS["web_mixed"].items() if name != "text"
        ]
        headers.append(("Content-Type", "text/plain"))
        parts.append(warc_record("conversion", headers, document.text.encode()))
    return b"".join(parts)


def group_of(name: str) -> str:
    """Group of a file, from its name."""
    return name.split(".")[0].split("-")[0]


def encode(name: str, documents: Sequence[Document]) -> bytes:
    """Serialise documents in the format given by the file name."""
    group, broken = group_of(name), BROKEN.get(name, ())
    if name.endswith(".parquet"):
        return parquet(documents, group)
    if name.endswith(".wet.gz"):
        return wet(documents)
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor(level=19).compress(jsonl(documents, group, broken))
    return gzip_bytes(jsonl(documents, group, broken))


FORMATS = {
    "docs_zh": "docs_zh-{:02}.jsonl.gz",
    "docs_en": "docs_en-{:02}.jsonl.zst",
    "web_mixed": "web_mixed-{:02}.warc.wet.gz",
    "books_zh": "books_zh.parquet",
    "forum_spam": "forum_spam.jsonl.gz",
}
"""Group -> file name; groups with a number in the name are split into two files."""


def write(groups: dict[str, list[Document]], out: Path, more: More) -> None:
    """Write all files of the groups, and the README."""
    files: dict[str, list[Document]] = {}
    for group, pattern in FORMATS.items():
        documents = groups[group]
        n_files = 2 if "{" in pattern else 1
        size = -(-len(documents) // n_files)
        for i in range(n_files):
            files[pattern.format(i)] = documents[i * size : (i + 1) * size]
    for name, documents in files.items():
        (out / name).write_bytes(encode(name, documents))
    (out / "README.md").write_text(readme(files, out, more), encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Render a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def readme(files: dict[str, list[Document]], out: Path, more: More) -> str:
    """The README of the sample: files, languages, broken records, and every source with its licence."""
    every = [document for documents in files.values() for document in documents]
    overview, planted = [], []
    for name, documents in files.items():
        broken = BROKEN.get(name, ())
        fields = ", ".join(FIELDS[group_of(name)].values())
        size = f"{(out / name).stat().st_size / 1e6:.2f}"
        overview.append((name, len(documents) + len(broken), len(documents), len(broken), fields, size))
        planted += [(name, line + 1, what) for line, what, _ in broken]
    counts = Counter(
        (group_of(name), d.origin, d.repo, d.commit, d.license)
        for name, documents in files.items()
        for d in documents
    )
    counts.update(origin for _, _, origin in more.documents)
    sources = [(*key, n) for key, n in counts.items()]
    both = [(d.language, d.kind) for d in every] + [found[:2] for found in more.documents]
    languages = Counter(LANGUAGES.get(language, "other") for language, _ in both)
    kinds = Counter(kind for _, kind in both if kind != "document")
    template = Path(__file__).with_name("sample_readme.md").read_text(encoding="utf-8")
    return template.format(
        n_documents=f"{len(both):,}",
        n_broken=len(planted) + more.n_broken,
        **more.tables,
        overview=table(("file", "records", "documents", "broken", "fields", "MB"), overview),
        languages=table(("language (as the source says)", "documents"), languages.most_common()),
        kinds=table(("kind", "documents", "what it is"), [(k, n, KINDS[k]) for k, n in kinds.most_common()]),
        planted=table(("file", "line", "what is wrong"), planted),
        sources=table(("files", "origin", "repository", "commit", "licence", "documents"), sorted(sources)),
        warc_date=WARC_DATE,
    )


LANGUAGES = {
    "zh-cn": "Chinese, simplified",
    "zh-hans": "Chinese, simplified",
    "zh": "Chinese, damaged text",
    "zh-tw": "Chinese, traditional",
    "zh-hant": "Chinese, traditional",
    "lzh": "classical Chinese",
    "en": "English",
    "mul": "Chinese and English mixed",
    "ja": "Japanese",
    "ko": "Korean",
}

KINDS = {
    "machine-translated": "the file's own front matter says that it is machine-translated",
    "revision": "an older revision of a document in docs_zh or docs_en (web_mixed only): a near duplicate",
    "twin": "a simplified document converted to traditional characters with OpenCC s2tw (docs_zh, crawl, pages)",
    "bilingual": "paragraphs of an English page and its Chinese translation in turn (web_mixed)",
    "mixed line": "one line of a page, half English and half Chinese, as a short post (forum_spam)",
    "copy": "the text of a document in docs_zh, docs_en or crawl (any but docs and books): an exact duplicate",
    "spam": "SMS spam of the UCI SMS Spam Collection (forum_spam)",
    "mojibake": "a real document decoded with a wrong encoding (forum_spam)",
    "markov": "text of a Markov chain over a real document (forum_spam)",
    "wordsalad": "a real document's words in random order (forum_spam)",
    "repeat": "a real passage repeated (forum_spam)",
    "keyword-stuffing": "a real document's words repeated as keywords (forum_spam)",
    "numbers": "a real document with most characters replaced by digits (forum_spam)",
    "benchmark questions": "six questions of an open test set with their answers, as a quiz (notes/)",
}
