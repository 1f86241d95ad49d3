"""Conversion between Traditional and Simplified Chinese by OpenCC, restricted to Chinese passages.

Reads text and its language; returns the text with every Chinese passage converted. Japanese and Korean, code (fenced
blocks, code lines, code in backticks), tags, URLs and e-mail addresses are not changed. `DERIVE` creates derived
documents; `CONVERT` is the last edit of a release. See docs/traditional.md.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from pipeline.stage import DERIVED, Convert, Derive
from stages.conversion_words import convert_words
from stages.kernels.scripts.chinese import chinese_mask
from stages.kernels.text.text import view

TO_SIMPLIFIED = ("t2s", "tw2s", "tw2sp", "hk2s", "hk2sp")
TO_TRADITIONAL = ("s2t", "s2tw", "s2twp", "s2hk", "s2hkp")
"""Schemes of OpenCC: tw and hk use the variants of Taiwan and Hong Kong, p also regional words (記憶體, 内存)."""

LABEL = "language.label"

_USER = r"(?:[\w.%~:!$&'()*+,;=-]{1,100}+@)?"
_HOST = r"(?:[A-Za-z0-9.-]++|[\w.-]++)(?::\d+)?"
_TAIL = r"[\w%\-.~:/?#\[\]@!$&'()*+,;=|]*+"
KEPT = re.compile(
    rf"""
      (?<!`)(?P<ticks>`++)(?:[^\n]{{0,1000}}?[^`\n])?(?P=ticks)(?!`)   # code in backticks
    | (?<![A-Za-z0-9+.-])(?:[A-Za-z][A-Za-z0-9+.-]*+://{_USER}|www\.){_HOST}(?:[/?\#]{_TAIL})?
    | (?<![A-Za-z0-9_.-])(?:[A-Za-z0-9-]++\.)++[A-Za-z0-9-]*+(?::\d+)?/{_TAIL}  # a.com/path
    | \]\([^()\s]{{0,2000}}                                        # the target of a link in Markdown
    | (?:(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++|(?<!\w)[^\W0-9_a-zA-Z]{{1,20}})@(?:[\w-]++\.)++[\w-]++
    | <[A-Za-z/!][^<>\n]{{0,1000}}>                                # a tag with its attributes
    """,
    re.VERBOSE,
)
"""Text in a Chinese line that is not converted. Han characters in the path of a URL belong to it, up to a blank or a
punctuation mark, so that no URL is changed; directly after a host name they do not."""

MAYBE_KEPT = re.compile(r"[`/@<]|www\.|\]\(")


@dataclass(frozen=True, kw_only=True)
class Config:
    """scheme: of OpenCC. labels: language labels of the documents to convert; default zho_Hant, or zho_Hans for schemes
    to Traditional.

    Raises: ConfigError if the scheme is unknown.
    """

    scheme: str = "t2s"
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.scheme not in (*TO_SIMPLIFIED, *TO_TRADITIONAL):
            known = ", ".join((*TO_SIMPLIFIED, *TO_TRADITIONAL))
            raise ConfigError(f"conversion.scheme is {self.scheme!r}; expected one of {known}")
        if isinstance(self.labels, str):
            raise ConfigError(f"conversion.labels is {self.labels!r}; expected a list of labels")

    @property
    def scripts(self) -> tuple[str, str]:
        """Suffix of the source script and of the target script."""
        return ("_Hant", "_Hans") if self.scheme in TO_SIMPLIFIED else ("_Hans", "_Hant")

    def wanted(self) -> tuple[str, ...]:
        """Labels of the documents to convert."""
        return self.labels or (f"zho{self.scripts[0]}",)


def new_labels(config: Config) -> dict[str, str]:
    """Return the label of converted documents for each label to convert; see stage.Convert."""
    return {label: label.replace(*config.scripts) for label in config.wanted()}


def dictionaries(config: Config) -> list[str]:
    """Return the paths of all files of OpenCC that a scheme reads; its output depends on nothing else."""
    folder = data_folder()
    paths, names = [], [f"{config.scheme}.json"]
    with open(os.path.join(folder, names[0]), encoding="utf-8") as stream:
        names += sorted(set(_named_files(json.load(stream))))
    for name in names:
        paths.append(os.path.join(folder, name))
    return paths


def data_folder() -> str:
    """Return the folder of the installed OpenCC's dictionaries."""
    import opencc

    return os.path.join(os.path.dirname(opencc.__file__), "clib", "share", "opencc")


def _named_files(page: Any) -> Iterator[str]:  # Any: parsed JSON
    if isinstance(page, dict):
        for key, value in page.items():
            yield from [value] if key == "file" else _named_files(value)
    elif isinstance(page, list):
        for value in page:
            yield from _named_files(value)


@cache
def converter(scheme: str) -> Callable[[str], str]:
    """Return OpenCC's conversion function of a scheme, corrected for names and authors (`conversion_words`)."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC(scheme).convert
    return lambda text: convert_words(text, scheme, convert)


def pieces(text: str, mask: np.ndarray) -> Iterator[tuple[str, bool]]:
    """Split a text into pieces, each with whether it is to be converted.

    Args: mask, bool (n_chars,), of `chinese_mask`.
    """
    if MAYBE_KEPT.search(text):
        mask = mask.copy()
        for match in KEPT.finditer(text):
            mask[match.start() : match.end()] = False
    edges = [0, *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist(), len(text)]
    for start, end in pairwise(edges):
        yield text[start:end], bool(mask[start])


def convert_texts(texts: pa.ChunkedArray | pa.Array, scheme: str) -> list[str]:
    """Convert texts: strings, (n_docs,), without nulls, to a list of n_docs strings."""
    decoded = view(texts)
    mask, convert = chinese_mask(decoded), converter(scheme)
    bounds = decoded.starts.tolist()
    return [
        "".join(convert(part) if is_chinese else part for part, is_chinese in pieces(text, mask[start:end]))
        if text
        else text
        for text, start, end in zip(texts.to_pylist(), bounds[:-1], bounds[1:], strict=True)
    ]


def load(config: Config) -> Callable[[pa.Table], pa.Array]:
    """Return a function from a table, (n_rows,), to its converted texts, large_string (n_rows,); see stage.Convert."""
    return lambda table: convert_rows(table, config)


def convert_rows(table: pa.Table, config: Config) -> pa.Array:
    """Return the texts of a batch, converted for documents of the configured labels.

    Args: table, with strings `text` and `language.label`, (n_rows,).
    Returns: large_string (n_rows,); null texts remain null.
    """
    chosen = pc.is_in(table[LABEL], pa.array(config.wanted(), pa.string()))
    chosen = pc.and_(chosen, table["text"].is_valid()).combine_chunks()
    text = table["text"].combine_chunks().cast(pa.large_string())
    if not pc.any(chosen).as_py():
        return text
    return pc.replace_with_mask(
        text, chosen, pa.array(convert_texts(text.filter(chosen), config.scheme), pa.large_string())
    )


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return a converted document for each document of the configured labels whose text changes; see stage.Derive.

    Args: table, with `text`, `language.label` and `edits`; replace, kind of an edit -> its replacement.
    Returns: a table of stage.DERIVED.
    """
    chosen = pc.is_in(table[LABEL], pa.array(config.wanted(), pa.string())).combine_chunks()
    parents = np.flatnonzero(np.asarray(chosen)).tolist()
    rows = table.filter(chosen).select(["text", "edits"]).to_pylist()
    edited = [
        apply_spans(row["text"], [(s["start"], s["end"], s["kind"]) for s in row["edits"]], replace)
        for row in rows
    ]
    texts = convert_texts(pa.array(edited, pa.large_string()), config.scheme)
    meta = json.dumps({"conversion": config.scheme})
    documents = [
        {"parent": parent, "number": 0, "text": new, "meta": meta}
        for parent, old, new in zip(parents, edited, texts, strict=True)
        if new and new != old
    ]
    return pa.Table.from_pylist(documents, schema=DERIVED)


DERIVE = Derive(
    name="conversion",
    version=2,
    config=Config,
    reads=("text", LABEL),
    derive=make_documents,
    data=dictionaries,
)

CONVERT = Convert(
    name="conversion",
    version=2,
    config=Config,
    reads=(LABEL,),
    load=load,
    labels=new_labels,
    data=dictionaries,
)
