"""How well a tokenizer suits the texts: tokens per character by language, and Han characters with a token of their own.

A Chinese character without a token costs two or three byte tokens; the share of such characters tells a vocabulary made
for Chinese from one that merely accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from stages.tokens.sentence_pieces import SentencePieces

COUNTS = ("documents", "tokens", "chars", "bytes", "han", "han_single")
HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
"""Blocks of Han characters: Extension A, the basic block, compatibility, and the supplementary planes."""

RARE = ("\U000323ae", "\U000323af")
"""Two characters that no vocabulary has: ids that both have are those of an unknown character."""

NO_LANGUAGE = "und"
Tally = dict[str, list[int]]


def tally(
    texts: pa.ChunkedArray,
    languages: pa.ChunkedArray,
    n_tokens: np.ndarray,
    tokenizer: Tokenizer | SentencePieces,
) -> Tally:
    """Count COUNTS for each language; `tally`s of parts may be added.

    Args: texts and languages, strings (n_docs,), languages may be null; n_tokens, int (n_docs,), without end tokens.
    """
    rows: dict[str, np.ndarray] = {}
    single = Single(tokenizer)
    for text, language, tokens in zip(texts, languages, n_tokens.tolist(), strict=True):
        value = text.as_py()
        points = np.frombuffer(value.encode("utf-32-le"), np.uint32)
        han = points[is_han(points)]
        counts = [1, tokens, len(points), len(value.encode()), len(han), int(single(han).sum())]
        rows[language.as_py() or NO_LANGUAGE] = rows.get(language.as_py() or NO_LANGUAGE, 0) + np.array(
            counts
        )
    return {name: row.tolist() for name, row in sorted(rows.items())}


def summary(tallies: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, dict[str, Any]]:
    """For each language: COUNTS of documents to bytes, tokens per character, bytes per token, and the share of
    occurrences of Han characters that have a token of their own (null without Han characters)."""
    total: dict[str, np.ndarray] = {}
    for tallied in tallies:
        for name, row in tallied.items():
            total[name] = total.get(name, 0) + np.array(row)
    rows = {}
    for name, sums in sorted(total.items()):
        counts = dict(zip(COUNTS, sums.tolist(), strict=True))
        han, single = counts.pop("han"), counts.pop("han_single")
        rows[name] = {
            **counts,
            "tokens_per_char": round(counts["tokens"] / max(counts["chars"], 1), 4),
            "bytes_per_token": round(counts["bytes"] / max(counts["tokens"], 1), 4),
            "han_chars": han,
            "han_single_share": round(single / han, 4) if han else None,
        }
    return rows


def coverage(tokenizer: Tokenizer | SentencePieces) -> dict[str, float]:
    """Share of the characters of standard lists that have a token of their own.

    The lists are the rows of the standards themselves: GB 2312 level 1 (3,755 common characters) and level 2 (3,008),
    Big5 level 1 (5,401).
    """
    single = Single(tokenizer)
    lists = {
        "gb2312_level_1": _characters("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF)),
        "gb2312_level_2": _characters("gb2312", range(0xD8, 0xF8), range(0xA1, 0xFF)),
        "big5_level_1": _characters("big5", range(0xA4, 0xC7), (*range(0x40, 0x7F), *range(0xA1, 0xFF))),
    }
    return {name: round(float(single(points).mean()), 4) for name, points in lists.items()}


def _characters(codec: str, rows: Iterable[int], cells: Sequence[int]) -> np.ndarray:
    text = "".join(bytes([row, cell]).decode(codec, "ignore") for row in rows for cell in cells)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return points[is_han(points)]


def is_han(points: np.ndarray) -> np.ndarray:
    """Which code points are Han characters: bool, of the same shape."""
    return np.logical_or.reduce([(points >= first) & (points <= last) for first, last in HAN])


class Single:
    """Which characters are one token when encoded alone; each character is encoded once."""

    def __init__(self, tokenizer: Tokenizer | SentencePieces) -> None:
        self.tokenizer = tokenizer
        rare = {tuple(ids) for ids in self.encode(RARE)}
        self.unknown = rare.pop() if len(rare) == 1 else ()
        self.known = np.zeros(
            0x110000, np.int8
        )  # 0: not encoded yet, 1: one token, 2: several or an unknown one

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Args: points, code points (n,). Returns: bool (n,)."""
        new = np.unique(points[self.known[points] == 0])
        if len(new):
            ids = self.encode([chr(point) for point in new])
            self.known[new] = [1 if len(own) == 1 and tuple(own) != self.unknown else 2 for own in ids]
        return self.known[points] == 1

    def encode(self, characters: Sequence[str]) -> list[list[int]]:
        """Ids of characters that are encoded alone, without the word marker that SentencePiece puts before a text."""
        self.tokenizer.encode_special_tokens = True
        encodings = self.tokenizer.encode_batch_fast(list(characters), add_special_tokens=False)
        marker = self.tokenizer.token_to_id("▁")
        ids = [encoding.ids for encoding in encodings]
        return [own[1:] if len(own) > 1 and own[0] == marker else own for own in ids]
