"""What each step of a worked solution does, and the sequence of these kinds: the template of the solution.

Reads the texts of the steps; returns one kind for each. Cues are data (`languages/*.steps.yaml`), and all apply to
every step, because pages mix languages. Which templates a corpus should hold is up to the mix of a run file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from stages import languages
from stages.kernels.text.tables import load_tables

KINDS = (
    "conclude", "check", "case", "goal", "given", "recall", "decompose", "compute", "reflect", "derive",
)  # fmt: skip
"""goal: names what is sought. given: restates what is known or names it. decompose: plans, or splits the task. recall:
cites a fact, rule or definition. derive: infers in words. compute: evaluates numbers or formulas, or is code.
case: one of several cases or options. check: verifies a result. reflect: comments on method or cost. conclude: states
the result. In the order in which equal scores are decided."""

DEFAULT = "derive"
"""Kind of a step without cues."""

FIRST = {"goal": 0.5, "given": 0.5, "decompose": 0.5}
LAST = {"conclude": 1.0}
BASE = {DEFAULT: 1.1}
"""Scores for the position in the solution and for no evidence at all, in the units of the cues' weights."""

MAX_CHARS = 600  # of a step that are examined; later sentences rarely change what a step does
MAX_RUNS = 12  # of a template; longer ones are cut, so that templates can be counted

Cue = tuple[float, re.Pattern[str]]


def cue_paths() -> tuple[str, ...]:
    """Return the files with cues of kinds, sorted."""
    return tuple(sorted(str(path) for path in Path(languages.__file__).parent.glob("*.steps.yaml")))


@cache
def load_cues() -> dict[str, tuple[Cue, ...]]:
    """Read the cues of all languages: kind -> weights with compiled patterns.

    Raises: ConfigError if a kind is unknown or a pattern does not compile.
    """
    cues: dict[str, list[Cue]] = {kind: [] for kind in KINDS}
    for path in cue_paths():
        for kind, entries in read_yaml(path)["cues"].items():
            if kind not in cues:
                raise ConfigError(f"{path}: kind {kind!r}; expected one of {', '.join(KINDS)}")
            cues[kind] += [(float(entry["weight"]), _compile(path, entry["pattern"])) for entry in entries]
    return {kind: tuple(entries) for kind, entries in cues.items()}


def load_patterns(section: str) -> dict[str, list[str]]:
    """Return the patterns of a section of the files without weights, of all languages together, by name."""
    texts: dict[str, list[str]] = {}
    for path in cue_paths():
        for name, patterns in read_yaml(path)[section].items():
            texts.setdefault(name, []).extend(_compile(path, text).pattern for text in patterns)
    return texts


def name_kinds(steps: Sequence[str]) -> list[str]:
    """Return the kind of each step of one solution, in order."""
    return [_name_kind(step, i == 0, i == len(steps) - 1) for i, step in enumerate(steps)]


def template_key(kinds: Sequence[str]) -> str:
    """Return the template of a solution: its kinds without repetitions, joined by `>`.

    Solutions that differ only in how many steps of one kind follow each other have the same template.
    """
    return ">".join([kind for kind, _ in groupby(kinds)][:MAX_RUNS])


def score_kinds(step: str, is_first: bool, is_last: bool) -> dict[str, float]:
    """Return the score of each kind for a step: the sum of the weights of its cues."""
    text = _NUMBER.sub("", match_text(step[:MAX_CHARS]))
    scores = dict.fromkeys(KINDS, 0.0)
    for extra in (BASE, FIRST if is_first else {}, LAST if is_last else {}):
        for kind, weight in extra.items():
            scores[kind] += weight
    for kind, cues in load_cues().items():
        scores[kind] += sum(weight for weight, pattern in cues if pattern.search(text))
    return scores


def _name_kind(step: str, is_first: bool, is_last: bool) -> str:
    scores = score_kinds(step, is_first, is_last)
    return max(KINDS, key=scores.__getitem__)


def match_text(text: str) -> str:
    """Return a text in match characters, of the same length; operators in half width, other punctuation as written."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    folded = load_tables().fold[codes].astype(np.uint32)
    kept = np.where(folded == 0, codes, folded)  # 0: not part of a word
    return kept.astype("<u4").tobytes().decode("utf-32-le").translate(_OPERATORS)


_OPERATORS = str.maketrans("＝＋－＜＞／＊", "=+-<>/*")
_NUMBER = re.compile(
    r"^[\s#>*_-]*(?:(?:step|步骤|第)\s?[\d一二三四五六七八九十]{1,3}\s?步?[.:：、)）]?|[(（]?\d{1,2}[.、)）]|[①-⑳])?[\s*_]*"
)


def _compile(path: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"{path}: pattern {text!r}: {error}; expected a regular expression") from error
