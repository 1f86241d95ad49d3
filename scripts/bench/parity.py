"""Compare our English Gopher and FineWeb verdicts with datatrove's filters and explain each disagreement; Markdown.

Both use the published thresholds, but count words, lines and repeats differently. For each rule, a ladder of measures
leads from datatrove's definition to ours and changes one aspect at a time; the class of a disagreement is the last step
at which the verdict changed. The first step is checked against datatrove's own filter and the last step is our signal,
so every disagreement is explained. Needs the extra `datatrove`.

Example: python -m scripts.bench.parity docs-*.parquet --documents 2000
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import language
from pipeline.rules.parse import parse_rules
from pipeline.rules.rules import Rule
from stages import signals
from stages.kernels.text.tables import DIGIT, load_tables
from stages.kernels.text.text import view
from stages.kernels.text.units import unit_end
from stages.languages import load_profile, presets

LABEL = "eng_Latn"
STOP_WORDS = frozenset(load_profile(LABEL).stop_words)
FINEWEB_OWN = ("few_terminal_lines", "short_lines", "repeated_lines", "list_like")
"""Rules of the preset `fineweb` that are not from Gopher or C4."""


def our_words(text: str) -> list[str]:
    """Words of the match text, as our signals count them."""
    codes, starts, classes = view(pa.array([text], pa.large_string()))
    fold, words, i = load_tables().fold, [], 0
    while i < starts[1]:
        if classes[i] < DIGIT:
            i += 1
            continue
        stop = unit_end(codes, classes, i, starts[1])
        words.append("".join(chr(fold[code]) for code in codes[i:stop] if fold[code]))
        i = stop
    return words


@dataclass(frozen=True)
class Text:
    """A text with its words and lines, by datatrove's definition (`theirs`) and by ours."""

    text: str

    @cached_property
    def theirs(self) -> list[str]:
        """Words of datatrove's tokenizer, including punctuation."""
        from datatrove.utils.text import split_into_words

        return list(split_into_words(self.text, "eng"))

    @cached_property
    def plain(self) -> list[str]:
        """Words of `theirs` that are not punctuation only."""
        from datatrove.utils.text import PUNCTUATION_SET

        return [word for word in self.theirs if any(char not in PUNCTUATION_SET for char in word)]

    @cached_property
    def ours(self) -> list[str]:
        """Our words."""
        return our_words(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """Our lines: stripped and not empty."""
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    @cached_property
    def their_paragraphs(self) -> list[str]:
        """datatrove's paragraphs, not stripped."""
        return re.split(r"\n{2,}", self.text.strip())


Step = tuple[str, Callable[[Text], float] | None]
"""The aspect that the step changes, and the measure after it; None stands for our signal."""


def later(items: Sequence[str]) -> tuple[int, int]:
    """Number of items that occurred before, and their characters."""
    seen: set[str] = set()
    n = chars = 0
    for item in items:
        if item in seen:
            n, chars = n + 1, chars + len(item)
        seen.add(item)
    return n, chars


def top(words: list[str], n: int, whole: int, joint: str, least: int) -> float:
    """Share of `whole` in the most frequent n-gram, 0 if it occurs fewer than `least` times."""
    counts = Counter(joint.join(words[i : i + n]) for i in range(len(words) - n + 1))
    (gram, count), *_ = counts.most_common(1) or [("", 0)]
    return len(gram) * count / max(whole, 1) if count >= least else 0.0


def greedy(words: list[str], n: int, whole: int) -> float:
    """Share of `whole` in n-grams that occurred before, without overlaps."""
    seen: set[str] = set()
    chars = i = 0
    while i < len(words) - n + 1:
        gram = "".join(words[i : i + n])
        repeated = gram in seen
        seen.add(gram)
        chars += len(gram) * repeated
        i += n if repeated else 1
    return chars / max(whole, 1)


def size(words: list[str]) -> int:
    """Total number of characters of the words."""
    return sum(map(len, words))


def bullets(lines: Sequence[str]) -> float:
    """Share of lines that start with one of datatrove's two list markers."""
    return sum(line.lstrip().startswith(("•", "-")) for line in lines) / max(len(lines), 1)


def cut_lines(lines: Sequence[str]) -> float:
    """Share of lines that end in an ellipsis."""
    return sum(line.rstrip().endswith(("...", "…")) for line in lines) / max(len(lines), 1)


def filled(text: Text) -> list[str]:
    """Lines as in FineWeb's filter: not stripped, without blank lines."""
    return [line for line in text.text.split("\n") if line.strip()]


def closed(text: Text) -> float:
    """Share of lines whose last character is in datatrove's list of terminal punctuation."""
    from datatrove.utils.text import TERMINAL_PUNCTUATION

    lines = filled(text)
    return sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in lines) / max(len(lines), 1)


