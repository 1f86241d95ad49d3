"""Signals: against a plain Python measure of the same definitions, on known documents, on known traps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.rules.parse import parse_rules
from stages.languages import Profile, load_profile, load_profiles
from stages.signals import SCHEMA, STAGE, Config
from tests.helpers.oracles.signals import find_words, measure
from tests.helpers.strategies import texts

LABELS = ("zho_Hans", "zho_Hant", "eng_Latn", "jpn_Jpan", "mul", None)
MEASURE = STAGE.load(Config())


def annotate(docs: list[str], labels: list[str | None]) -> list[dict[str, float]]:
    """The stage on plain lists."""
    table = pa.table(
        {"text": pa.array(docs, pa.large_string()), "language.label": pa.array(labels, pa.string())}
    )
    return MEASURE(table).to_pylist()


def signals(text: str, label: str | None = "zho_Hans") -> dict[str, Any]:
    """The signals of one text: numbers, and the name of its form."""
    return annotate([text], [label])[0]


@given(st.lists(st.tuples(texts(), st.sampled_from(LABELS)), max_size=5))
def test_signals_equal_the_plain_measure(rows: list[tuple[str, str | None]]) -> None:
    """Any batch of any languages has the signals of the plain Python definitions."""
    found = annotate([text for text, _ in rows], [label for _, label in rows])
    assert found == [measure(text, load_profile(label)) for text, label in rows]


@given(st.text(alphabet="ab 哈。.…\n-•'", max_size=120), st.sampled_from(LABELS))
def test_signals_equal_the_plain_measure_on_repetition(text: str, label: str | None) -> None:
    """Few distinct characters make repeats, ties and odd punctuation; the plain measure still agrees."""
    assert signals(text, label) == measure(text, load_profile(label))


SHAPES = (
    '{"a": [1, 2]}', "{x", "}", "| a | b |\n", "|---|---|\n", "a\tb\n", "1,2,3\n", "1,234 or 5,678\n", "甲：你好。\n",
    "Ann: Hello there.\n", "Mr. Bo: no\n", "a:b\n", "00:00:01,000 --> 00:00:02,000\n", "[00:12.30]la\n", "# Title\n",
    "#no\n", "====\n", "---\n", "【广告】", "【开\n】", "】", "LOREM IPSUM", "lorem, ipsum", "#话题# @小红 ",
    "the of ", "The the. ", "the, of ", "\ufffd\ue001", "C# a@b ", "😀", "更多\n",
    "Read More\n", "。。。\n", "x = f(1);\n", "Ⅻ ÀB ﬁ ｘＹ ªº", "\r\n", "<tool_call>", "\u3000", "x" * 40, "长" * 210,
    "\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(SHAPES), max_size=12).map("".join), st.sampled_from(LABELS))
def test_signals_equal_the_plain_measure_on_shapes(text: str, label: str | None) -> None:
    """Tables, code, time codes, speakers, headings, capitals and JSON, whole and broken, are counted as defined."""
    assert signals(text, label) == measure(text, load_profile(label))


@given(st.lists(texts(), min_size=1, max_size=5), st.integers(0, 5))
def test_batch_boundaries_do_not_matter(docs: list[str], cut: int) -> None:
    """Annotating two parts gives the same rows as annotating the whole."""
    labels = [LABELS[i % len(LABELS)] for i in range(len(docs))]
    whole = annotate(docs, labels)
    assert annotate(docs[:cut], labels[:cut]) + annotate(docs[cut:], labels[cut:]) == whole


ZH = (
    "图书馆从下个月起延长开放时间，工作日的闭馆时间推迟到晚上九点。\n"
    "馆长说：“很多读者下班以后才有空看书！”\n\n"
    "他们因此增加了6名员工；新的时间表在门口也可以看到……"
)
EN = "The sea covers the rock twice a day. It's 3.14 miles from here.\n\n- bring a lamp\n- bring a coat..."


def test_known_chinese_values() -> None:
    """A short Chinese text has the values that one counts by hand."""
    found = signals(ZH, "zho_Hans")
    assert {name: round(found[name], 3) for name in (
        "n_chars", "n_words", "n_lines", "n_paragraphs", "n_sentences", "max_line_chars", "stop_word_count",
        "mean_word_chars", "terminal_line_share", "ellipsis_line_share", "short_line_share", "digit_share",
    )} == {
        "n_chars": 81, "n_words": 69, "n_lines": 3, "n_paragraphs": 2, "n_sentences": 3, "max_line_chars": 31,
        "stop_word_count": 9, "mean_word_chars": 1.0, "terminal_line_share": 1.0, "short_line_share": 0.0,
        "ellipsis_line_share": 0.333, "digit_share": 0.013,
    }  # fmt: skip


def test_known_english_values() -> None:
    """A short English text has the values that one counts by hand."""
    found = signals(EN, "eng_Latn")
    assert {name: round(found[name], 3) for name in (
        "n_chars", "n_words", "n_lines", "n_paragraphs", "n_sentences", "stop_word_count", "mean_word_chars",
        "bullet_line_share", "ellipsis_line_share", "alpha_word_share", "newline_word_ratio",
    )} == {
        "n_chars": 97, "n_words": 20, "n_lines": 3, "n_paragraphs": 2, "n_sentences": 3, "stop_word_count": 1,
        "mean_word_chars": 3.4, "bullet_line_share": 0.667, "ellipsis_line_share": 0.333,
        "alpha_word_share": 0.9, "newline_word_ratio": 0.15,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("We tested the API 接口 3次", ["We", "tested", "the", "API", "接", "口", "3", "次"]),
        ("駅でコーヒーを", ["駅", "で", "コ", "ー", "ヒ", "ー", "を"]),
        ("도서관은 문을", ["도서관은", "문을"]),
        ("ไปที่", ["ไ", "ป", "ที่"]),
        ("don’t 'quote' x's", ["don’t", "quote", "x's"]),
        ("e\u0301te\u0301 co\u00adop", ["e\u0301te\u0301", "co\u00adop"]),
        ("हिन्दी", ["हिन्दी"]),
        ("x_1 = a[i]", ["x", "1", "a", "i"]),
    ],
)
def test_words_follow_the_script(text: str, words: list[str]) -> None:
    """Words are runs or single characters by script, in mixed text and code too, for any label."""
    assert find_words(text) == words
    assert {signals(text, label)["n_words"] for label in LABELS} == {len(words)}


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Pi is 3.14 or so", 0),
        ("Pi is 3.14.", 1),
        ("See node.js and a?b=1 here", 0),
        ("圆周率是3.14。真的！", 2),
        ("真的?是!好.", 3),
        ('He said "go." Then he left...', 2),
        ("1. 2. 3.", 0),
        ("什么？！……", 1),
        ("終わり｡次", 1),
    ],
)
def test_sentences_end_where_they_end(text: str, n: int) -> None:
    """A decimal point, a domain and a list number end no sentence; marks of any width do, a run once."""
    assert signals(text)["n_sentences"] == n


@pytest.mark.parametrize(
    "line", ["好。", "好！", "好？", "好…", "好；", "他说：“好。”", "（完。）", "(Done.)", "「好」", "end.’"]
)
def test_terminal_punctuation_of_any_width(line: str) -> None:
    """A line of Chinese or English prose that closes with a mark, a quote or a bracket counts as closed."""
    assert signals(line)["terminal_line_share"] == 1.0


@pytest.mark.parametrize("line", ["首页", "Home |", "好，", "if (x) {", "f(x)", "价格：", "3.14"])
def test_open_lines_are_not_terminal(line: str) -> None:
    """Menus, code and cut lines do not count as closed."""
    assert signals(line)["terminal_line_share"] == 0.0


def test_english_word_length_rule_is_not_applied_to_chinese() -> None:
    """No Chinese rule uses a mean word length, and ordinary Chinese passes every default that drops."""
    rules = load_profile("zho_Hans").rules
    assert not any("signals.mean_word_chars" in rule for rule in rules)
    found = signals(
        ZH + "\n他和朋友们一起在城里住了很多年，后来搬到了北方的一个小镇，再也没有回去过。", "zho_Hans"
    )
    assert failed(found, "zho_Hans") == []


def failed(found: dict[str, float], label: str, action: str = "drop") -> list[str]:
    """Names of the default rules that would drop, or flag, a document with these signals."""
    columns = {f"signals.{name}": pa.chunked_array([[value]]) for name, value in found.items()}
    rules = [rule for rule in parse_rules(list(load_profile(label).rules), label) if rule.action == action]
    return [rule.name for rule in rules if rule.columns() <= columns.keys() and rule.fails(columns).any()]


VERSE = (
    "床前明月光，\n疑是地上霜。\n举头望明月，\n低头思故乡。\n白日依山尽，\n黄河入海流。\n欲穷千里目，\n更上一层楼。\n"
    "春眠不觉晓，\n处处闻啼鸟。\n夜来风雨声，\n花落知多少。\n松下问童子，\n言师采药去。\n只在此山中，\n云深不知处。\n"
)
WRAPPED = """She had lived in the house by the river for as long as anybody could
remember, and it was said that she knew each of the boats by the sound of
its engine. In summer the children came and asked her to tell them of the
great flood. She never did; but she gave them bread with honey, and they
went away happy. When the bridge was built nobody needed the boats any
more, and those who had steered them found work in the mills or moved to
the coast. The river grew quiet. Some of the landings can still be seen
when the water is low, green and soft, with iron rings that nobody has
used since. Her house has been painted twice and sold, and the new people
keep the lamp in the window because they were told to
"""


def test_verse_and_hard_wrapped_prose_pass() -> None:
    """Short lines are no list and lines that end anywhere no menu, where there are sentences."""
    verse, wrapped = signals(VERSE), signals(WRAPPED, "eng_Latn")
    assert verse["newline_word_ratio"] > 0.178 and wrapped["terminal_line_share"] < 0.12
    assert failed(verse, "zho_Hans") == failed(wrapped, "eng_Latn") == []


def test_lists_without_sentences_are_flagged() -> None:
    """Menus of short lines have no sentences, so that their layout counts."""
    zh = signals("\n".join(f"第{chr(0x4E00 + 97 * i)}栏目的年和日" for i in range(40)))
    assert {"few_terminal_lines"} <= set(failed(zh, "zho_Hans", "flag"))
    words = "the harbour of boats and lamps with ropes that drift be winter".split()
    en = signals("\n".join(f"{a} {b}" for a in words for b in words if a != b), "eng_Latn")
    assert {"few_terminal_lines", "short_lines", "list_like"} <= set(failed(en, "eng_Latn", "flag"))


def test_code_among_chinese_prose_passes() -> None:
    """Latin letters make few distinct characters and code repeats short lines; neither is a fault."""
    code = "".join(f"if (limit[{i}] < upper) {{\n    total += limit[{i}];\n}}\n" for i in range(40))
    found = signals(ZH + "\n\n" + code)
    assert found["duplicate_line_share"] > 0.287 and found["unique_char_share"] < 0.1
    assert not {"few_distinct_chars", "duplicate_lines", "duplicate_line_chars"} & set(
        failed(found, "zho_Hans")
    )


def test_traditional_and_simplified_measure_alike() -> None:
    """A text and its Traditional form have the same stop words and repeats."""
    simplified = signals("后来他为了这个国家和人民，在这里工作了很多年。后来他为了这个国家和人民", "zho_Hans")
    traditional = signals(
        "後來他為了這個國家和人民，在這裏工作了很多年。後來他為了這個國家和人民", "zho_Hant"
    )
    assert simplified == traditional
    assert simplified["stop_word_count"] >= 5


@pytest.mark.parametrize("case", [str, str.upper], ids=["lower", "upper"])
@pytest.mark.parametrize(("n_rows", "form"), [(2, "technical"), (9, "table")])
def test_tables_written_as_html_are_tables(n_rows: int, form: str, case: Callable[[str], str]) -> None:
    """Lines that open with the markup of a table count as lines of one; a tag in a sentence does not."""
    prose = "The lock that a record has is one of these, and it stays until the record is written.\n" * 12
    cells = "".join(f"<tr>\n<td>Lock {i}</td>\n<td>Held by reader {i}.</td>\n</tr>\n" for i in range(n_rows))
    page = prose + case("<table>\n") + cells.replace("<td", case("<td")) + case("</table>\n")
    assert signals(page, "eng_Latn")["form"] == form
    assert signals(prose.replace("lock", "<td> tag"), "eng_Latn")["form"] == "page"


def test_repetition_is_measured_in_covered_characters() -> None:
    """A text that repeats itself ten times as long is no less repetitive."""
    once = "今天天气很好，我们一起去公园散步吧。"
    shares = [signals(once * n)["duplicate_5_gram_char_share"] for n in (2, 20, 200)]
    assert shares == sorted(shares)
    assert shares[0] == 0.5
    assert shares[-1] > 0.99


def test_a_repeated_chinese_document_is_dropped() -> None:
    """The repetition rules fire on Chinese."""
    assert "duplicate_10_grams" in failed(signals("今天天气很好，我们一起去公园散步吧。" * 30), "zho_Hans")


def test_the_top_n_gram_breaks_ties_by_length_then_place() -> None:
    """Of n-grams that occur equally often the longest counts, with every occurrence."""
    assert signals("aa bb x cccc dddd y aa bb z cccc dddd", "eng_Latn")[
        "top_2_gram_char_share"
    ] == pytest.approx(16 / 27, abs=1e-3)


def test_unique_character_share_does_not_fall_with_length() -> None:
    """Ten healthy windows are as diverse as one."""
    window = "".join(chr(0x4E00 + i % 400) for i in range(1000))
    assert (
        signals(window)["unique_char_share"]
        == signals(window * 10)["unique_char_share"]
        == pytest.approx(0.4)
    )


def test_carriage_returns_make_no_paragraphs() -> None:
    """Windows line breaks give the signals of Unix line breaks, but for their extra characters."""
    unix, windows = signals(ZH), signals(ZH.replace("\n", "\r\n"))
    assert {name for name in unix if unix[name] != windows[name]} == {"n_chars"}


def test_shares_are_shares() -> None:
    """Each share is in [0, 1], on an empty text too, and three decimals long."""
    for text in ("", "\n", "。", EN, ZH):
        for name, value in signals(text).items():
            assert isinstance(value, str) or value == np.float32(round(value, 3))
            assert not name.endswith("_share") or 0 <= value <= 1, name


def test_every_column_says_what_it_means() -> None:
    """The schema carries one definition per signal."""
    assert all(field.metadata[b"meaning"] for field in SCHEMA)


@pytest.mark.parametrize("profile", load_profiles(), ids=lambda profile: profile.name)
def test_profiles_hold_together(profile: Profile) -> None:
    """Stop words are single words; rules have unique names and read columns that exist."""
    assert all(find_words(word) == [word] for word in profile.stop_words)
    names = [rule["name"] for rule in profile.rules]
    assert sorted(names) == sorted(set(names))
    columns = [key for rule in profile.rules for key in rule if "." in key]
    assert len(columns) == len(profile.rules)
    assert set(profile.openers) <= set(profile.stop_words)
    columns += [key for rule in profile.rules for key in rule.get("where", {})]
    assert set(columns) <= {
        "quality.intact",
        "quality.value",
        "language.hant_share",
        "language.label",
        *(f"signals.{name}" for name in SCHEMA.names),
    }


def test_an_unknown_label_gets_the_generic_profile() -> None:
    """A language without a profile, and no language, are measured by `und`."""
    assert load_profile("fra_Latn") is load_profile(None) is load_profile("und")
    assert load_profile("zho_Hant").name == load_profile("zho_Hans").name == "zho"


def test_a_window_of_nothing_is_refused() -> None:
    """A window without characters is a bad setting."""
    with pytest.raises(ConfigError, match="window_chars"):
        Config(window_chars=0)
