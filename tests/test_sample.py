"""The bundled sample is what its README says: files, records, licences, broken records, copies."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

SAMPLE = Path(__file__).parent.parent / "sample"
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


def readme_broken() -> list[dict[str, str]]:
    """The README's table of broken records."""
    text = (SAMPLE / "README.md").read_text("utf-8").split("Broken records:")[1].split("##")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


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


def test_every_file_is_listed_and_the_sample_is_small() -> None:
    """README.md lists exactly the files that are there, and all of them together stay under 12 MB."""
    found = {path.name for path in SAMPLE.iterdir()}
    assert found == {*FILES, "README.md"}
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 12_000_000


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
    listed: Counter[tuple[str, str]] = Counter()
    for row in readme_table("files"):
        listed[row["files"], row["licence"]] += int(row["documents"])
    assert found == listed
    assert {licence for _, licence in found} <= OPEN


def test_lengths_and_copies() -> None:
    """Documents have 20 to 20,000 characters, and at least the listed exact copies are among them."""
    texts = [text for name in FILES for text, _ in records(name)]
    assert all(20 <= len(text) <= 20_000 for text in texts)
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
