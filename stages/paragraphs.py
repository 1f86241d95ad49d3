"""Paragraphs: a key for each paragraph or line that is long enough to be looked for elsewhere.

Reads text; writes where each of them stands and 96 bits of the hash of its match text. What is repeated, and which
occurrence stays, is decided elsewhere, without text.

A line is what stands between line breaks, a paragraph a run of lines that no empty line interrupts. What is shorter
than the least length, as headings, list items and closing braces are, is never looked for and never removed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind
from stages.kernels.passages import find_units
from stages.kernels.text import TABLES_PATH, view

UNITS = ("line", "paragraph")
MAX_CHARS = 20_000
"""Largest setting: weights of a text stay far below 2**63."""

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
"""keys, checks: hash of the match text of each unit. starts, ends: its place, line breaks after it included. n_chars:
characters of the document. unit: the setting, so that who reads keys need not be told again."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """unit: `paragraph` or `line`. min_chars_han, min_chars_other: letters, digits and ideographs that a unit must
    hold: so many Han characters (kana, Hangul and full-width forms count like them), so many others, or a mixture
    in proportion."""

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
    """Give each document its units; null to a null text."""
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
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH,),
)
