"""Traditional and Simplified Chinese: texts in the other script, by OpenCC, where they are Chinese and nowhere else.

Reads text and its language; gives the text with every Chinese passage converted. Japanese and Korean, code (fenced
blocks, code lines, code in backticks), tags, addresses of pages and of e-mail are left as they are. `DERIVE` makes
documents of their own, `CONVERT` is the last edit of a release. See docs/traditional.md.
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
from stages.kernels.chinese import chinese_mask
from stages.kernels.text import view

TO_SIMPLIFIED = ("t2s", "tw2s", "tw2sp", "hk2s", "hk2sp")
TO_TRADITIONAL = ("s2t", "s2tw", "s2twp", "s2hk", "s2hkp")
"""Schemes of OpenCC: with tw and hk the forms of Taiwan and Hong Kong, with p their words too (記憶體, 内存)."""

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
"""What is left as it is in a Chinese line. In the path of an address Han characters belong to it: it ends at a blank or
a mark of punctuation, so that no address is harmed; right after the name of a host they do not."""

MAYBE_KEPT = re.compile(r"[`/@<]|www\.|\]\(")


@dataclass(frozen=True, kw_only=True)
class Config:
    """How to convert what.

    scheme: of OpenCC. labels: languages whose documents are converted; none: zho_Hant, or zho_Hans to Traditional.
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
        """The script that is converted, and the one that comes out."""
        return ("_Hant", "_Hans") if self.scheme in TO_SIMPLIFIED else ("_Hans", "_Hant")

    def wanted(self) -> tuple[str, ...]:
        """Labels of the documents to convert."""
        return self.labels or (f"zho{self.scripts[0]}",)


def new_labels(config: Config) -> dict[str, str]:
    """What the labels of converted documents become; see stage.Convert."""
    return {label: label.replace(*config.scripts) for label in config.wanted()}


def dictionaries(config: Config) -> list[str]:
    """The files of OpenCC that a scheme reads: what it does depends on nothing else."""
    folder = data_folder()
    found, waiting = [], [f"{config.scheme}.json"]
    with open(os.path.join(folder, waiting[0]), encoding="utf-8") as stream:
        waiting += sorted(set(_named_files(json.load(stream))))
    for name in waiting:
        found.append(os.path.join(folder, name))
    return found


def data_folder() -> str:
    """Where the installed OpenCC keeps its dictionaries."""
    import opencc

    return os.path.join(os.path.dirname(opencc.__file__), "clib", "share", "opencc")


def _named_files(page: Any) -> Iterator[str]:  # Any: a page of JSON
    if isinstance(page, dict):
        for key, value in page.items():
            yield from [value] if key == "file" else _named_files(value)
    elif isinstance(page, list):
        for value in page:
            yield from _named_files(value)


@cache
def converter(scheme: str) -> Callable[[str], str]:
    """OpenCC's own conversion of a string."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC(scheme).convert
    return convert


def pieces(text: str, mask: np.ndarray) -> Iterator[tuple[str, bool]]:
    """Cut a text into what is converted and what is left as it is.

    Args: mask, bool (n_codes,), of `chinese_mask`.
    """
    if MAYBE_KEPT.search(text):
        mask = mask.copy()
        for match in KEPT.finditer(text):
            mask[match.start() : match.end()] = False
    edges = [0, *(np.flatnonzero(mask[1:] != mask[:-1]) + 1).tolist(), len(text)]
    for start, end in pairwise(edges):
        yield text[start:end], bool(mask[start])


def convert_texts(texts: pa.ChunkedArray | pa.Array, scheme: str) -> list[str]:
    """Convert every text; none of them is null or empty."""
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
    """See stage.Convert."""
    return lambda table: convert_rows(table, config)


def convert_rows(table: pa.Table, config: Config) -> pa.Array:
    """The texts of a batch, of the languages that are converted in the other script; null stays null."""
    chosen = pc.is_in(table[LABEL], pa.array(config.wanted(), pa.string()))
    chosen = pc.and_(chosen, table["text"].is_valid()).combine_chunks()
    text = table["text"].combine_chunks().cast(pa.large_string())
    if not pc.any(chosen).as_py():
        return text
    return pc.replace_with_mask(
        text, chosen, pa.array(convert_texts(text.filter(chosen), config.scheme), pa.large_string())
    )


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """A converted document for each whose language is asked for and whose text changes; see stage.Derive."""
    chosen = pc.is_in(table[LABEL], pa.array(config.wanted(), pa.string())).combine_chunks()
    parents = np.flatnonzero(np.asarray(chosen)).tolist()
    rows = table.filter(chosen).select(["text", "edits"]).to_pylist()
    edited = [
        apply_spans(row["text"], [(s["start"], s["end"], s["kind"]) for s in row["edits"]], replace)
        for row in rows
    ]
    texts = convert_texts(pa.array(edited, pa.large_string()), config.scheme)
    meta = json.dumps({"conversion": config.scheme})
    made = [
        {"parent": parent, "number": 0, "text": new, "meta": meta}
        for parent, old, new in zip(parents, edited, texts, strict=True)
        if new and new != old
    ]
    return pa.Table.from_pylist(made, schema=DERIVED)


DERIVE = Derive(
    name="conversion",
    version=1,
    config=Config,
    reads=("text", LABEL),
    derive=make_documents,
    data=dictionaries,
)

CONVERT = Convert(
    name="conversion",
    version=1,
    config=Config,
    reads=(LABEL,),
    load=load,
    labels=new_labels,
    data=dictionaries,
)
