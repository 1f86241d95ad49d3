"""N-gram language models with backoff: reading, packing and scoring.

A model is one open-addressing hash table over the n-grams of all orders. An n-gram is hashed from its last token to its
first, so that a look-up of increasing orders extends one hash. An n-gram matches if its slot and 31 further bits of its
hash agree: of 10**8 look-ups of absent n-grams, fewer than one is a false positive. With 15 bits, as in the shipped
models, it is 3 of 10,000, and the table has two thirds of the size.

Tokens are those of match text: a Han, kana or Thai character, a number, a word, a run of punctuation (`spell` is the
reference in Python). An unknown word is mapped to `<word>` if the model has that entry, else to `<unk>`; numbers are
mapped to `<num>` likewise, and an unknown single character to `<char>`. `<pause>` represents punctuation in models that
have it and is skipped in others.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from pipeline.errors import ConfigError
from stages.kernels.text.ngrams import MAX_ORDER, UNKNOWN, find, hash_grams, insert
from stages.kernels.text.tables import DIGIT, PUNCT
from stages.kernels.text.text import load_tables
from stages.kernels.text.units import hash_unit, unit_end

MAX_LOAD = 0.75  # load factor of slots: about 8 probes for an absent n-gram
MAGIC = b"NGRAMS\x00\x01"
_HEADER_BYTES = (
    64  # magic; order, n_slots, n_values, bytes of an entry of slots and of fingerprints as uint64; zeros
)

SPECIALS = ("<pause>", "<num>", "<word>", "<unk>", "<char>")
"""Entries that represent a kind of token, in the order of the kinds; an unknown character is `<char>` in a model with
this entry, such as one of words, else `<unk>`."""


class Model(NamedTuple):
    """An n-gram model.

    fingerprints: uint16 or uint32 (n_slots,), part of the hash of the n-gram, 0 for a free slot. slots: uint16 or
    uint32 (n_slots,), row of `values`. values: float32 (n_values, 2), natural logarithms of probability and backoff.
    order: maximum n-gram length. specials: uint64 (5,), token key of each of SPECIALS, 0 if the model does not have it.
    """

    fingerprints: np.ndarray
    slots: np.ndarray
    values: np.ndarray
    order: int
    specials: np.ndarray


def load(path: str) -> Model:
    """Load a model: ARPA text if the name ends in .arpa or .arpa.gz, else a packed file, memory-mapped.

    Raises: ConfigError if it is neither.
    """
    return from_arpa(path) if path.endswith((".arpa", ".arpa.gz")) else _load_packed(path)


def save(model: Model, path: str) -> None:
    """Write a packed model: header, fingerprints, values, slots; little-endian."""
    widths = model.slots.itemsize, model.fingerprints.itemsize
    sizes = [model.order, len(model.fingerprints), len(model.values), *widths]
    header = MAGIC + np.array(sizes, "<u8").tobytes()
    parts = (model.fingerprints, model.values.astype("<f4"), model.slots)
    Path(path).write_bytes(header.ljust(_HEADER_BYTES, b"\0") + b"".join(part.tobytes() for part in parts))


def _load_packed(path: str) -> Model:
    try:
        data = np.asarray(np.memmap(path, np.uint8, "r"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; name an n-gram model") from error
    if data[: len(MAGIC)].tobytes() != MAGIC or len(data) < _HEADER_BYTES:
        raise ConfigError(f"{path}: not a packed n-gram model; name one, or an .arpa or .arpa.gz file")
    order, n_slots, n_values, width, print_width = map(int, data[len(MAGIC) : len(MAGIC) + 40].view("<u8"))
    print_width = print_width or 4  # the form before there were two
    bounds = list(accumulate([_HEADER_BYTES, print_width * n_slots, 8 * n_values, width * n_slots]))
    if not {width, print_width} <= {2, 4} or not 1 <= order <= MAX_ORDER or bounds[-1] != len(data):
        raise ConfigError(
            f"{path}: {len(data):,} bytes, expected {bounds[-1]:,}; the file is truncated or damaged"
        )
    fingerprints, values, slots = (data[a:b] for a, b in pairwise(bounds))
    model = Model(
        fingerprints.view(f"<u{print_width}"),
        slots.view(f"<u{width}"),
        values.view("<f4").reshape(-1, 2),
        order,
        np.zeros(len(SPECIALS), np.uint64),
    )
    if not np.isfinite(model.values).all():
        raise ConfigError(f"{path}: a probability that is no number; the file is damaged")
    if model.fingerprints.all() or model.slots.max(initial=0) >= n_values:
        raise ConfigError(
            f"{path}: a table without a free slot or with rows beyond its values; the file is damaged"
        )
    return _with_specials(model, path)


def _with_specials(model: Model, path: str) -> Model:
    """The model with its special tokens filled in.

    Raises: ConfigError if it has no `<unk>`.
    """
    keys = np.array([token_key(name) for name in SPECIALS], np.uint64)
    has_special = [find(model.fingerprints, model.slots, key) >= 0 for key in hash_grams(keys[:, None])]
    if not has_special[UNKNOWN]:
        raise ConfigError(f"{path}: the model has no <unk>; train it with one, as KenLM's lmplz does")
    model = model._replace(specials=np.where(has_special, keys, np.uint64(0)))
    for array in (model.fingerprints, model.slots, model.values, model.specials):
        array.setflags(write=False)  # the same array type for kernels, regardless of the source of the model
    return model


def pack(
    hashes: np.ndarray,
    log_prob: np.ndarray,
    backoff: np.ndarray,
    order: int,
    path: str,
    fingerprint: type[np.unsignedinteger] = np.uint32,
) -> Model:
    """Pack n-grams into a hash table.

    Args: hashes, uint64 (n_grams,), from `hash_grams`, distinct; log_prob and backoff, natural logarithms; path, for
    error messages; fingerprint, uint16 or uint32.
    """
    pairs = np.stack([log_prob, backoff], 1).astype(np.float32)
    values, index = np.unique(pairs.view(np.uint64).ravel(), return_inverse=True)
    n_slots = math.ceil(len(hashes) / MAX_LOAD) + 1
    fingerprints = np.zeros(n_slots, fingerprint)
    slots = np.zeros(n_slots, np.uint16 if len(values) <= 1 << 16 else np.uint32)
    insert(hashes, index, fingerprints, slots)
    table = values.view(np.float32).reshape(-1, 2)
    return _with_specials(Model(fingerprints, slots, table, order, np.zeros(len(SPECIALS), np.uint64)), path)


def from_arpa(path: str) -> Model:
    """Read an ARPA file, of KenLM or another tool, whose words are tokens as written by `spell`.

    Pruned suffixes of n-grams are restored with their backed-off probabilities.

    Raises: ConfigError if the file is not an ARPA file, has n-grams above MAX_ORDER, or has words that are equal in
    match text (The and the).
    """
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.endswith(".gz")
            else open(path, encoding="utf-8") as stream
        ):
            grams = _read_arpa(stream)
    except (OSError, ValueError, IndexError, EOFError, OverflowError, MemoryError, zlib.error) as error:
        raise ConfigError(f"{path}: {error or type(error).__name__}; expected an ARPA file") from error
    if not 1 <= len(grams) <= MAX_ORDER:
        raise ConfigError(f"{path}: n-grams up to {len(grams)}; expected 1 to {MAX_ORDER}")
    keys = {word: token_key(word) for (word,) in grams[0]}
    unknown = next((word for level in grams for gram in level for word in gram if word not in keys), None)
    if unknown is not None or not keys:
        raise ConfigError(
            f"{path}: {unknown or ''!r:.60} is in an n-gram and no unigram; expected an ARPA file"
        )
    _restore_suffixes(grams)
    rows = [(gram, *value) for level in grams for gram, value in level.items()]
    hashes = np.concatenate(
        [
            hash_grams(np.array([[keys[word] for word in gram] for gram in level], np.uint64))
            for level in grams
            if level
        ]
    )
    order = np.argsort(hashes, kind="stable")
    duplicates = np.flatnonzero(np.diff(hashes[order]) == 0)
    if len(duplicates):
        first, second = (" ".join(rows[order[duplicates[0] + i]][0]) for i in (0, 1))
        raise ConfigError(
            f"{path}: {first!r} and {second!r} are equal in match text; train on text from `spell`"
        )
    scale = math.log(10)
    log_prob, backoff = (scale * np.array([row[i] for row in rows]) for i in (1, 2))
    return pack(hashes, log_prob, backoff, len(grams), path)


Grams = list[dict[tuple[str, ...], tuple[float, float]]]
"""Per order, from 1: n-gram -> log10 of its probability and of its backoff."""


MAX_LINE_CHARS = 1 << 16
"""Longest line of an ARPA file: no file has an n-gram of so many characters."""


def _number(text: str) -> float:
    """A number. Raises: ValueError also for NaN and infinity."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no probability")
    return number


