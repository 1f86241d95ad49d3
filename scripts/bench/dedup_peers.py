"""The peers as tools of bench_dedup.py, each used as in its own documentation, run in the peers' environment.

Every tool runs with threshold 0.8 and, if configurable, 168 hashes, and chooses its bands by its own rule. Libraries
without a tokenizer (datasketch, rensa) get the same shingles as the truth of the benchmark; the time for tokenizing in
Python is reported separately (`parts`).

Usage: python -m scripts.bench.dedup_peers TOOL CORPUS LANGUAGE CORE. See dedup_worker for its input and output.
"""

from __future__ import annotations

import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from scripts.bench.dedup_worker import Tool, pin, serve

if __name__ == "__main__":
    pin(int(sys.argv[4]))

import pyarrow as pa

from scripts.bench.dedup_frameworks import (
    N_HASHES,
    SHINGLE,
    THRESHOLD,
    Daft,
    Datatrove,
    TextDedup,
    versions_of,
)

CHUNK = 256
"""Documents tokenized at a time, to bound the memory of Python strings."""


def five_grams(text: str, language: str) -> list[str]:
    """Shingles as in the truth: five characters without spaces in Chinese, else five words; one shingle if shorter."""
    plain = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).lower())
    if language == "zh":
        joined = plain.replace(" ", "")
        return [joined[i : i + SHINGLE] for i in range(max(len(joined) - SHINGLE + 1, 1))]
    words = plain.split()
    if len(words) <= SHINGLE:
        return [" ".join(words)]
    return [" ".join(run) for run in zip(*(words[i:] for i in range(SHINGLE)), strict=False)]


def split_words(text: str, language: str) -> list[str]:
    """Words separated by whitespace, as in rensa's README, regardless of the language."""
    return text.split()


class Tokenised:
    """A library that takes tokens."""

    def __init__(self, language: str, tokens: Callable[[str, str], list[str]]) -> None:
        self.language, self.tokens = language, tokens
        self.parts = {"tokens in Python": 0.0}

    def prepare(self, column: pa.ChunkedArray) -> list[str]:
        """Decoded Python strings; not timed."""
        return column.to_pylist()

    def chunks(self, texts: list[str]) -> Iterator[list[list[str]]]:
        """Tokens of CHUNK documents at a time; the time for tokenizing is added to `parts`."""
        self.parts["tokens in Python"] = 0.0
        for start in range(0, len(texts), CHUNK):
            begun = time.perf_counter()
            made = [self.tokens(text, self.language) for text in texts[start : start + CHUNK]]
            self.parts["tokens in Python"] += time.perf_counter() - begun
            yield made

    def cluster_input(self, texts: list[str]) -> Any:
        """Signatures; Any: the library's."""
        return self.sign(texts)

    def sign(self, texts: list[str]) -> Any:
        """Signatures; Any: the library's."""
        raise NotImplementedError


class Datasketch(Tokenised):
    """MinHash.generator, its bulk call, with 32-bit xxHash instead of SHA-1 (its documentation advises a faster hash).

    A document is kept if MinHashLSH returns no similar kept document; candidates are checked with MinHash.jaccard.
    """

    def __init__(self, language: str) -> None:
        import datasketch
        import xxhash

        super().__init__(language, five_grams)
        self.module, self.hash = datasketch, xxhash.xxh32_intdigest
        self.versions = versions_of("datasketch", "xxhash")

    def sign(self, texts: list[str]) -> list[Any]:
        """MinHash objects; Any: untyped library."""
        signed: list[Any] = []
        for made in self.chunks(texts):
            encoded = ([token.encode() for token in tokens] for tokens in made)
            signed += self.module.MinHash.generator(encoded, num_perm=N_HASHES, hashfunc=self.hash)
        return signed

    def cluster(self, signed: list[Any]) -> int:
        """Insert all signatures in one session, then query all."""
        index = self.module.MinHashLSH(threshold=THRESHOLD, num_perm=N_HASHES)
        with index.insertion_session() as session:
            for row, one in enumerate(signed):
                session.insert(row, one, check_duplication=False)
        return sum(len(index.query(one)) > 1 for one in signed)

    def keep(self, texts: list[str]) -> list[int]:
        """One pass; a document similar to a kept one is removed."""
        index = self.module.MinHashLSH(threshold=THRESHOLD, num_perm=N_HASHES)
        kept: dict[int, Any] = {}
        removed = []
        for row, one in enumerate(self.sign(texts)):
            if any(one.jaccard(kept[other]) >= THRESHOLD for other in index.query(one)):
                removed.append(row)
            else:
                kept[row] = one
                index.insert(row, one, check_duplication=False)
        return removed


