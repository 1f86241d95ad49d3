"""Transformer scorers: what they write for which model, windows, batches, and models that must not be loaded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from classifiers.transformer import STAGE, Config, columns
from pipeline.errors import ConfigError
from pipeline.recipe import step_recipe
from tests.helpers.torch_models import TEXTS, classifier, encoder, torch_or_skip

torch = torch_or_skip()
LONG = " ".join(TEXTS) * 4
DOCUMENTS = [*TEXTS, LONG, "好", "", None, *(text[5:] for text in TEXTS)]


def batch(texts: list[str | None]) -> pa.Table:
    """Texts as the stage reads them."""
    return pa.table({"text": pa.array(texts, pa.large_string())})


def own_logits(folder: Path, text: str) -> np.ndarray:
    """What transformers computes for the first window of a text."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer(text, truncation=True, max_length=64, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        return model(**inputs).logits[0].double().numpy()


def test_a_regressor_writes_its_number(tmp_path: Path) -> None:
    """One output is written as it is, for the first window, rounded to three decimals."""
    model = str(classifier(tmp_path / "m", num_labels=1))
    table = STAGE.load(Config(models={"edu": model}))(batch(DOCUMENTS))
    assert table.schema.equals(columns(Config(models={"edu": model}))[1])
    for text, value in zip(DOCUMENTS, table["edu"].to_pylist(), strict=True):
        assert value is None if text is None else abs(value - own_logits(Path(model), text)[0]) < 6e-4


@pytest.mark.parametrize("pooling", ["first", "mean", "max"])
def test_neither_batches_nor_neighbours_matter(tmp_path: Path, pooling: Any) -> None:
    """Any split, order or pickled copy gives the same rows."""
    config = Config(models={"edu": str(classifier(tmp_path / "m", num_labels=1))}, pooling=pooling, overlap=8)
    score = STAGE.load(config)
    whole = score(batch(DOCUMENTS))
    assert pa.concat_tables([score(batch([text])) for text in DOCUMENTS]).equals(whole)
    assert score(batch(DOCUMENTS[::-1])).equals(whole.take(list(range(len(DOCUMENTS)))[::-1]))
    assert pickle.loads(pickle.dumps(score))(batch(DOCUMENTS)).equals(whole)
    assert score(batch([])).num_rows == 0


def test_windows_are_pooled(tmp_path: Path) -> None:
    """The maximum over windows is no less than their mean, and a long text has several windows, at most max_windows."""
    models = {"edu": str(classifier(tmp_path / "m", num_labels=1))}
    found = {
        name: STAGE.load(Config(models=models, pooling=name, max_windows=3))(batch([LONG, TEXTS[0]]))
        for name in ("mean", "max")
    }  # fmt: skip
    assert found["mean"]["n_windows"].to_pylist() == [3, 1]
    assert found["max"]["edu"][0].as_py() > found["mean"]["edu"][0].as_py()
    assert found["max"]["edu"][1] == found["mean"]["edu"][1]


def test_classifiers_write_labels_and_probabilities(tmp_path: Path) -> None:
    """Softmax: the likeliest label; a named label: its probability; several at once: a column for each."""
    names = {0: "news", 1: "law", 2: "sports and games"}
    one = str(classifier(tmp_path / "one", id2label=names, num_labels=3))
    several = str(
        classifier(tmp_path / "many", id2label=names, num_labels=3, problem_type="multi_label_classification")
    )
    binary = str(classifier(tmp_path / "two", num_labels=2))
    config = Config(
        models={"topic": one, "law": one, "flags": several, "good": binary}, labels={"law": "law"}
    )
    table = STAGE.load(config)(batch([TEXTS[0]]))
    expected = [
        "n_windows", "topic", "topic_score", "law", "flags_news", "flags_law", "flags_sports_and_games", "good",
    ]  # fmt: skip
    assert table.column_names == expected
    row, logits = table.to_pylist()[0], own_logits(Path(one), TEXTS[0])
    shares = np.exp(logits) / np.exp(logits).sum()
    assert row["topic"] == names[int(shares.argmax())] and abs(row["topic_score"] - shares.max()) < 5e-4
    assert abs(row["law"] - shares[1]) < 5e-4
    assert abs(row["flags_law"] - 1 / (1 + np.exp(-own_logits(Path(several), TEXTS[0])[1]))) < 5e-4
    with pytest.raises(ConfigError, match=r"labels.law is 'laws'.*news, law"):
        columns(Config(models={"law": one}, labels={"law": "laws"}))


def test_memory_that_runs_out_halves_the_batch(tmp_path: Path) -> None:
    """A batch without room is computed in two halves, with the same rows; a single text without room is an error."""
    config = Config(models={"edu": str(classifier(tmp_path / "m", num_labels=1))})
    score, limit = STAGE.load(config), 2
    expected = score(batch(DOCUMENTS))
    (scorer,) = score.scorers  # type: ignore[attr-defined]
    forward = scorer.forward

    def scarce(ids: Any, mask: Any) -> Any:
        if len(ids) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(ids, mask)

    scorer.forward = scarce
    assert score(batch(DOCUMENTS)).equals(expected)
    assert scorer.batcher.n_halved > 0
    limit = 0
    with pytest.raises(torch.OutOfMemoryError):
        score(batch(DOCUMENTS))


def test_the_recipe_is_of_the_files(tmp_path: Path) -> None:
    """Equal files elsewhere have the same recipe, other weights another, and files that are not loaded do not count."""
    model, copy = classifier(tmp_path / "m", num_labels=1), classifier(tmp_path / "copy", num_labels=1)
    other = classifier(tmp_path / "other", seed=2, num_labels=1)
    (copy / "README.md").write_text("a card")

    def recipe(folder: Path) -> str:
        return step_recipe(STAGE, Config(models={"edu": str(folder)}), ())

    assert recipe(model) == recipe(copy) != recipe(other)


def test_models_that_are_no_scorers(tmp_path: Path) -> None:
    """Pickled weights, encoders without a head, missing folders and unpinned names end with one line of advice."""
    model = classifier(tmp_path / "m", num_labels=1)
    bare = encoder(tmp_path / "bare")
    cases = {
        str(bare): "no head that scores texts.*train encoder",
        str(tmp_path / "none"): "no such folder",
        "org/name@main": "org/name@<40 hex digits>",
        f"org/name@{'0' * 40}": "bicorpus models fetch org/name@0",
    }
    for reference, message in cases.items():
        with pytest.raises(ConfigError, match=message):
            columns(Config(models={"edu": reference}))
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"only pytorch_model.bin; pickled weights can run code"):
        columns(Config(models={"edu": str(model)}))


def test_code_of_a_model_is_not_run(tmp_path: Path) -> None:
    """A model whose settings name code of its folder is refused, and the code is not imported."""
    model = classifier(tmp_path / "m", num_labels=1)
    settings = json.loads((model / "config.json").read_text())
    settings |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.M"},
    }
    (model / "config.json").write_text(json.dumps(settings))
    (model / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ConfigError):
        STAGE.load(Config(models={"edu": str(model)}))
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    """A folder without the weights of the head is refused, where transformers would initialise them."""
    from safetensors.torch import load_file, save_file

    model = classifier(tmp_path / "m", num_labels=1)
    weights = {k: v for k, v in load_file(model / "model.safetensors").items() if "classifier" not in k}
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"no weights for classifier.bias, classifier.weight"):
        STAGE.load(Config(models={"edu": str(model)}))
