"""Markdown and plain text files, plain or compressed: one file is one document; position is always 0.

Yields text, encoding, and for Markdown files (`.md`, `.markdown`, `.mdx`, `.qmd`, `.rmd`) the fields of the front
matter, YAML between `---` or TOML between `+++`; a block that cannot be parsed remains in the text. A field named text
or encoding becomes front_text or front_encoding. Reasons of broken records: page_too_long, unknown_encoding; at
position -1: truncated, corrupt_stream, decompression_bomb.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import yaml

from pipeline.stage import Reader, Record
from stages.decoding.streams import Inflated
from stages.extraction.pages import TextBounds, mended, read_start, text_record
from stages.readers import FIELDS

MARKDOWN = re.compile(r"\.(md|markdown|mdx|qmd|rmd)(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)

MAX_FRONT_CHARS = 16_384
"""Longest front matter that is parsed: actual ones have hundreds of characters, and YAML is slow to parse."""

FRONT_MATTER = re.compile(
    r"(?P<fence>---|\+\+\+)[ \t]*\r?\n(?P<fields>(?:.*\n){0,1000}?)(?P=fence)[ \t]*(?:\r?\n|$)", re.ASCII
)
"""The first lines of a file up to the closing fence. Source: front matter of Jekyll and Hugo."""


@dataclass(frozen=True, kw_only=True)
class Config(TextBounds):
    """Bounds of files and of decompression."""


MAX_INT_BITS = 64
WHOLE, DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})"), re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}")
"""Numbers of front matter. Octal ones, those to the base of 60 and longer ones are text: they are codes, times and
identifiers, and YAML would make numbers of thousands of digits of them."""


class _Loader(yaml.SafeLoader):
    """YAML with few forms of numbers, no tags and no aliases, nine lines of which can expand to a billion values."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the library declares it for instances
        sign: [(tag, form) for tag, form in forms if not tag.endswith((":int", ":float"))]
        for sign, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(
        self, parent: yaml.Node | None, index: Any
    ) -> yaml.Node | None:  # Any: as the library has it
        if self.check_event(yaml.AliasEvent) or getattr(self.peek_event(), "tag", None):
            raise yaml.YAMLError("an alias or a tag")
        return super().compose_node(parent, index)


for _tag, _form in (("int", WHOLE), ("float", DECIMAL)):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_form.pattern})$"), list("-+0123456789")
    )


def read(stream: BinaryIO, path: str, config: Config) -> Iterator[Record]:
    """Yield the document; see `Reader`. A file that is damaged before its end yields no document."""
    source = Inflated(stream, config)
    data = read_start(source, config.max_page_bytes + 1)
    record = source.damage or text_record(0, data, (), {}, config)
    if record.fields is not None and MARKDOWN.search(path):
        front, body = split_front_matter(record.fields["text"])
        fields = {f"front_{name}" if name in record.fields else name: value for name, value in front.items()}
        record = Record(0, fields | record.fields | {"text": body})
    yield record if record.fields is None else Record(record.position, mended(record.fields))


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:  # Any: values of YAML or TOML
    """Split a Markdown text into the fields of its front matter, if there is any, and the rest."""
    match = FRONT_MATTER.match(text, 0, MAX_FRONT_CHARS)
    if match is None:
        return {}, text
    try:
        fields = tomllib.loads(match["fields"]) if match["fence"] == "+++" else _yaml(match["fields"])
        is_plain = isinstance(fields, dict) and not _has_long_int(fields)  # no line between two rules
    except (ValueError, OverflowError, TypeError, RecursionError, yaml.YAMLError):
        return {}, text
    if not is_plain:
        return {}, text
    return {str(name): value for name, value in fields.items()}, text[match.end() :].lstrip("\r\n")


def _has_long_int(value: Any) -> bool:
    """Whether a value has an integer of more than 64 bits, which TOML can write in hexadecimal at any length."""
    if isinstance(value, dict):
        return any(_has_long_int(name) or _has_long_int(item) for name, item in value.items())
    if isinstance(value, list):
        return any(map(_has_long_int, value))
    return isinstance(value, int) and value.bit_length() > MAX_INT_BITS


def _yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


READER = Reader(name="textfile", version=4, config=Config, read=read, fields={**FIELDS, "text": ("text",)})
