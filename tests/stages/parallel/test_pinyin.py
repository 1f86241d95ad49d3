"""Pinyin views: each line is above its transliteration, tones as asked, and other text stays."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.schema import SPANS
from stages.parallel.code_switched import drawn
from stages.parallel.pinyin import Config, Reader, is_chinese, make_documents, view_of
from tests.helpers.build import build, ledger, texts, tiny, write_run

pytest.importorskip("pypinyin", reason="needs the extra pinyin: pip install 'bicorpus[pinyin]'")


@pytest.mark.parametrize(
    ("tones", "expected"),
    [
        ("marks", "yín háng zài chóng qìng，hěn zhòng yào。"),
        ("numbers", "yin2 hang2 zai4 chong2 qing4，hen3 zhong4 yao4。"),
        ("none", "yin hang zai chong qing，hen zhong yao。"),
    ],
)
def test_readings_follow_phrases(tones: str, expected: str) -> None:
    """行 and 重 have two readings each: the phrase decides."""
    assert Reader(tones).line("银行在重庆，很重要。") == expected


def test_other_text_stays() -> None:
    """Words, numbers, addresses and emoji are not changed; blanks stand between them and syllables."""
    assert (
        Reader("none").line("用 Python 3.11 写的（见 a@b.cn）😀")
        == "yong Python 3.11 xie de（jian a@b.cn）😀"
    )
    assert Reader("none").line("转自【影视】——白宫：“好”") == "zhuan zi【ying shi】——bai gong：“hao”"
    assert Reader("marks").line("no Han here") == "no Han here"


def test_lines_and_layouts() -> None:
    """Pairs are separated by blank lines; a line without Han characters stands alone."""
    reader, text = Reader("none"), "今天\n\n  OK\n明天"
    assert view_of(text, reader, "pairs") == "今天\njin tian\n\nOK\n\n明天\nming tian"
    assert view_of(text, reader, "alone") == "jin tian\nOK\nming tian"


def test_what_is_chinese_enough() -> None:
    """By number and share of Han characters, in both scripts; kana and Latin letters count against it."""
    assert is_chinese("學" * 50, Config()) and not is_chinese("學" * 49, Config())
    assert not is_chinese("学" * 60 + "かな" * 20, Config()) and is_chinese("学" * 60 + "1、" * 90, Config())


def test_documents_are_drawn_and_edited_first() -> None:
    """The share is a cap; what the release removes is not transliterated; meta has the settings and the version."""
    rows = [f"第{i}篇，" + "天气好" * 30 for i in range(1000)]
    edits = [[{"start": 0, "end": 1, "kind": "x"}]] * 1000
    table = pa.table({"text": pa.array(rows, pa.large_string()), "edits": pa.array(edits, SPANS)})
    found = make_documents(
        table, Config(documents_share=0.2, layout="alone", tones="numbers"), {}
    ).to_pylist()
    assert [row["parent"] for row in found] == [i for i, text in enumerate(rows) if drawn(text, 0.2)]
    assert 150 < len(found) < 250 and all("di4" not in row["text"] for row in found)
    assert json.loads(found[0]["meta"]) | {"pypinyin": ""} == {
        "method": "pinyin", "tones": "numbers", "layout": "alone", "pypinyin": "",
    }  # fmt: skip


@pytest.mark.parametrize("setting", [{"documents_share": 0}, {"han_share": 1.5}, {"min_han": 0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    """Shares are above 0 and at most 1."""
    with pytest.raises(ConfigError):
        Config(**setting)  # type: ignore[arg-type]


def test_a_build_has_them_beside_their_parents(tmp_path: Path) -> None:
    """They are kept and dropped with their parents, marked by provenance, and no copies of them."""
    rows = [{"id": str(i), "text": f"第{i}篇文章。" + "春天来了，花都开了。" * (8 + i)} for i in range(6)]
    page = tiny(tmp_path, rows)
    page["sources"].append({
        "name": "pinyin", "derive": "stages.parallel.pinyin", "of": ["docs"], "config": {"documents_share": 1.0},
    })  # fmt: skip
    page["annotate"] = ["classifiers.language", "stages.signals"]
    page["select"] = [{"name": "short", "signals.n_chars": {"min": 110}, "where": {"source": ["docs"]}}]
    build(write_run(tmp_path, page), tmp_path / "store")
    found = ledger(tmp_path / "store", "tiny")
    kept = {row["source"]: sum(r["keep"] for r in found if r["source"] == row["source"]) for row in found}
    assert kept["pinyin"] == kept["docs"] < 6 and len(found) == 12
    assert any("chūn tiān lái le" in text for text in texts(tmp_path / "store", "tiny").values())
