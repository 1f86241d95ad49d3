"""Compare our English Gopher and FineWeb verdicts with datatrove's filters and explain each disagreement; Markdown.

Both judge with the published numbers; what differs is how words, lines and repeats are counted. For each rule a ladder
of measures leads from datatrove's definition to ours, changing one thing at a time; the class of a disagreement is the
last step at which the verdict turned. The first step is checked against datatrove's own filter, the last is our signal,
so that nothing stays unexplained. Needs the extra `datatrove`.

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
from pipeline.rules import Rule, parse_rules
from stages import signals
from stages.kernels.tables import DIGIT, load_tables
from stages.kernels.text import view
from stages.kernels.units import unit_end
from stages.languages import load_profile, presets

LABEL = "eng_Latn"
STOP_WORDS = frozenset(load_profile(LABEL).stop_words)
FINEWEB_OWN = ("few_terminal_lines", "short_lines", "repeated_lines", "list_like")
"""Rules of the preset `fineweb` that are neither Gopher's nor C4's."""


def our_words(text: str) -> list[str]:
    """Words as our signals find them, in match text."""
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
    """A text with its words and lines, as they count them and as we do."""

    text: str

    @cached_property
    def theirs(self) -> list[str]:
        """Words of datatrove's tokenizer, punctuation among them."""
        from datatrove.utils.text import split_into_words

        return list(split_into_words(self.text, "eng"))

    @cached_property
    def plain(self) -> list[str]:
        """Those of them that hold more than punctuation."""
        from datatrove.utils.text import PUNCTUATION_SET

        return [word for word in self.theirs if any(char not in PUNCTUATION_SET for char in word)]

    @cached_property
    def ours(self) -> list[str]:
        """Our words."""
        return our_words(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """Our lines: without blanks at their ends, none empty."""
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    @cached_property
    def their_paragraphs(self) -> list[str]:
        """Paragraphs with the blanks that they have."""
        return re.split(r"\n{2,}", self.text.strip())


Step = tuple[str, Callable[[Text], float] | None]
"""What the step changes, and the measure after it; the step to our signal has no measure here."""


def later(items: Sequence[str]) -> tuple[int, int]:
    """Number and characters of all items seen before."""
    seen: set[str] = set()
    n = chars = 0
    for item in items:
        if item in seen:
            n, chars = n + 1, chars + len(item)
        seen.add(item)
    return n, chars


def top(words: list[str], n: int, whole: int, joint: str, least: int) -> float:
    """Share of `whole` in the commonest n-gram that occurs `least` times or more."""
    counts = Counter(joint.join(words[i : i + n]) for i in range(len(words) - n + 1))
    (gram, count), *_ = counts.most_common(1) or [("", 0)]
    return len(gram) * count / max(whole, 1) if count >= least else 0.0


def greedy(words: list[str], n: int, whole: int) -> float:
    """Share of `whole` in n-grams seen before, going on behind each that is."""
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
    """Characters of all words."""
    return sum(map(len, words))


def bullets(lines: Sequence[str]) -> float:
    """Share of lines that open with one of the two markers that datatrove knows."""
    return sum(line.lstrip().startswith(("•", "-")) for line in lines) / max(len(lines), 1)


def cut_lines(lines: Sequence[str]) -> float:
    """Share of lines that end in an ellipsis."""
    return sum(line.rstrip().endswith(("...", "…")) for line in lines) / max(len(lines), 1)


def filled(text: Text) -> list[str]:
    """Lines of FineWeb's filter: as they are, those of blanks alone left out."""
    return [line for line in text.text.split("\n") if line.strip()]


def closed(text: Text) -> float:
    """Share of lines whose very last character is a terminal mark of datatrove's list."""
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
    """Rule -> measures, each with what changed: the first is datatrove's, None stands for our signal."""

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
    """Whether a number misses the rule's bounds."""
    (condition,) = rule.conditions
    low, high = condition.min, condition.max
    return (low is not None and value < low) or (high is not None and value > high)


def classify(rule: Rule, steps: list[Step], text: Text, ours: float) -> tuple[bool, bool, str]:
    """Their verdict, ours, and the class of the disagreement, empty if there is none."""
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
    """Verdicts on a set of texts: by rule, those of datatrove and ours, and the classes of disagreements."""

    theirs: dict[str, np.ndarray]
    ours: dict[str, np.ndarray]
    classes: dict[str, Counter[str]]

    def overall(self, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Whether any of these rules drops each text: theirs, ours."""
        names = list(names)
        return (
            np.any([self.theirs[name] for name in names], axis=0),
            np.any([self.ours[name] for name in names], axis=0),
        )


def compare(texts: list[str]) -> Comparison:
    """Judge English texts both ways by the rules of the presets `gopher` and `fineweb`."""
    table = pa.table(
        {"text": pa.array(texts, pa.large_string()), "language.label": pa.array([LABEL] * len(texts))}
    )
    found = signals.STAGE.load(signals.Config())(table)
    gopher = parse_rules(list(presets()["gopher"]), "gopher")
    own = [rule for rule in parse_rules(list(presets()["fineweb"]), "fineweb") if rule.name in FINEWEB_OWN]
    steps = ladders()
    rows = [Text(text) for text in texts]
    result = Comparison({}, {}, {})
    for rule in (*gopher, *own):
        values = found[rule.conditions[0].column.partition(".")[2]].to_pylist()
        judged = [
            classify(rule, steps[rule.name], row, value) for row, value in zip(rows, values, strict=True)
        ]
        result.theirs[rule.name] = np.array([theirs for theirs, _, _ in judged], bool)
        result.ours[rule.name] = np.array([ours for _, ours, _ in judged], bool)
        result.classes[rule.name] = Counter(name for _, _, name in judged if name)
    return result


def filter_verdicts(texts: list[str]) -> dict[str, np.ndarray]:
    """What datatrove's filters themselves say: whether Gopher's two, and FineWeb's, drop each text."""
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
    """Every n-th English text of the files, by its label."""
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
    found, direct = compare(texts), filter_verdicts(texts)
    click.echo(f"{len(texts):,} English documents.\n")
    click.echo(
        "| filter | both keep | both drop | only datatrove drops | only ours drops | agree | ladder equals filter |"
    )
    click.echo("|---|---:|---:|---:|---:|---:|---:|")
    groups = {
        "gopher": [name for name in found.ours if name not in FINEWEB_OWN],
        "fineweb": list(FINEWEB_OWN),
    }
    for name, rules in groups.items():
        theirs, ours = found.overall(rules)
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
    for name, theirs in found.theirs.items():
        why = ", ".join(f"{label} {count}" for label, count in found.classes[name].most_common())
        differ = int((theirs != found.ours[name]).sum())
        click.echo(f"| {name} | {theirs.sum():,} | {found.ours[name].sum():,} | {differ} | {why} |")


if __name__ == "__main__":
    main()
