"""Hosts, registered domains, and block and allow lists of URLs.

Reads the url; writes its host, its registered domain, and every list that matches it, with the matching entry. A URL
on an allow list is not `blocked`, and `allowed_by` names that list. Dropping documents is left to rules. See
docs/urls.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.kernels.patterns.url_form import Plain, cut
from stages.kernels.patterns.urls import Found, find
from stages.kernels.text.text import utf8_buffers
from stages.web.url_lists import (
    KINDS,
    SUFFIXES_PATH,
    WORDS_PATH,
    UrlList,
    load_index,
    load_suffixes,
    load_words,
    own_words,
    read_words,
    to_plain,
)

MATCH = pa.struct({"list": pa.string(), "kind": pa.string(), "entry": pa.string(), "allow": pa.bool_()})

SCHEMA = pa.schema(
    {
        "host": pa.string(),
        "domain": pa.string(),
        "blocked": pa.bool_(),
        "list": pa.string(),
        "entry": pa.string(),
        "allowed_by": pa.string(),
        "soft_score": pa.int32(),
        "matches": pa.list_(MATCH),
    }
)
"""blocked: whether a list blocks the url. allowed_by: the allow list that has it, null for none. soft_score: sum of the
weights of its soft words. All null without a url. host: in lower case and ASCII; domain: the part that was
registered, the host itself where it has none (a number, a suffix); null where the url has no host. list, entry: the
first list that blocks, null for none. matches: every list that has the url, with its first entry; of soft lists every
word."""

BLOCKS = ("block_hosts", "block_suffixes", "block_prefixes", "block_subwords", "block_words", "soft_words")
ALLOWS = ("allow_hosts", "allow_suffixes", "allow_prefixes")

Files = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Lists by name, each a file with one entry per line; precedence is the order of the settings, then of the lists.

    hosts: the host alone, with or without `www.`. suffixes: a domain and all its subdomains. prefixes: a host and the
    beginning of a path. subwords: anywhere in the url. words: delimited by characters other than ASCII letters and
    digits. soft_words: words that block if the sum of their weights reaches soft_score. own_words: also use the word
    lists included with the stage; words that honest pages are about block by the registered domain alone.
    private_suffixes: count private suffixes such as `github.io`, so that each site below them is a domain of its own.
    """

    block_hosts: Files = field(default_factory=dict)  # hosts to block
    block_suffixes: Files = field(default_factory=dict)  # domains to block with everything below them
    block_prefixes: Files = field(default_factory=dict)  # hosts and beginnings of paths to block
    block_subwords: Files = field(default_factory=dict)  # strings to block anywhere in the address
    block_words: Files = field(default_factory=dict)  # words to block
    soft_words: Files = field(default_factory=dict)
    allow_hosts: Files = field(default_factory=dict)  # hosts that no list blocks
    allow_suffixes: Files = field(default_factory=dict)  # likewise domains
    allow_prefixes: Files = field(default_factory=dict)  # likewise beginnings of paths
    soft_score: int = 2  # sum of weights of soft words that blocks
    own_words: bool = True
    private_suffixes: bool = True

    def __post_init__(self) -> None:
        if self.soft_score < 1:
            raise ConfigError(f"urls.soft_score is {self.soft_score}; expected 1 or more")
        for name in (*BLOCKS, *ALLOWS):
            if not isinstance(getattr(self, name), Mapping):
                raise ConfigError(
                    f"urls.{name} is {getattr(self, name)!r}; expected {{name of the list: file}}"
                )


