"""Which tokenizers the kernel can replace: byte-level BPE, read from the structure of a tokenizer.json.

Only what is known to mean the same is recognised; everything else is None, and the library tokenises. Fields that play
no part in the ids of a text without special tokens (post-processor, decoder, truncation, padding) are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stages.kernels.bpe.automaton import UnsupportedError, compile_pattern
from stages.kernels.bpe.encode import Model
from stages.kernels.bpe.merges import build_merges
from stages.kernels.bpe.splits import Splits, join
from stages.kernels.bpe.tables import make_joints, make_wholes, unreached

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The pattern that the pre-tokeniser ByteLevel has built in."""

Json = dict[str, Any]  # Any: values of a tokenizer.json

_PLAIN_BPE = {
    "dropout": (None, 0.0), "unk_token": (None,), "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""), "byte_fallback": (None, False),
}  # fmt: skip
"""Fields of the model and the values that mean a BPE without additions; fuse_unk says nothing without unk_token."""


class Recognised(NamedTuple):
    """model: for the kernel. normaliser: none, nfc (texts in form NFC are left alone) or other (the library's, always).
    added: texts that become one token wherever they occur. added_raw: whether they are looked for before
    normalising."""

    model: Model
    normaliser: str
    added: tuple[str, ...]
    added_raw: bool


def recognise(document: str) -> Recognised | None:
    """Read a tokenizer.json; None if the kernel cannot be sure to give the library's tokens."""
    page: Json = json.loads(document)
    model = page["model"]
    try:
        alphabet = _byte_ids(model)
        splits = (
            None
            if alphabet is None
            else read_splits(page.get("pre_tokenizer"), bytes(np.flatnonzero(alphabet < 0).tolist()))
        )
        added = _read_added(page.get("added_tokens") or [])
    except UnsupportedError:
        return None
    if splits is None or alphabet is None:
        return None
    return _build(model, splits, alphabet, added, _normaliser(page.get("normalizer")))


def read_splits(pre_tokenizer: Json | None, foreign: bytes = b"") -> Splits | None:
    """Compile the patterns of a byte-level pre-tokeniser; None if it is another one.

    Args: foreign, bytes to watch for, see `compile_pattern`.
    Raises: UnsupportedError if a pattern holds what the automaton cannot express.
    """
    steps = list(_steps(pre_tokenizer))
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1].get("add_prefix_space", True):
        return None
    patterns: list[tuple[str, bool]] = []
    for step in steps[:-1]:
        found = _pattern(step)
        if found is None:
            return None
        patterns.append(found)
    if steps[-1].get("use_regex", True):
        patterns.append((GPT2, True))
    if not patterns:
        return None
    return join(
        [compile_pattern(pattern, foreign) for pattern, _ in patterns], [keep for _, keep in patterns]
    )


def _steps(pre_tokenizer: Json | None) -> Iterator[Json]:
    """Steps of nested sequences, in order."""
    if pre_tokenizer and pre_tokenizer["type"] == "Sequence":
        for step in pre_tokenizer["pretokenizers"]:
            yield from _steps(step)
    elif pre_tokenizer:
        yield pre_tokenizer


def _pattern(step: Json) -> tuple[str, bool] | None:
    """Pattern of a step, and whether it keeps the text between its matches; None for other steps."""
    if step["type"] == "Digits":
        return (r"\p{N}" if step.get("individual_digits") else r"\p{N}+"), True
    if step["type"] != "Split" or "Regex" not in step["pattern"]:
        return None
    kind = (step["behavior"], bool(step.get("invert")))
    known = {("Isolated", False): True, ("Isolated", True): True, ("Removed", True): False}
    return (step["pattern"]["Regex"], known[kind]) if kind in known else None


def byte_characters() -> list[str]:
    """The printable character by which byte-level vocabularies spell each of the 256 bytes."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def _byte_ids(model: Json) -> np.ndarray | None:
    """Token of each byte, int32 (256,), -1 for a byte without one; None if the model is no plain BPE over bytes."""
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        return None
    if any(model.get(name) not in values for name, values in _PLAIN_BPE.items()):
        return None
    ids = np.array([model["vocab"].get(char, -1) for char in byte_characters()], np.int32)
    return ids if (ids[ord("!") : ord("~") + 1] >= 0).all() else None


def _normaliser(page: Json | None) -> str:
    steps = [page] if page and page["type"] != "Sequence" else (page or {}).get("normalizers", [])
    if not steps:
        return "none"
    return "nfc" if [step["type"] for step in steps] == ["NFC"] else "other"


class _Added(NamedTuple):
    """Added tokens of one group that hide one another. ids: -1 for special ones, which stay text."""

    texts: tuple[str, ...]
    ids: tuple[int, ...]
    raw: bool


def _read_added(tokens: Sequence[Json]) -> _Added:
    """The group of added tokens that are cut out of a text: those looked for before normalising, or after it.

    Raises: UnsupportedError if both groups have some, or some take blanks or whole words.
    """
    plain = [token for token in tokens if not token["special"]]
    groups = {bool(token.get("normalized")) for token in plain}
    if len(groups) > 1 or any(token.get(f) for token in plain for f in ("single_word", "lstrip", "rstrip")):
        raise UnsupportedError("added tokens with conditions")
    if not plain:
        return _Added((), (), True)
    group = [token for token in tokens if bool(token.get("normalized")) in groups]
    special = {token["content"] for token in tokens if token["special"]}
    if any(len(token["content"].encode()) < 2 for token in group):
        raise UnsupportedError("an added token of one byte")
    ids = tuple(-1 if token["content"] in special else token["id"] for token in group)
    return _Added(tuple(token["content"] for token in group), ids, not groups.pop())


def _build(
    model: Json, splits: Splits, alphabet: np.ndarray, added: _Added, normaliser: str
) -> Recognised | None:
    vocabulary: dict[str, int] = model["vocab"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    try:
        sides = np.array([(vocabulary[a], vocabulary[b], vocabulary[a + b]) for a, b in pairs], np.int64)
    except (KeyError, ValueError):
        return None  # merges that the library refuses or reads in a way of its own
    sides = sides.reshape(-1, 3)
    tokens, ids = spelled_bytes(vocabulary)
    merges = build_merges(alphabet, sides[:, 0], sides[:, 1], sides[:, 2], max(map(len, tokens)))
    whole = unreached(tokens, ids, merges) if model.get("ignore_merges") else make_wholes([], [])
    cut_out = make_wholes([text.encode() for text in added.texts], added.ids)
    plain = tuple(text for text, token in zip(added.texts, added.ids, strict=True) if token >= 0)
    return Recognised(
        Model(splits, merges, make_joints(tokens), whole, cut_out), normaliser, plain, added.raw
    )


def spelled_bytes(vocabulary: Mapping[str, int]) -> tuple[list[bytes], list[int]]:
    """Bytes and ids of the tokens that are spelled with byte characters."""
    table = {ord(char): chr(byte) for byte, char in enumerate(byte_characters())}
    foreign = re.compile("[^" + re.escape("".join(byte_characters())) + "]")
    known = [(text, token) for text, token in vocabulary.items() if text and not foreign.search(text)]
    return [text.translate(table).encode("latin-1") for text, _ in known], [token for _, token in known]
