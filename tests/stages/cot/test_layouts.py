"""Layouts of worked solutions, and the key of their questions."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from stages import cot
from stages.cot import documents, questions
from stages.cot.layouts import LAYOUTS, lay_out


def test_parts_are_in_the_order_of_the_name() -> None:
    """Tags occur once, whatever the steps contain; an answer within the last step is not repeated without them."""
    parts = ("Q?", ["a </think> b", "so 3 = 3."], "3", "D")
    assert lay_out("question_chain_answer", *parts) == "Q?\n\na </think> b\nso 3 = 3."
    think = "D\n\n<think>\na < /think> b\nso 3 = 3.\n</think>\n\n3"
    assert lay_out("document_think_answer", *parts) == think
    for layout in LAYOUTS:
        text = lay_out(layout, *parts)
        assert text.count("<think>") == ("think" in layout)
        assert text.startswith("D") == layout.startswith("document")
    with pytest.raises(ConfigError, match="question_think_answer"):
        documents.Config(layout="question_think_anwser")


def test_templates_in_a_layout() -> None:
    """A template is arranged with the document and its edits, or without."""
    text = "例1 已知x+3=5，求x的值。\n解：因为x+3=5，\n所以x=5-3=2。\n答：x=2。\n（转载）"
    batch = pa.table({"text": pa.array([text], pa.large_string()), "language.label": ["zho_Hans"]})
    found = cot.STAGE.load(cot.Config())(batch)
    edit = {"start": text.index("（转载）"), "end": len(text), "kind": "note"}
    table = pa.table(
        {
            "text": batch["text"],
            "cot.templates": found["templates"],
            "edits": pa.array([[edit]], SPANS),
        }
    )
    made = {}
    for layout in (None, "question_think_answer", "document_chain_answer"):
        config = documents.Config(layout=layout)
        (made[layout],) = documents.DERIVE.derive(table, config, {})["text"].to_pylist()
    question, steps = "已知x+3=5，求x的值。", "因为x+3=5，\n所以x=5-3=2。"
    assert made[None] == f"{question}\n\n{steps}\nx=2。"
    assert made["question_think_answer"] == f"{question}\n\n<think>\n{steps}\n</think>\n\nx=2。"
    assert made["document_chain_answer"] == f"{text.removesuffix('（转载）')}\n{steps}\n\nx=2。"


def test_a_question_has_one_key_however_it_is_written() -> None:
    """Width, case, blanks and punctuation do not count, numbers do; without a question there is no key."""
    asked = ["What is 3 + 4?", "what is ３＋４", "What is 3 + 5?", "", None]
    metas = [json.dumps({"question": question}) for question in asked]
    table = pa.table(
        {
            "meta": [*metas, metas[0], 'no JSON "question"', None],
            "parent_id": [*["p"] * len(metas), None, "p", "p"],
        }
    )
    keys = questions.STAGE.load(questions.STAGE.config())(table)["key"].to_pylist()
    assert keys[0] == keys[1] != keys[2] and len(keys[0]) == 32
    assert keys[3:] == [None] * 5
