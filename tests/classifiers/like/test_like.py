"""Likeness: training by the command, scores on unseen texts of both languages, and bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers import embedding
from classifiers.like import STAGE, Config, load_model, pack, score
from pipeline.errors import ConfigError
from tests.helpers.build import cli

COOKING = [
    "把面粉和鸡蛋搅拌均匀，放进烤箱烤四十分钟。", "切碎洋葱，加油翻炒，再放盐和酱油。", 
    "水开以后放入面条，煮熟捞出，浇上肉汁。",
    "Stir the flour and eggs and bake them for forty minutes.", "Chop the onions, fry them in oil and add salt.",
    "Boil the noodles in water and serve them with the sauce.",
]  # fmt: skip
OTHERS = [
    "法院驳回了原告的上诉，维持原判。", "股票市场今天下跌，投资者卖出股票。", "前锋射门得分，主队以一比零获胜。",
    "The court rejected the appeal of the plaintiff.", "Stocks fell today as investors sold their shares.",
    "The striker scored and the home team won the match.",
]  # fmt: skip
LANGUAGES = ["zh", "zh", "zh", "en", "en", "en"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model of cooking, by the command, and what it printed."""
    folder = tmp_path_factory.mktemp("like")
    rows = {"text": COOKING, "lang": LANGUAGES, "source": list("abcabc")}
    pq.write_table(pa.table(rows), folder / "examples.parquet")
    pq.write_table(pa.table({"text": OTHERS, "lang": LANGUAGES}), folder / "pool.parquet")
    out = folder / "cooking.npz"
    ended = cli("train", "like", folder / "examples.parquet", "--pool", folder / "pool.parquet", "--out", out)
    return out, ended.ok().out


def test_like_documents_score_higher(trained: tuple[Path, str]) -> None:
    """Unseen recipes are above 0, unseen texts of other kinds below, in both languages; without words, none."""
    texts = [
        "加盐和油，翻炒鸡蛋。",
        "Bake the eggs with onions.",
        "法院维持原判。",
        "Investors sold their shares.",
        "1",
        None,
    ]
    batch = pa.table({"text": pa.array(texts, pa.large_string())})
    vectors = embedding.STAGE.load(embedding.Config())(batch)["vector"]
    stage = STAGE.load(Config(models={"cooking": str(trained[0])}))
    table = stage(pa.table({"embedding.vector": vectors}))
    found = table["cooking"].to_pylist()
    assert table["best"].to_pylist() == ["cooking"] * 4 + [None] * 2
    assert table["score"].equals(table["cooking"])
    assert min(found[:2]) > 0 > max(found[2:4]) and found[4:] == [None, None]


def test_the_card_has_a_figure_for_each_language(trained: tuple[Path, str]) -> None:
    """The command prints what the card says."""
    card = trained[0].with_suffix(".md").read_text("utf-8")
    for line in ("6 examples of 3 sources", "eng: AUC", "zho: AUC"):
        assert line in card and line in trained[1]


def test_scores_are_a_linear_function_of_unit_vectors(trained: tuple[Path, str]) -> None:
    """Twice the vector has the same score, and rounding of weights moves it by little."""
    rng = np.random.default_rng(5)
    vectors, weights = rng.integers(-60, 60, (50, 128)).astype(np.int8), rng.normal(size=128)
    model = pack(weights, 0.25)
    units = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    assert score(vectors, model) == pytest.approx(units @ weights + 0.25, abs=1e-3)
    assert score(2 * vectors, model) == pytest.approx(score(vectors, model), abs=1e-12)


def test_bad_files_are_named(tmp_path: Path) -> None:
    """A file that is no model, and examples of one source: what is wrong, in one line."""
    np.savez(tmp_path / "bad.npz", weights=np.zeros(3), scale=1.0, offset=0.0)
    with pytest.raises(ConfigError, match=r"bad\.npz contains float64 \(3,\)"):
        load_model(str(tmp_path / "bad.npz"))
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"text": COOKING, "source": ["a"] * 6}), path)
    ended = cli("train", "like", path, "--pool", path, "--out", tmp_path / "x.npz")
    assert ended.code == 2 and "1 sources of examples" in ended.err
