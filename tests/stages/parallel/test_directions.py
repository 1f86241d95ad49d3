"""Directions of pairs: which side a model wrote, and no pair twice in one direction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.parallel import pairs_of, translated
from stages.parallel.code_switched import restore
from stages.parallel.directions import STAGE
from tests.helpers.build import build, ledger, write_run
from tests.helpers.inputs import jsonl

ZH, EN = "今天天气很好，我们去公园。", "The weather is fine today, so we go to the park."


def documents(folder: Path) -> list[dict[str, Any]]:
    """Rows of all Parquet files of a folder that have documents."""
    paths = [path for path in sorted(folder.rglob("*.parquet")) if "text" in pq.read_schema(path).names]
    return [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]


def flags(rows: list[tuple[str, dict[str, Any] | None]]) -> list[dict[str, Any]]:
    """The stage on texts and their fields."""
    metas = [None if fields is None else json.dumps({"n_pairs": 1, **fields}) for _, fields in rows]
    table = pa.table({"text": pa.array([text for text, _ in rows], pa.large_string()), "meta": metas})
    return STAGE.load(STAGE.config())(table).to_pylist()


def sides(source: str, target: str, **fields: str) -> dict[str, Any]:
    """Fields of a pair."""
    return {"source_language": source, "target_language": target, **fields}


def test_a_pair_has_one_key_in_each_direction() -> None:
    """Width, case, punctuation and blanks do not count; languages and the order of the sides do."""
    zh_en, en_zh = sides("zho_Hans", "eng_Latn"), sides("eng_Latn", "zho_Hans")
    first, same, back, other, none, no_pair = flags([
        (f"{ZH}\n{EN}", zh_en), (f"{ZH.replace('，', ',')} \n{EN.upper()}", zh_en), (f"{EN}\n{ZH}", en_zh),
        (f"{ZH}\n{EN} Yes.", zh_en), (ZH, None), (f"{ZH}\n{EN}\n{ZH}", zh_en),
    ])  # fmt: skip
    assert first["key"] == same["key"]
    assert len({row["key"] for row in (first, back, other)}) == 3
    assert (first["direction"], back["direction"]) == ("zho_Hans-eng_Latn", "eng_Latn-zho_Hans")
    assert none == no_pair == {"direction": None, "translation": None, "key": None}


def test_flags_say_which_side_a_model_wrote() -> None:
    """Of pairs by people, mined ones, and ones of unknown direction there is none."""
    fields = [
        sides("zho_Hans", "eng_Latn", method=method, direction=direction)
        for method in ("machine", "human", "mined") for direction in ("forward", "backward", "cycle", "")
    ]  # fmt: skip
    found = [row["translation"] for row in flags([(f"{ZH}\n{EN}", one) for one in fields])]
    assert found == ["forward", "back", "cycle", None] + [None] * 8


def document(text: str, translation: str, language: str, edits: list[Any] | None = None) -> dict[str, Any]:
    """A document with its translation, as `classifiers.rephrase` writes it."""
    one = {"style": "translation", "language": language, "text": translation, "similarity": 0.9}
    return {
        "text": text, "rephrase.texts": [{**one, "style": "faq"}, one], "rephrase.n_texts": 2, "rephrase.model": "m",
        "edits": edits or [],
    }  # fmt: skip


def test_translations_become_pairs_in_both_directions() -> None:
    """A pair a line where the lines agree; forward and back are each other's sides exchanged, with their flags."""
    rows = [
        document(f"{ZH}\n\n好。", f"{EN}\nGood.", "en"), document(EN, f"{ZH}\n又一行。", "zh"),
        document(ZH, EN, "en", [{"start": 0, "end": 1, "kind": "email"}]),
    ]  # fmt: skip
    found = translated.make_documents(pa.Table.from_pylist(rows), translated.Config(), {}).to_pylist()
    assert [(row["parent"], row["number"]) for row in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    lists = [pairs_of(row["text"], row["meta"]) for row in found]
    assert lists[:2] == [[(ZH, EN), ("好。", "Good.")], [(EN, ZH), ("Good.", "好。")]]
    assert lists[2] == [(EN, f"{ZH} 又一行。")]
    flagged = flags([(row["text"], json.loads(row["meta"])) for row in found])
    assert [row["translation"] for row in flagged] == ["forward", "back"] * 2
    assert [row["direction"] for row in flagged] == [
        "zho_Hans-eng_Latn", "eng_Latn-zho_Hans", "eng_Latn-zho_Hans", "zho_Hans-eng_Latn",
    ]  # fmt: skip
    (only,) = translated.make_documents(
        pa.Table.from_pylist(rows[:1]), translated.Config(flags=("back",)), {}
    ).to_pylist()
    assert only["text"] == found[1]["text"]


def test_the_cap_of_translated_pairs_is_held() -> None:
    """A share of the documents, drawn by their text, both directions of each."""
    rows = [document(f"{ZH}{i}", f"{EN} {i}", "en") for i in range(2000)]
    found = translated.make_documents(pa.Table.from_pylist(rows), translated.Config(documents_share=0.2), {})
    parents = found["parent"].to_pylist()
    assert parents[::2] == parents[1::2] and abs(len(set(parents)) - 400) < 60


def test_no_pair_twice_in_one_direction(tmp_path: Path) -> None:
    """A build keeps one pair of each key: copies across files are dropped, the other direction is kept."""
    (tmp_path / "a.tsv").write_text(f"{ZH}\t{EN}\n好的。\tGood.\n{ZH}\t{EN.lower()}\n", "utf-8")
    (tmp_path / "b.tsv").write_text(f"{EN}\t{ZH}\nGood.\t好的。\n", "utf-8")
    other = {"source_language": "eng_Latn", "target_language": "zho_Hans"}
    page = {
        "corpus": "pairs",
        "sources": [
            {"name": "a", "reader": "stages.readers.pairs_tsv", "files": "a.tsv"},
            {"name": "b", "reader": "stages.readers.pairs_tsv", "files": "b.tsv", "config": other},
        ],
        "annotate": ["classifiers.language", "stages.parallel.directions"],
        "global": [{"use": "stages.web.caps", "config": {"by": ["directions.key"], "slice": "none"}}],
        "select": [{"name": "twice", "caps.rank": {"max": 1}, "if_null": "keep"}],
        "release": {"name": "pairs"},
    }
    build(write_run(tmp_path, page), tmp_path / "store")
    rows = ledger(tmp_path / "store", "pairs")
    assert sorted((row["source"], row["rule"] or "kept") for row in rows) == [
        ("a", "kept"), ("a", "kept"), ("a", "twice"), ("b", "kept"), ("b", "kept"),
    ]  # fmt: skip


def test_views_are_out_of_deduplication_and_of_natural_counts(tmp_path: Path) -> None:
    """Code-switched views of similar documents are kept whole and restore to them; a mix can leave them out."""
    shared = "山下有一条小河，河边种着很多柳树，春天的时候孩子们在这里放风筝。" * 6
    texts = [
        f"第{i}封信：{name}写道。{shared}{name}后来搬到了北方。"
        for i, name in enumerate(("张三", "李四", "王五"))
    ]
    jsonl(tmp_path / "docs.jsonl", [{"text": text} for text in texts])
    (tmp_path / "d.tsv").write_text("小河\triver\n春天\tspring\n孩子\tchild\n", "utf-8")
    views = {"dictionary": str(tmp_path / "d.tsv"), "documents_share": 1.0, "words_share": 1.0}
    page = {
        "corpus": "views",
        "sources": [
            {"name": "docs", "reader": "stages.readers.jsonl", "files": "docs.jsonl"},
            {"name": "switched", "derive": "stages.parallel.code_switched", "of": ["docs"], "config": views},
        ],
        "annotate": [
            "classifiers.language", "stages.dedup.exact", "stages.minhash", "stages.passages.anchors", "stages.tokens",
            "stages.passages.substring",
        ],
        "global": [
            "stages.dedup.candidates", {"use": "stages.dedup", "config": {"threshold": 0.99}},
            "stages.passages.shared_anchors",
        ],
        "keep_one": {"of": "dedup", "passages": "substring"},
        "mix": {"default": "read", "mixes": {"read": {
            "by": "source", "groups": {"views": ["switched"], "others": "rest"}, "share": {"others": 1, "views": 0},
        }}, "max_discard": 1},
        "release": {"name": "views", "edits": {"owners": "all"}},
    }  # fmt: skip
    build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / "releases" / "views"
    rows = documents(release / "data")
    metas = {row["doc_id"]: row["meta"] for row in documents(tmp_path / "store" / "shards")}
    parents = {row["doc_id"]: row for row in rows if row["parent_id"] is None}
    derived = [row for row in rows if row["parent_id"] is not None]
    assert len(parents) == len(derived) == 3
    assert (
        sum("小河" in row["text"] for row in parents.values()) == 1
    )  # the passage of the others was removed
    for row in derived:
        meta = json.loads(metas[row["doc_id"]])
        assert restore(row["text"], meta["replaced"]) in texts and row["parent_id"] in parents
        assert row["provenance"] == "code_switched"
    copies = {row["doc_id"]: row["copies"] for row in ledger(tmp_path / "store", "views")}
    assert {copies[name] for name in parents} == {1} and {copies[row["doc_id"]] for row in derived} == {0}