WORDS = "what is a word"
BLANKS = "blanks and empty lines"
MARKS = "which marks count"
WHOLE = "share of what"
ONCE = "once is no repeat"
OVERLAP = "overlapping repeats"
ROUNDED = "rounding to 0.001"


def ladders() -> dict[str, list[Step]]:
    """Rule -> steps; the first is datatrove's measure, and None stands for our signal."""

    def n(text: Text) -> int:
        return max(len(text.theirs), 1)

    def unspaced(text: Text) -> list[str]:
        return re.split("\n+", text.text)

    ladder_of: dict[str, list[Step]] = {
        "too_short": [("", lambda t: len(t.plain)), (WORDS, lambda t: len(t.ours))],
        "too_long": [("", lambda t: len(t.plain)), (WORDS, lambda t: len(t.ours))],
        "odd_word_length": [("", lambda t: size(t.plain) / max(len(t.plain), 1)), (WORDS, None)],
        "hash_marks": [("", lambda t: t.text.count("#") / n(t)), (WORDS, None)],
        "ellipses": [
            ("", lambda t: (t.text.count("...") + t.text.count("…")) / n(t)),
            (WORDS, lambda t: (t.text.count("...") + t.text.count("…")) / max(len(t.ours), 1)),
            (MARKS, None),
        ],
        "bullet_lines": [
            ("", lambda t: bullets(t.text.splitlines())), (BLANKS, lambda t: bullets(t.lines)), (MARKS, None),
        ],
        "ellipsis_lines": [
            ("", lambda t: cut_lines(t.text.splitlines())), (BLANKS, lambda t: cut_lines(t.lines)), (MARKS, None),
        ],
        "few_alphabetic_words": [("", lambda t: sum(any(map(str.isalpha, w)) for w in t.theirs) / n(t)), (WORDS, None)],
        "few_stop_words": [("", lambda t: len(STOP_WORDS & {*t.theirs})), (WORDS, None)],
        "duplicate_paragraphs": [
            ("", lambda t: later(t.their_paragraphs)[0] / max(len(t.their_paragraphs), 1)), (BLANKS, None),
        ],
        "duplicate_paragraph_chars": [
            ("", lambda t: later(t.their_paragraphs)[1] / max(len(t.text), 1)), (BLANKS, None),
        ],
        "duplicate_lines": [
            ("", lambda t: later(unspaced(t))[0] / max(len(unspaced(t)), 1)), (BLANKS, None),
        ],
        "duplicate_line_chars": [
            ("", lambda t: later(unspaced(t))[1] / max(len(t.text), 1)), (BLANKS, None),
        ],
        "few_terminal_lines": [("", closed), (MARKS, None)],
        "short_lines": [
            ("", lambda t: sum(len(line) <= 30 for line in filled(t)) / max(len(filled(t)), 1)), (BLANKS, None),
        ],
        "repeated_lines": [("", lambda t: later(filled(t))[1] / max(len(t.text.replace("\n", "")), 1)), (BLANKS, None)],
        "list_like": [("", lambda t: t.text.count("\n") / n(t)), (WORDS, None)],
    }  # fmt: skip
    ladder_of |= {f"top_{k}_gram": _top_ladder(k) for k in (2, 3, 4)}
    ladder_of |= {f"duplicate_{k}_grams": _duplicates_ladder(k) for k in range(5, 11)}
    return ladder_of


def _top_ladder(k: int) -> list[Step]:
    return [
        ("", lambda t: top(t.theirs, k, len(t.text), " ", 1)),
        (ONCE, lambda t: top(t.theirs, k, len(t.text), " ", 2)),
        (WORDS, lambda t: top(t.ours, k, len(t.text), " ", 2)),
        (WHOLE, lambda t: top(t.ours, k, size(t.ours), "", 2)),
        (OVERLAP, None),
    ]


def _duplicates_ladder(k: int) -> list[Step]:
    return [
        ("", lambda t: greedy(t.theirs, k, len(t.text))),
        (WORDS, lambda t: greedy(t.ours, k, len(t.text))),
        (WHOLE, lambda t: greedy(t.ours, k, size(t.ours))),
        (OVERLAP, None),
    ]


def fails(rule: Rule, value: float) -> bool:
    """Whether a value is outside the bounds of the rule."""
    (condition,) = rule.conditions
    low, high = condition.min, condition.max
    return (low is not None and value < low) or (high is not None and value > high)


def classify(rule: Rule, steps: list[Step], text: Text, ours: float) -> tuple[bool, bool, str]:
    """datatrove's verdict, ours, and the class of the disagreement, empty if they agree."""
    verdicts = [fails(rule, measure(text)) for _, measure in steps if measure is not None]
    names = [name for name, _ in steps[1:]]
    verdicts.append(fails(rule, round(ours, 3)))
    if len(names) < len(verdicts) - 1:
        names.append(ROUNDED)
    if verdicts[0] == verdicts[-1]:
        return verdicts[0], verdicts[-1], ""
    turn = max(i for i in range(1, len(verdicts)) if verdicts[i] != verdicts[i - 1])
    return verdicts[0], verdicts[-1], names[turn - 1]