class Urls:
    """`annotate` with its lists, kept as arrays that pickle quickly.

    Raises: ConfigError if a list cannot be used, see `url_lists`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.lists: list[UrlList] = []
        entries: dict[int, Sequence[str]] = {}
        shipped = own_words() if config.own_words else {}
        for setting in (*BLOCKS, *ALLOWS):
            kind = setting.removeprefix("block_").removeprefix("allow_")
            for site in (kind, f"site_{kind}"):
                for name, words in shipped.get(site, {}).items() if setting in BLOCKS else ():
                    entries[len(self.lists)] = words
                    own = KINDS[kind] if KINDS[kind] != "soft" else ""
                    self.lists.append(UrlList(name, "soft", False, WORDS_PATH, own, site != kind))
            for name, path in getattr(config, setting).items():
                if "words" in kind:
                    entries[len(self.lists)] = read_words(path)
                self.lists.append(UrlList(name, KINDS[kind], setting in ALLOWS, str(path)))
        self.suffixes = load_suffixes(config.private_suffixes)
        self.hosts, self.below, self.prefixes = (
            load_index(self.lists, (k,)) for k in ("host", "suffix", "prefix")
        )
        self.table = load_words(self.lists, entries)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Look up the urls of a batch: a string column `url`, (n_docs,), to a table of SCHEMA, (n_docs,)."""
        url = batch["url"].cast(pa.large_string()).combine_chunks()
        plain = to_plain(*utf8_buffers(url), False)
        table = self.table
        matches = find(plain, self.suffixes, self.hosts, self.below, self.prefixes, table.automaton, table.words,
                     len(self.lists))  # fmt: skip
        has_url = np.asarray(url.is_valid())
        has_host = has_url & (plain.hosts > plain.starts[:-1])
        columns = {
            "host": strings(plain.data, plain.starts[:-1], plain.hosts, has_host),
            "domain": strings(plain.data, matches.domains, plain.hosts, has_host),
            **self.judge(plain, matches, has_url),
        }
        return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def judge(self, plain: Plain, found: Found, there: np.ndarray) -> dict[str, pa.Array]:
        """Return all columns but host and domain: the lists that match each url, and the verdict.

        Args: plain and found, of n_docs urls; there, bool (n_docs,), whether there is a url.
        Returns: (n_docs,) each, by name of column.
        """
        n = len(there)
        weights = (
            self.table.weights[found.rows] * (found.rows >= 0) if len(self.table.weights) else 0 * found.rows
        )
        counted = np.array([one.kind == "soft" for one in self.lists] or [False])[found.lists]
        matches: dict[int, list[dict[str, Any]]] = {}  # Any: fields of MATCH
        seen: set[tuple[int, str]] = set()
        covered: dict[int, list[tuple[int, int]]] = {}
        for event in np.lexsort((found.starts, found.lists, found.urls)).tolist():
            row, of = int(found.urls[event]), self.lists[found.lists[event]]
            match = self.match(plain, found, event)
            matches.setdefault(row, []).append(match)
            if not counted[event] or of.path != WORDS_PATH:
                continue
            span, spans = (found.starts[event], found.ends[event]), covered.setdefault(row, [])
            once = (row, of.name) if of.own else None
            overlaps = any(span[0] < end and start < span[1] for start, end in spans)
            counted[event] = match["kind"] == "soft" and once not in seen and not overlaps
            if counted[event]:
                spans.append(span)
                seen |= {once} if once else set()
        score = np.bincount(found.urls[counted], weights[counted], n).astype(np.int32)
        verdicts: list[list[Any]] = [[None] * n for _ in range(3)]  # list, entry, allowed_by
        for row, url_matches in matches.items():
            hard = score[row] >= self.config.soft_score
            blocks = [m for m in url_matches if not m["allow"] and (m["kind"] != "soft" or hard)]
            allows = [m["list"] for m in url_matches if m["allow"]]
            if allows:
                verdicts[2][row] = allows[0]
            elif blocks:
                verdicts[0][row], verdicts[1][row] = blocks[0]["list"], entry_of(blocks)
        first, entry, allowed_by = (pa.array(values, pa.string()) for values in verdicts)
        every = [matches.get(row, []) if is_there else None for row, is_there in enumerate(there.tolist())]
        return {
            "blocked": pc.if_else(pa.array(there), first.is_valid(), pa.scalar(None, pa.bool_())),
            "list": first, "entry": entry, "allowed_by": allowed_by,
            "soft_score": pa.array(score, mask=~there), "matches": pa.array(every, SCHEMA.field("matches").type),
        }  # fmt: skip

    def match(self, plain: Plain, found: Found, event: int) -> dict[str, Any]:  # Any: fields of MATCH
        """Return one event of `found` as a value of MATCH."""
        url_list, row = self.lists[found.lists[event]], int(found.rows[event])
        data = plain.data[found.starts[event] : found.ends[event]].tobytes()
        entry = self.table.texts[row] if row >= 0 else data.decode(errors="replace")
        kind = url_list.kind
        if url_list.own:
            url = int(found.urls[event])
            bounds = plain.starts[url], found.domains[url], plain.hosts[url], plain.starts[url + 1]
            host, domain, path = (
                plain.data[a:b].tobytes().decode(errors="replace")
                for a, b in ((bounds[0], bounds[2]), bounds[1:3], bounds[2:])
            )
            informs = url_list.site or INFORMS_HOST.search(host) or INFORMS_PATH.search(path)
            kind = "soft" if informs and not names_site(domain, entry, url_list.own) else url_list.own
        return {"list": url_list.name, "kind": kind, "entry": entry, "allow": url_list.allow}


INFORMS_HOST = re.compile(
    r"(?:^|\.)(?:wiki|baike|dict|news|library|[\w-]*wikipedia|wiktionary)\.|\.(?:gov|edu|ac|mil)(?:\.[a-z]{2})?$"
)
INFORMS_PATH = re.compile(
    r"/(?:wiki|baike|item|dict|dictionary|define|definition|entry|news|article|articles|story|topics?|[12]\d{3}/[01]?\d)[/.]",
    re.I,
)
"""Hosts of governments, universities and reference works, and paths of entries and news, which are about a word."""


def names_site(domain: str, word: str, kind: str) -> bool:
    """Return whether a registered domain contains a word, by which its owner names the site.

    A host below a domain, or a page of it, may be about the word without being what the word means: xxx.itp.ac.cn is a
    mirror of arXiv, and an encyclopaedia has a page on bookmakers.
    """
    try:
        name = domain.encode().decode("idna") if "xn--" in domain else domain
    except UnicodeError:
        name = domain
    if kind == "word" and word.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", name) is not None
    return word in name


def entry_of(blocks: list[dict[str, Any]]) -> str:
    """Return the entry that blocks; for soft words all of them, joined by " + "."""
    if blocks[0]["kind"] == "soft":
        return " + ".join(m["entry"] for m in blocks if m["kind"] == "soft")
    return str(blocks[0]["entry"])


def strings(data: np.ndarray, starts: np.ndarray, ends: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Return ranges of ASCII bytes as strings.

    Args: data, uint8; starts and ends, int64 (n,), byte offsets; valid, bool (n,).
    Returns: string (n,), null where not valid.
    """
    out, offsets = cut(data, np.where(valid, starts, 0), np.where(valid, ends, 0))
    bits = pa.array(valid).buffers()[1] if len(valid) else None
    return pa.Array.from_buffers(pa.string(), len(valid), [bits, pa.py_buffer(offsets), pa.py_buffer(out)])


def load(config: Config) -> Urls:
    """Read all lists.

    Raises: ConfigError if a list cannot be used, see `url_lists`.
    """
    return Urls(config)


STAGE = Stage(
    name="urls",
    version=2,
    config=Config,
    reads=("url",),
    writes=SCHEMA,
    load=load,
    files=(*BLOCKS, *ALLOWS),
    data=(SUFFIXES_PATH, WORDS_PATH),
)
