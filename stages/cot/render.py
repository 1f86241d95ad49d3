"""Render templates as text: question, steps and answer in the words of the document, edited as it is.

Reads canonical text, a template and the spans that edit the text. Pure: no file is read or written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from pipeline.spans import Span, apply_spans


class Rendered(TypedDict):
    """A template as text."""

    question: str
    steps: list[str]
    answer: str


def render(
    text: str,
    template: Mapping[str, Any],  # Any: structs and lists of them, as TEMPLATE has them
    edits: Iterable[Span] = (),
    replace: Mapping[str, str] | None = None,
) -> Rendered:
    """Cut question, steps and answer out of a canonical text, edited as a release edits it.

    Args: template, a value of `cot.templates`; edits, spans of the canonical text; replace, kind -> text that
    stands for the span, as in `pipeline.spans.apply_spans`. A step that the edits leave empty is left out.
    """
    edits = list(edits)

    def piece(span: Mapping[str, int]) -> str:
        start, end = span["start"], span["end"]
        inside = [
            (max(a, start) - start, min(b, end) - start, k) for a, b, k in edits if a < end and b > start
        ]
        return apply_spans(text[start:end], inside, replace).strip()

    steps = [step for step in map(piece, template["steps"]) if step]
    return {"question": piece(template["question"]), "steps": steps, "answer": piece(template["answer"])}


def list_spans(template: Mapping[str, Any]) -> list[dict[str, int | str]]:
    """The spans of a template with their kinds: question, step for each step, answer."""
    return [
        {**template["question"], "kind": "question"},
        *({**step, "kind": "step"} for step in template["steps"]),
        {**template["answer"], "kind": "answer"},
    ]


def join(rendered: Rendered) -> str:
    """A rendered template as one text: question, a blank line, a line for each step, the answer.

    An answer that is part of the last step, as a boxed one is, does not stand twice.
    """
    lines = [rendered["question"], "", *rendered["steps"]]
    if rendered["answer"] not in rendered["steps"][-1]:
        lines.append(rendered["answer"])
    return "\n".join(lines)
