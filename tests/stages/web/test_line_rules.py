"""Line rules: the lines that each published filter removes, in Chinese and English, and the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.spans import apply_spans
from stages.languages import PHRASES_PATH
from stages.web.line_rules import LAYOUT, PHRASES, PRESETS, STAGE, Config
from tests.helpers.oracles.signals import count_sentences, ends_prose, find_lines, find_words
from tests.helpers.strategies import texts


def judge(text: str, **settings: Any) -> dict[str, Any]:
    """The stage on one text."""
    config = Config(**settings)
    return STAGE.load(config)(pa.table({"text": pa.array([text], pa.large_string())})).to_pylist()[0]


def taken(text: str, **settings: Any) -> list[tuple[str, str]]:
    """Lines that are taken, with their kinds."""
    return [(text[s["start"] : s["end"]].strip(), s["kind"]) for s in judge(text, **settings)["spans"]]


BAD = {
    "no_terminal": ["首页", "没有结尾的一行文字在这里", "A line that just stops", "and so it goes..."],
    "few_words": ["短。", "Oh dear."],
    "one_word": ["短", "Hello.", "- - -"],
    "long_word": ["x" * 1001 + ".", "这里有一串乱码" + "ab1/" * 300 + "。"],
    "capitals": ["BUY NOW", "FREE SHIPPING on all"],
    "numeric": ["12345", "２０２４"],
    "javascript": ["请先打开JavaScript再访问。", "You need to enable JavaScript."],
    "policy": ["请阅读我们的隐私政策。", "This site uses cookies.", "閱讀使用條款。"],
    "lorem_ipsum": ["Lorem ipsum dolor sit amet."],
    "counter": ["3 likes", "12,345 Views", "1.2K followers", "128 条评论", "3.4万次阅读"],
    "call": ["3 items in cart", "The news of today read more...", "Sign-in", "阅读全文..."],
}
GOOD = [
    "这一行有完整的一句话。", "她说：“我们明天再来。”", "第３章讲的是桥。", "他有三条评论没有回复，晚上再看。",
    "The 3 views of the hill are all by her.", "He liked the 12 comments.", "WHO and UNICEF sent people.",
    "“We share what we have.”", "The policy of the town was never written down.",
    "Items were put in a cart and taken away.", "2024 was a good year.",
]  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_lines_of_a_kind_are_taken_in_both_languages(kind: str) -> None:
    """Each kind takes its lines, and none of the good ones, alone and among others."""
    for line in BAD[kind]:
        assert taken(line, kinds=(kind,)) == [(line, kind)]
    text = "\n".join(GOOD)
    assert taken(text, kinds=(kind,)) == []
    assert [line for line, _ in taken(f"{text}\n{BAD[kind][0]}\n{text}", kinds=(kind,))] == [BAD[kind][0]]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_name_kinds_that_exist(preset: str) -> None:
    """Every kind of a preset is one, and every kind is tested above or needs a list of words."""
    assert set(PRESETS[preset]) <= {*LAYOUT, *PHRASES}
    assert {*LAYOUT, *PHRASES} == {*BAD, "listed_word"}
    assert {entry["kind"] for entry in read_yaml(PHRASES_PATH)["phrases"]} <= set(PHRASES)


def test_the_first_kind_of_the_preset_names_a_line() -> None:
    """A line with several faults has one span, of the first kind of the preset."""
    assert taken("JAVASCRIPT", kinds=("capitals", "javascript")) == [("JAVASCRIPT", "capitals")]
    assert taken("JAVASCRIPT", kinds=("javascript", "capitals")) == [("JAVASCRIPT", "javascript")]


def test_what_is_left_is_counted() -> None:
    """Shares are of code points and of words; sentences are those of the remaining lines."""
    text = "第一句在这里。第二句也在。\n首页\n12 likes\nThe third one. The fourth.\n"
    found = judge(text, preset="c4")
    assert [span["kind"] for span in found["spans"]] == ["no_terminal", "no_terminal"]
    assert found["n_sentences_left"] == 4
    assert found["removed_word_share"] == pytest.approx(4 / (11 + 2 + 2 + 5), abs=1e-3)
    assert found["removed_share"] == pytest.approx(len("首页\n12 likes\n") / len(text), abs=1e-3)
    assert judge("", preset="c4") == {
        "spans": [],
        "removed_share": 0,
        "removed_word_share": 0,
        "n_sentences_left": 0,
    }


@given(texts())
def test_lines_equal_the_plain_measure(text: str) -> None:
    """Kinds of layout equal the plain Python definitions, and the remaining text contains no such line."""
    spans = judge(text, kinds=("no_terminal", "few_words"))
    lines = [line for line in find_lines(text) if line]
    cut = ("…", "⋯", "...", "。。。")
    bad = [line for line in lines if line.endswith(cut) or not ends_prose(line) or len(find_words(line)) < 3]
    assert len(spans["spans"]) == len(bad)
    rest = apply_spans(text, [(s["start"], s["end"], s["kind"]) for s in spans["spans"]])
    assert [line for line in find_lines(rest) if line] == [line for line in lines if line not in bad]
    assert spans["n_sentences_left"] == sum(count_sentences(line) for line in lines if line not in bad)


@given(st.lists(texts(), max_size=4))
def test_batches_do_not_matter(docs: list[str]) -> None:
    """A text alone gets the row that it gets among others."""
    stage = STAGE.load(Config(preset="mapneo"))
    table = pa.table({"text": pa.array(docs, pa.large_string())})
    assert stage(table).to_pylist() == [judge(text, preset="mapneo") for text in docs]


def test_listed_words_are_found_in_any_width_and_script(tmp_path: Path) -> None:
    """A list of one's own takes lines with its words, Latin ones as whole words only."""
    path = tmp_path / "words.txt"
    path.write_text("# mine\n违禁\nbad word\n\n", encoding="utf-8")
    text = "這裡有違禁的話。\nＢad Word here.\nA bad wordsmith.\n没有问题。"
    assert [line for line, _ in taken(text, preset="cci4", words=(str(path),))] == [
        "這裡有違禁的話。",
        "Ｂad Word here.",
    ]
    path.write_text("x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="one character"):
        STAGE.load(Config(preset="cci4", words=(str(path),)))
    path.write_text("# none\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no words"):
        STAGE.load(Config(preset="cci4", words=(str(path),)))


def test_unknown_names_are_refused() -> None:
    """A preset or a kind that does not exist is a bad setting, and the nearest one is named."""
    with pytest.raises(ConfigError, match="did you mean 'refinedweb'"):
        Config(preset="refindweb")
    with pytest.raises(ConfigError, match="did you mean 'capitals'"):
        Config(kinds=("capital",))
