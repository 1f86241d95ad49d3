"""Parts: documents in several languages are split by language, measured and judged by the rules of each."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from classifiers import language
from pipeline.errors import ConfigError
from pipeline.rules.language_parts import find_parts, part_fields
from pipeline.rules.parse import parse_rules
from stages import signals
from stages.languages import preset_paths, presets
from stages.parts import PART, STAGE, Config, split
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.passage_texts import FERRY, WELL

ZH = WELL + "入秋以后，井水一天比一天凉，老人们说，这口井养活过三代人，谁家办喜事，都要先来打第一桶水。"
EN = f"{FERRY} Beyond the harbour the road climbs between stone walls, past a chapel and a school with eleven pupils, "
EN += "and whoever walks slowly enough is invited in for coffee before the last bend. Nobody remembers who built it."
CODE = "```\nfor (int i = 0; i < n; i++) { total += values[i]; }\nreturn total;\n```\n"
JUNK = "Click here cheap watches buy now " * 20
NOISE = " ".join(
    "".join(random.Random(i).choices("abcdefghijklmnopqrstuvwxyz", k=2 + i % 7)) for i in range(120)
)
LANGUAGE = language.STAGE.load(language.Config())
MEASURE = STAGE.load(Config())


def labelled(*texts: str | None) -> pa.Table:
    """Texts with the columns of the language stage."""
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    found = LANGUAGE(table)
    for name in ("label", "spans"):
        table = table.append_column(f"language.{name}", found[name])
    return table


def parts(*texts: str | None) -> list[list[dict[str, Any]]]:
    """Parts of each text."""
    found: list[list[dict[str, Any]]] = MEASURE(labelled(*texts))["signals"].to_pylist()
    return found


def test_each_language_of_a_document_is_measured_as_if_it_stood_alone() -> None:
    """Half Chinese, half English: two rows, equal to the signals of the halves."""
    table = labelled(f"{ZH}\n{EN}", ZH, f"{EN}\n\n{ZH}\n")
    found = MEASURE(table)["signals"].to_pylist()
    assert [[part["language.label"] for part in row] for row in found] == [
        ["zho_Hans", "eng_Latn"],
        [],
        ["eng_Latn", "zho_Hans"],
    ]
    alone = labelled(f"{ZH}\n", EN).select(["text", "language.label"])
    expected = signals.STAGE.load(signals.Config())(alone).to_pylist()
    assert [{k.removeprefix("signals."): v for k, v in part.items()} for part in found[0]] == [
        {"language.label": label} | {k: v for k, v in values.items() if k != signals.FORM}
        for label, values in zip(("zho_Hans", "eng_Latn"), expected, strict=True)
    ]


def test_parts_are_all_of_the_text_in_order_and_code_stays_with_what_it_is_in() -> None:
    """Turns of two languages are joined by language; every line is in one part."""
    turns = [f"{ZH}\n", CODE, f"{EN}\n", f"{ZH[:60]}\n", f"{EN[:90]}\n"]
    rows, labels, texts = split(labelled("".join(turns)), Config())
    assert (rows, labels) == ([0, 0], ["zho_Hans", "eng_Latn"])
    assert texts == ["".join(turns[i] for i in (0, 1, 3)), "".join(turns[i] for i in (2, 4))]


def test_stretches_inside_of_a_line_are_joined_by_a_break() -> None:
    """A change in the middle of a line glues no words together."""
    _, labels, texts = split(labelled(f"{ZH} {EN} {ZH} {EN}"), Config())
    assert labels == ["zho_Hans", "eng_Latn"]
    assert [text.split("\n") for text in texts] == [[f"{ZH} "] * 2, [f"{EN} ", EN]]


@pytest.mark.parametrize(
    "text",
    [
        None, "", "\n", ZH, EN, CODE * 9, f"{ZH * 9}\n{EN}", f"{ZH[:60]}\n{EN[:120]}",
        f"{CODE * 40}\n// {ZH[:99]}\n// {ZH[:99]}\n// {EN}\n",
    ],
)  # fmt: skip
def test_no_parts_of_one_language_of_little_text_or_of_code(text: str | None) -> None:
    """One language, a second one below a fifth or of few letters, and code with comments: judged as a whole."""
    assert parts(text, f"{ZH}\n{EN}")[0] == []


def test_settings_say_what_is_a_part() -> None:
    """A smaller share and fewer letters find more parts; nonsense is refused."""
    batch = labelled(f"{ZH[:60]}\n{EN[:220]}", f"{ZH * 9}\n{EN}")
    assert split(batch, Config())[0] == []
    assert split(batch, Config(min_letters=50))[0] == [0, 0]
    assert split(batch, Config(min_share=0.05))[0] == [1, 1]
    out_of_range: list[dict[str, Any]] = [  # Any: types of the fields
        {"min_share": 0.6}, {"min_share": 0.0}, {"min_letters": 0}, {"min_span_letters": 0},
    ]  # fmt: skip
    for setting in out_of_range:
        ((name, value),) = setting.items()
        with pytest.raises(ConfigError, match=f"parts.{name} is {value}"):
            Config(**setting)


def test_the_window_is_that_of_the_signals() -> None:
    """A run that measures distinct characters in other windows measures parts in the same."""
    batch = labelled(f"{ZH}\n{EN}")
    (narrow,) = STAGE.load(Config(window_chars=20))(batch)["signals"].to_pylist()
    (wide,) = MEASURE(batch)["signals"].to_pylist()
    alone = signals.STAGE.load(signals.Config(window_chars=20))(labelled(f"{ZH}\n", EN)).to_pylist()
    column = "signals.unique_char_share"
    assert [part[column] for part in narrow] == [row["unique_char_share"] for row in alone]
    assert all(n[column] > w[column] for n, w in zip(narrow, wide, strict=True))


def test_a_sliced_and_chunked_batch_gives_the_same_parts() -> None:
    """Offsets of Arrow lists do not shift parts to other documents."""
    texts = (ZH, f"{ZH}\n{EN}", "", f"{EN}\n{ZH}", EN)
    whole, table = parts(*texts), labelled(*texts)
    assert MEASURE(table.slice(1, 3))["signals"].to_pylist() == whole[1:4]
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert MEASURE(pieces)["signals"].to_pylist() == whole


ENTRIES = [
    {"name": "zh_short", "signals.n_chars": {"min": 100}, "where": {"language.label": ["zho_Hans"]}},
    {"name": "en_stop", "signals.stop_word_count": {"min": 2}, "where": {"language.label": "eng_Latn"}},
    {"name": "mul_stop", "signals.stop_word_count": {"min": 99}, "where": {"language.label": "mul"}},
    {"name": "languages", "language.label": {"in": ["zho_Hans", "eng_Latn", "mul"]}},
    {"name": "any_short", "signals.n_chars": {"max": 350}},
    {"name": "script", "language.hant_share": {"max": 0.5}, "where": {"language.label": ["zho_Hans"]}},
]


def verdicts(*texts: str) -> dict[str, list[bool]]:
    """Which texts fail each rule of ENTRIES."""
    batch = labelled(*texts)
    columns = {name: batch[name] for name in ("language.label",)}
    columns |= {f"language.{name}": LANGUAGE(batch)[name] for name in ("hant_share",)}
    measured = signals.STAGE.load(signals.Config())(batch)
    columns |= {f"signals.{name}": measured[name] for name in measured.column_names}
    columns["parts.signals"] = MEASURE(batch)["signals"]
    found = find_parts(["stages.signals", {"use": "stages.parts"}], "run.yaml: annotate")
    rules = [rule.by_part(found) for rule in parse_rules(ENTRIES, "run.yaml: select")]
    return {rule.name: rule.fails(columns).tolist() for rule in rules}


def test_a_rule_for_a_language_judges_its_part() -> None:
    """English junk fails the English rule beside good Chinese; rules without a language see the whole document."""
    found = verdicts(f"{ZH}\n{EN}", f"{ZH}\n{JUNK}", ZH, JUNK, f"{ZH}\n{NOISE}", NOISE)
    assert found["en_stop"] == [False, True, False, True, False, False]
    assert found["zh_short"] == [False] * 6
    assert found["mul_stop"] == [False] * 6  # documents that are mul have parts
    assert found["any_short"] == [True, True, False, True, True, True]
    assert found["script"] == [False] * 6
    assert found["languages"] == [False, False, False, False, True, True]


def test_which_rules_judge_by_part() -> None:
    """Those that ask for a language and test what parts have, but for quantiles and what is left at the end."""
    found = {"parts.signals": part_fields(STAGE.writes.field("signals").type)}
    assert found["parts.signals"] == tuple(field.name for field in PART)
    label = {"where": {"language.label": "eng_Latn"}}
    entries = [
        {"name": "yes", "signals.n_chars": {"min": 5}, **label},
        {"name": "label", "language.label": {"not_in": ["und"]}},
        {"name": "no_language", "signals.n_chars": {"min": 5}},
        {"name": "not_measured", "quality.intact": {"min": 0.5}, **label},
        {"name": "quantile", "signals.n_chars": {"quantile": {"min": 0.1}}, **label},
        {"name": "late", "signals.n_chars": {"min": 5}, "owners.n_chars_left": {"min": 5}, **label},
    ]
    rules = [rule.by_part(found) for rule in parse_rules(entries, "run.yaml: select")]
    assert [rule.parts for rule in rules] == ["parts.signals", "parts.signals", None, None, None, None]
    assert all(rule.by_part({}) == rule for rule in parse_rules(entries, "run.yaml: select"))
    assert "parts.signals" in rules[0].columns()
    assert rules[0].plain() != parse_rules(entries[:1], "run.yaml: select")[0].plain()


def test_every_language_preset_judges_by_part() -> None:
    """Rules on signals of the default presets of zh and en are for languages, and so judge parts."""
    found = find_parts(["stages.parts"], "run.yaml: annotate")
    assert preset_paths()
    for name in ("zho", "eng", "und"):
        rules = parse_rules([dict(rule) for rule in presets()[name]], name)
        on_signals = [rule for rule in rules if rule.tested() & {field.name for field in PART}]
        assert on_signals and all(rule.by_part(found).parts for rule in on_signals)


def test_a_run_drops_a_document_for_its_part_and_explains_it(tmp_path: Path) -> None:
    """The ledger names the rule; explain names the part and its value."""
    rows = [{"text": f"{ZH}\n{EN}"}, {"text": f"{ZH}\n{JUNK}"}, {"text": ZH}]
    page = tiny(
        tmp_path,
        rows,
        annotate=["classifiers.language", "stages.signals", "stages.parts", "stages.tokens"],
        select=[dict(entry) for entry in ENTRIES if entry["name"] != "any_short"],
    )
    run = write_run(tmp_path, page)
    store = tmp_path / "store"
    build(run, store)
    shown = [
        cli("explain", run, "--store", store, "--input", f"docs.jsonl:{i}", "--json").ok().json
        for i in range(3)
    ]
    assert [found["rule"] for found in shown] == [None, "en_stop", None]
    rules = {rule["name"]: rule for rule in shown[1]["rules"]}
    assert rules["en_stop"]["part"] == "eng_Latn" and rules["en_stop"]["fails"]
    assert rules["en_stop"]["conditions"][0]["value"] < 2
    assert rules["zh_short"]["part"] == "zho_Hans" and "part" not in rules["script"]
    assert rules["zh_short"]["conditions"][0]["value"] == len(ZH) + 1
    text = cli("explain", run, "--store", store, "--input", "docs.jsonl:1").ok().out
    assert "(the eng_Latn part)" in text
    cli("verify", store / "releases" / "tiny", "--store", store, "--run", run).ok()
