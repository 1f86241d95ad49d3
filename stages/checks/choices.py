"""Multiple choice: whether an answer is one of the options, and whether a solution chooses the one that it computes."""

from __future__ import annotations

import re
from typing import NamedTuple

from stages.checks.fold import fold
from stages.checks.numbers import find_numbers

_OPTION = re.compile(
    r"(?:(?<=^)|(?<=[\s(（;；,，。?？:：_)）]))[(\[]?(?P<letter>[A-H])(?:\s?[.、:)\]】]|\s(?=\S)|．)\s*(?P<value>[^\n]*?)"
    r"(?=\s*(?:[;；,，]\s*)?(?:$|\n|[\s(\[][(\[]?[A-H]\s?[.、:)\]】])|[(\[][A-H][)\]])",
    re.MULTILINE,
)
_CHOSEN = re.compile(
    r"(?:故选择?|应选择?|所以选择?|因此选择?|答案(?:是|为|选)?|正确(?:答案|选项)(?:是|为)?|选|【答案】|"
    r"\b[Aa]nswer(?:\s+is)?|\b(?:correct|right)\s+(?:answer|option|choice)(?:\s+is)?|\b[Oo]ption|\b[Cc]hoose)"
    r"\s*[:：]?\s*[(\[“\"]?(?P<letters>[A-H](?:\s*[、,，和]?\s*[A-H](?![A-Za-z]))*)(?![A-Za-z0-9'])"
)
_BARE = re.compile(r"\s*[(\[]?([A-H](?:\s*[、,，]?\s*[A-H])*)[)\].。]?\s*")


class Choice(NamedTuple):
    """An option: its letter and its text."""

    letter: str
    value: str


def find_options(question: str) -> list[Choice]:
    """Return the options of a question, in their order: letters from A on without a gap; empty if there are none.

    >>> find_options("1+1=? A. 1 B. 2 C. 3")
    [Choice(letter='A', value='1'), Choice(letter='B', value='2'), Choice(letter='C', value='3')]
    """
    options: list[Choice] = []
    for match in _OPTION.finditer(fold(question)):
        if match["letter"] == chr(ord("A") + len(options)):
            options.append(Choice(match["letter"], match["value"].strip(" ;；,，")))
        elif match["letter"] == "A":
            options = [Choice("A", match["value"].strip(" ;；,，"))]
    return options if len(options) > 1 else []


def chosen_letters(answer: str) -> set[str]:
    """Return the letters that an answer or a solution chooses last; empty if it chooses none.

    >>> chosen_letters("故选 B。"), sorted(chosen_letters("AC"))
    ({'B'}, ['A', 'C'])
    """
    folded = fold(answer)
    if bare := _BARE.fullmatch(folded):
        return set(re.findall("[A-H]", bare[1]))
    marks = list(_CHOSEN.finditer(folded))
    return set(re.findall("[A-H]", marks[-1]["letters"])) if marks else set()


def choice_faults(question: str, answer: str, solution: str = "") -> list[str]:
    """Return what is wrong about the choice of an option; empty if nothing is, or if the question has no options.

    `no_such_option`: the letter is not among the options. `other_choice`: the solution chooses another letter than the
    answer. `other_value`: the solution ends with a number that is the value of another option, and not of the chosen one.
    """
    options = find_options(question)
    if not options:
        return []
    letters = chosen_letters(answer)
    faults = []
    known = {option.letter for option in options}
    if letters - known:
        faults.append("no_such_option")
    in_solution = chosen_letters(solution) if solution else set()
    if letters and in_solution and letters != in_solution:
        faults.append("other_choice")
    chosen = letters or in_solution
    if (
        not faults
        and len(chosen) == 1
        and solution
        and _has_other_value(options, next(iter(chosen)), solution)
    ):
        faults.append("other_value")
    return faults


def _has_other_value(options: list[Choice], letter: str, solution: str) -> bool:
    """Whether the last number of a solution is the value of exactly one option, another one than the chosen one."""
    values = {}
    for option in options:
        numbers = find_numbers(option.value)
        if len(numbers) != 1:
            return False
        values[option.letter] = set(numbers[0].values)
    results = re.findall(r"(?:=|＝|得|为|是|≈)\s*\$?\s*([^=＝\n。，,；;]{1,30})", _CHOSEN.sub("", solution))
    numbers = find_numbers(results[-1]) if results else []
    if len(numbers) != 1:
        return False
    matching = [other for other, known in values.items() if known & set(numbers[0].values)]
    return len(matching) == 1 and matching[0] != letter
