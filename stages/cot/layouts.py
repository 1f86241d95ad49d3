"""Layouts of a question, its chain and its answer as one text, with or without the document and with or without tags.

A layout is a name: what it is made of, in this order, joined by `_`. The parts are separated by an empty line; the
steps of a chain are on a line each, between `<think>` and `</think>` where the layout says `think`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import ConfigError
from pipeline.names import nearest

LAYOUTS = (
    "question_chain_answer",
    "question_think_answer",
    "document_chain_answer",
    "document_think_answer",
    "document_question_chain_answer",
    "document_question_think_answer",
)
THINK = ("<think>", "</think>")


def check_layout(layout: str, where: str) -> None:
    """Raise ConfigError, which names the setting, unless a layout is one of LAYOUTS."""
    if layout not in LAYOUTS:
        raise ConfigError(f"{where}: unknown layout {layout!r}{nearest(layout, LAYOUTS)}")


def lay_out(layout: str, question: str, steps: Sequence[str], answer: str, document: str = "") -> str:
    """Return the text of a layout.

    An answer that is part of the last step, such as a boxed one, is not repeated below a chain without tags. Tags
    within the steps are broken, so that there is one pair.

    Args: layout, one of LAYOUTS.
    """
    parts = layout.split("_")
    chain = "\n".join(steps)
    is_in_chain = "think" not in parts and bool(steps) and answer in steps[-1]
    think = f"{THINK[0]}\n{chain.replace('<think', '< think').replace('</think', '< /think')}\n{THINK[1]}"
    texts = {
        "document": document, "question": question, "chain": chain, "think": think,
        "answer": "" if is_in_chain else answer,
    }  # fmt: skip
    return "\n\n".join(texts[part] for part in parts if texts[part])
