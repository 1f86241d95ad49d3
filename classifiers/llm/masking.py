"""Personal data masked in what is sent to a server, and found in what it wrote.

A text is sent with a placeholder in place of each value, and positions in it are mapped back to the text itself.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from pipeline.spans import Span, merge_spans
from stages import pii

DATA = tuple(pii.STAGE.data)
"""Files that say what personal data is."""


class Piece(NamedTuple):
    """A stretch of a masked text. at: where it begins there; start, end: its range in the original."""

    at: int
    start: int
    end: int
    is_placeholder: bool


@dataclass(frozen=True)
class Masked:
    """A text with placeholders, and the pieces that it consists of."""

    text: str
    pieces: tuple[Piece, ...]

    def start_of(self, position: int) -> int:
        """Position in the original text of a character; the first one of the value for a placeholder."""
        piece = self._piece(position)
        return piece.start if piece.is_placeholder else piece.start + position - piece.at

    def end_of(self, position: int) -> int:
        """Position in the original text of the end of a range; behind the whole value for a placeholder."""
        piece = self._piece(max(position - 1, 0))
        return piece.end if piece.is_placeholder else piece.start + position - piece.at

    def _piece(self, position: int) -> Piece:
        return self.pieces[max(bisect.bisect_right(self.pieces, position, key=lambda p: p.at) - 1, 0)]


def mask(text: str, spans: Sequence[Span]) -> Masked:
    """Replace spans of a text by placeholders that name their kinds, as `[email]`."""
    texts: list[str] = []
    pieces: list[Piece] = []
    at = position = 0
    for start, end, placeholder in [
        *merge_spans(spans, {kind: f"[{kind}]" for _, _, kind in spans}),
        (len(text), len(text), ""),
    ]:
        for piece, first, last, is_placeholder in (
            (text[position:start], position, start, False),
            (placeholder, start, end, True),
        ):
            if piece or not pieces:
                pieces.append(Piece(at, first, last, is_placeholder))
                texts.append(piece)
                at += len(piece)
        position = end
    return Masked("".join(texts), tuple(pieces))


class PersonalData:
    """The rules of `stages.pii`, on texts."""

    def __init__(self) -> None:
        self._annotate = pii.STAGE.load(pii.Config())

    def find(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans of personal data of each text."""
        if not texts:
            return []
        rows = self._annotate(pa.table({"text": pa.array(texts, pa.large_string())}))["spans"].to_pylist()
        return [[(span["start"], span["end"], span["kind"]) for span in row] for row in rows]

    def masked(self, texts: Sequence[str]) -> list[str]:
        """Texts with placeholders in place of personal data."""
        return [mask(text, spans).text for text, spans in zip(texts, self.find(texts), strict=True)]
