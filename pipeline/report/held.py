"""A held sample: texts of known language, and what the language stage of a release makes of them.

The stage is that of the release's run file, with its settings. The numbers are counts of pairs of true language and
label, from which the figures of each language and the groups of languages that are taken for each other follow.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from pipeline.config.load import load_column_stage
from pipeline.config.run_file import StageStep
from pipeline.errors import InputError, UsageError
from pipeline.ingest.import_files import read_tables
from pipeline.report.markdown import share
from pipeline.report.shown import Shown
from pipeline.report.summary import align
from pipeline.translation import labels, t

TEXT, LANG = "text", "lang"
"""Columns of a held sample: a text, and its true label."""

BATCH_ROWS = 1000

CONFUSED_SHARE, CONFUSED_TEXTS = 0.02, 3
"""Least share and number of a language's texts with one other label for the two to be taken as confusable."""

SHOWN_LABELS = 3
"""Wrong labels that a row of the table names, the most frequent first; the numbers have all."""

SHOWN_FAULTS = 3
"""Unknown labels that an error names."""


class HeldLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """A true language of the sample.

    correct: texts with its label. recall: of texts. precision: correct texts among all with the label, None if no text
    has it. labels: label -> texts of this language, the most frequent first.
    """

    language: str
    texts: int
    correct: int
    recall: float
    precision: float | None
    labels: dict[str, int]


class HeldGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Languages that are taken for each other; name: of `groups` in the stage's settings, "" for a group of the sample.

    texts: whose true language is in the group. correct: with their own label; inside: with any label of the group.
    """

    name: str
    languages: list[str]
    texts: int
    correct: int
    inside: int


class HeldNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """All numbers of a held sample. module, version: of the stage that labelled it."""

    module: str
    version: int
    texts: int
    correct: int
    languages: list[HeldLanguage]
    groups: list[HeldGroup]


def measure_held(path: str, run_path: str) -> HeldNumbers:
    """Label a held sample with the language stage of a run file, and compare with the true labels.

    Args: path, a Parquet, JSON Lines or CSV file with the columns TEXT and LANG.
    Raises: InputError if the file cannot be read, lacks a column, or has a null or a label that the stage never
    assigns; UsageError if the run file has no language stage; ConfigError if it is malformed.
    """
    found = load_column_stage(run_path, "language")
    if found is None or set(found[0].definition.reads) != {TEXT}:
        raise UsageError(
            f"{run_path}: no entry of `annotate` writes the language from the text alone; a held sample is labelled by "
            "the language stage of the run, such as classifiers.language"
        )
    step, column = found
    sample = read_sample(path, label_names(step))
    annotate = step.definition.load(step.config)
    counts: Counter[tuple[str, str]] = Counter()
    for start in range(0, sample.num_rows, BATCH_ROWS):
        batch = sample.slice(start, BATCH_ROWS)
        labels = annotate(batch.select([TEXT]))[column].fill_null("")
        counts.update(zip(batch[LANG].to_pylist(), labels.to_pylist(), strict=True))
    groups = getattr(step.config, "groups", {})
    return held_numbers(counts, groups, step.module, step.definition.version)


def label_names(step: StageStep) -> Sequence[str] | None:
    """Labels that the stage can assign with its settings, if its module lists them (`label_names`)."""
    listed: Callable[[Any], Sequence[str]] | None  # Any: the stage's own config
    listed = getattr(importlib.import_module(step.module), "label_names", None)
    return None if listed is None else listed(step.config)


def read_sample(path: str, labels: Sequence[str] | None) -> pa.Table:
    """Texts and true labels of a file: large_string and string.

    Args: labels, those that are allowed; None for any.
    Raises: InputError as in `measure_held`.
    """
    table = read_tables([path], TEXT, [LANG])
    if table[LANG].type not in (pa.string(), pa.large_string()):
        raise InputError(f"{path}: the column {LANG!r} is {table[LANG].type}; expected labels as text")
    for name in (TEXT, LANG):
        if n_null := table[name].null_count:
            raise InputError(f"{path}: {n_null:,} of {table.num_rows:,} rows have no {name}; remove them")
    found = Counter(table[LANG].to_pylist())
    if labels is not None and (unknown := sorted(set(found) - set(labels))):
        more = f", and {len(unknown) - SHOWN_FAULTS:,} more labels" if len(unknown) > SHOWN_FAULTS else ""
        named = ", ".join(repr(name) + likely_labels(name, labels) for name in unknown[:SHOWN_FAULTS])
        raise InputError(
            f"{path}: the column {LANG!r} has labels that the language stage never assigns: {named}{more} (rows: "
            f"{sum(found[name] for name in unknown):,}); expected labels such as zho_Hans, eng_Latn, und"
        )
    return pa.table({TEXT: table[TEXT].cast(pa.large_string()), LANG: table[LANG].cast(pa.string())})


def likely_labels(name: str, labels: Sequence[str]) -> str:
    """Labels that an unknown one may stand for, in brackets: those whose code begins with its code; empty if none does.

    So `zh-Hans` may be zho_Hans or zho_Hant, and `en` eng_Latn.
    """
    code = re.split("[-_]", name)[0].casefold()
    same = [label for label in labels if code and label.startswith(code)]
    return f" ({' or '.join(same[:SHOWN_FAULTS])}?)" if same else ""


def held_numbers(
    counts: Mapping[tuple[str, str], int], groups: Mapping[str, Sequence[str]], module: str, version: int
) -> HeldNumbers:
    """The numbers of a held sample. counts: (true language, label) -> texts; groups: those of the stage's settings."""
    totals: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    for (language, label), n in counts.items():
        totals[language] += n
        labelled[label] += n
    languages = []
    for name in sorted(totals, key=lambda name: (-totals[name], name)):
        given = {label: n for (language, label), n in counts.items() if language == name}
        correct = given.get(name, 0)
        languages.append(
            HeldLanguage(
                language=name, texts=totals[name], correct=correct, recall=round(correct / totals[name], 4),
                precision=round(correct / labelled[name], 4) if labelled[name] else None,
                labels=dict(sorted(given.items(), key=lambda item: (-item[1], item[0]))),
            )
        )  # fmt: skip
    named = [(name, list(members)) for name, members in groups.items()]
    named += [("", members) for members in confusable(languages)]
    return HeldNumbers(
        module=module, version=version, texts=sum(totals.values()), correct=sum(row.correct for row in languages),
        languages=languages,
        groups=[group for name, members in named if (group := _group(name, members, languages)).texts],
    )  # fmt: skip


