"""URL and word lists, loaded from files into the lookup tables of the kernels.

One entry per line; `#` begins a comment. Files of millions of entries are hashed as they are read, a few megabytes at a
time. Entries are not kept as text, because a matched entry can be cut out of the url.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.recipe import package_file
from stages.kernels.patterns.automaton import Automaton, build
from stages.kernels.patterns.url_form import Plain, cut_lines, plain_form
from stages.kernels.patterns.urls import (
    EXCEPTION,
    GBK,
    HOST_ONLY,
    NORMAL,
    REST_TOO,
    UTF8,
    WHOLE,
    WILDCARD,
    Index,
    Words,
    entry_keys,
    make_index,
)

SUFFIXES_PATH = package_file(__file__, "..", "models", "public_suffixes.txt")
WORDS_PATH = package_file(__file__, "url_words.yaml")

BLOCK_BYTES = 8 << 20
MAX_WORD_BYTES = 4 << 20
"""Limit for all words together; the automaton needs up to about 200 times as much memory."""

KINDS = {
    "hosts": "host",
    "suffixes": "suffix",
    "prefixes": "prefix",
    "subwords": "subword",
    "words": "word",
    "soft_words": "soft",
}
"""Suffix of a setting `block_…` or `allow_…` -> kind of its entries in the output."""


@dataclass(frozen=True)
class UrlList:
    """One list of the config: its name, the kind of its entries, whether it allows, and its file.

    own: the kind of words included with the stage, which the address around them may make soft; site: whether these
    block by the registered domain alone.
    """

    name: str
    kind: str
    allow: bool
    path: str = ""
    own: str = ""
    site: bool = False


def to_plain(data: np.ndarray, offsets: np.ndarray, is_entry: bool) -> Plain:
    """Return urls in plain form, with host names in ASCII (RFC 3490); hosts that cannot be converted are empty.

    Args: data, uint8, and offsets, int64 (n + 1,), the UTF-8 bytes of n urls; is_entry, whether they are list entries.
    """
    plain = Plain(*plain_form(data, offsets, is_entry))
    rows = np.flatnonzero(plain.foreign)
    if not len(rows):
        return plain
    pieces, last, grown = [], 0, np.zeros(len(plain.hosts) + 1, np.int64)
    for row in rows.tolist():
        start, end = int(plain.starts[row]), int(plain.hosts[row])
        name = np.frombuffer(ascii_name(plain.data[start:end].tobytes()), np.uint8)
        pieces += [plain.data[last:start], name]
        grown[row + 1], last = len(name) - (end - start), end
    pieces.append(plain.data[last:])
    shift = np.cumsum(grown)
    return Plain(np.concatenate(pieces), plain.starts + shift, plain.hosts + shift[1:], plain.foreign)


def ascii_name(host: bytes) -> bytes:
    """Return the ASCII form of a host name; empty if it has none."""
    try:
        return host.decode().encode("idna").strip(b".")
    except UnicodeError:
        return b""


def read_entries(path: str) -> Iterator[tuple[Plain, np.ndarray]]:
    """Yield the entries of a file block by block, in plain form, with their line numbers, int64 (n_entries,).

    Files that end in .gz are decompressed.
    """
    n_lines, rest = 0, b""
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            head, newline, rest = (rest + block).rpartition(b"\n")
            data, offsets, lines = cut_lines(np.frombuffer(head + newline, np.uint8))
            yield to_plain(data, offsets, True), lines + n_lines
            n_lines += (head + newline).count(b"\n")
    data, offsets, lines = cut_lines(np.frombuffer(rest.removeprefix(b"\xef\xbb\xbf"), np.uint8))
    yield to_plain(data, offsets, True), lines + n_lines


def load_index(lists: Sequence[UrlList], kinds: tuple[str, ...]) -> Index:
    """Index the entries of all lists of the given kinds; the values are positions in `lists`.

    Raises: ConfigError if an entry of a list of hosts is not a host name: one with a path would block the whole host.
    """
    keys, values = [], []
    for position, url_list in enumerate(lists):
        if url_list.kind not in kinds:
            continue
        with_rest = url_list.kind == "prefix"
        for plain, lines in read_entries(url_list.path):
            if not with_rest:
                check_hosts(plain, lines, url_list)
            part = REST_TOO if with_rest else HOST_ONLY
            keys.append(entry_keys(plain.data, plain.starts, plain.hosts, part, url_list.kind != "suffix"))
            values.append(np.full(len(lines), position, np.uint8 if len(lists) < 256 else np.int32))
    if not keys:
        return make_index(np.zeros(0, np.uint64), np.zeros(0, np.uint8))
    return make_index(np.concatenate(keys), np.concatenate(values))


def check_hosts(plain: Plain, lines: np.ndarray, url_list: UrlList) -> None:
    """Check that all entries are host names.

    Args: plain, n entries in plain form; lines, int64 (n,), their line numbers; url_list, the list in errors.
    Raises: ConfigError if an entry has a path or no host.
    """
    rest = plain.starts[1:] - plain.hosts
    more = (rest > 1) | ((rest == 1) & (plain.data[np.minimum(plain.hosts, len(plain.data) - 1)] != ord("/")))
    bad = np.flatnonzero(more | (plain.hosts == plain.starts[:-1]))
    if len(bad):
        text = plain.data[plain.starts[bad[0]] : plain.starts[bad[0] + 1]].tobytes().decode(errors="replace")
        raise ConfigError(
            f"{url_list.path}:{lines[bad[0]]}: {text[:80]!r} is not a host name; put urls with a path into a list of "
            "prefixes"
        )


def load_suffixes(private: bool) -> Index:
    """Return the index of the Public Suffix List; private: include its section of private domains."""
    rules = Path(SUFFIXES_PATH).read_text("ascii")
    rules = rules if private else rules.partition("# private\n")[0]
    names, kinds = [], []
    for rule in rules.splitlines():
        if rule and not rule.startswith("#"):
            kinds.append(EXCEPTION if rule[0] == "!" else WILDCARD if rule[0] == "*" else NORMAL)
            names.append(rule.removeprefix("!").removeprefix("*."))
    offsets = np.cumsum([0, *map(len, names)])
    plain = to_plain(np.frombuffer("".join(names).encode(), np.uint8), offsets, True)
    return make_index(entry_keys(*plain[:3], HOST_ONLY, False), np.array(kinds, np.uint8))


@cache
def own_words() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the words included with the stage: setting -> name of a list -> words."""
    return dict(read_yaml(WORDS_PATH))


