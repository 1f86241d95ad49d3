"""Code-switched documents restore to their parents, and glossary coverage is exact on a known glossary."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from stages.parallel import code_switched, glossary
from stages.parallel.code_switched import Config, drawn, make_documents, restore, switch
from stages.parallel.dictionary import Dictionary, read_dictionary

ENTRIES = {"天气": "weather", "公园": "park", "公园里": "in the park", "cat": "猫", "new york": "纽约"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dictionary file with a comment, a blank line and a repeated entry."""
    file = tmp_path_factory.mktemp("dictionary") / "zh-en.tsv"
    lines = ["# zh and en", "", *("\t".join(entry) for entry in ENTRIES.items()), "cat\tanother"]
    file.write_text("\n".join(lines), "utf-8")
    return str(file)


def found(text: str, dictionary: Dictionary) -> list[tuple[str, str]]:
    """Entries and translations in a text."""
    return [(text[start:end], translation) for start, end, translation in dictionary.matches(text)]


def test_matches_are_the_longest_and_whole_words(path: str) -> None:
    """The longest entry counts; an entry inside a word of letters does not, one beside Han characters does."""
    dictionary = read_dictionary(path)
    assert dictionary.entries == ENTRIES
    assert found("公园里天气好", dictionary) == [("公园里", "in the park"), ("天气", "weather")]
    assert found("a cat, 我的cat和concatenate cats", dictionary) == [("cat", "猫"), ("cat", "猫")]
    assert found("in new york!", dictionary) == [("new york", "纽约")]


@settings(max_examples=80, deadline=None)
@given(st.text("天气公园里cat newyork,。", max_size=60), st.floats(0.05, 1))
def test_restoring_gives_the_original(text: str, share: float) -> None:
    """What was replaced leads back to the text, and each replacement is the translation of what was there."""
    longest = {"天": 2, "公": 3, "c": 3, "n": 8}
    new, replaced = switch(text, Dictionary(ENTRIES, longest), share)
    assert restore(new, replaced) == text
    assert all(ENTRIES[original] == new[start:end] for start, end, original in replaced)
    if share == 1:
        assert len(replaced) == len(found(text, Dictionary(ENTRIES, longest)))


def test_documents_are_a_share_and_restore_after_edits(path: str) -> None:
    """The cap on documents holds, shares of words are drawn, and restoring gives the edited parent."""
    texts = [f"第{i}天的天气和公园里的cat。天气，天气，公园。" for i in range(2000)]
    edits = [[{"start": 0, "end": 1, "kind": "x"}]] + [[]] * 1999
    table = pa.table({"text": pa.array(texts, pa.large_string()), "edits": pa.array(edits, SPANS)})
    config = Config(dictionary=path, documents_share=0.1, words_share=0.5, min_words=2)
    rows = make_documents(table, config, {}).to_pylist()
    assert 120 < len(rows) <= sum(drawn(text, 0.1) for text in texts) < 280
    for row in rows:
        replaced = json.loads(row["meta"])["replaced"]
        assert len(replaced) >= 2
        assert restore(row["text"], replaced) == (
            texts[row["parent"]][1:] if row["parent"] == 0 else texts[row["parent"]]
        )
    assert code_switched.DERIVE.provenance == "code_switched"


def test_coverage_is_exact_on_a_known_glossary(path: str) -> None:
    """Each occurrence in a source is counted, covered if its own target has the translation, without case."""
    pairs = [
        ("天气好，公园里有人", "Weather is fine; people IN THE PARK"),
        ("天气，天气", "rain"),
        ("没有", "none"),
    ]
    texts = ["\n".join(pair) for pair in pairs] + ["天气\nweather"]
    metas = [json.dumps({"n_pairs": 1})] * 3 + [None]
    table = pa.table({"text": texts, "meta": metas})
    rows = glossary.STAGE.load(glossary.Config(glossary=(path,)))(table).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (2, 2, 1.0),
        (2, 0, 0.0),
        (0, 0, None),
        (None, None, None),
    ]
    assert glossary.STAGE.load(glossary.Config())(table)["n_entries"].null_count == 4


def test_bad_dictionaries_and_settings_are_refused(tmp_path: Path) -> None:
    """A line without a translation, a missing file and shares out of range are errors before any work."""
    (tmp_path / "bad.tsv").write_text("天气\n", "utf-8")
    for wrong in (
        lambda: read_dictionary(str(tmp_path / "bad.tsv")),
        lambda: read_dictionary(str(tmp_path / "none.tsv")),
        lambda: Config(words_share=0),
        lambda: Config(min_words=0),
        lambda: make_documents(pa.table({"text": [], "edits": []}), Config(), {}),
    ):
        with pytest.raises(ConfigError):
            wrong()
