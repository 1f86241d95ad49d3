"""One problem in two languages: questions with the same numbers, a build whose solutions share an id, layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers import embedding
from classifiers.solution_pairs import GLOBAL, Config, key_of
from pipeline.errors import ConfigError
from stages.cot.bilingual import NAMED, lay_out_pairs, name_layout, read_layout
from tests.helpers.build import build, tiny, write_run

ZH = """例1 一个果园有苹果树24棵，梨树是苹果树的3倍，果园里一共有多少棵树？
解：梨树有24×3=72棵，
所以一共有24+72=96棵。
答：96棵。"""
EN = """Example 1. An orchard has 24 apple trees and 3 times as many pear trees. How many trees does the orchard have?
Solution: There are 24×3=72 pear trees, so the orchard has 24+72=96 trees.
Answer: 96 trees."""
OTHER = EN.replace("24", "35").replace("72", "105").replace("96", "140")
COOKS = (
    "A recipe for 24 pancakes takes 3 eggs. How many eggs does a cook need for 48 pancakes in the kitchen?"
)


def mapped(questions: list[tuple[str, str]]) -> pa.Table:
    """What the map makes of questions with their language labels, in the order of reduce."""
    texts = pa.table({"text": pa.array([question for question, _ in questions], pa.large_string())})
    table = pa.table(
        {
            "parent_id": ["page"] * len(questions),
            "meta": [json.dumps({"question": question}) for question, _ in questions],
            "language.label": [label for _, label in questions],
            "embedding.vector": embedding.STAGE.load(embedding.Config())(texts)["vector"],
            "row": pa.array(range(len(questions)), pa.uint64()),
        }
    )
    return GLOBAL.map(table, Config()).sort_by([("key", "ascending"), ("row", "ascending")])


def test_numbers_make_candidates_and_meaning_decides() -> None:
    """A question's partner has its numbers, another language and the nearest meaning; options alone are no numbers."""
    zh, en = ZH.partition("\n")[0], EN.partition("\n")[0]
    assert key_of(zh, 2) == key_of(en, 2) != key_of(OTHER.partition("\n")[0], 2)
    assert key_of("Which is prime? A. 8 B. 9 C. 10 D. 11", 2) is None
    cooks = COOKS.replace("48", "1")
    table = mapped(
        [(cooks, "eng_Latn"), (zh, "zho_Hans"), (en, "eng_Latn"), (en, "eng_Latn"), ("12?", "eng_Latn")]
    )
    found = dict(zip(table["row"].to_pylist(), GLOBAL.reduce(table, Config()).to_pylist(), strict=True))
    assert set(found) == {0, 1, 2, 3}
    assert found[1]["other"] == 2 and found[2]["other"] == 1 and found[1]["id"] == found[2]["id"]
    assert found[0]["id"] is None and found[3] == found[2]
    with pytest.raises(ConfigError, match="min_numbers"):
        Config(min_numbers=0)


def test_a_release_has_one_id_for_both_solutions_and_layouts_join_them(tmp_path: Path) -> None:
    """Rows of cot/ about one problem share parallel_id; a layout takes each part in the language that it names."""
    page = tiny(
        tmp_path,
        [{"id": str(i), "text": text, "license": "CC0-1.0"} for i, text in enumerate((ZH, EN, OTHER))],
        annotate=["classifiers.language", "stages.cot", "classifiers.embedding"],
        select=[{"name": "pages", "source": {"not_in": ["docs"]}, "action": "flag"}],
        release={"name": "v1"},
    )
    page["global"] = ["classifiers.solution_pairs"]
    page["sources"].append({"name": "solved", "derive": "stages.cot.documents"})
    build(write_run(tmp_path, page), tmp_path / "store")
    (path,) = (tmp_path / "store/releases/v1/cot").glob("part-*.parquet")
    rows = pq.read_table(path)
    ids = {row["language"] + row["answer"][:2]: row["parallel_id"] for row in rows.to_pylist()}
    assert len(ids) == 3 and sum(id_ is not None for id_ in ids.values()) == 2
    layouts = [name_layout(name, "zho", "eng") for name in sorted(NAMED)] + [
        "question.eng think.zho answer.zho"
    ]
    documents = lay_out_pairs(rows, [*layouts, "question.fra answer.eng"]).to_pylist()
    assert [document["layout"] for document in documents] == layouts
    cross, taco, think = (document["text"] for document in documents)
    assert cross.startswith("一个果园") and "pear trees" in cross and "梨树有" not in cross
    assert taco.index("一个果园") < taco.index("An orchard") < taco.index("24×3=72") < taco.index("96棵。")
    assert think.startswith("An orchard") and "<think>\n梨树有24×3=72棵" in think
    assert {document["license"] for document in documents} == {"CC0-1.0"}


def test_layouts_are_checked() -> None:
    """A part that does not exist, a part without a language and an unknown name are refused."""
    for layout in ("question.zho step.eng", "question", ""):
        with pytest.raises(ConfigError):
            read_layout(layout)
    with pytest.raises(ConfigError, match="did you mean 'taco'"):
        name_layout("tako", "zho", "eng")
