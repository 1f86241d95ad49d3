"""Tasks with known answers, made from a seed: whether a model has learnt something that a corpus teaches.

Each task is a text that stops before its answer, the right answer and wrong ones. A task solved is a document as well,
so that a known share of a skill can be planted in a corpus: a control that shows whether a comparison sees a difference
which is certainly there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """prompt: the text before the answer; choices: the right answer first."""

    prompt: str
    choices: tuple[str, ...]

    @property
    def text(self) -> str:
        """The task with its right answer."""
        return self.prompt + self.choices[0]


def _addition(draw: random.Random) -> tuple[str, str, list[str]]:
    a, b = draw.randint(2, 60), draw.randint(2, 39)
    wrong = draw.sample([a + b + d for d in (-10, -2, -1, 1, 2, 10) if a + b + d > 0], 3)
    if draw.random() < 0.5:
        return f"问：{a}加{b}等于多少？\n答：{a}加{b}等于", f"{a + b}。", [f"{n}。" for n in wrong]
    return f"Question: what is {a} plus {b}?\nAnswer: {a} plus {b} is ", f"{a + b}.", [f"{n}." for n in wrong]


COLOURS = (("red", "红"), ("blue", "蓝"), ("green", "绿"), ("black", "黑"), ("white", "白"), ("yellow", "黄"))
THINGS = (("cup", "杯子"), ("chair", "椅子"), ("book", "书"), ("lamp", "灯"), ("door", "门"), ("bag", "包"))


def _recall(draw: random.Random) -> tuple[str, str, list[str]]:
    language = draw.randrange(2)
    pairs = list(zip(draw.sample(THINGS, 4), draw.sample(COLOURS, 4), strict=True))
    (thing, colour), wrong = pairs[0], [c for _, c in pairs[1:]]
    shown = draw.sample(pairs, 4)
    if language:
        facts = "，".join(f"{t[1]}是{c[1]}色的" for t, c in shown)
        return f"{facts}。所以{thing[1]}的颜色是", f"{colour[1]}色。", [f"{c[1]}色。" for c in wrong]
    facts = ", ".join(f"the {t[0]} is {c[0]}" for t, c in shown)
    return (
        f"Note that {facts}. So the colour of the {thing[0]} is ",
        f"{colour[0]}.",
        [f"{c[0]}." for c in wrong],
    )


def _order(draw: random.Random) -> tuple[str, str, list[str]]:
    numbers = draw.sample(range(10, 100), 4)
    if draw.random() < 0.5:
        prompt = f"在{'、'.join(map(str, numbers))}这几个数中，最大的是"
        ending = "。"
    else:
        prompt, ending = f"Among {', '.join(map(str, numbers))} the largest number is ", "."
    ranked = sorted(numbers, reverse=True)
    return prompt, f"{ranked[0]}{ending}", [f"{n}{ending}" for n in ranked[1:]]


SKILLS: dict[str, Callable[[random.Random], tuple[str, str, list[str]]]] = {
    "addition": _addition, "recall": _recall, "order": _order,
}  # fmt: skip
"""addition: of two numbers in words; recall: of one of four facts just stated; order: the largest of four numbers. Half
of the tasks of each are Chinese, half English."""


def make_tasks(skill: str, n_tasks: int, seed: int) -> list[Task]:
    """Make tasks of a skill, each drawn apart; the same for the same seed. Chance level of a choice is 1/4."""
    draw = random.Random(f"{skill} {seed}")
    tasks = []
    for _ in range(n_tasks):
        prompt, right, wrong = SKILLS[skill](draw)
        tasks.append(Task(prompt, (right, *wrong)))
    return tasks
