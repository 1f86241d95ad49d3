"""Tasks with known answers: right, without a second right answer, in both languages, the same for the same seed."""

from __future__ import annotations

import re

import pytest

from classifiers.proxy.skills import SKILLS, make_tasks

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("skill", SKILLS)
def test_tasks(skill: str) -> None:
    """One right answer and three wrong ones, about half of the tasks Chinese."""
    tasks = make_tasks(skill, 200, 5)
    assert tasks == make_tasks(skill, 200, 5) != make_tasks(skill, 200, 6)
    assert all(len(set(task.choices)) == 4 for task in tasks)
    assert 70 < sum(bool(CHINESE.search(task.text)) for task in tasks) < 130


def test_answers_are_right() -> None:
    """Computed again from the text of the task."""
    for task in make_tasks("addition", 200, 1):
        a, b, *_ = map(int, re.findall(r"\d+", task.prompt))
        assert int(task.choices[0].rstrip("。.")) == a + b
    for task in make_tasks("order", 200, 1):
        assert int(task.choices[0].rstrip("。.")) == max(map(int, re.findall(r"\d+", task.prompt)))
    for task in make_tasks("recall", 200, 1):
        facts, _, question = task.prompt.rpartition("。" if CHINESE.search(task.prompt) else ". ")
        answer = task.choices[0].rstrip("色。.")
        (thing,) = re.findall("所以(.+)的颜色|colour of the (.+) is", question)
        assert re.search(f"{thing[0]}是{answer}色|the {thing[1]} is {answer}", facts)
