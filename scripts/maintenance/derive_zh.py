"""Derive character-based thresholds from Chinese filter rules published for segmented words; prints Markdown.

Each published rule is evaluated as by its authors, on words of datatrove's tokenizer for `cmn_Hani` (jieba). For every
candidate signal, the threshold that drops the same share of documents is computed; of the signals within one percentage
point of that share, the one that disagrees with the rule on the fewest documents is chosen. Among thresholds that drop
equally many documents, the one closest to the published number is used. The documents are evenly spaced Chinese
documents of the files, by label. Needs the extra `datatrove`.

Example: python -m scripts.maintenance.derive_zh docs-*.parquet --documents 3000 --samples 2
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import language
from stages import signals
from stages.languages import load_profile

LABELS = ("zho_Hans", "zho_Hant")
MAX_AWAY = 0.01
"""Maximum difference between shares of dropped documents that count as equal."""

SIDES = {"min": np.less, "max": np.greater}


@dataclass(frozen=True)
class Published:
    """A published rule: its measure of the words of a text, its bound, and the candidate signals."""

    name: str
    source: str
    side: str
    bound: float
    measure: Callable[[str, list[str]], float]
    signals: tuple[str, ...]


def top_chars(n: int) -> Callable[[str, list[str]], float]:
    """Share of the text in its most frequent word n-gram as in datatrove, including spaces between words."""

    def measure(text: str, words: list[str]) -> float:
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        (gram, count), *_ = grams.most_common(1) or [("", 0)]
        return len(gram) * count / max(len(text), 1)

    return measure


def duplicate_chars(n: int) -> Callable[[str, list[str]], float]:
    """Share of the text in word n-grams that occurred before, without overlaps, as in datatrove."""

    def measure(text: str, words: list[str]) -> float:
        seen: set[str] = set()
        n_chars, i = 0, 0
        while i < len(words) - n + 1:
            gram = "".join(words[i : i + n])
            repeated = gram in seen
            seen.add(gram)
            n_chars += len(gram) * repeated
            i += n if repeated else 1
        return n_chars / max(len(text), 1)

    return measure


def plain_words(words: list[str]) -> list[str]:
    """Words that are not punctuation only."""
    from datatrove.utils.text import PUNCTUATION_SET

    return [word for word in words if any(char not in PUNCTUATION_SET for char in word)]


def n_words(text: str, words: list[str]) -> float:
    """Number of words, without punctuation."""
    return len(plain_words(words))


def per_word(*marks: str) -> Callable[[str, list[str]], float]:
    """Occurrences of marks per word."""
    return lambda text, words: sum(map(text.count, marks)) / max(len(words), 1)


def with_letter(text: str, words: list[str]) -> float:
    """Share of words that contain a letter."""
    return sum(any(map(str.isalpha, word)) for word in words) / max(len(words), 1)


def mean_length(text: str, words: list[str]) -> float:
    """Mean word length in characters, without punctuation."""
    return float(np.mean([len(word) for word in plain_words(words)] or [0]))


def stop_words(text: str, words: list[str]) -> float:
    """Number of distinct stop words of FineWeb-2's list."""
    return len({*load_profile("zho_Hans").stop_words, "於", "為", "與", "後", "·"} & set(words))


def published() -> list[Published]:
    """Rules of FineWeb-2 (configs/cmn_Hani.yml) and MAP-Neo whose unit is a segmented word."""
    letters = ("alpha_token_share", "alpha_word_share")
    rules = [
        Published("too_short", "FineWeb-2", "min", 50, n_words, ("n_words", "n_chars")),
        Published("odd_word_length", "FineWeb-2", "max", 5, mean_length, ("mean_unit_chars",)),
        Published("odd_word_length", "MAP-Neo", "max", 10, mean_length, ("mean_unit_chars",)),
        Published("hash_marks", "FineWeb-2", "max", 0.1, per_word("#"), ("hash_word_ratio",)),
        Published("ellipses", "FineWeb-2", "max", 0.1, per_word("...", "…"), ("ellipsis_word_ratio",)),
        Published("few_alphabetic_words", "FineWeb-2", "min", 0.735, with_letter, letters),
        Published(
            "few_stop_words", "FineWeb-2", "min", 2, stop_words, ("stop_word_count", "stop_word_share")
        ),
        Published("list_like", "FineWeb-2", "max", 0.178, per_word("\n"), ("newline_word_ratio",)),
    ]
    for n, bound in ((2, 0.256), (3, 0.201), (4, 0.171)):
        choices = tuple(f"top_{k}_gram_char_share" for k in (2, 3, 4))
        rules.append(Published(f"top_{n}_gram", "FineWeb-2", "max", bound, top_chars(n), choices))
    for n, bound in ((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127)):
        choices = tuple(f"duplicate_{k}_gram_char_share" for k in range(n, 11))
        rules.append(
            Published(f"duplicate_{n}_grams", "FineWeb-2", "max", bound, duplicate_chars(n), choices)
        )
    return rules


