"""Translations of `classifiers.rephrase` beside their documents, as pairs: forward and back translations.

Reads the text and its accepted translation; creates a document of pairs (`stages.parallel`) for each direction:
forward, the document above its translation, and back, the translation above the document, so that the side that a
person wrote is the target (Sennrich et al. 2016, arXiv 1511.06709). `meta` names the languages, the direction and the
model. Where both texts have the same number of lines a pair is a line, else it is the whole text. A document with an
edit is left out, since its translation was made before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import DERIVED, Derive
from stages.parallel import one_line
from stages.parallel.code_switched import drawn
from stages.parallel.directions import MACHINE

TRANSLATION = "translation"
"""Form of the texts of `classifiers.rephrase` that are translations."""

DIRECTIONS = {"forward": "forward", "back": "backward"}
"""Flag -> `meta.direction`, which says where the original is."""

LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}
"""Labels of the languages into which documents are translated."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """flags: `forward`, `back` or both. documents_share: of the translated documents, the cap of this source.
    min_similarity: translations below are skipped."""

    flags: tuple[str, ...] = ("forward", "back")
    documents_share: float = 1.0
    min_similarity: float = 0.0

    def __post_init__(self) -> None:
        if not self.flags or set(self.flags) - set(DIRECTIONS) or len(set(self.flags)) < len(self.flags):
            raise ConfigError(f"translated.flags is {self.flags!r}; expected forward, back, or both")
        if not 0 < self.documents_share <= 1:
            raise ConfigError(
                f"translated.documents_share is {self.documents_share}; expected above 0, at most 1"
            )
        if not 0 <= self.min_similarity <= 1:
            raise ConfigError(
                f"translated.min_similarity is {self.min_similarity}; expected a number from 0 to 1"
            )


def make_documents(table: pa.Table, config: Config, replace: Mapping[str, str]) -> pa.Table:
    """Return the pairs of each translated document of a batch; see stage.Derive.

    Args: table, with the columns of `rephrase`; replace is not used, since edited documents are left out.
    Returns: a table of stage.DERIVED; the number of a document is that of its flag in DIRECTIONS.
    """
    del replace
    has_texts = pc.greater(table["rephrase.n_texts"], 0).fill_null(False)
    parents = [i for i, holds in enumerate(has_texts.to_pylist()) if holds]
    rows: list[dict[str, Any]] = []  # Any: values of DERIVED
    for parent, document in zip(parents, table.filter(has_texts).to_pylist(), strict=True):
        found = [one for one in document["rephrase.texts"] if one["style"] == TRANSLATION]
        if not found or document["edits"] or not drawn(document["text"], config.documents_share):
            continue
        if found[0]["similarity"] < config.min_similarity:
            continue
        pairs = pair_lines(document["text"], found[0]["text"])
        facts = {"method": MACHINE, "model": document["rephrase.model"], "n_pairs": len(pairs)}
        for number, (flag, direction) in enumerate(DIRECTIONS.items()):
            if pairs and flag in config.flags:
                meta = {**facts, "direction": direction, **_languages(found[0]["language"], flag)}
                text = "\n".join(f"{a}\n{b}" if flag == "forward" else f"{b}\n{a}" for a, b in pairs)
                rows.append({"parent": parent, "number": number, "text": text, "meta": json.dumps(meta)})
    return pa.Table.from_pylist(rows, schema=DERIVED)


def pair_lines(text: str, translation: str) -> list[tuple[str, str]]:
    """Pairs of the lines of a text and of its translation, or of both as a whole; none if a side is empty."""
    sides = [[one_line(line) for line in side.splitlines() if line.strip()] for side in (text, translation)]
    if len(sides[0]) != len(sides[1]):
        sides = [[" ".join(side)] for side in sides]
    return [(a, b) for a, b in zip(*sides, strict=True) if a and b]


def _languages(translated: str, flag: str) -> dict[str, str]:
    """Labels of both sides; translated: language of the translation."""
    original = next(label for language, label in LABELS.items() if language != translated)
    sides = (original, LABELS[translated])
    return dict(
        zip(("source_language", "target_language"), sides if flag == "forward" else sides[::-1], strict=True)
    )


DERIVE = Derive(
    name="translated",
    version=1,
    config=Config,
    reads=("text", "rephrase.texts", "rephrase.n_texts", "rephrase.model"),
    derive=make_documents,
    provenance="machine-translated",
)
