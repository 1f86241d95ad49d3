"""Presets in `select`: the rules of an entry, their thresholds, and refused entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.run_sets import with_set
from pipeline.errors import ConfigError
from pipeline.rules.parse import parse_rules
from pipeline.rules.presets import expand_presets
from pipeline.rules.rules import Rule
from stages.languages import load_profiles, presets
from tests.helpers.build import build, ledger, tiny, write_run
from tests.helpers.paths import ROOT
from tests.helpers.rule_texts import GOOD, faults

PUBLISHED = (
    "c4", "cci4", "fineweb", "fineweb2_zh", "gopher", "mapneo", "opencoder", "refinedweb", "starcoder", "starcoder2",
)  # fmt: skip


def expand(*entries: dict[str, Any]) -> dict[str, Rule]:
    """Rules of a `select` by name."""
    return {rule.name: rule for rule in parse_rules(expand_presets(list(entries), "select"), "select")}


def bound(rule: Rule) -> tuple[float | None, float | None]:
    """Least and most that the one condition of a rule lets pass."""
    (condition,) = rule.conditions
    return condition.min, condition.max


def test_presets_are_the_profiles_and_the_published_filters() -> None:
    """Every profile of a language and every file of a published filter has a name, and rules that parse."""
    assert set(presets()) == {*(profile.name for profile in load_profiles()), *PUBLISHED, "recommended"}
    for name in set(presets()) - {"recommended"}:
        rules = expand({"preset": name})
        assert rules and all(rule.startswith(f"{name}_") for rule in rules)


def test_recommended_rules_are_those_of_all_profiles() -> None:
    """Languages with a profile, then each profile's rules as its own preset gives them; `as` adds a prefix."""
    found = expand({"preset": "recommended"})
    profiles = {
        name: rule for profile in load_profiles() for name, rule in expand({"preset": profile.name}).items()
    }
    language = found.pop("language")
    assert found == profiles
    labels = {label for profile in load_profiles() if profile.name != "und" for label in profile.labels}
    assert set(language.conditions[0].among or ()) == {*labels, "mul"} and language.base
    assert "ours_zho_too_short" in expand({"preset": "recommended", "as": "ours"})
    assert set(expand({"preset": "recommended", "only": ["zho_damaged"]})) == {"zho_damaged"}


def test_the_demo_and_init_name_the_same_rules() -> None:
    """configs/quickstart.yaml has the preset and no other rule that drops documents for their form."""
    page, _ = with_set(
        yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text("utf-8")), "quickstart"
    )
    assert page["select"][0] == {"preset": "recommended"}
    dropping = {rule["name"] for rule in page["select"][1:] if rule.get("action", "drop") == "drop"}
    assert dropping == {"contaminated", "hollow"}
    assert "stages.parts" in page["annotate"]


def test_published_numbers_are_as_published() -> None:
    """Gopher's and FineWeb's bounds, MAP-Neo's for both languages, CCI4.0's three, FineWeb-2's that count no words."""
    gopher, fineweb = expand({"preset": "gopher"}), expand({"preset": "fineweb"})
    wanted: dict[str, tuple[float | None, float | None]] = {
        "too_short": (50, None), "too_long": (None, 100000), "odd_word_length": (3, 10), "hash_marks": (None, 0.1),
        "bullet_lines": (None, 0.9), "ellipsis_lines": (None, 0.3), "few_alphabetic_words": (0.8, None),
        "few_stop_words": (2, None), "duplicate_lines": (None, 0.3), "duplicate_line_chars": (None, 0.2),
        "top_2_gram": (None, 0.2), "top_4_gram": (None, 0.16), "duplicate_5_grams": (None, 0.15),
        "duplicate_10_grams": (None, 0.1),
    }  # fmt: skip
    assert {name: bound(gopher[f"gopher_{name}"]) for name in wanted} == wanted
    assert {name: bound(fineweb[f"fineweb_{name}"]) for name in wanted} == wanted
    assert bound(fineweb["fineweb_few_terminal_lines"]) == (0.12, None)
    assert bound(fineweb["fineweb_repeated_lines"]) == (None, 0.01)
    mapneo = expand({"preset": "mapneo"})
    assert bound(mapneo["mapneo_zh_duplicate_7_grams"]) == (None, 0.6)
    assert bound(mapneo["mapneo_en_duplicate_7_grams"]) == (None, 0.13)
    assert {bound(rule) for rule in expand({"preset": "cci4"}).values()} == {
        (100, None),
        (None, 20000),
        (10, None),
    }
    assert bound(expand({"preset": "fineweb2_zh"})["fineweb2_zh_few_terminal_lines"]) == (0.106, None)