def read_words(path: str) -> list[str]:
    """Return the words of a file, one per line; those of soft lists may have a weight after a tab."""
    text = Path(path).read_text("utf-8-sig")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@dataclass(frozen=True)
class WordTable:
    """Words to search for. texts, weights (int64): one per row of `words`."""

    automaton: Automaton
    words: Words
    texts: tuple[str, ...]
    weights: np.ndarray


def load_words(lists: Sequence[UrlList], entries: Mapping[int, Sequence[str]]) -> WordTable:
    """Build the automaton of all words.

    Args: entries, position of a list in `lists` -> its words.
    Raises: ConfigError if a weight is not a whole number, or if the words exceed MAX_WORD_BYTES.
    """
    rows: dict[bytes, list[tuple[int, str, int, int]]] = {}
    for number, words in entries.items():
        kind = lists[number].own or lists[number].kind
        for line in words:
            word, weight = weighed(line, lists[number])
            for data, flags in encodings(word):
                whole = WHOLE * (kind in ("word", "soft") and word.isascii())
                rows.setdefault(data, []).append((number, word, weight, flags | whole))
    patterns = sorted(rows)
    if sum(map(len, patterns)) > MAX_WORD_BYTES:
        raise ConfigError(
            f"urls: the words have {sum(map(len, patterns)):,} bytes; expected at most {MAX_WORD_BYTES:,}. Put host "
            "names into a list of suffixes"
        )
    flat = [row for pattern in patterns for row in rows[pattern]]
    owners = np.array([number for number, _, _, _ in flat], np.int32)
    table = Words(
        rows=np.cumsum([0, *(len(rows[pattern]) for pattern in patterns)]),
        flags=np.array([flags for _, _, _, flags in flat], np.uint8),
        lists=owners,
        soft=np.array([lists[number].kind == "soft" for number in owners], np.bool_),
    )
    weights = np.array([weight for _, _, weight, _ in flat], np.int64)
    return WordTable(build(patterns), table, tuple(word for _, word, _, _ in flat), weights)


def weighed(line: str, url_list: UrlList) -> tuple[str, int]:
    """Return the word of a line, in lower case, and its weight, default 1.

    Raises: ConfigError if there is a weight and it is not a whole number, or the list is not a soft one.
    """
    word, _, weight = line.partition("\t")
    if weight and not (url_list.kind == "soft" and weight.strip().isdigit()):
        raise ConfigError(
            f"{url_list.path}: {line!r}; expected a word, or in a soft list a word, a tab and its weight"
        )
    return word.strip().lower(), int(weight or 1)


def encodings(word: str) -> list[tuple[bytes, int]]:
    """Return the byte forms of a word in urls, with flags: ASCII as it is, others in UTF-8 and GBK."""
    if word.isascii():
        return [(word.encode(), 0)]
    forms = [(word.encode(), UTF8)]
    try:
        return [*forms, (word.encode("gbk"), GBK)]
    except UnicodeEncodeError:
        return forms
