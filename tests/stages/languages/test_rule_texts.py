"""Every default rule and every rule of a preset keeps one text and drops another, in each language that it is for."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from classifiers import language, quality
from pipeline.rules.parse import parse_rules
from pipeline.rules.rules import Condition, Rule
from stages import signals
from stages.languages import combined_presets, load_profiles, presets
from stages.web import line_rules
from tests.helpers.rule_texts import GOOD, PAGES, faults

LANGUAGES = ("zho", "eng")
OWN_LABEL = {"zho": "zho_Hans", "eng": "eng_Latn"}
LOW_SCORE = "low score"
FOR_FILES = ("opencoder", "starcoder", "starcoder2")
"""Presets for source files: tests/stages/source_code/test_source_presets.py has texts for them."""


def rules() -> list[tuple[str, Rule]]:
    """Name of preset and rule, of all presets but those that combine others or are for source files."""
    own = {
        name: page
        for name, page in presets().items()
        if name not in combined_presets() and name not in FOR_FILES
    }
    return [(name, rule) for name, page in own.items() for rule in parse_rules(list(page), name)]


def label_of(rule: Rule, lang: str) -> str | None:
    """The label under which the rule judges texts of a language; None if it never does."""
    for condition in rule.where:
        if condition.column == "language.label":
            if condition.not_among:
                return "mul"
            names = condition.among or ()
            return OWN_LABEL[lang] if OWN_LABEL[lang] in names else "zxx" if "zxx" in names else None
    return OWN_LABEL[lang]


@cache
def measured(lang: str, label: str) -> tuple[tuple[str, ...], dict[str, pa.ChunkedArray]]:
    """Names of all texts of a language, good ones first, and their columns under a label."""
    texts = {form: by_lang[lang] for form, by_lang in GOOD.items()} | faults(lang)
    table = pa.table(
        {
            "text": pa.array(list(texts.values()), pa.large_string()),
            "language.label": pa.array([label] * len(texts)),
            "language.score": pa.array([0.2 if name == LOW_SCORE else 0.95 for name in texts], pa.float32()),
        }
    )
    hant = language.STAGE.load(language.Config())(table.select(["text"]))["hant_share"]
    table = table.append_column("language.hant_share", hant)
    for stage in (signals.STAGE, quality.STAGE, line_rules.STAGE):
        found = stage.load(stage.config())(table.select(list(stage.reads)))
        for name in found.column_names:
            table = table.append_column(f"{stage.name}.{name}", found[name])
    return tuple(texts), {name: table[name] for name in table.column_names}


def applies(where: tuple[Condition, ...], columns: dict[str, pa.ChunkedArray]) -> np.ndarray:
    """Boolean (n_texts,): whether all conditions are met."""
    held = [np.asarray(condition.passes(columns)) for condition in where]
    return np.all(held, axis=0) if held else np.ones(len(columns["text"]), bool)


CASES = [
    pytest.param(rule, lang, id=f"{preset}.{rule.name}-{lang}")
    for preset, rule in rules()
    for lang in LANGUAGES
    if label_of(rule, lang)
]


@pytest.mark.parametrize(("rule", "lang"), CASES)
def test_a_rule_keeps_one_text_and_drops_another(rule: Rule, lang: str) -> None:
    """Among the texts that it is for are a good one that it keeps and a faulty one that it does not."""
    label = label_of(rule, lang)
    assert label
    names, columns = measured(lang, label)
    fails, judged = rule.fails(columns), applies(rule.where, columns)
    kept = [name for name in names[: len(GOOD)] if judged[names.index(name)] and not fails[names.index(name)]]
    dropped = [name for name in names[len(GOOD) :] if fails[names.index(name)]]
    assert kept, "no good text that the rule is for passes it"
    assert dropped, "no faulty text fails the rule"


@pytest.mark.parametrize("form", GOOD)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_good_texts_of_every_form_pass_all_defaults(lang: str, form: str) -> None:
    """A page, a post, verse, a dialogue, a manual, a table, code, subtitles and JSON are known, and none is dropped.

    The exception is a Chinese letter of a few lines without full stops, which is scored as a thin text.
    """
    names, columns = measured(lang, OWN_LABEL[lang])
    row = {name: column.slice(names.index(form), 1) for name, column in columns.items()}
    assert row["signals.form"][0].as_py() == ("page" if form in PAGES else form)
    (profile,) = (profile for profile in load_profiles() if profile.name == lang)
    drops = [rule for rule in parse_rules(list(profile.rules), lang) if rule.action == "drop"]
    assert [rule.name for rule in drops if rule.fails(row)[0]] == (
        ["low_value"] if (lang, form) == ("zho", "letter") else []
    )