def common_set(files: Iterable[str], n_documents: int) -> tuple[list[str], pa.Table]:
    """Texts of about n_documents evenly spaced Chinese documents, and their signals."""
    table = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])
    texts = table["text"].cast(pa.large_string())
    labels = language.STAGE.load(language.Config())(pa.table({"text": texts}))["label"]
    rows = np.flatnonzero(np.isin(labels.to_pylist(), LABELS))
    rows = rows[:: max(1, len(rows) // n_documents)][:n_documents]
    chosen = pa.table({"text": texts.take(rows), "language.label": labels.take(rows)}).combine_chunks()
    return chosen["text"].to_pylist(), signals.STAGE.load(signals.Config())(chosen)


def threshold(values: np.ndarray, rule: Published, dropped: np.ndarray) -> float:
    """The bound, an integer or a multiple of 0.001, whose number of dropped rows is closest to that of `dropped`."""
    step = 1.0 if np.all(values == np.round(values)) else 0.001
    bounds = np.unique(np.round(np.concatenate((values, values + step, values - step, [rule.bound])), 3))
    away = [abs(int(SIDES[rule.side](values, bound).sum()) - int(dropped.sum())) for bound in bounds]
    return float(bounds[min(range(len(bounds)), key=lambda i: (away[i], abs(bounds[i] - rule.bound)))])


def excerpt(text: str) -> str:
    """The first characters of a text, for a table cell."""
    return " ".join(text.split())[:60].replace("|", "/")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--documents", "n_documents", default=3000, show_default=True, help="Number of documents.")
@click.option("--samples", default=0, show_default=True, help="Examples to show per disagreement.")
def derive(files: tuple[str, ...], n_documents: int, samples: int) -> None:
    """Derive character-based thresholds on FILES, Parquet with a column text.

    Example: python -m scripts.maintenance.derive_zh docs-*.parquet --documents 3000
    """
    from datatrove.utils.text import split_into_words

    texts, columns = common_set(files, n_documents)
    words = [split_into_words(text, "cmn_Hani") for text in texts]
    click.echo(f"{len(texts):,} Chinese documents.\n")
    click.echo("| rule | published | drops | signal | derived | drops | only theirs | only ours |")
    click.echo("|---|---|---:|---|---:|---:|---:|---:|")
    examples: list[str] = []
    for rule in published():
        theirs = np.array([rule.measure(text, w) for text, w in zip(texts, words, strict=True)])
        dropped = SIDES[rule.side](theirs, rule.bound)
        choices = []
        for name in rule.signals:
            values = np.round(columns[name].to_numpy().astype(np.float64), 3)
            bound = threshold(values, rule, dropped)
            ours = SIDES[rule.side](values, bound)
            away = abs(ours.mean() - dropped.mean())
            choices.append((away > MAX_AWAY, int((ours != dropped).sum()), name, bound, ours))
        _, _, name, bound, ours = min(choices, key=lambda choice: choice[:2])
        counts = (dropped & ~ours, ours & ~dropped)
        click.echo(
            f"| {rule.name} ({rule.source}) | {rule.side} {rule.bound:g} | {dropped.mean():.2%} | `{name}` | {bound:g} "
            f"| {ours.mean():.2%} | {counts[0].sum()} | {counts[1].sum()} |"
        )
        values = columns[name].to_numpy()
        for kind, rows in zip(("theirs", "ours"), counts, strict=True):
            examples += [
                f"| {rule.name} | {kind} | {theirs[row]:.3f} | {values[row]:.3f} | {excerpt(texts[row])} |"
                for row in np.flatnonzero(rows)[:samples]
            ]
    if examples:
        click.echo("\n| rule | dropped by | their value | our value | begins |\n|---|---|---:|---:|---|")
        click.echo("\n".join(examples))


if __name__ == "__main__":
    derive()
