"""Records from web pages and texts of unknown encoding; shared by the readers of files and archives.

Reasons of broken records: page_too_long, unknown_encoding, and those of `stages.extraction.extract`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from pipeline.errors import ConfigError
from pipeline.stage import Record
from stages.decoding.encoding import EncodingError, declared_in_page, decode, undecoded
from stages.decoding.mojibake import repair, repair_as
from stages.decoding.streams import RAW_BYTES, Bounds, Inflated
from stages.extraction.claim_values import url_date
from stages.extraction.extract import ExtractionError, shared_extractor


@dataclass(frozen=True, kw_only=True)
class TextBounds(Bounds):
    """Limits of a reader of whole texts; longer texts are quarantined, and reading continues.

    max_page_bytes: of one page or file, decompressed.
    """

    max_page_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_page_bytes < 1:
            raise ConfigError(f"max_page_bytes is {self.max_page_bytes}; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class PageBounds(TextBounds):
    """Limits of a reader of HTML pages; pages that exceed them are quarantined, and reading continues.

    page_seconds: processor time for the extraction of one page of at most 1 MiB; a larger one has more in proportion.
    page_memory_bytes: memory of the extraction process; the program itself needs about 40 MB of it.
    """

    page_seconds: float = 10.0
    page_memory_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.page_seconds <= 0 or self.page_memory_bytes < 128 << 20:
            raise ConfigError(
                f"page_seconds is {self.page_seconds}, page_memory_bytes {self.page_memory_bytes:,}; "
                "expected more than 0 and at least 128 MiB"
            )


def html_record(
    position: int, page: bytes, declared: Iterable[str], fields: dict[str, Any], bounds: PageBounds
) -> Record:
    """Create a record from an HTML page; see `text_record` for the arguments.

    Raises: StageError if the extraction process cannot be started.
    """
    labels = [*declared, *declared_in_page(page)]
    record = text_record(position, page, labels, fields, bounds)
    if record.fields is None:
        return record
    html = record.fields["text"]
    try:
        extracted = shared_extractor(bounds.page_seconds, bounds.page_memory_bytes).extract(html)
    except ExtractionError as error:
        reason, detail = error.args
        return Record(position, None, reason, detail, page[:RAW_BYTES])
    return Record(position, mended(merged(record.fields, extracted)))


def merged(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Merge the fields of a page from the archive (`known`) with those from the page itself (`found`).

    Robots statements are concatenated. An HTTP header that reserves text and data mining takes precedence over the
    page. The URL of the page is the base of its canonical URL, and provides the date if the page has none.
    """
    fields = known | found
    robots = [value for value in (known.get("robots"), found.get("robots")) if value]
    if robots:
        fields["robots"] = "; ".join(robots)
    fields |= {name: known[name] for name in ("tdm_reservation", "tdm_policy") if name in known}
    if url := known.get("url"):
        if "canonical_url" in found:
            try:
                fields["canonical_url"] = urljoin(url, found["canonical_url"])
            except ValueError:  # not a URL, such as one with an unbalanced bracket
                del fields["canonical_url"]
        if "published" not in found and (date := url_date(url)):
            fields |= {"published": date, "published_from": "url"}
    return fields


def mended(fields: dict[str, Any]) -> dict[str, Any]:
    """Repair the text of a record, and its title, if it is mojibake; sets `repaired` to the error, see `mojibake`."""
    fields["text"], accident = repair(fields["text"])
    if accident:
        fields["repaired"] = accident
        if "title" in fields:
            fields["title"] = repair_as(fields["title"], accident)
    return fields


def text_record(
    position: int, text: bytes, declared: Iterable[str], fields: dict[str, Any], bounds: TextBounds
) -> Record:
    """Create a record from the bytes of a text.

    Args: text, at most one byte more than `max_page_bytes`; declared, labels of encodings, most trusted first;
    fields, further fields of the record.
    """
    if len(text) > bounds.max_page_bytes:
        detail = f"more than {bounds.max_page_bytes:,} bytes"
        return Record(position, None, "page_too_long", detail, text[:RAW_BYTES])
    try:
        decoded, encoding = decode(text, declared)
    except EncodingError as error:
        return Record(position, None, "unknown_encoding", str(error), text[:RAW_BYTES])
    known: dict[str, Any] = {"text": decoded, "encoding": encoding}
    if n := undecoded(text, decoded):
        known["undecoded"] = n
    return Record(position, fields | known)


def read_start(source: Inflated, max_bytes: int) -> bytes:
    """Return the first max_bytes bytes of a file, or all if it is shorter."""
    start = bytearray()
    while len(start) < max_bytes and (more := source.read(max_bytes - len(start))):
        start += more
    return bytes(start)
