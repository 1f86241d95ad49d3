"""Kinds of steps, templates and tasks of worked solutions: known solutions in both languages, and properties."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.stage import NoConfig
from stages.cot import step_kinds
from stages.cot.shape import STAGE, TASKS, measure, name_task
from stages.cot.step_kinds import KINDS, load_cues, name_kinds, template_key
from tests.helpers.strategies import texts

STEPS = {
    "goal": ["本题要求求出剩下的页数。", "We want to find the number of pages left."],
    "given": ["设原来有 x 个苹果。", "Let x be the number of apples."],
    "decompose": ["首先计算每个人的工作效率，", "First, we need to find the rate of each worker."],
    "recall": ["根据勾股定理，直角三角形两直角边的平方和等于斜边的平方。", "By the Pythagorean theorem it is 5."],
    "derive": ["由于两条直线平行，同位角相等，", "Since the lines are parallel, the angles are equal."],
    "compute": ["48 ÷ 4 = 12（元）", "$48 / 4 = 12$"],
    "case": ["当 x 为偶数时，和也是偶数。", "Case 2: x is odd."],
    "check": ["经检验，x=3 是原方程的解。", "Check that x = 3 satisfies both equations."],
    "reflect": ["时间复杂度为 $O(n)$。", "The time complexity is $O(n)$."],
    "conclude": ["综上，一共有 12 个。", "Therefore, there are 12 of them."],
}  # fmt: skip
"""Kind -> a step in Chinese and one in English."""


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_in_both_languages(kind: str) -> None:
    """A plain step of each kind is recognised in both languages, whatever numbers it."""
    for step in STEPS[kind]:
        middle = ["前文。", *(f"{mark}{step}" for mark in ("", "2. ", "（2）", "**Step 2**: ")), "后文。"]
        assert name_kinds(middle)[1:-1] == [kind] * 4, step


def test_a_template_has_no_repetitions_and_a_bounded_length() -> None:
    """Solutions that differ in how many steps of a kind follow each other share a template."""
    assert template_key(["given", "compute", "compute", "conclude"]) == "given>compute>conclude"
    assert template_key([]) == ""
    assert template_key(["given", "compute"] * 40).count(">") == step_kinds.MAX_RUNS - 1


@settings(max_examples=15)
@given(st.lists(texts(), max_size=5))
def test_any_steps_have_kinds(steps: list[str]) -> None:
    """Every step has one of the kinds, in Traditional and full-width characters too."""
    assert set(name_kinds(steps)) <= set(KINDS)
    assert len(name_kinds(steps)) == len(steps)


def test_kinds_do_not_depend_on_the_script() -> None:
    """Traditional characters and full-width digits get the kinds of Simplified and half-width ones."""
    simplified = ["设原来有 x 个。", "根据乘法公式，", "验算：12÷3=4", "综上，一共有 12 个。"]
    traditional = ["設原來有 ｘ 個。", "根據乘法公式，", "驗算：１２÷３＝４", "綜上，一共有 １２ 個。"]
    assert name_kinds(simplified) == name_kinds(traditional)


@pytest.mark.parametrize(
    ("question", "steps", "task"),
    [
        ("下列说法正确的是（ ）\nA. 1\nB. 2\nC. 3\nD. 4", ["故选B。"], "choice"),
        ("Pick one. (A) 2 (B) 3 (C) 4", ["So (B)."], "choice"),
        ("求证：AB=CD。", ["因为三角形全等，"], "proof"),
        ("Show that n is even.", ["Let n = 2k."], "proof"),
        ("反转链表。", ["用三个指针遍历。", "```python\npass\n```"], "code"),
        ("为什么网络要分层？", ["因为每一层只做一类事情。"], "why"),
        ("一共多少元？", ["3×4=12（元）"], "compute"),
        ("如何煮饭？", ["因为水要没过米，先加水。"], "explain"),
    ],
)
def test_tasks(question: str, steps: list[str], task: str) -> None:
    """What a question asks for decides the task; code and computations are looked for in the solution."""
    assert name_task(question, steps, "", name_kinds(steps)) == task
    assert task in TASKS


def test_only_documents_made_of_solutions_have_a_shape() -> None:
    """`meta` of solutions gives template, main kind and task; all other documents have `none`."""
    solution = {
        "question": "3×4等于多少？",
        "steps": ["3×4=12", "所以答案是12。"],
        "answer": "12",
        "kinds": ["marker"],
    }
    metas = [json.dumps(solution), '{"title": "x"}', "[]", "not JSON", None]
    table = STAGE.load(NoConfig())(pa.table({"meta": pa.array(metas, pa.large_string())}))
    assert table.schema.equals(STAGE.writes)
    first, *others = table.to_pylist()
    assert first == {"template": "compute>conclude", "main_kind": "compute", "task": "compute", "n_steps": 2}
    assert all(row == measure(None) for row in others)


def test_wrong_cues_are_named(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]  # pytest's fixtures
    """A cue file with an unknown kind or a pattern that does not compile is an error with its path."""
    path = tmp_path / "x.steps.yaml"
    monkeypatch.setattr(step_kinds, "cue_paths", lambda: (str(path),))
    for text, found in (
        ("cues: {guess: []}", "guess"),
        ("cues: {case: [{weight: 1, pattern: '('}]}", "pattern"),
    ):
        load_cues.cache_clear()
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=found):
            load_cues()
    load_cues.cache_clear()
