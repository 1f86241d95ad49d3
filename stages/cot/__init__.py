"""Worked solutions in documents: question, steps and answer, as spans (chain-of-thought templates).

Reads canonical text and the language label; writes templates and rejected candidates with reasons. A template consists
of the document's own words in their order; nothing is generated. Templates are rendered as training text by
`stages.cot.render`; which are kept is decided by rules on `support` and `kinds`.

Marks and signs are data (`languages/*.cot.yaml`), and all apply to every document, because pages mix languages.
The label selects the stop words, which are ignored in `support`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from pipeline.stage import Stage
from stages.cot.detect import Mark, Written, match_text, read_marks
from stages.cot.layout import Layout
from stages.cot.parse import Page
from stages.cot.patterns import load_patterns, pattern_paths
from stages.cot.scan import find_lines, find_places, find_signs, head_tables
from stages.cot.sections import find_problems
from stages.cot.template import Config, Reject, Template
from stages.kernels.text.text import TABLES_PATH, load_tables, view
from stages.languages import load_profile, profile_paths

__all__ = ["SCHEMA", "STAGE", "Config", "Finder"]

EXPLAINING = frozenset(("explanation", "step"))
DECIDING = frozenset(("question", "solution", "proof", "answer", "open", "result"))

RANGE = pa.struct({"start": pa.int32(), "end": pa.int32()})
TEMPLATE = pa.struct(
    {
        "question": RANGE,
        "answer": RANGE,
        "steps": pa.list_(RANGE),
        "kinds": pa.list_(pa.string()),
        "support": pa.float32(),
    }
)
REJECT = pa.struct({"start": pa.int32(), "end": pa.int32(), "reason": pa.string()})
SCHEMA = pa.schema({"templates": pa.list_(TEMPLATE), "n_templates": pa.int32(), "rejects": pa.list_(REJECT)})
"""templates: worked solutions, as spans of question, steps and answer, with kinds of steps and support. n_templates:
their number. rejects: candidates that are no worked solution, with the reason."""


class Finder:
    """`annotate` with its patterns."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.patterns = load_patterns(pattern_paths())
        self.heads = head_tables(self.patterns.heads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find the worked solutions of each document.

        Args: batch, with strings `text` and `language.label`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,); empty lists for documents without any, and for null texts.
        """
        codes, starts, classes = view(batch["text"])
        signs = find_signs(codes, starts, classes)
        places = find_places(codes, starts, classes, signs.begins, load_tables().fold, *self.heads)
        found = dict(read_marks(codes, starts, places, self.patterns.marks_from))
        lines = find_lines(codes, starts, classes, signs.breaks)
        asking = find_problems(codes, starts, lines.asking)
        asks = frozenset(lines.asking[:, 0].tolist())
        marked = {doc for doc, marks in found.items() if may_solve(marks, doc in asks)}
        labels = batch["language.label"]
        rows: list[dict[str, object]] = [{"templates": [], "n_templates": 0, "rejects": []}] * batch.num_rows
        for doc in sorted(asking.keys() | marked):
            written = Written(codes[starts[doc] : starts[doc + 1]])
            text = match_text(codes, starts[doc], starts[doc + 1])
            stop_words = frozenset(load_profile(labels[doc].as_py()).stop_words)
            page = Page(
                text,
                written,
                Layout(text, *lines.of(doc)),
                found.get(doc, ()),
                self.patterns,
                self.config,
                stop_words,
            )
            rows[doc] = _to_row(*page.read(asking.get(doc, ())))
        return pa.Table.from_pylist(rows, schema=SCHEMA)


def may_solve(marks: Iterable[Mark], asks: bool) -> bool:
    """Return whether marks suffice for a worked solution: one that begins or ends it, or a question.

    Args: asks, whether the document has a line that may ask, so that words that articles use suffice.
    """
    return any(mark.role in DECIDING or (asks and mark.role in EXPLAINING) for mark in marks)


def _to_row(templates: Iterable[Template], rejects: Iterable[Reject]) -> dict[str, object]:
    values = [
        {
            "question": _range(*template.question),
            "answer": _range(*template.answer),
            "steps": [_range(*step) for step in template.steps],
            "kinds": template.kinds,
            "support": np.float32(template.support),
        }
        for template in templates
    ]
    return {
        "templates": values,
        "n_templates": len(values),
        "rejects": [reject._asdict() for reject in rejects],
    }


def _range(start: int, end: int) -> dict[str, int]:
    return {"start": start, "end": end}


STAGE = Stage(
    name="cot",
    version=4,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=Finder,
    optional=pa.schema({"language.label": pa.string()}),
    data=(TABLES_PATH, *pattern_paths(), *profile_paths()),
)
