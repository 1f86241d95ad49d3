"""Solutions of one problem in two languages as one text: question, chain and answer each in a named language.

Reads the rows of a release's `cot/` that have a `parallel_id`; returns one document for each pair and layout. A layout
lists parts with their languages, separated by blanks, such as `question.zho chain.eng answer.zho`; `think` is a chain
between tags. Nothing is generated: each part is in the words of the document that it comes from. Whether the
documents are kept is up to rules of the run that reads them.

`cross` and `taco` are the layouts of two papers. MathOctopus (arXiv 2310.20246) trains on questions and solutions of
one language, which are the two rows as they are, or of two. TaCo (arXiv 2311.10797) translates the question to the
other language, solves it there, and gives the answer in the language of the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.names import nearest
from stages.cot.layouts import lay_out

NAMED = {
    "cross": "question.{asked} chain.{other} answer.{other}",
    "taco": "question.{asked} question.{other} chain.{other} answer.{other} answer.{asked}",
}
PARTS = ("question", "chain", "think", "answer")
SCHEMA = pa.schema(
    {
        "source_id": pa.string(),
        "text": pa.large_string(),
        "layout": pa.string(),
        "parallel_id": pa.string(),
        "parents": pa.list_(pa.string()),
        "license": pa.string(),
    }
)
"""source_id: parallel_id and layout. parents: doc_id of both solutions. license: of both, joined by AND where they
differ; null if one is unknown."""

_PART = re.compile(r"([a-z]+)\.([a-z]{2,3}(?:_[A-Za-z]{4})?)")


def name_layout(name: str, asked: str, other: str) -> str:
    """Return a layout of NAMED for two languages.

    >>> name_layout("cross", "zho", "eng")
    'question.zho chain.eng answer.eng'

    Raises: ConfigError for another name.
    """
    if name not in NAMED:
        raise ConfigError(f"unknown layout {name!r}{nearest(name, NAMED)}")
    return NAMED[name].format(asked=asked, other=other)


def read_layout(layout: str) -> list[tuple[str, str]]:
    """Return the parts of a layout with their languages.

    >>> read_layout("question.zho answer.eng")
    [('question', 'zho'), ('answer', 'eng')]

    Raises: ConfigError for a part or a language that cannot be read.
    """
    parts = []
    for word in layout.split():
        match = _PART.fullmatch(word)
        if match is None or match[1] not in PARTS:
            raise ConfigError(
                f"layout {layout!r}: {word!r} is no part with its language, such as question.zho; parts are "
                f"{', '.join(PARTS)}"
            )
        parts.append((match[1], match[2]))
    if not parts:
        raise ConfigError("the layout is empty; expected parts such as question.zho chain.eng answer.eng")
    return parts


def lay_out_pairs(rows: pa.Table, layouts: Sequence[str]) -> pa.Table:
    """Return a document for each pair of solutions and each layout whose languages the pair has.

    Args: rows, of `stages.cot.documents.ROWS`; of several rows with the same parallel_id and language, the one with
    the smallest doc_id is taken. layouts, see `read_layout`; a language is that of the row's label, `zho` for zho_Hans
    too.
    Returns: a table of SCHEMA, in order of parallel_id, then of the layouts.
    """
    parsed = [(layout, read_layout(layout)) for layout in layouts]
    groups: dict[str, list[dict[str, Any]]] = {}  # Any: values of ROWS
    for row in sorted(rows.to_pylist(), key=lambda row: str(row["doc_id"])):
        if row["parallel_id"] is not None and row["language"]:
            groups.setdefault(row["parallel_id"], []).append(row)
    found = []
    for parallel_id, group in sorted(groups.items()):
        for layout, parts in parsed:
            solutions = {language: _of_language(group, language) for _, language in parts}
            known = {language: row for language, row in solutions.items() if row is not None}
            if len(known) < len(solutions):
                continue
            used = {row["doc_id"]: row for row in known.values()}
            licenses = sorted({row["license"] or "" for row in used.values()})
            found.append(
                {
                    "source_id": f"{parallel_id} {layout}",
                    "text": _join(parts, known),
                    "layout": layout,
                    "parallel_id": parallel_id,
                    "parents": sorted(used),
                    "license": " AND ".join(licenses) if all(licenses) else None,
                }
            )
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _of_language(group: list[dict[str, Any]], language: str) -> dict[str, Any] | None:
    """The first row of a language, None if there is none."""
    for row in group:
        if row["language"] == language or row["language"].partition("_")[0] == language:
            return row
    return None


def _join(parts: Sequence[tuple[str, str]], solutions: Mapping[str, Mapping[str, Any]]) -> str:
    """The parts one below the other; an answer directly after its own chain is not repeated if the chain has it."""
    texts, i = [], 0
    while i < len(parts):
        (part, language), row = parts[i], solutions[parts[i][1]]
        if part in ("chain", "think") and parts[i + 1 : i + 2] == [("answer", language)]:
            part, i = f"{part}_answer", i + 1
        is_answer = part == "answer"  # of a chain that is not here, or that is further above
        texts.append(
            row["answer"] if is_answer else lay_out(part, row["question"], row["steps"], row["answer"])
        )
        i += 1
    return "\n\n".join(texts)
