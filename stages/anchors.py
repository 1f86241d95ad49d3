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

KEY_BITS = np.uint64(0xFFFFFFFFFF << 24)
"""Bits of a key that are kept and compared. Two different anchors that agree in 40 cost a look at their text, never an
error: of a thousand million anchors one in a thousand meets such another."""

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
"""Least length of a passage in Han and in other characters. equalised: the same length of text in Chinese and English.
cci4: what CCI4.0 (arXiv 2506.07463) took out, 800 bytes of 16-bit ids of GPT-2's tokenizer, which spends about two
tokens on an ideograph and one on four letters: near 1,700 English characters, and 185 Chinese ones."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Least length of a passage: so many Han characters (kana, Hangul and full-width forms count like them),
    so many others, or a mixture in proportion; where not given, those of the preset."""

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
        """Least length in Han and in other characters."""
        han, other = PRESETS[self.preset]
        return (self.min_chars_han or han, self.min_chars_other or other)


def annotate(batch: pa.Table, config: Config) -> pa.Table:
    """Give each document its anchors; null to a null text."""
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
