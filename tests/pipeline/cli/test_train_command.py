"""`bicorpus train`: real trainings on the labelled sample, and their models used by path in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from classifiers.fasttext import STAGE, Config
from classifiers.head.model import load_head
from classifiers.linear.train import auc
from pipeline.cli import main
from tests.helpers.labelled_sample import labelled_sample, write_labelled

pytest.importorskip("lightgbm", reason="the extra `train` is not installed")
library = pytest.importorskip("fasttext", reason="the extra `train` is not installed")
if not hasattr(library, "train_supervised"):
    pytest.skip(
        "fasttext-community is not installed, another package of this name is", allow_module_level=True
    )


def command(*arguments: object, code: int = 0) -> Result:
    """Run a command and check its exit code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the labelled sample, a fastText model, and a head that also reads the model's left-out scores."""
    folder = tmp_path_factory.mktemp("trained")
    path = write_labelled(folder)
    command(
        "train",
        "fasttext",
        path,
        "--out",
        folder / "keep.bin",
        "--settings",
        "bucket=20000,epoch=15",
        "--json",
    )
    command(
        "train", "head", path, "--out", folder / "value.npz", "--columns", "signals,language,fasttext.keep",
        "--join", folder / "keep.left_out.parquet", "--settings", "n_trees=40,min_data_in_leaf=10",
    )  # fmt: skip
    return folder


