"""Code-switched documents: words of a dictionary replaced by their translations, for a share of documents and of words.

Each is a document of its own beside its parent, whose text `restore` gives back: `meta` lists what was replaced. Which
documents and which words is drawn by a hash of the text, the same in every run. Spans of the release are edited first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from pipeline.stage import DERIVED, Derive
from stages.parallel.dictionary import Dictionary, read_dictionary

METHOD = "code_switched"


@dataclass(frozen=True, kw_only=True)
class Config:
    """dictionary: path of a dictionary, see `stages.parallel.dictionary`. documents_share: of the documents, the cap of
    this source. words_share: of the entries that occur in a document. min_words: fewer replaced words make no document.
    max_chars: longer documents are left out."""

    dictionary: str = ""
    documents_share: float = 0.05
    words_share: float = 0.2
    min_words: int = 3
    max_chars: int = 20_000

    def __post_init__(self) -> None:
        for name in ("documents_share", "words_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected above 0, at most 1")
        if self.min_words < 1 or self.max_chars < 1:
            raise ConfigError(
                f"min_words is {self.min_words}, max_chars {self.max_chars}; expected at least 1"
            )


def drawn(key: str, share: float) -> bool:
    """Whether a key is among a share of all keys."""
    value = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    return value < share * 2**64


def switch(text: str, dictionary: Dictionary, share: float) -> tuple[str, list[tuple[int, int, str]]]:
    """Replace a share of the entries in a text.

    Returns: the new text, and (start, end, what was there) of each replacement, positions in the new text.
    """
    pieces, replaced = list[str](), list[tuple[int, int, str]]()
    at = length = 0
    for start, end, translation in dictionary.matches(text):
        if not drawn(f"{start} {text}", share):
            continue
        pieces += [text[at:start], translation]
        length += start - at
        replaced.append((length, length + len(translation), text[start:end]))
        length += len(translation)
        at = end
    return "".join([*pieces, text[at:]]), replaced


def restore(text: str, replaced: Sequence[Sequence[int | str]]) -> str:
    """Return the text of the parent, from the text and `meta.replaced` of a code-switched document."""
    pieces, at = list[str](), 0
    for start, end, original in replaced:
        pieces += [text[at : int(start)], str(original)]
        at = int(end)
    return "".join([*pieces, text[at:]])


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return the code-switched documents of a batch; see stage.Derive."""
    if not config.dictionary:
        raise ConfigError(
            "code_switched.dictionary is empty; name a file with an entry and its translation a line"
        )
    dictionary = read_dictionary(config.dictionary)
    rows = []
    for parent, row in enumerate(table.select(["text", "edits"]).to_pylist()):
        if len(row["text"]) > config.max_chars or not drawn(row["text"], config.documents_share):
            continue
        edits = [(span["start"], span["end"], span["kind"]) for span in row["edits"] or ()]
        text, replaced = switch(apply_spans(row["text"], edits, replace), dictionary, config.words_share)
        if len(replaced) >= config.min_words:
            meta = json.dumps({"method": METHOD, "replaced": replaced}, ensure_ascii=False)
            rows.append({"parent": parent, "number": 0, "text": text, "meta": meta})
    return pa.Table.from_pylist(rows, schema=DERIVED)


def files(config: Config) -> list[str]:
    """The dictionary."""
    return [config.dictionary] if config.dictionary else []


DERIVE = Derive(
    name="code_switched",
    version=1,
    config=Config,
    reads=("text",),
    derive=make_documents,
    data=files,
    provenance=METHOD,
)
