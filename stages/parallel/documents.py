"""Interlinear documents of pairs: each segment above its translation, in either order, cut at a number of tokens.

A document of pairs gives documents whose pairs begin with the source, such that begin with the target, or both. The two
orders of one document are near duplicates of each other, so a run that keeps one of near duplicates keeps one of them;
by default the order is drawn from the text, half of each. A pair is never cut: one that exceeds the cap alone is left
out. Personal data and other spans of the release are edited first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from pipeline.stage import DERIVED, Derive
from stages.parallel import pairs_of

SOURCE_FIRST, TARGET_FIRST = "source_first", "target_first"
SEPARATOR = "\n\n"
"""Between pairs; between the sides of a pair is a line break."""

ORDERS = ("alternate", SOURCE_FIRST, TARGET_FIRST, "both")


@dataclass(frozen=True, kw_only=True)
class Config:
    """order: one of ORDERS. max_tokens: of one document, about. bytes_per_token: at which they are counted; a release's
    `tokens.json` has that of a tokenizer by language."""

    order: str = "alternate"
    max_tokens: int = 2048
    bytes_per_token: float = 3.5

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ConfigError(f"order is {self.order!r}; expected one of {', '.join(ORDERS)}")
        if self.max_tokens < 1 or self.bytes_per_token <= 0:
            raise ConfigError(
                f"max_tokens is {self.max_tokens}, bytes_per_token {self.bytes_per_token}; expected more than 0"
            )


def orders_of(text: str, config: Config) -> tuple[str, ...]:
    """The orders in which a document is written."""
    if config.order == "both":
        return SOURCE_FIRST, TARGET_FIRST
    if config.order != "alternate":
        return (config.order,)
    odd = hashlib.blake2b(text.encode(), digest_size=1).digest()[0] & 1
    return (TARGET_FIRST if odd else SOURCE_FIRST,)


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return the interlinear documents of a batch; see stage.Derive."""
    rows = []
    for parent, row in enumerate(table.select(["text", "meta", "edits"]).to_pylist()):
        edits = [(span["start"], span["end"], span["kind"]) for span in row["edits"] or ()]
        pairs = pairs_of(apply_spans(row["text"], edits, replace), row["meta"])
        if pairs is None:
            continue
        fields = json.loads(row["meta"])
        number = 0
        for order in orders_of(row["text"], config):
            names = ("source_language", "target_language")[:: 1 if order == SOURCE_FIRST else -1]
            languages = [fields.get(name) for name in names]
            ordered = pairs if order == SOURCE_FIRST else [(target, source) for source, target in pairs]
            for part in cut(ordered, config):
                text = SEPARATOR.join(f"{first}\n{second}" for first, second in part)
                meta = {
                    "interlinear": order, "languages": languages, "n_pairs_shown": len(part),
                    "direction": fields.get("direction"), "method": fields.get("method"),
                }  # fmt: skip
                rows.append(
                    {
                        "parent": parent,
                        "number": number,
                        "text": text,
                        "meta": json.dumps(meta, ensure_ascii=False),
                    }
                )
                number += 1
    return pa.Table.from_pylist(rows, schema=DERIVED)


def cut(pairs: list[tuple[str, str]], config: Config) -> Iterator[list[tuple[str, str]]]:
    """Yield runs of consecutive pairs within the cap; a pair with an empty side, after edits, is left out."""
    budget = config.max_tokens * config.bytes_per_token
    extra = len(SEPARATOR.encode()) + 1
    part: list[tuple[str, str]] = []
    n_bytes = 0
    for pair in pairs:
        size = sum(len(side.encode()) for side in pair) + extra
        if not all(side.strip() for side in pair) or size - extra + 1 > budget:
            continue
        if part and n_bytes + size > budget:
            yield part
            part, n_bytes = [], 0
        part.append(pair)
        n_bytes += size
    if part:
        yield part


DERIVE = Derive(name="interlinear", version=1, config=Config, reads=("text", "meta"), derive=make_documents)