class Rensa(Tokenised):
    """RMinHash.digest_matrix_from_token_sets to sign; RMinHashDeduplicator.add_pairs as in its README to keep."""

    bands = 21  # rows of 8, as in its examples

    def __init__(self, language: str, tokens: Callable[[str, str], list[str]]) -> None:
        import rensa

        super().__init__(language, tokens)
        self.module = rensa
        self.versions = versions_of("rensa")

    def sign(self, texts: list[str]) -> list[Any]:
        """Compact matrices, its fastest form; Any: untyped library."""
        matrix = self.module.RMinHash.digest_matrix_from_token_sets
        return [matrix(made, N_HASHES, 42) for made in self.chunks(texts)]

    def cluster_input(self, texts: list[str]) -> list[Any]:
        """RMinHash objects for the deduplicator."""
        many = self.module.RMinHash.from_token_sets
        return [one for made in self.chunks(texts) for one in many(made, N_HASHES, 42)]

    def deduplicator(self) -> Any:
        """An empty one; Any: untyped library."""
        return self.module.RMinHashDeduplicator(THRESHOLD, N_HASHES, True, self.bands)

    def cluster(self, signed: list[Any]) -> int:
        """Number of documents similar to an earlier one, by bands and estimated similarity."""
        flags = self.deduplicator().add_pairs((str(row), one) for row, one in enumerate(signed))
        return len(flags) - sum(flags)

    def keep(self, texts: list[str]) -> list[int] | None:
        """Rows to remove, by the deduplicator on a stream of (key, tokens)."""
        pairs = ((str(i), tokens) for i, tokens in enumerate(t for made in self.chunks(texts) for t in made))
        return [row for row, is_new in enumerate(self.deduplicator().add_pairs(pairs)) if not is_new]


class RensaC(Rensa):
    """C-MinHash: CMinHash and CMinHashDeduplicator."""

    def sign(self, texts: list[str]) -> list[Any]:
        """Signatures of 64 bits as lists; Any: untyped library."""
        many = self.module.CMinHash.digests64_from_token_sets
        return [row for made in self.chunks(texts) for row in many(made, N_HASHES, 42)]

    def cluster_input(self, texts: list[str]) -> list[Any]:
        """CMinHash objects for the deduplicator."""
        many = self.module.CMinHash.from_token_sets
        return [one for made in self.chunks(texts) for one in many(made, N_HASHES, 42)]

    def deduplicator(self) -> Any:
        """An empty one; Any: untyped library."""
        return self.module.CMinHashDeduplicator(THRESHOLD, N_HASHES)


class RensaRho(Rensa):
    """Rho, rensa's sketch of sampled token positions, and its one-shot flags, which do not choose a keeper."""

    def sign(self, texts: list[str]) -> Any:
        """One matrix; Any: untyped library."""
        tokens = (one for made in self.chunks(texts) for one in made)
        return self.module.RMinHash.digest_matrix_from_token_sets_rho(tokens, N_HASHES, 42)

    def cluster_input(self, texts: list[str]) -> Any:
        """The matrix."""
        return self.sign(texts)

    def cluster(self, signed: Any) -> int:
        """Flagged rows."""
        index = self.module.RMinHashLSH(THRESHOLD, N_HASHES, self.bands)
        return sum(index.query_duplicate_flags_matrix_one_shot(signed))

    def keep(self, texts: list[str]) -> None:
        """None: flags do not choose a keeper."""
        return None


TOOLS: dict[str, Callable[[str], Tool]] = {
    "datatrove 14x8": lambda language: Datatrove(language, 14, 8),
    "datatrove 28x6": lambda language: Datatrove(language, 28, 6),
    "datasketch": Datasketch,
    "rensa R, words": lambda language: Rensa(language, split_words),
    "rensa R, 5-grams": lambda language: Rensa(language, five_grams),
    "rensa C, 5-grams": lambda language: RensaC(language, five_grams),
    "rensa rho, 5-grams": lambda language: RensaRho(language, five_grams),
    "daft": lambda language: Daft(language, spaced=False),
    "daft, spaced": lambda language: Daft(language, spaced=True),
    "text-dedup": lambda language: TextDedup(language, checked=False),
    "text-dedup, checked": lambda language: TextDedup(language, checked=True),
}

ONE_LANGUAGE = {"daft, spaced": "zh"}
"""Tools that differ from another of this list in one language only, and run on that alone."""

if __name__ == "__main__":
    name, corpus, language = sys.argv[1:4]
    serve(lambda: TOOLS[name](language), corpus)
