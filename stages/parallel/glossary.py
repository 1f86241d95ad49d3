"""Glossary coverage: how many of a glossary's entries in one side of a pair have their translation in the other.

Reads documents of pairs (`stages.parallel`); writes counts and a share. Other documents get nulls. The glossary is in
the direction source to target; it may be used the other way round by exchanging its columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from pipeline.stage import Annotate, Stage
from stages.parallel import pairs_of
from stages.parallel.dictionary import Dictionary, read_dictionary

SCHEMA = pa.schema({"n_entries": pa.int32(), "n_covered": pa.int32(), "share": pa.float32()})
"""n_entries: entries in the source sides, each occurrence. n_covered: those whose translation is in the target side of
the pair. share: n_covered of n_entries, null without entries. All null for other documents, and without a glossary."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """glossary: paths of dictionaries, see `stages.parallel.dictionary`; none, all nulls."""

    glossary: tuple[str, ...] = ()


def measure(pairs: list[tuple[str, str]], glossary: Dictionary) -> dict[str, int | float | None]:
    """Coverage of the pairs of one document; translations are compared without case."""
    n_entries = n_covered = 0
    for source, target in pairs:
        folded = target.casefold()
        for _, _, translation in glossary.matches(source):
            n_entries += 1
            n_covered += translation.casefold() in folded
    share = round(n_covered / n_entries, 3) if n_entries else None
    return {"n_entries": n_entries, "n_covered": n_covered, "share": share}


def annotate(batch: pa.Table, glossary: Dictionary) -> pa.Table:
    """Measure each document: `text` and `meta`, (n_docs,), to a table of SCHEMA, (n_docs,)."""
    rows = []
    for text, meta in zip(batch["text"].to_pylist(), batch["meta"].to_pylist(), strict=True):
        pairs = pairs_of(text or "", meta) if glossary.entries else None
        rows.append(dict.fromkeys(SCHEMA.names) if pairs is None else measure(pairs, glossary))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def load(config: Config) -> Annotate:
    """Read the glossary once.

    Raises: ConfigError if it is no dictionary.
    """
    return partial(annotate, glossary=read_dictionary(*config.glossary))


STAGE = Stage(
    name="glossary",
    version=1,
    config=Config,
    reads=("text", "meta"),
    writes=SCHEMA,
    load=load,
    files=("glossary",),
)
