"""Anchors: a content-defined sample of short grams, used to find repeated passages.

Reads text; writes a key for each anchor and the offset of its first window. Two equal passages of the least length
contain an anchor with the same key at the same offset (see `kernels.passages.anchors`), so that text without a shared
key need not be compared. Which passages are repeated is decided from text by later steps (`stages.passages.substring`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage, bind
from stages.kernels.passages.anchors import find_anchors, wide_table
from stages.kernels.text.text import view

MAX_CHARS = 20_000
"""Upper limit of the settings, which keeps weights of a window far below 2**31."""

KEY_BITS = np.uint64(0xFFFFFFFFFF << 24)
"""Bits of a key that are kept and compared: 40. A collision costs a comparison of text, never an error; among 10**9
anchors, one in a thousand collides with another."""

SCHEMA = pa.schema(
    {
        "keys": pa.list_(pa.uint64()),
        "firsts": pa.list_(pa.int32()),
        "n_windows": pa.int32(),
        "min_chars_han": pa.int32(),
        "min_chars_other": pa.int32(),
    }
)
"""keys: hash of each anchor, of 40 bits above zeros. firsts: the first character of its first window; its last comes
before the first of the next anchor, or is that of the text. n_windows: windows of the text, 0 for a text shorter than
one. min_chars_han, min_chars_other: the settings, for the steps that read anchors."""


PRESETS = {"equalised": (100, 400), "cci4": (185, 1700)}
"""Least length of a passage in Han and in other characters. equalised: equivalent lengths in Chinese and English.
cci4: the length used by CCI4.0 (arXiv 2506.07463), 800 bytes of 16-bit ids of GPT-2's tokenizer, which needs about two
tokens per ideograph and one per four letters: about 1,700 English characters, or 185 Chinese ones."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Least length of a passage: min_chars_han Han characters (including kana, Hangul and full-width forms),
    min_chars_other others, or a mixture in proportion; default those of the preset."""

    preset: str = "equalised"  # `equalised` (100 Han or 400 other characters) or `cci4` (185 or 1,700)
    min_chars_han: int | None = None  # least Han characters of a passage; none: those of the preset
    min_chars_other: int | None = None  # least other characters; none: those of the preset

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"anchors.preset is {self.preset!r}; expected one of {', '.join(PRESETS)}")
        for name in ("min_chars_han", "min_chars_other"):
            value = getattr(self, name)
            if value is not None and not 2 <= value <= MAX_CHARS:
                raise ConfigError(f"anchors.{name} is {value}; expected 2 to {MAX_CHARS:,}")

    @property
    def least(self) -> tuple[int, int]:
        """Least length of a passage in Han and in other characters."""
        han, other = PRESETS[self.preset]
        return (self.min_chars_han or han, self.min_chars_other or other)


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Find the anchors of each document.

    Args: batch, with a string column `text`, (n_docs,).
    Returns: a table of SCHEMA, (n_docs,), null for null texts.
    """
    decoded = view(batch["text"])
    keys, firsts, offsets, n_windows = find_anchors(
        decoded.codes, decoded.starts, wide_table(), *config.least
    )
    valid = pc.is_valid(batch["text"]).to_numpy()
    missing, ends = pa.array(~valid), pa.array(offsets, pa.int32())
    least = np.broadcast_to(np.array(config.least, np.int32)[:, None], (2, len(valid)))
    numbers = [pa.array(column, pa.int32(), mask=~valid) for column in (n_windows, *least)]
    lists = [
        pa.ListArray.from_arrays(ends, pa.array(values), mask=missing) for values in (keys & KEY_BITS, firsts)
    ]
    return pa.table([*lists, *numbers], schema=SCHEMA)


STAGE = Stage(name="anchors", version=2, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
