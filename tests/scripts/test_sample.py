"""The bundled sample matches its README: files, records, licences, broken records, copies."""

from __future__ import annotations

import functools
import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.config.load import load_run
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.storage.store import list_inputs, open_input
from tests.helpers.paths import SAMPLE

TEXT_FIELDS = {"docs_zh": "content", "docs_en": "text", "forum_spam": "raw_content"}
OPEN = {
    "Apache-2.0",
    "CC-BY-4.0",
    "CC-BY-4.0 (UCI SMS Spam Collection)",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "MIT",
    "MIT (texts in public domain)",
    "MIT/Apache-2.0",
    "public domain / CC0-1.0",
    "public domain (PRC Copyright Law Art. 5)",
    "public domain (US)",
}


def readme_table(first_column: str) -> list[dict[str, str]]:
    """The rows of the README's table whose first column has this name and that has the most columns."""
    tables: list[list[list[str]]] = [[]]
    for line in (SAMPLE / "README.md").read_text("utf-8").splitlines():
        if line.startswith("| "):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    table = max((t for t in tables if t and t[0][0] == first_column), key=lambda t: len(t[0]))
    return [dict(zip(table[0], row, strict=True)) for row in table[2:]]


def readme_broken(title: str = "Broken records:") -> list[dict[str, str]]:
    """The README's table of broken records, or of broken pages and files."""
    text = (SAMPLE / "README.md").read_text("utf-8").split(title)[1].lstrip().split("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


APART = ("README.md", "benchmarks.parquet")
"""Files that hold no documents."""

FILES = [row["file"] for row in readme_table("file")]


def lines_of(name: str) -> list[bytes]:
    """The lines of a JSONL file."""
    data = (SAMPLE / name).read_bytes()
    plain = gzip.decompress(data) if name.endswith(".gz") else zstandard.ZstdDecompressor().decompress(data)
    assert plain.endswith(b"\n")
    return plain.split(b"\n")[:-1]


def fault(line: bytes, field: str) -> str | None:
    """What is wrong with a line of JSONL, in the README's words."""
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        return "GBK instead of UTF-8" if "国标" in line.decode("gbk", "replace") else "invalid UTF-8"
    except json.JSONDecodeError:
        return "JSON cut off"
    if not isinstance(record, dict):
        return "not an object"
    if field not in record:
        return "no text field"
    text = record[field]
    if text is None:
        return "text is null"
    if not isinstance(text, str):
        return "text is a number"
    if not text.strip():
        return "text of blanks only" if text else "empty text"
    if "\0" in text:
        return "NUL in text"
    return "unpaired surrogate" if any("\ud800" <= c <= "\udfff" for c in text) else None


def records(name: str) -> list[tuple[str, str]]:
    """(text, licence) of every unbroken record of a file."""
    path = SAMPLE / name
    if name.endswith(".parquet"):
        return [(row["text"], row["license"]) for row in pq.read_table(path).to_pylist()]
    if name.endswith(".wet.gz"):
        with path.open("rb") as stream:
            found = ArchiveIterator(stream, record_types=WarcRecordType.conversion)
            return [(record.reader.read().decode(), record.headers["X-License"]) for record in found]
    field = TEXT_FIELDS[name.split(".")[0].split("-")[0]]
    good = [json.loads(line) for line in lines_of(name) if fault(line, field) is None]
    return [(record[field], record["license"]) for record in good]


PLACES = {row["place"]: row for row in readme_table("place") if "records" in row}
LISTED = {row["path"]: row for row in readme_table("path")}
WRONG = readme_broken("Broken pages and files:")
RAW_FORMS = ("crawl", "pages", "notes")


@functools.cache
def raw_records() -> dict[str, list[dict[str, object]]]:
    """What the readers make of pages and files, as the quickstart reads them: rows by path below the sample.

    Broken records have a reason and no text.
    """
    found: dict[str, list[dict[str, object]]] = {}
    for source in load_run(SAMPLE.parent / "configs" / "quickstart.yaml").sources:
        if source.name not in RAW_FORMS:
            continue
        for file in (file for pattern in source.files for file in list_inputs(pattern)):
            name = Path(file.path).resolve().relative_to(SAMPLE).as_posix()
            rows = Rows(SourceInfo(name=source.name, input=name, fields=source.reader.fields))
            with open_input(file.path) as stream:
                for record in source.reader.read(stream, name, source.reader_config):
                    rows.add(record)
            documents, quarantined, _ = rows.take()
            found[name] = [*documents.to_pylist(), *quarantined.to_pylist()]
    return found


def raw_documents(place: str = "") -> list[dict[str, object]]:
    """Documents of a file or folder of pages, or of all of them."""
    rows = raw_records().items()
    return [row for name, found in rows if name.startswith(place) for row in found if "reason" not in row]


def test_every_file_is_listed_and_the_sample_is_small() -> None:
    """README.md lists exactly the files that exist, and all of them together are below 12 MB."""
    files = {path.relative_to(SAMPLE).as_posix() for path in SAMPLE.rglob("*") if path.is_file()}
    planted = {row["place"] for row in WRONG}
    assert files == {*FILES, *LISTED, *planted, *(p for p in PLACES if p.endswith(".gz")), *APART}
    assert sum((SAMPLE / name).stat().st_size for name in files) < 12_000_000
    assert raw_records().keys() == files - {*FILES, *APART}  # the quickstart reads all of them


@pytest.mark.parametrize("place", PLACES)
def test_pages_and_files_are_as_many_as_listed(place: str) -> None:
    """Each WARC file and folder has the records of its row, and gives the documents that it states."""
    row = PLACES[place]
    assert len(raw_documents(place)) == int(row["documents"])
    if place.endswith(".gz"):
        with (SAMPLE / place).open("rb") as stream:
            n_records = sum(1 for _ in ArchiveIterator(stream))  # the one that is cut off counts
    else:
        n_records = sum(path.is_file() for path in (SAMPLE / place).rglob("*"))
    assert n_records == int(row["records"])


def test_broken_pages_have_their_reasons() -> None:
    """Exactly the planted pages and files are refused, each for the listed reason, in the places of their rows."""
    found = Counter(
        (name, row["reason"]) for name, rows in raw_records().items() for row in rows if "reason" in row
    )
    assert found == Counter((row["place"], row["reason in quarantine"]) for row in WRONG)
    for place, row in PLACES.items():
        assert sum(entry["place"].startswith(place) for entry in WRONG) == int(row["broken"])


def test_encodings_are_found() -> None:
    """Every page and file is read in the encoding that it is in, declared or not, as often as listed."""
    found = Counter(
        (json.loads(str(row["meta"]))["encoding"], name.split("/")[0])
        for name, rows in raw_records().items()
        for row in rows
        if "reason" not in row
    )
    table = readme_table("encoding")
    assert {(row["encoding"], row["declared in"]) for row in table} >= {
        (encoding, where) for encoding in ("gb18030", "big5") for where in ("header", "meta", "nowhere")
    }
    listed: Counter[tuple[str, str]] = Counter()
    for row in table:
        listed.update({(row["encoding"], form): int(row[form]) for form in RAW_FORMS})
    assert found == +listed
    for name, row in LISTED.items():
        assert json.loads(str(raw_records()[name][0]["meta"]))["encoding"] == row["encoding"]


def test_scripts_are_text_where_a_page_shows_them() -> None:
    """Scripts that pages run are not in their text; the two pages that show `<script>` keep it."""
    pages = [*raw_documents("crawl/"), *raw_documents("pages/")]
    shown = {str(row["url"]).removesuffix("/index.html") for row in pages if "<script" in str(row["text"])}
    owasp = "https://cheatsheetseries.owasp.org/cheatsheets/Cross_Site_Scripting_Prevention_Cheat_Sheet.html"
    assert shown == {owasp, "https://oi-wiki.org/intro/faq"}


def test_front_matter_brings_licence_and_address() -> None:
    """Some Markdown files have front matter, whose licence and address are those of the list; some have none."""
    for name, row in LISTED.items():
        found = raw_records()[name][0]
        assert found["license"] in (None, row["licence"]) or name.startswith("pages/")
        assert found["url"] in (None, row["address"])
    notes = [row for name, row in ((n, raw_records()[n][0]) for n in LISTED) if name.endswith(".md")]
    assert {row["license"] is None for row in notes} == {True, False}


@pytest.mark.parametrize("row", readme_table("file"), ids=FILES)
def test_records_are_as_many_as_listed(row: dict[str, str]) -> None:
    """Each file has the documents that its row states, and beside them only its broken records."""
    found = records(row["file"])
    assert len(found) == int(row["documents"])
    assert int(row["records"]) == len(found) + int(row["broken"])
    if "jsonl" in row["file"]:
        assert len(lines_of(row["file"])) == int(row["records"])


@pytest.mark.parametrize("name", [name for name in FILES if "jsonl" in name])
def test_broken_records_are_planted_where_listed(name: str) -> None:
    """Exactly the listed lines of a JSONL file are broken, each in the way that is listed."""
    field = TEXT_FIELDS[name.split(".")[0].split("-")[0]]
    found = {n: fault(line, field) for n, line in enumerate(lines_of(name), 1) if fault(line, field)}
    listed = {int(row["line"]): row["what is wrong"] for row in readme_broken() if row["file"] == name}
    assert found == listed


def test_licences_are_open_and_as_listed() -> None:
    """Every record names an open licence, as often as the table of sources states for its files."""
    found: Counter[tuple[str, str]] = Counter()
    for name in FILES:
        found.update((name.split(".")[0].split("-")[0], licence) for _, licence in records(name))
    found.update((name.split("/")[0], row["licence"]) for name, row in LISTED.items())
    for name in (place for place in PLACES if place.endswith(".gz")):
        with (SAMPLE / name).open("rb") as stream:
            licences = [record.headers.get("X-License") for record in ArchiveIterator(stream)]
        found.update(("crawl", licence) for licence in licences if licence)
    listed: Counter[tuple[str, str]] = Counter()
    for row in readme_table("files"):
        listed[row["files"], row["licence"]] += int(row["documents"])
    assert found == listed
    assert {licence for _, licence in found} <= OPEN


def test_lengths_and_copies() -> None:
    """Documents have 20 to 30,000 characters, and at least the listed exact copies are among them."""
    texts = [text for name in FILES for text, _ in records(name)]
    texts += [str(row["text"]) for row in raw_documents()]
    assert all(20 <= len(text) <= 30_000 for text in texts)
    stated = (SAMPLE / "README.md").read_text("utf-8").split(" real documents", 1)[0].split()[-1]
    assert stated == f"{len(texts):,}"
    kinds = {row["kind"]: int(row["documents"]) for row in readme_table("kind")}
    assert len(texts) - len(set(texts)) >= kinds["copy"]


def test_wet_records_are_valid() -> None:
    """Every WET record carries an absolute URL and a digest that fits its text."""
    for name in FILES:
        if name.endswith(".wet.gz"):
            with (SAMPLE / name).open("rb") as stream:
                for record in ArchiveIterator(stream, record_types=WarcRecordType.conversion):
                    assert record.headers["WARC-Target-URI"].startswith("https://")
                    assert record.verify_block_digest()


def test_benchmark_questions_stand_on_some_pages() -> None:
    """benchmarks.parquet has the columns for decontamination, and the first questions of each set are in the notes."""
    table = pq.read_table(SAMPLE / "benchmarks.parquet")
    assert set(table["license"].to_pylist()) <= OPEN and table.num_rows == 60
    notes = "".join(path.read_text("utf-8") for path in sorted((SAMPLE / "notes").glob("*/quiz-*.md")))
    questions = table["question"].to_pylist()
    assert sum(question.strip() in notes for question in questions) == 24
    assert {"benchmark", "id", "question"} <= set(table.column_names)
