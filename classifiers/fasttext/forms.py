"""Forms of text that fastText models expect: what each project does to a document before it calls the library.

plain: nothing, since the kernel takes newlines as blanks; Dolma 3 and most others.
dclm: lines without the blanks around the text, joined by blanks; Python splits lines at more characters than fastText.
characters: a blank on both sides of every Han character, kana and character of other scripts without word boundaries.
jieba: words of jieba, without listed stop words and strings; CCI4.
ultra_fineweb: small letters without diacritics, split into the tokens of a tokenizer, newlines written as \\n.

Sources: mlfoundations/dclm, baselines/mappers/enrichers/quality_prediction_enrichers_calc_fasttext.py; the inference
scripts of openbmb/Ultra-FineWeb-classifier (scripts/local_scripts) and of BAAI's CCI4.0 classifiers; see docs/train.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.errors import ConfigError
from pipeline.recipe import optional_module
from stages.kernels.text.text import HAN, utf8_buffers, view

FORMS = ("plain", "dclm", "characters", "jieba", "ultra_fineweb")

Prepare = Callable[[pa.ChunkedArray], pa.ChunkedArray | pa.Array]
"""Texts, null ones included -> the same number of texts."""


class Form(NamedTuple):
    """A form by name, with its files: a tokenizer, a list of stop words, a list of strings to remove."""

    name: str
    tokenizer: str | None = None
    stopwords: str | None = None
    removed: str | None = None


def make_form(form: Form) -> Prepare:
    """Load what a form needs.

    Raises: ConfigError if a form lacks its file or has one that it does not use, or jieba is not installed.
    """
    used = {"jieba": ("stopwords", "removed"), "ultra_fineweb": ("tokenizer",)}.get(form.name, ())
    for name in ("tokenizer", "stopwords", "removed"):
        if getattr(form, name) is not None and name not in used:
            raise ConfigError(f"fasttext: text {form.name} uses no {name}; remove the setting")
    if form.name == "dclm":
        return _each(lambda text: " ".join(text.strip().splitlines()))
    if form.name == "characters":
        return space_characters
    if form.name == "jieba":
        return _each(_jieba(_lines(form.stopwords), _lines(form.removed)))
    if form.name == "ultra_fineweb":
        return _ultra_fineweb(form.tokenizer)
    return lambda texts: texts


def space_characters(texts: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Put a blank on both sides of each character of scripts without word boundaries: large_string (n_docs,)."""
    text = view(texts)
    data, offsets = utf8_buffers(texts)
    spaced, bounds = np.empty(len(data) + 2 * _count_single(text.classes), np.uint8), np.zeros_like(offsets)
    _space(text.classes, text.starts, data, offsets, spaced, bounds)
    buffers = [None, pa.py_buffer(bounds.astype(np.int64)), pa.py_buffer(spaced[: bounds[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


@njit(cache=True, nogil=True)
def _count_single(classes):  # type: ignore[no-untyped-def]  # numba infers types, here and below
    n = 0
    for kind in classes:
        n += kind >= HAN
    return n


@njit(cache=True, nogil=True)
def _space(classes, starts, data, offsets, spaced, bounds):  # type: ignore[no-untyped-def]
    """Copy texts with the blanks, and write where each begins."""
    size = 0
    for doc in range(len(starts) - 1):
        bounds[doc] = size
        at = offsets[doc]
        for i in range(starts[doc], starts[doc + 1]):
            single = classes[i] >= HAN
            if single:
                spaced[size] = 32
                size += 1
            while True:
                spaced[size] = data[at]
                size, at = size + 1, at + 1
                if at >= offsets[doc + 1] or data[at] & 0xC0 != 0x80:
                    break
            if single:
                spaced[size] = 32
                size += 1
    bounds[len(starts) - 1] = size


def _each(change: Callable[[str], str]) -> Prepare:
    """A form that changes one text at a time."""
    return lambda texts: pa.array(
        [None if text is None else change(text) for text in texts.to_pylist()], pa.large_string()
    )


def _lines(path: str | None) -> list[str]:
    """Lines of a file without blanks around them; empty without a file."""
    if path is None:
        return []
    with open(path, encoding="utf-8") as stream:
        return [line.strip() for line in stream]


def _jieba(stopwords: list[str], removed: list[str]) -> Callable[[str], str]:
    jieba = optional_module("jieba", "jieba", "train", "fasttext: text jieba")
    jieba.setLogLevel(60)
    jieba.initialize()
    stop = frozenset(stopwords)

    def cut(text: str) -> str:
        words = " ".join(jieba.cut(text.replace("\t", " ").replace("\n", " "))).split()
        line = " ".join(word for word in words if word not in stop)
        for item in removed:
            line = line.replace(item, "") if item else line
        return " ".join(line.split())

    return cut


def _ultra_fineweb(tokenizer_path: str | None) -> Prepare:
    from tokenizers import Tokenizer

    if tokenizer_path is None:
        raise ConfigError(
            "fasttext: text ultra_fineweb needs the tokenizer that the model was trained with (tokenizer.json of "
            "deepseek-ai/DeepSeek-V2); name it in fasttext.tokenizers"
        )
    try:
        tokenizer = Tokenizer.from_file(tokenizer_path)
    except BaseException as error:  # the library raises Exception itself, and panics that are none
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ConfigError(f"{tokenizer_path}: {error}; expected a tokenizer.json") from error
    tokenizer.no_truncation()
    pieces: dict[int, str] = {}

    def piece(number: int) -> str:
        if number not in pieces:
            pieces[number] = tokenizer.decode([number], skip_special_tokens=False)
        return pieces[number]

    def prepare(texts: pa.ChunkedArray) -> pa.Array:
        small = [plain_letters(re.sub(r"\n{3,}", "\n\n", text or "").lower()) for text in texts.to_pylist()]
        encoded = tokenizer.encode_batch_fast(small, add_special_tokens=False)
        return pa.array([_one_line(" ".join(map(piece, row.ids))) for row in encoded], pa.large_string())

    return prepare


def plain_letters(text: str) -> str:
    """Letters without diacritics: compatibility decomposition without nonspacing marks."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn")


def _one_line(text: str) -> str:
    r"""Line feeds, carriage returns and tabs written as \n, \r and \t, blanks not repeated."""
    line = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return re.sub(" +", " ", line).strip()