def confusable(languages: Sequence[HeldLanguage]) -> list[list[str]]:
    """Groups of the sample's languages that are taken for each other, each sorted, the largest first.

    Two languages are linked if CONFUSED_SHARE of the texts of one, and CONFUSED_TEXTS of them, have the label of the
    other; a group is what links connect. Labels that are no language of the sample, or none at all (`mul`, `zxx`,
    `und`), are in no group.
    """
    group_of = {row.language: {row.language} for row in languages if "_" in row.language}
    for row in languages:
        for label, n in row.labels.items():
            if (
                row.language in group_of
                and label in group_of
                and n >= max(CONFUSED_SHARE * row.texts, CONFUSED_TEXTS)
            ):
                joined = group_of[row.language] | group_of[label]
                group_of |= dict.fromkeys(joined, joined)
    groups = {tuple(sorted(group)) for group in group_of.values() if len(group) > 1}
    return [list(group) for group in sorted(groups, key=lambda group: (-len(group), group))]


def _group(name: str, members: Sequence[str], languages: Sequence[HeldLanguage]) -> HeldGroup:
    rows = [row for row in languages if row.language in members]
    return HeldGroup(
        name=name, languages=list(members), texts=sum(row.texts for row in rows),
        correct=sum(row.correct for row in rows),
        inside=sum(n for row in rows for label, n in row.labels.items() if label in members),
    )  # fmt: skip


def held_rows(held: HeldNumbers) -> Shown:
    """A row for each true language: texts, correct ones, recall, precision, and its most frequent wrong labels."""
    rows: list[list[Any]] = []
    for row in held.languages:
        wrong = [(label or t("(none)"), n) for label, n in row.labels.items() if label != row.language]
        named = ", ".join(f"{label} {n:,}" for label, n in wrong[:SHOWN_LABELS])
        rest = sum(n for _, n in wrong[SHOWN_LABELS:])
        precision = "—" if row.precision is None else f"{row.precision:.1%}"
        recall = share(row.correct, row.texts)
        rows.append([row.language, row.texts, row.correct, recall, precision,
                     named + (t(f", others {rest:,}") if rest else "")])  # fmt: skip
    return labels("true language", "texts", "correct", "recall", "precision", "other labels"), rows


def group_rows(held: HeldNumbers) -> Shown:
    """A row for each group of confusable languages: texts, recall of their own labels and of any label of the group."""
    rows: list[list[Any]] = [
        [
            ", ".join(group.languages), group.name or t("from this sample"), group.texts,
            share(group.correct, group.texts), share(group.inside, group.texts),
        ]
        for group in held.groups
    ]  # fmt: skip
    return labels("languages", "group", "texts", "recall", "recall in the group"), rows


def held_lines(held: HeldNumbers) -> str:
    """The tables for a terminal."""
    heads, rows = held_rows(held)
    *numbers, last = zip(heads, *rows, strict=True)
    table = align([list(map(_plain, cells)) for cells in zip(*numbers, strict=True)]).split("\n")
    lines = [
        t(
            f"{held.correct:,} of {held.texts:,} texts of the held sample have their label "
            f"({share(held.correct, held.texts)}), by {held.module}, version {held.version}"
        ),
        "",
        *(f"{line}  {_plain(cell)}".rstrip() for line, cell in zip(table, last, strict=True)),
    ]
    if held.groups:
        heads, rows = group_rows(held)
        lines += [
            "",
            t("Languages that are taken for each other:"),
            align([heads, *([*map(_plain, r)] for r in rows)]),
        ]
    return "\n".join(lines)


def _plain(cell: int | str) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
