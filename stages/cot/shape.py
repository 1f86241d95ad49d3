"""The shape of a worked solution that became a document: its template of kinds, its main kind, and what it asks for.

Reads the `meta` that `stages.cot.documents` writes; all other documents have the value `none`. The columns are strata
of mixes; what shares they should have is up to the run file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.stage import NoConfig, Stage, bind
from stages.cot.step_kinds import cue_paths, load_patterns, match_text, name_kinds, template_key
from stages.kernels.text.tables import TABLES_PATH

SCHEMA = pa.schema(
    {"template": pa.string(), "main_kind": pa.string(), "task": pa.string(), "n_steps": pa.int32()}
)
"""template: kinds of the steps without repetitions, joined by `>`. main_kind: the most frequent one. task: one of
TASKS. n_steps: how many there are. All are `none`, and n_steps is 0, for documents that are not worked solutions."""

TASKS = ("choice", "proof", "code", "why", "compute", "explain")
"""choice: one of several options. proof: a statement to prove. code: the solution has code. why: a reason or a
difference is asked for. compute: a quantity is asked for, or the solution evaluates numbers or formulas. explain: all
others. The first that applies counts, except that a statement whose solution says that it is a proof is a proof."""

NONE = "none"
CODE = re.compile(r"(?:^|\n)\s*(?:```|~~~)")
MAX_CHARS = 3000  # of a question that are examined


class Solution(msgspec.Struct):
    """The fields of `meta` that are read."""

    question: str
    steps: list[str]
    answer: str


DECODER = msgspec.json.Decoder(Solution)


def measure(meta: str | None) -> dict[str, Any]:  # Any: values of SCHEMA
    """Return the columns of one document."""
    try:
        solution = DECODER.decode(meta) if meta else None
    except msgspec.MsgspecError:  # meta of another reader
        solution = None
    if solution is None or not solution.steps:
        return {"template": NONE, "main_kind": NONE, "task": NONE, "n_steps": 0}
    kinds = name_kinds(solution.steps)
    return {
        "template": template_key(kinds),
        "main_kind": Counter(kinds).most_common(1)[0][0],
        "task": name_task(solution.question, solution.steps, solution.answer, kinds),
        "n_steps": len(kinds),
    }


def name_task(question: str, steps: Sequence[str], answer: str, kinds: Sequence[str]) -> str:
    """Return what a question asks for, one of TASKS; kinds, of its steps."""
    asked = match_text(question[-MAX_CHARS:])
    patterns = load_tasks()
    for task in ("choice", "proof"):
        if patterns[task].search(asked):
            return task
    if any(CODE.search(part) for part in (*steps, answer)):
        return "code"
    for task in ("why", "compute"):
        if patterns[task].search(asked):
            return task
    if any(patterns["proving"].search(match_text(part[:MAX_CHARS])) for part in (*steps, answer)):
        return "proof"
    return "compute" if "compute" in kinds else "explain"


@cache
def load_tasks() -> dict[str, re.Pattern[str]]:
    """Read the signs of tasks of all languages: task -> one pattern."""
    return {task: re.compile("|".join(texts)) for task, texts in load_patterns("tasks").items()}


def annotate(batch: pa.Table, config: NoConfig) -> pa.Table:
    """Describe each document: a string column `meta`, (n_docs,), to a table of SCHEMA, (n_docs,)."""
    return pa.Table.from_pylist([measure(meta) for meta in batch["meta"].to_pylist()], schema=SCHEMA)


STAGE = Stage(
    name="shape",
    version=1,
    config=NoConfig,
    reads=("meta",),
    writes=SCHEMA,
    load=bind(annotate),
    data=(TABLES_PATH, *cue_paths()),
)
