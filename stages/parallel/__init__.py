"""Parallel text as documents: each pair of segments is two lines, source before target, so that no step can part them.

Duplicates, splits, rules and mixes treat the document, hence both sides at once. Languages, direction and method are
fields of the record, which are kept in `meta`. `documents` derives interlinear documents in both orders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConfigError
from pipeline.stage import Record
from stages.decoding.streams import Bounds

DIRECTIONS = ("", "forward", "backward", "cycle")
"""forward: the source side is the original; backward: the target side is; cycle: neither, both were translated by a
model, there and back; empty: unknown."""


@dataclass(frozen=True, kw_only=True)
class PairSettings(Bounds):
    """What readers of pairs share.

    source_language, target_language: labels as of `classifiers.language`, of the sides. direction: one of DIRECTIONS.
    method: how the pairs came about, such as human, machine, mined. pairs_per_document: consecutive pairs that make one
    document; a rule on the document then judges all of them. max_record_bytes: of one side, decompressed.
    """

    source_language: str = "zho_Hans"
    target_language: str = "eng_Latn"
    direction: str = ""
    method: str = ""
    pairs_per_document: int = 1
    max_record_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in DIRECTIONS:
            raise ConfigError(
                f"direction is {self.direction!r}; expected forward, backward, cycle, or none if unknown"
            )
        if self.source_language == self.target_language:
            raise ConfigError(
                f"source_language and target_language are both {self.source_language}; expected two"
            )
        if self.pairs_per_document < 1 or self.max_record_bytes < 1:
            raise ConfigError(
                f"pairs_per_document is {self.pairs_per_document}, max_record_bytes {self.max_record_bytes}; expected "
                "at least 1 of both"
            )


@dataclass(frozen=True)
class Pair:
    """One pair as a file has it. fields: further ones of its record, those of the first pair of a document count."""

    position: int
    source: str
    target: str
    fields: dict[str, Any] = field(default_factory=dict)  # Any: values of the input format


def records(pairs: Iterable[Pair | Record], config: PairSettings) -> Iterator[Record]:
    """Yield a record for each document: `pairs_per_document` consecutive pairs. Broken records come where they are.

    A pair with an empty side is broken: `empty_side`.
    """
    group: list[Pair] = []
    for item in pairs:
        if isinstance(item, Record):
            if item.position < 0 and group:  # the end of what can be read
                yield _document(group, config)
                group = []
            yield item
            continue
        source, target = one_line(item.source), one_line(item.target)
        if not source or not target:
            side = "source" if not source else "target"
            yield Record(
                item.position, None, "empty_side", f"the {side} is empty", (source or target).encode()
            )
            continue
        group.append(Pair(item.position, source, target, item.fields))
        if len(group) == config.pairs_per_document:
            yield _document(group, config)
            group = []
    if group:
        yield _document(group, config)


def _document(group: list[Pair], config: PairSettings) -> Record:
    text = "\n".join(f"{pair.source}\n{pair.target}" for pair in group)
    fields = {
        "direction": config.direction, "method": config.method, **group[0].fields, "text": text,
        "source_language": config.source_language, "target_language": config.target_language, "n_pairs": len(group),
    }  # fmt: skip
    known = {name: value for name, value in fields.items() if value not in ("", None)}
    return Record(group[0].position, known, n_bytes=len(text.encode()))


def one_line(text: str) -> str:
    """A segment without line breaks: runs of white space that contain one become a space."""
    return " ".join(
        " ".join(part.split()) if "\t" in part else part.strip() for part in text.splitlines()
    ).strip()


def pairs_of(text: str, meta: str | None) -> list[tuple[str, str]] | None:
    """The pairs of a document, source first; None if it is no document of pairs, or edits have changed its lines.

    Args: meta, the document's fields as JSON.
    """
    n_pairs = json.loads(meta).get("n_pairs") if meta and '"n_pairs"' in meta else None
    lines = text.split("\n")
    if not isinstance(n_pairs, int) or len(lines) != 2 * n_pairs:
        return None
    return list(zip(lines[::2], lines[1::2], strict=True))
