"""Paragraphs: a key for each paragraph or line that is long enough to be deduplicated.

Reads text; writes the offsets of each unit and 96 bits of the hash of its match text. Which units are repeated, and
which occurrence is kept, is decided without text by `stages.passages.repeated_paragraphs` and `stages.passages.owners`.

Lines are separated by line breaks; a paragraph is a run of lines without an empty line between them. Units shorter than
the least length, such as headings, list items and closing braces, have no key and are never removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind
from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.passages.passages import find_units
from stages.kernels.text.text import TABLES_PATH, view

UNITS = ("line", "paragraph")
MAX_CHARS = 20_000
"""Upper limit of the settings, which keeps weights of a text far below 2**63."""

SCHEMA = pa.schema(
    {
        "keys": pa.list_(pa.uint64()),
        "checks": pa.list_(pa.uint32()),
        "starts": pa.list_(pa.int32()),
        "ends": pa.list_(pa.int32()),
        "n_chars": pa.int32(),
        "unit": pa.string(),
    }
)
"""keys, checks: hash of the match text of each unit. starts, ends: its offsets (characters), including the line breaks
after it. n_chars: characters of the document. unit: the setting, for later steps."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """unit: `paragraph` or `line`. min_chars_han, min_chars_other: least letters, digits and ideographs of a unit: Han
    characters (including kana, Hangul and full-width forms), other characters, or a mixture in proportion."""

    unit: str = "paragraph"
    min_chars_han: int = 20
    min_chars_other: int = 80

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ConfigError(f"paragraphs.unit is {self.unit!r}; expected {' or '.join(UNITS)}")
        for name in ("min_chars_han", "min_chars_other"):
            if not 1 <= getattr(self, name) <= MAX_CHARS:
                raise ConfigError(f"paragraphs.{name} is {getattr(self, name)}; expected 1 to {MAX_CHARS:,}")


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Find the units of each document.

    Args: batch, with a string column `text`, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,), null for null texts.
    """
    text = batch["text"]
    n_chars = np.diff(view(text).starts)
    units, hashes = find_units(text, config.unit == "line", config.min_chars_han, config.min_chars_other)
    valid = pc.is_valid(text).to_numpy()
    offsets = pa.array(np.searchsorted(units.docs, np.arange(len(valid) + 1)), pa.int32())
    columns = {
        "keys": hashes[:, 0],
        "checks": (hashes[:, 1] >> np.uint64(32)).astype(np.uint32),
        "starts": units.starts.astype(np.int32),
        "ends": units.ends.astype(np.int32),
    }
    lists = [
        pa.ListArray.from_arrays(offsets, pa.array(values), mask=pa.array(~valid))
        for values in columns.values()
    ]
    unit = pc.if_else(pa.array(valid), config.unit, pa.scalar(None, pa.string()))
    return pa.table([*lists, pa.array(n_chars, pa.int32(), mask=~valid), unit], schema=SCHEMA)


STAGE = Stage(
    name="paragraphs",
    version=4,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH, FORMS_PATH),
)
