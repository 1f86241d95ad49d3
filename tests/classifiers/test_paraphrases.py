"""Benchmark questions in other words: which are flagged, which are not, and what a hit names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.paraphrases import STAGE, Config, figures, list_asked
from pipeline.errors import ConfigError
from pipeline.stage import Annotate

ITEMS = {
    "eggs": "Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her "
    "friends every day with four. She sells the remaining 9 eggs at the farmers' market daily for $7 per fresh duck "
    "egg. How much in dollars does she make every day at the farmers' market?",
    "robots": "Which component of a robot measures how far its wheels have turned, so that its position is known?",
    "short": "What is Ronin?",
}
TRANSLATED = (
    "珍妮特的鸭子每天下16个蛋。她每天早上早餐吃三个，每天用四个蛋给朋友做松饼。她每天在农贸市场出售剩下的9个蛋，"
    "每个新鲜鸭蛋七美元。她每天在农贸市场赚多少美元？"
)
REPHRASED = (
    "The ducks of Janet produce 16 eggs each day. Three of them are her breakfast, and with four she bakes muffins for "
    "her friends. The other 9 fresh eggs go to the farmers' market, where each duck egg brings 7 dollars. How many "
    "dollars does she earn at the market every day?"
)
OTHER = (
    "Anna's hens lay 12 eggs per day. She eats 5 for breakfast every morning and sells the remainder at the market for "
    "$3 per egg. How much in dollars does she make every day at the farmers' market?"
)


@pytest.fixture(scope="module")
def annotate(tmp_path_factory: pytest.TempPathFactory) -> Annotate:
    """The stage with ITEMS."""
    path = tmp_path_factory.mktemp("items") / "q.parquet"
    columns = {"benchmark": ["b"] * len(ITEMS), "id": list(ITEMS), "question": list(ITEMS.values())}
    pq.write_table(pa.table(columns), path)
    return STAGE.load(Config(benchmarks=(str(path),)))


def find(annotate: Annotate, *texts: str | None) -> list[dict[str, Any]]:
    """Rows of SCHEMA. Any: values of structs."""
    return annotate(pa.table({"text": pa.array(texts, pa.large_string())})).to_pylist()


@pytest.mark.parametrize("question", [TRANSLATED, REPHRASED, ITEMS["eggs"]])
def test_another_wording_is_a_hit(annotate: Annotate, question: str) -> None:
    """A translation, a paraphrase and a copy are hits on the question inside a document, with the cosine."""
    head, tail = "湖边的老人每天清晨都来钓鱼。\n\n", "\n\nIt rained all week."
    (row,) = find(annotate, head + question + tail)
    (hit,) = row["hits"]
    assert (hit["benchmark"], hit["item"]) == ("b", "eggs") and hit["coverage"] == row["cosine"] >= 0.65
    assert abs(hit["start"] - len(head)) <= len(question) // 2 and hit["end"] == len(head + question)


def test_a_question_of_the_same_kind_is_none(annotate: Annotate) -> None:
    """Other numbers, the statement without the question, and a shorter item are no hits."""
    statement = REPHRASED.rpartition("How many")[0]
    rows = find(
        annotate,
        OTHER,
        statement,
        "What is Ronin?",
        "Which component of a boat shows its captain where the wind comes from?",
        None,
        "",
    )
    assert [row["n_hits"] for row in rows] == [0, 0, 0, 0, 0, 0]
    assert [row["n_hits"] for row in find(annotate, ITEMS["robots"])] == [1]


def test_questions_have_the_sentences_before_them() -> None:
    """Each question is listed alone and with up to seven sentences; a decimal point ends none."""
    text = "It costs 3.5 dollars. It is red. Is it dear? No."
    assert [text[a.start : a.end].strip() for a in list_asked(0, text)] == [
        "Is it dear?", "It is red. Is it dear?", "It costs 3.5 dollars. It is red. Is it dear?",
    ]  # fmt: skip
    assert {len(a.sentences) for a in list_asked(0, "一。" * 20 + "几？")} == set(range(1, 9))
    assert figures("1, 2 and 3.50 or 1,200") == {3.5, 1200}


def test_batches_do_not_matter(annotate: Annotate) -> None:
    """Documents alone have the rows that they have together."""
    texts = [TRANSLATED, OTHER, REPHRASED, f"{TRANSLATED}\n{REPHRASED}"]
    together = find(annotate, *texts)
    assert together == [row for text in texts for row in find(annotate, text)]
    assert together[3]["n_hits"] == 2


def test_settings_out_of_range_are_refused() -> None:
    """A share above 1 and a string for a list are named."""
    for settings, said in (
        ({"min_cosine": 1.5}, "min_cosine is 1.5"),
        ({"benchmarks": "q"}, "expected a list"),
    ):
        with pytest.raises(ConfigError, match=said):
            Config(**settings)
    assert find(STAGE.load(Config()), TRANSLATED) == [{"hits": [], "n_hits": 0, "cosine": 0.0}]
