"""Texts of `classifiers.rephrase` as derived documents: one document for each text, with its parent's licence.

Reads the texts; creates their documents, `provenance: LLM`, whose `meta` has the form, the model, the version of the
instruction and the measures. Which are kept is up to rules, as for all other documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from classifiers.rephrase.config import STYLES, TRANSLATION
from pipeline.errors import ConfigError
from pipeline.stage import DERIVED, Derive


@dataclass(frozen=True, kw_only=True)
class Config:
    """styles: forms of which documents are made; all of those that were asked for if empty. min_similarity: texts
    below are skipped, by form."""

    styles: tuple[str, ...] = ()
    min_similarity: float = 0.0

    def __post_init__(self) -> None:
        if unknown := [style for style in self.styles if style not in STYLES]:
            raise ConfigError(
                f"rephrase.documents.styles: unknown form {unknown[0]!r}; expected some of {', '.join(STYLES)}"
            )
        if not 0 <= self.min_similarity <= 1:
            raise ConfigError(
                f"rephrase.documents.min_similarity is {self.min_similarity}; expected a number from 0 to 1"
            )


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return one document for each accepted text of a batch; see stage.Derive.

    Args: table, with the columns of `rephrase`; replace is not used, since edits are spans of the parent's text.
    Returns: a table of stage.DERIVED; the number of a document is that of its form in STYLES.
    """
    del replace
    has_texts = pc.greater(table["rephrase.n_texts"], 0).fill_null(False)
    parents = [i for i, holds in enumerate(has_texts.to_pylist()) if holds]
    rows: list[dict[str, Any]] = []  # Any: values of DERIVED
    for parent, document in zip(parents, table.filter(has_texts).to_pylist(), strict=True):
        for one in document["rephrase.texts"]:
            if (config.styles and one["style"] not in config.styles) or one[
                "similarity"
            ] < config.min_similarity:
                continue
            meta = {
                "style": one["style"], "language": one["language"], "model": document["rephrase.model"],
                "prompt_version": one["prompt"], "seed": document["rephrase.seed"],
                "is_translation": one["style"] == TRANSLATION,
                **{name: round(one[name], 3) for name in ("support", "similarity", "ratio")},
            }  # fmt: skip
            rows.append(
                {"parent": parent, "number": STYLES.index(one["style"]), "text": one["text"],
                 "meta": json.dumps(meta, ensure_ascii=False)}
            )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=DERIVED)


DERIVE = Derive(
    name="rephrase_documents",
    version=1,
    config=Config,
    reads=("text", "rephrase.texts", "rephrase.n_texts", "rephrase.model", "rephrase.seed"),
    derive=make_documents,
    provenance="LLM",
)