def test_no_chinese_rule_has_the_english_word_length() -> None:
    """A least mean word length of 3 would drop nearly all Chinese; no rule that judges Chinese has a least one."""
    for name in presets():
        for rule in expand({"preset": name}).values():
            labels = next((c.among for c in rule.where if c.column == "language.label"), None)
            if labels != ("eng_Latn",):
                lengths = [
                    c
                    for c in rule.conditions
                    if c.column in ("signals.mean_word_chars", "signals.mean_unit_chars")
                ]
                assert all(c.min is None for c in lengths), rule.name


def test_an_entry_names_limits_and_softens_rules() -> None:
    """Prefix, choice, conditions, base mark and action of an entry reach its rules."""
    rules = expand(
        {"preset": "gopher", "as": "g", "only": ["too_short", "top_2_gram"], "where": {"source": "crawl"}}
    )
    assert set(rules) == {"g_too_short", "g_top_2_gram"}
    assert {c.column for c in rules["g_too_short"].where} == {"language.label", "source"}
    rest = expand({"preset": "gopher", "except": ["too_short"], "base": True, "action": "flag"})
    assert "gopher_too_short" not in rest and all(r.base and r.action == "flag" for r in rest.values())


def test_heuristics_are_waived_and_base_rules_are_not() -> None:
    """`judged` limits rules that drop and are not base, so that the best buckets are exempt from heuristics alone."""
    for rule in expand({"preset": "zho", "judged": {"cuts.bucket": {"max": 16}}}).values():
        judged = any(c.column == "cuts.bucket" for c in rule.where)
        assert judged == (rule.action == "drop" and not rule.base), rule.name


def test_conditions_on_one_column_hold_together() -> None:
    """Where rule and entry have conditions on the same column, only rows that satisfy both are judged."""
    (rule,) = expand(
        {"preset": "zho", "only": ["too_short"], "where": {"language.label": "zho_Hant"}}
    ).values()
    assert {c.column: c.among for c in rule.where}["language.label"] == ("zho_Hant",)
    (rule,) = expand(
        {"preset": "zho", "only": ["hash_marks"], "where": {"signals.n_sentences": {"max": 9, "min": 1}}}
    ).values()
    sentences = next(c for c in rule.where if c.column == "signals.n_sentences")
    assert (sentences.min, sentences.max) == (1, 4)
    (rule,) = expand({"preset": "und", "only": ["bullet_lines"], "where": {"language.label": "mul"}}).values()
    label = next(c for c in rule.where if c.column == "language.label")
    assert label.among == ("mul",) and "eng_Latn" in (label.not_among or ())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"preset": "gofer"}, "did you mean 'gopher'"),
        ({"preset": "gopher", "onyl": []}, "did you mean 'only'"),
        ({"preset": "gopher", "only": ["to_short"]}, "did you mean 'too_short'"),
        ({"preset": "gopher", "except": "too_short"}, "expected a list of names"),
        ({"preset": "gopher", "where": {"language.label": "zho_Hans"}}, "no value passes"),
        ({"preset": "gopher", "where": ["source"]}, "expected a mapping"),
    ],
)
def test_bad_entries_say_where_and_what(entry: dict[str, Any], message: str) -> None:
    """Every mistake in an entry is refused with its place and the expected value."""
    with pytest.raises(ConfigError, match=message):
        expand(entry)


def test_a_run_with_presets_keeps_posts_and_drops_menus(tmp_path: Path) -> None:
    """The defaults keep JSON and a short post that Gopher's length rule would drop, and drop broken text."""
    texts = {
        f"{form}-{lang}": GOOD[form][lang] for form in ("page", "post", "json") for lang in ("zho", "eng")
    }
    texts |= {f"broken-{lang}": faults(lang)["broken json"] for lang in ("zho", "eng")}
    texts["menu"] = faults("eng")["menu"]
    page = tiny(
        tmp_path,
        [{"id": name, "text": text} for name, text in texts.items()],
        annotate=["classifiers.language", "classifiers.quality", "stages.signals"],
        select=[{"preset": name} for name in ("zho", "eng", "zxx", "und")],
    )
    build(write_run(tmp_path, page), tmp_path / "store")
    rows = sorted(ledger(tmp_path / "store", page["corpus"]), key=lambda row: row["row"])
    rules = [row["rule"] for row in rows]
    found = dict(zip(texts, rules, strict=True))
    assert {name for name, rule in found.items() if rule} == {"broken-zho", "broken-eng", "menu"}
    assert {found["broken-zho"], found["broken-eng"]} <= {
        "zho_broken_json",
        "eng_broken_json",
        "zxx_no_known_form",
    }