@dataclass
class Comparison:
    """Verdicts on a set of texts by rule: datatrove's, ours, and the classes of disagreements."""

    theirs: dict[str, np.ndarray]
    ours: dict[str, np.ndarray]
    classes: dict[str, Counter[str]]

    def overall(self, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Whether any of these rules drops each text, by datatrove and by ours: bool (n_texts,) each."""
        names = list(names)
        return (
            np.any([self.theirs[name] for name in names], axis=0),
            np.any([self.ours[name] for name in names], axis=0),
        )


def compare(texts: list[str]) -> Comparison:
    """Apply the rules of the presets `gopher` and `fineweb` to English texts, by both definitions."""
    table = pa.table(
        {"text": pa.array(texts, pa.large_string()), "language.label": pa.array([LABEL] * len(texts))}
    )
    columns = signals.STAGE.load(signals.Config())(table)
    gopher = parse_rules(list(presets()["gopher"]), "gopher")
    own = [rule for rule in parse_rules(list(presets()["fineweb"]), "fineweb") if rule.name in FINEWEB_OWN]
    steps = ladders()
    rows = [Text(text) for text in texts]
    result = Comparison({}, {}, {})
    for rule in (*gopher, *own):
        values = columns[rule.conditions[0].column.partition(".")[2]].to_pylist()
        judged = [
            classify(rule, steps[rule.name], row, value) for row, value in zip(rows, values, strict=True)
        ]
        result.theirs[rule.name] = np.array([theirs for theirs, _, _ in judged], bool)
        result.ours[rule.name] = np.array([ours for _, ours, _ in judged], bool)
        result.classes[rule.name] = Counter(name for _, _, name in judged if name)
    return result


def filter_verdicts(texts: list[str]) -> dict[str, np.ndarray]:
    """Verdicts of datatrove's own filters: whether the two Gopher filters, and the FineWeb filter, drop each text."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    def drops(one: object, text: str) -> bool:
        answer = one.filter(Document(text=text, id=""))  # type: ignore[attr-defined]  # datatrove publishes no types
        return not (answer[0] if isinstance(answer, tuple) else answer)

    filters = {
        "gopher": (GopherQualityFilter(language="eng"), GopherRepetitionFilter(language="eng")),
        "fineweb": (FineWebQualityFilter(language="eng"),),
    }
    return {
        name: np.array([any(drops(one, text) for one in ones) for text in texts], bool)
        for name, ones in filters.items()
    }


def english(files: Iterable[str], n_documents: int) -> list[str]:
    """About n_documents English texts, evenly spaced over the files, by label."""
    table = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])
    texts = table["text"].cast(pa.large_string())
    labels = language.STAGE.load(language.Config())(pa.table({"text": texts}))["label"]
    rows = np.flatnonzero(np.array(labels.to_pylist()) == LABEL)
    rows = rows[:: max(1, len(rows) // n_documents)][:n_documents]
    return list(texts.take(rows).to_pylist())


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--documents", "n_documents", default=2000, show_default=True, help="English documents to compare on."
)
def main(files: tuple[str, ...], n_documents: int) -> None:
    """Compare verdicts on FILES, Parquet with a column text.

    Example: python -m scripts.bench.parity docs-*.parquet --documents 2000
    """
    texts = english(files, n_documents)
    comparison, direct = compare(texts), filter_verdicts(texts)
    click.echo(f"{len(texts):,} English documents.\n")
    click.echo(
        "| filter | both keep | both drop | only datatrove drops | only ours drops | agree | ladder equals filter |"
    )
    click.echo("|---|---:|---:|---:|---:|---:|---:|")
    groups = {
        "gopher": [name for name in comparison.ours if name not in FINEWEB_OWN],
        "fineweb": list(FINEWEB_OWN),
    }
    for name, rules in groups.items():
        theirs, ours = comparison.overall(rules)
        counts = [
            (~theirs & ~ours).sum(),
            (theirs & ours).sum(),
            (theirs & ~ours).sum(),
            (ours & ~theirs).sum(),
        ]
        same = (theirs == direct[name]).mean()
        cells = " | ".join(f"{count:,}" for count in counts)
        click.echo(f"| {name} | {cells} | {(theirs == ours).mean():.3f} | {same:.4f} |")
    click.echo("\n| rule | datatrove drops | ours drops | differ | why |\n|---|---:|---:|---:|---|")
    for name, theirs in comparison.theirs.items():
        why = ", ".join(f"{label} {count}" for label, count in comparison.classes[name].most_common())
        differ = int((theirs != comparison.ours[name]).sum())
        click.echo(f"| {name} | {theirs.sum():,} | {comparison.ours[name].sum():,} | {differ} | {why} |")


if __name__ == "__main__":
    main()
