"""How often grounding rejects true chains, and how often it catches planted errors.

Each claim is a worked solution that people wrote, changed as a careful summary would change it: clauses are dropped and
numbers, formulas and units take another form. It must be grounded in its question and solution. The planted half has one
error: a number, a name, a unit, a sign, or a step of another solution.

    python -m scripts.bench.bench_grounding ../shared/data --rejected 40
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq

from stages.checks import entities, units
from stages.checks.fold import fold
from stages.checks.grounding import claimed_numbers, ungrounded
from stages.checks.numbers import DIGITS, find_numbers
from stages.checks.support import support

MIN_SUPPORT = 0.5
ERRORS = ("number", "number_of_source", "entity", "unit", "sign", "step")
"""number_of_source: a number that the source has elsewhere, which no comparison of values can notice: reported apart."""
_WHOLE = re.compile(rf"(?<![0-9A-Za-z_.,^{{}}/\\-])(?:{DIGITS})(?![0-9A-Za-z.,%_^{{}}/万千百亿年月日号-])")
_BOILERPLATE = re.compile("复杂度|complexity|相似题目|^(?:Finally|最后)")
"""Steps that many solutions have in the same words: they are true of most of them."""
_HAN = "零一二三四五六七八九"
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


@dataclass(frozen=True)
class Solution:
    """A question and its solution."""

    language: str
    source: str
    question: str
    steps: tuple[str, ...]

    @property
    def text(self) -> str:
        """What a chain has to be grounded in."""
        return "\n".join((self.question, *self.steps))


def read_solutions(folder: Path) -> Iterator[Solution]:
    """Yield the solutions of cot_math and cot_real, steps as sentences or lines."""
    for row in pq.read_table(folder / "cot_math.parquet").to_pylist():
        steps = tuple(re.sub(r"<<[^>]*>>", "", step) for step in row["steps"] if step.strip())
        yield Solution(row["lang"], row["source"], row["question"], steps)
    for row in pq.read_table(folder / "cot_real.parquet").to_pylist():
        for item in row["items"]:
            question = row["text"][item["question_start"] : item["question_end"]]
            solution = row["text"][item["solution_start"] : item["solution_end"]]
            steps = tuple(
                part for part in re.split(r"(?<=[。！？\n])|(?<=[.!?])\s", solution) if part.strip()
            )
            yield Solution(row["lang"], f"cot_real/{row['source']}", question, steps)


def to_han(value: int) -> str:
    """Write a number below 10,000 in Chinese numerals."""
    written, gap = "", False
    for scale, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // scale % 10
        if digit:
            written += ("零" if gap and written else "") + _HAN[digit] + name
        gap = not digit
    return written or _HAN[0]


def reformat(text: str, language: str, rng: random.Random) -> str:
    """Write a third of the numbers and signs of a text in another form."""

    def number(match: re.Match[str]) -> str:
        if rng.random() > 0.33 or len(match.group()) > 12:
            return match.group()
        plain = match.group().replace(",", "")
        forms: list[Callable[[str], str]] = [lambda t: t.translate({48 + d: 0xFF10 + d for d in range(10)})]
        if plain.isdigit():
            value = int(plain)
            forms.append(lambda t: f"{int(t):,}")
            beside = text[max(0, match.start() - 2) : match.start()] + text[match.end() : match.end() + 2]
            if not re.search(r"[-+*/×÷=<>$^\\(){}]", beside):
                if language == "zh" and value < 10_000:
                    forms.append(lambda t: to_han(int(t)))
                if language == "en" and value <= 12:
                    forms.append(lambda t: _WORDS[int(t)])
        return rng.choice(forms)(plain)

    text = _WHOLE.sub(number, text)
    for one, other in (
        (r"\times", "×"),
        ("*", "×"),
        ("＝", "="),
        (r"\dfrac", r"\frac"),
        ("，", ","),
        (" = ", "="),
    ):
        if rng.random() < 0.3:
            text = text.replace(one, other)
    return text


def drop_clauses(steps: tuple[str, ...], rng: random.Random) -> list[str]:
    """Drop a quarter of the clauses that have no formula, and of the steps."""
    kept = []
    for step in steps:
        if len(steps) > 2 and rng.random() < 0.25:
            continue
        parts = re.split(r"(?<=[，；;])(?![0-9])|(?<=[,;])\s", step)
        parts = [part for part in parts if "=" in part or "$" in part or rng.random() > 0.25] or parts
        kept.append(("" if re.search(r"[\u3400-\u9fff]", step) else " ").join(parts))
    return kept or list(steps)


def plant(
    claim: list[str], kind: str, solution: Solution, others: list[Solution], rng: random.Random
) -> list[str] | None:
    """Return a claim with one error of a kind; None if it has nothing to change."""
    order = list(range(len(claim)))
    rng.shuffle(order)
    for i in order:
        changed = PLANTERS[kind](claim[i], solution, others, rng)
        if changed is not None and changed != claim[i]:
            return [*claim[:i], changed, *claim[i + 1 :]]
    return None


def _number(step: str, solution: Solution, others: list[Solution], rng: random.Random) -> str | None:
    del others
    numbers = [n for n in claimed_numbers(step) if n.form in ("digits", "han") and n.value.denominator == 1]
    present = {value for number in find_numbers(solution.text) for value in (*number.values, *number.parts)}
    rng.shuffle(numbers)
    for number in numbers:
        value = int(number.value)
        wrong = next(
            (
                w
                for w in (value + 1, value * 10, value + 10, value + 7, value + 123)
                if Fraction(w) not in present
            ),
            None,
        )
        if wrong is not None:
            written = to_han(wrong) if number.form == "han" and 0 < wrong < 10_000 else str(wrong)
            return step[: number.start] + written + step[number.end :]
    return None


def _number_of_source(
    step: str, solution: Solution, others: list[Solution], rng: random.Random
) -> str | None:
    del others
    numbers = [n for n in claimed_numbers(step) if n.form == "digits" and n.value.denominator == 1]
    known = sorted(
        {n.value for n in find_numbers(solution.text) if n.form == "digits" and n.value.denominator == 1}
    )
    rng.shuffle(numbers)
    for number in numbers:
        if wrong := [value for value in known if value != number.value]:
            return step[: number.start] + str(rng.choice(wrong)) + step[number.end :]
    return None


def _entity(step: str, solution: Solution, others: list[Solution], rng: random.Random) -> str | None:
    found = [e for e in entities.find_entities(step) if e.kind in ("name", "title")]
    rng.shuffle(found)
    folded = fold(solution.text).lower()
    for entity in found:
        for other in rng.sample(others, 40):
            for name in entities.find_entities(other.text):
                if name.kind == entity.kind and name.name not in folded and not entities.occurs(name, folded):
                    return step[: entity.start] + other.text[name.start : name.end] + step[entity.end :]
    return None


def _unit(step: str, solution: Solution, others: list[Solution], rng: random.Random) -> str | None:
    del others
    quantities = [
        q
        for q in units.find_quantities(step)
        if q.number.form == "digits" and step[q.number.end : q.end].strip() and q.end > q.number.end
    ]
    rng.shuffle(quantities)
    for quantity in quantities:
        loaded = units.load_units()
        chinese = bool(re.search(r"[\u3400-\u9fff]", step[quantity.number.end : quantity.end]))
        names = [n for n, u in loaded.items() if u.symbol != quantity.unit.symbol and ("\u3400" <= n[0] <= "\u9fff") == chinese
                 and len(n) > (2 if not chinese else 0) and n not in solution.text and u.symbol not in solution.text]  # fmt: skip
        if names:
            gap = " " if not chinese else ""
            return step[: quantity.number.end] + gap + rng.choice(names) + step[quantity.end :]
    return None


def _sign(step: str, solution: Solution, others: list[Solution], rng: random.Random) -> str | None:
    del solution, others
    places = [
        m
        for m in re.finditer(
            r"(?<=[0-9A-Za-z)}\]]) ?(\+|-|\*|/|×|÷|\\times|\\div|<|>) ?(?=[0-9A-Za-z(\\{\[])", step
        )
    ]
    places = [m for m in places if re.search("[0-9=<>]", step[max(0, m.start() - 12) : m.end() + 12])]
    formulas = [m for m in places if not re.search(r"[A-Za-z]-[A-Za-z]", step[m.start() - 1 : m.end() + 1])]
    formulas = [m for m in formulas if m[1] not in "<>" or m.group().strip() != m.group() or "$" in step]
    formulas = [
        m
        for m in formulas
        if m[1] != "-" or re.search(r"[=$`<>]", step[max(0, m.start() - 25) : m.end() + 25])
    ]
    if not formulas:
        return None
    match = rng.choice(formulas)
    swap = {
        "+": "-",
        "-": "+",
        "*": "+",
        "/": "*",
        "×": "+",
        "÷": "×",
        "\\times": "+",
        "\\div": "\\times ",
        "<": ">",
        ">": "<",
    }
    return step[: match.start(1)] + swap[match[1]] + step[match.end(1) :]


def _step(step: str, solution: Solution, others: list[Solution], rng: random.Random) -> str | None:
    del step
    for other in rng.sample(others, 20):
        wrong = rng.choice(other.steps)
        if (
            other.question != solution.question
            and 16 <= len(wrong) <= 400
            and wrong.strip() not in solution.text
            and not _BOILERPLATE.search(wrong)
        ):
            return wrong
    return None


PLANTERS: dict[str, Callable[[str, Solution, list[Solution], random.Random], str | None]] = {
    "number": _number, "number_of_source": _number_of_source, "entity": _entity, "unit": _unit, "sign": _sign, "step": _step,
}  # fmt: skip


def judge(claim: list[str], source: str, language: str) -> tuple[str, str] | None:
    """Return why a chain is rejected and what is at fault; None if it is accepted."""
    faults = ungrounded("\n".join(claim), source, language, derived=True)
    if faults:
        return faults[0].kind, faults[0].value
    for step in claim:
        if len(step) >= 12 and support(step, source) < MIN_SUPPORT:
            return "support", step
    return None


def main() -> None:
    """Measure both rates by language and source, and list rejected true chains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-source", type=int, default=300)
    parser.add_argument(
        "--rejected", type=int, default=0, help="how many rejected true chains to list by language"
    )
    parser.add_argument(
        "--missed", type=int, default=0, help="how many missed errors to list by kind and language"
    )
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    by_source: dict[tuple[str, str], list[Solution]] = {}
    for solution in read_solutions(arguments.folder):
        by_source.setdefault((solution.language, solution.source.partition("/")[0]), []).append(solution)
    true: Counter[tuple[str, str, str]] = Counter()
    planted: Counter[tuple[str, str, bool]] = Counter()
    listed: list[str] = []
    for (language, source), solutions in sorted(by_source.items()):
        for solution in rng.sample(solutions, min(arguments.per_source, len(solutions))):
            claim = [reformat(step, language, rng) for step in drop_clauses(solution.steps, rng)]
            # what the author computed wrongly is no fault of grounding
            is_sound = not any(
                f.kind == "arithmetic" for f in ungrounded(solution.text, solution.text, language)
            )
            verdict = judge(claim, solution.text, language)
            true[language, source, verdict[0] if verdict else "accepted"] += is_sound
            if verdict and is_sound:
                listed.append(
                    f"{language} {source} {verdict[0]}: {verdict[1]!r} in {' '.join(claim)[:160]!r}"
                )
            if verdict:
                continue
            for kind in ERRORS:
                wrong = plant(
                    claim, kind, solution, solutions if len(solutions) > 40 else solutions * 40, rng
                )
                if wrong is not None:
                    caught = judge(wrong, solution.text, language) is not None
                    planted[language, kind, caught] += 1
                    if (
                        not caught
                        and sum(line.startswith(f"missed {language} {kind}") for line in listed)
                        < arguments.missed
                    ):
                        changed = [step for step in wrong if step not in claim]
                        listed.append(f"missed {language} {kind} {source}: {(changed or wrong)[0][:200]!r}")
    _show(true, planted)
    rng.shuffle(listed)
    for language in ("zh", "en"):
        for line in [line for line in listed if line.startswith(language)][: arguments.rejected]:
            print(line)
    for line in sorted(line for line in listed if line.startswith("missed")):
        print(line)


