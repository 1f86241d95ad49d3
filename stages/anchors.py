"""Anchors: a sample of short grams by which equal passages of two places find each other.

Reads text; writes a key for each anchor and where its windows begin. Two equal passages of the least length
have an anchor of the same key at the same place (see `kernels.anchors`), so that places without a shared key
need not be looked at. What is repeated is decided elsewhere, from text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind
from stages.kernels.anchors import find_anchors, wide_table
from stages.kernels.text import view

MAX_CHARS = 20_000
"""Largest setting: weights of a window stay far below 2**31."""

SCHEMA = pa.schema(
    {
        "keys": pa.list_(pa.uint64()),
        "firsts": pa.list_(pa.int32()),
        "n_windows": pa.int32(),
        "min_chars_han": pa.int32(),
        "min_chars_other": pa.int32(),
    }
)
"""keys: hash of each anchor. firsts: the first character of its first window; its last comes before the
first of the next anchor, or is that of the text. n_windows: windows of the text, 0 for a text shorter than
one. min_chars_*: the settings, so that who reads anchors need not be told again."""


PRESETS = {"equalised": (100, 400), "cci4": (185, 1700)}
"""Least lengths, Han and other. equalised: about as much said in either, an ideograph counting as four letters.
cci4: 800 bytes of 16-bit GPT-2 token ids, 400 tokens, in characters; GPT-2 spends some two tokens on an ideograph.
Source: CCI4.0 (arXiv 2506.07463) with the tool of Lee et al. (2022)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Least length of a passage: so many Han characters (kana, Hangul and full-width forms count like them),
    so many others, or a mixture in proportion.

    preset: a name of PRESETS, which gives the lengths that are not set; without one, equalised. Once they are known it
    is set to None, so that the same lengths make the same recipe however they were said."""

    preset: str | None = None
    min_chars_han: int | None = None
    min_chars_other: int | None = None

    def __post_init__(self) -> None:
        if self.preset is not None and self.preset not in PRESETS:
            raise ConfigError(f"anchors.preset is {self.preset!r}; expected one of: {', '.join(PRESETS)}")
        lengths = PRESETS[self.preset or "equalised"]
        for name, length in zip(("min_chars_han", "min_chars_other"), lengths, strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, length)
        object.__setattr__(self, "preset", None)
        for name in ("min_chars_han", "min_chars_other"):
            if not 2 <= getattr(self, name) <= MAX_CHARS:
                raise ConfigError(f"anchors.{name} is {getattr(self, name)}; expected 2 to {MAX_CHARS:,}")


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Give each document its anchors; null to a null text."""
    decoded = view(batch["text"])
    han, other = config.min_chars_han, config.min_chars_other
    assert han is not None and other is not None
    keys, firsts, offsets, n_windows = find_anchors(decoded.codes, decoded.starts, wide_table(), han, other)
    valid = pc.is_valid(batch["text"]).to_numpy()
    missing, ends = pa.array(~valid), pa.array(offsets, pa.int32())
    least = np.broadcast_to(np.array([[han], [other]], np.int32), (2, len(valid)))
    numbers = [pa.array(column, pa.int32(), mask=~valid) for column in (n_windows, *least)]
    lists = [pa.ListArray.from_arrays(ends, pa.array(values), mask=missing) for values in (keys, firsts)]
    return pa.table([*lists, *numbers], schema=SCHEMA)


STAGE = Stage(name="anchors", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