def _bounded(stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(MAX_LINE_CHARS):
        if len(line) == MAX_LINE_CHARS:
            raise ValueError(f"a line of more than {MAX_LINE_CHARS:,} characters")
        yield line


def _read_arpa(file: IO[str]) -> Grams:
    counts: list[int] = []
    stream = _bounded(file)
    for line in stream:
        if line.startswith("ngram "):
            counts.append(int(line.partition("=")[2]))
        elif line.startswith("\\1-grams:"):
            break
    grams: Grams = []
    for n, count in enumerate(counts, 1):
        level = {}
        for line in islice(stream, count):
            log_prob, *words = line.split()
            backoff = words.pop() if len(words) > n else "0"
            if len(words) != n:
                raise ValueError(f"{line.strip()!r} is no {n}-gram")
            level[tuple(words)] = _number(log_prob), _number(backoff)
        grams.append(level)
        for line in stream:  # blank, then the heading of the next order or \end\
            if line.startswith("\\"):
                break
    return grams


def _restore_suffixes(grams: Grams) -> None:
    """Add pruned prefixes and suffixes of n-grams, which `score_tokens` needs to reach longer ones (SRILM)."""
    for n in range(len(grams), 1, -1):
        for gram in list(grams[n - 1]):
            for part in (gram[1:], gram[:-1]):
                if part not in grams[n - 2]:
                    grams[n - 2][part] = backed_off(grams, part), 0.0


def backed_off(grams: Grams, gram: tuple[str, ...]) -> float:
    """log10 of the probability of the last word of an n-gram given the others, with backoff."""
    if gram in grams[len(gram) - 1]:
        return grams[len(gram) - 1][gram][0]
    if len(gram) == 1:
        raise ValueError(f"{gram[0]!r} occurs in an n-gram but is not a 1-gram")
    return grams[len(gram) - 2].get(gram[:-1], (0.0, 0.0))[1] + backed_off(grams, gram[1:])


def token_key(token: str) -> np.uint64:
    """Hash a token as `read_tokens` does, in match text; special tokens and punctuation are hashed unchanged."""
    codes, tables = np.array([ord(char) for char in token], np.uint32), load_tables()
    plain = token.startswith("<") or not np.any(tables.fold[codes])
    return np.uint64(hash_unit(codes, _RAW if plain else tables.fold, 0, len(codes)))


_RAW = np.arange(0x110000, dtype=np.uint32)


def spell(text: str) -> list[str]:
    """The tokens of a text as words of a model; joined by spaces, they are training text for a model of your own.

    Numbers become `<num>`, runs of punctuation between tokens `<pause>`; words and characters are folded to match text.
    """
    tables, tokens = load_tables(), list[str]()
    codes = np.array([ord(char) for char in text], np.uint32)
    classes, i = tables.classes[codes], 0
    while i < len(codes):
        if classes[i] < DIGIT:
            if classes[i] == PUNCT and tokens and tokens[-1] != "<pause>":
                tokens.append("<pause>")
            i += 1
            continue
        end = unit_end(codes, classes, i, len(codes))
        folded = "".join(chr(code) for code in tables.fold[codes[i:end]] if code)
        tokens.append("<num>" if (classes[i:end] == DIGIT).all() else folded)
        i = end
    return tokens