def left_out(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of models that had not seen the source, and the labels of these rows."""
    table, labels = pq.read_table(path), np.array(labelled_sample()["label"].to_pylist())
    return np.array(table[column].to_pylist()), labels[np.array(table["row"].to_pylist())]


@pytest.mark.parametrize(
    ("name", "column", "least"), [("keep", "fasttext.keep", 0.75), ("value", "head.value", 0.8)]
)
def test_models_rank_sources_they_have_not_seen(trained: Path, name: str, column: str, least: float) -> None:
    """On sources left out, spam is below documentation; the pages state it, with intervals, by source and kind."""
    assert auc(*left_out(trained / f"{name}.left_out.parquet", column)) > least
    page = (trained / f"{name}.evaluation.md").read_text(encoding="utf-8")
    for part in (
        "| zho | ",
        "## Thresholds",
        "## Calibration",
        "## By kind",
        "| zho | spam | ",
        "## By source",
        "board-3",
    ):
        assert part in page
    card = (trained / f"{name}.md").read_text(encoding="utf-8")
    assert "Learnt from" in card
    assert f"{name}: {name}." in card


def test_the_fasttext_model_is_the_librarys_too(trained: Path) -> None:
    """The kernel and the library give a trained model the same probabilities."""
    texts = [text.replace("\n", " ") for text in labelled_sample()["text"].to_pylist()]
    config = Config(models={"keep": str(trained / "keep.bin")})
    ours = STAGE.load(config)(pa.table({"text": pa.array(texts, pa.large_string())}))["keep"].to_pylist()
    model = library.load_model(str(trained / "keep.bin")).f
    theirs = [dict((label, p) for p, label in model.predict(text + "\n", 2, 0.0, "strict")) for text in texts]
    np.testing.assert_allclose(ours, [min(found["__label__hq"], 1) for found in theirs], rtol=0, atol=1e-5)


def test_trainings_repeat(trained: Path, tmp_path: Path) -> None:
    """The same files give the same bytes of models, cards and pages."""
    path = write_labelled(tmp_path)
    command("train", "fasttext", path, "--out", tmp_path / "keep.bin", "--settings", "bucket=20000,epoch=15")
    command(
        "train", "head", path, "--out", tmp_path / "value.npz", "--columns", "signals,language,fasttext.keep",
        "--join", trained / "keep.left_out.parquet", "--settings", "n_trees=40,min_data_in_leaf=10",
    )  # fmt: skip
    for name in ("keep.bin", "keep.md", "keep.evaluation.md", "value.npz", "value.md", "value.evaluation.md"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_models_are_used_by_path_in_a_run(trained: Path, tmp_path: Path) -> None:
    """A run file names both models; their columns are rules and exports; moved models leave the store as it is."""
    rows = [{"text": text} for text in labelled_sample()["text"].to_pylist()[150:260]]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def run_file(folder: Path) -> dict[str, Any]:
        return {
            "corpus": "trained",
            "sources": [{"name": "docs", "files": str(tmp_path / "docs.jsonl"), "reader": "stages.readers.jsonl"}],
            "annotate": [
                "classifiers.language", "stages.signals",
                {"use": "classifiers.fasttext",
                 "config": {"models": {"keep": str(folder / "keep.bin")}, "text": {"keep": "characters"}}},
                {"use": "classifiers.head", "config": {"models": {"value": str(folder / "value.npz")}}},
            ],
            "select": [{"name": "low_value", "head.value": {"min": 0.5}, "if_null": "drop"}],
            "release": {"name": "r"},
        }  # fmt: skip

    path, store = tmp_path / "run.yaml", tmp_path / "store"
    path.write_text(yaml.safe_dump(run_file(trained), allow_unicode=True), encoding="utf-8")
    command("run", path, "--store", store, "--engine", "local", "--workers", 1, "--quiet")
    command(
        "export", path, "--store", store, "--columns", "text,keep,fasttext.keep,head.value,head.n_missing", "--to",
        tmp_path / "rows.parquet",
    )  # fmt: skip
    exported = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert len(exported) >= 100  # of 110, of which the reader quarantines a few
    assert all(row["keep"] == (row["head.value"] >= 0.5) for row in exported)
    config = Config(models={"keep": str(trained / "keep.bin")}, text={"keep": "characters"})
    table = pa.table({"text": pa.array([row["text"] for row in exported], pa.large_string())})
    assert STAGE.load(config)(table)["keep"].to_pylist() == [row["fasttext.keep"] for row in exported]
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("keep.bin", "value.npz"):
        (moved / name).write_bytes((trained / name).read_bytes())
    path.write_text(yaml.safe_dump(run_file(moved), allow_unicode=True), encoding="utf-8")
    plan = json.loads(command("plan", path, "--store", store, "--json").output)
    assert plan["empty"]


def test_a_head_without_its_stage_is_named(trained: Path, tmp_path: Path) -> None:
    """A run that lacks a stage that a head reads stops before any work."""
    (tmp_path / "docs.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    run = {
        "corpus": "trained",
        "sources": [
            {"name": "docs", "files": str(tmp_path / "docs.jsonl"), "reader": "stages.readers.jsonl"}
        ],
        "annotate": [
            "classifiers.language",
            {"use": "classifiers.head", "config": {"models": {"value": str(trained / "value.npz")}}},
        ],
        "release": {"name": "r"},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    result = command("plan", tmp_path / "run.yaml", "--store", tmp_path / "store", code=2)
    assert "head" in result.output
    assert "signals" in result.output or "fasttext" in result.output


def test_a_head_learns_from_rows_of_a_store(trained: Path, tmp_path: Path) -> None:
    """Exported columns without texts, joined with labels by key, train a head of the same columns."""
    table = labelled_sample().append_column(
        "doc_id", pa.array([f"d{i}" for i in range(labelled_sample().num_rows)])
    )
    labels = table.select(["doc_id", "label"]).take(pa.array(range(table.num_rows - 1, 10, -1)))
    values = pa.array([len(text) if i % 9 else None for i, text in enumerate(table["text"].to_pylist())])
    pq.write_table(
        table.select(["doc_id", "source", "lang"]).append_column("signals.n_chars", values),
        tmp_path / "rows.parquet",
    )
    pq.write_table(labels, tmp_path / "labels.parquet")
    command(
        "train", "head", tmp_path / "rows.parquet", "--join", tmp_path / "labels.parquet", "--on", "doc_id",
        "--columns", "signals.n_chars", "--out", tmp_path / "length.npz", "--settings", "n_trees=5",
    )  # fmt: skip
    assert load_head(tmp_path / "length.npz").forest.columns == ("signals.n_chars",)
    assert (
        "300"
        not in (tmp_path / "length.md").read_text(encoding="utf-8").split("Settings")[0].split("trees")[1][:5]
    )


def test_negatives_come_from_the_third_quartile(trained: Path, tmp_path: Path) -> None:
    """A scored pool adds negatives between its median and third quartile; the card counts them."""
    pool = labelled_sample().select(["text", "lang", "source"])
    pool = pool.append_column("score", pa.array(np.linspace(0, 1, pool.num_rows)))
    pq.write_table(pool, tmp_path / "pool.parquet")
    command(
        "train", "fasttext", write_labelled(tmp_path), "--out", tmp_path / "m.bin", "--pool", tmp_path / "pool.parquet",
        "--pool-score", "score", "--negatives", 50, "--settings", "bucket=20000,epoch=2",
    )  # fmt: skip
    assert "50 negatives of a pool" in (tmp_path / "m.md").read_text(encoding="utf-8")
    result = command(
        "train", "fasttext", tmp_path / "labelled.parquet", "--out", tmp_path / "n.bin", "--pool",
        tmp_path / "pool.parquet", "--pool-score", "scores", code=2,
    )  # fmt: skip
    assert "did you mean 'score'" in result.output


def test_mining_finds_what_resembles_the_seeds(tmp_path: Path) -> None:
    """Seeds of a few sources find the documentation in a pool of documentation and spam."""
    table = labelled_sample()
    good = np.array(table["label"].to_pylist()) & (np.array(table["lang"].to_pylist()) == "zh")
    seeds, rest = (
        np.flatnonzero(good)[:80],
        np.setdiff1d(np.arange(table.num_rows), np.flatnonzero(good)[:80]),
    )
    pq.write_table(table.take(pa.array(seeds)), tmp_path / "seeds.parquet")
    pq.write_table(table.take(pa.array(rest)), tmp_path / "pool.parquet")
    result = command(
        "train", "mine", tmp_path / "seeds.parquet", "--pool", tmp_path / "pool.parquet", "--out", tmp_path / "m.bin",
        "--share", 0.2, "--rounds", 2, "--settings", "bucket=20000",
    )  # fmt: skip
    assert "seeds of left-out sources" in result.output
    mined = pq.read_table(tmp_path / "m.mined.parquet")
    assert mined["mined_score"].to_pylist() == sorted(mined["mined_score"].to_pylist(), reverse=True)
    assert np.mean(mined["label"].to_pylist()) > np.mean(np.array(table["label"].to_pylist())[rest]) + 0.2


def test_a_dry_run_says_what_would_be_learnt_from(trained: Path, tmp_path: Path) -> None:
    """Documents, classes, sources and folds, without a training; of `like` and `mine`, documents and pool."""
    path = trained / "labelled.parquet"
    options = ("--out", tmp_path / "x.npz", "--dry-run", "--json")
    facts = json.loads(command("train", "head", path, *options).stdout)
    assert facts["documents"] > facts["good"] > 0 and facts["sources"] >= facts["folds"] > 1
    pool = json.loads(command("train", "like", path, "--pool", path, *options).stdout)
    assert pool["pool"] == pool["documents"] == facts["documents"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "labels"], "did you mean 'label'"),
        (["--label", "text"], "expected booleans"),
        (["--good", "kept"], "expected a column of booleans"),
        (["--settings", "dim"], "expected NAME=VALUE"),
        (["--settings", "dims=3"], "settings of the library"),
        (["--fold", "folds"], "expected a column"),
    ],
    ids=str,
)
def test_mistakes_are_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Wrong columns and settings end with exit code 2 and state what was expected."""
    result = command(
        "train", "fasttext", write_labelled(tmp_path), "--out", tmp_path / "m.bin", *arguments, code=2
    )
    assert message in result.output


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_a_kenlm_model_is_trained_and_used_by_path(tmp_path: Path, tokens: str) -> None:
    """ARPA, card, page and left-out scores are written, repeat, and the stage scores by the model."""
    kenlm = pytest.importorskip("kenlm", reason="the extra `kenlm` is not installed")
    path = write_labelled(tmp_path)
    options = ("--lang", "zh", "--order", 3, "--prune", "0,0,1", "--tokens", tokens, "--lmplz", "own")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command("train", "kenlm", path, *options, "--out", tmp_path / name / "zh.arpa")
    for name in ("zh.arpa", "zh.md", "zh.evaluation.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert kenlm.Model(str(tmp_path / "one" / "zh.arpa")).order == 3
    assert "KenLM model of order 3" in (tmp_path / "one" / "zh.md").read_text("utf-8")
    scores = pq.read_table(tmp_path / "one" / "zh.left_out.parquet")["kenlm.perplexity"].to_pylist()
    assert all(score > 1 for score in scores) and len(set(scores)) > 10
    (tmp_path / "docs.jsonl").write_text(
        json.dumps({"text": labelled_sample()["text"][0].as_py()}) + "\n", "utf-8"
    )
    run = {
        "corpus": "scored",
        "sources": [{"name": "docs", "files": str(tmp_path / "docs.jsonl"), "reader": "stages.readers.jsonl"}],
        "annotate": [
            "classifiers.language",
            {"use": "classifiers.kenlm", "config": {"models": [str(tmp_path / "one" / "zh.arpa")],
             "labels": [["zho_Hans", "zho_Hant"]], "tokens": tokens}},
        ],
        "release": {"name": "r"},
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    command(
        "run",
        tmp_path / "run.yaml",
        "--store",
        tmp_path / "s",
        "--engine",
        "local",
        "--workers",
        1,
        "--quiet",
    )
    command(
        "export", tmp_path / "run.yaml", "--store", tmp_path / "s", "--columns", "kenlm.perplexity", "--to",
        tmp_path / "rows.parquet",
    )  # fmt: skip
    (value,) = pq.read_table(tmp_path / "rows.parquet")["kenlm.perplexity"].to_pylist()
    assert value > 1


def test_what_train_kenlm_cannot_do_is_said(tmp_path: Path) -> None:
    """Two languages at once, an output in no folder, a program that is none, pruning of words."""
    pytest.importorskip("kenlm", reason="the extra `kenlm` is not installed")
    path, out = write_labelled(tmp_path), tmp_path / "zh.arpa"
    assert "choose one by --lang" in command("train", "kenlm", path, "--out", out, code=2).output
    assert (
        "no such folder"
        in command("train", "kenlm", path, "--out", tmp_path / "x" / "zh.arpa", code=2).output
    )
    for option, value, said in (
        ("--lmplz", "/nowhere", "no such program"),
        ("--prune", "1", "expected 0 first"),
    ):
        result = command("train", "kenlm", path, "--lang", "zh", "--out", out, option, value, code=2)
        assert said in result.output
