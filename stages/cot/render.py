"""Render templates as text: question, steps and answer, with the edits of the document applied.

Takes canonical text, a template and the spans that edit the text.
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
    template: Mapping[str, Any],  # Any: values of TEMPLATE
    edits: Iterable[Span] = (),
    replace: Mapping[str, str] | None = None,
) -> Rendered:
    """Return question, steps and answer of a template, with edits applied; steps that become empty are omitted.

    Args: template, a value of `cot.templates`; edits, spans of the canonical text; replace, kind -> replacement of the
    span, as in `pipeline.spans.apply_spans`.
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
    """Return the spans of a template with their kinds: `question`, one `step` per step, `answer`."""
    return [
        {**template["question"], "kind": "question"},
        *({**step, "kind": "step"} for step in template["steps"]),
        {**template["answer"], "kind": "answer"},
    ]


def join(rendered: Rendered) -> str:
    """Return a rendered template as one text: question, a blank line, one line per step, the answer.

    An answer that is part of the last step, such as a boxed one, is not repeated.
    """
    lines = [rendered["question"], "", *rendered["steps"]]
    if rendered["answer"] not in rendered["steps"][-1]:
        lines.append(rendered["answer"])
    return "\n".join(lines)
