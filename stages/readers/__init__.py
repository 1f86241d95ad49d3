"""Readers: convert one file of a source to records. One module per format, each with a `READER`.

A reader accepts any bytes: every record is yielded, either complete or with the reason why it is broken.
"""

FIELDS: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "raw_content", "body", "full_text", "document", "passage"),
    "source_id": ("id", "doc_id", "docid", "uid", "uuid", "_id", "data_id", "record_id"),
    "url": ("url", "uri", "link", "source_url", "page_url", "web_url"),
    "date": ("date", "timestamp", "crawl_date", "date_download", "publish_date", "published", "created"),
    "snapshot": ("snapshot", "dump", "crawl"),
    "license": ("license", "licence"),
}
"""Canonical column -> field names to try in order, as used by public corpora and crawlers.

`provenance` and `parent_id` have no usual name, so that a source must map them.
"""