def _show(true: Counter[tuple[str, str, str]], planted: Counter[tuple[str, str, bool]]) -> None:
    for language in ("zh", "en"):
        rows = {source for lang, source, _ in true if lang == language}
        for source in sorted(rows):
            counts = Counter(
                {reason: n for (lang, name, reason), n in true.items() if (lang, name) == (language, source)}
            )
            total = sum(counts.values())
            wrong = {reason: n for reason, n in counts.items() if reason != "accepted" and n}
            print(f"true {language} {source}: {total - counts['accepted']} of {total} rejected {wrong}")
        counts = Counter({reason: 0 for reason in ("accepted",)})
        for (lang, _, reason), n in true.items():
            counts[reason] += n * (lang == language)
        total = sum(counts.values())
        print(f"true {language}: {(total - counts['accepted']) / max(total, 1):.3f} of {total} rejected")
        for kind in ERRORS:
            caught, missed = planted[language, kind, True], planted[language, kind, False]
            print(
                f"planted {language} {kind}: {caught / max(caught + missed, 1):.3f} of {caught + missed} caught"
            )
        main_kinds = [kind for kind in ERRORS if kind != "number_of_source"]
        caught = sum(planted[language, kind, True] for kind in main_kinds)
        missed = sum(planted[language, kind, False] for kind in main_kinds)
        print(f"planted {language}: {caught / max(caught + missed, 1):.3f} of {caught + missed} caught")


if __name__ == "__main__":
    main()
