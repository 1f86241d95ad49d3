"""Causal-LM loss: transformers' own loss, per token and per byte, whatever the batches are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from classifiers.causal_loss import STAGE, Config, columns
from classifiers.causal_loss.model import losses_of
from pipeline.errors import ConfigError
from tests.helpers.torch_models import TEXTS, classifier, language_model, torch_or_skip

torch = torch_or_skip()
DOCUMENTS = [*TEXTS, "\n".join(TEXTS) * 3, "好", "", None, *(text[3:] for text in TEXTS)]


def batch(texts: list[str | None]) -> pa.Table:
    """Texts as the stage reads them."""
    return pa.table({"text": pa.array(texts, pa.large_string())})


def test_it_is_the_loss_of_transformers(tmp_path: Path) -> None:
    """Equal to the loss that the library returns for labels that are the inputs, within the rounding."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = language_model(tmp_path / "m")
    rows = STAGE.load(Config(models={"lm": str(folder)}))(batch(DOCUMENTS)).to_pylist()
    tokenizer, network = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder).eval(),
    )
    for text, row in zip(DOCUMENTS, rows, strict=True):
        if not text:
            assert row["lm"] is None and row["lm_byte"] is None and row["lm_tokens"] is None
            continue
        ids = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            loss = float(network(ids, labels=ids).loss)
        assert abs(row["lm"] - loss) < 6e-4 and row["lm_tokens"] == ids.shape[1] - 1


def test_loss_per_byte(tmp_path: Path) -> None:
    """The total is that of the tokens; bytes are those of the text behind the first token."""
    folder = language_model(tmp_path / "m", positions=512)
    (row,) = STAGE.load(Config(models={"lm": str(folder)}))(batch([TEXTS[1]])).to_pylist()
    total = row["lm"] * row["lm_tokens"]
    n_bytes = len(TEXTS[1].encode())
    assert total / n_bytes - 1e-3 < row["lm_byte"] < total / (n_bytes - 3) + 1e-3


def test_neither_batches_nor_parts_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document at a time, and the output layer on a few positions at a time, give the same rows."""
    config = Config(models={"lm": str(language_model(tmp_path / "m"))})
    whole = STAGE.load(config)(batch(DOCUMENTS))
    monkeypatch.setattr("classifiers.causal_loss.model.POSITIONS", 5)
    score = STAGE.load(config)
    assert pa.concat_tables([score(batch([text])) for text in DOCUMENTS]).equals(whole)


def test_logits_that_are_changed_behind_the_layer(tmp_path: Path) -> None:
    """A model that caps its logits is computed as a whole, with its own loss."""
    from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(1)
    config = Gemma2Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
        intermediate_size=32, final_logit_softcapping=0.5, initializer_range=0.5, pad_token_id=0,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    network = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        found = float(losses_of(network)(ids, torch.ones_like(ids)))
        assert abs(found / 36 - float(network(ids, labels=ids).loss)) < 1e-4


def test_the_mean_over_models(tmp_path: Path) -> None:
    """loss is the mean of the models that scored a document; null where none did."""
    first, second = (str(language_model(tmp_path / name, positions=n)) for name, n in (("a", 64), ("b", 16)))
    rows = STAGE.load(Config(models={"a": first, "b": second}))(batch(DOCUMENTS)).to_pylist()
    for text, row in zip(DOCUMENTS, rows, strict=True):
        if row["a"] is None:
            assert row["loss"] is None and not row["n_scored"], text
        else:
            assert row["loss"] == pytest.approx((row["a"] + row["b"]) / 2, abs=6e-4), text
    assert (
        len({row["a"] == row["b"] for row in rows if row["a"]}) == 2
    )  # the second one reads less of long texts


def test_without_models_there_is_no_loss() -> None:
    """A run file may have the stage and a rule before it has a model."""
    rows = STAGE.load(Config())(batch(["好的", None])).to_pylist()
    assert rows == [{"n_scored": 0, "loss": None}, {"n_scored": None, "loss": None}]


def test_other_models_are_refused(tmp_path: Path) -> None:
    """A classifier has no loss of tokens."""
    with pytest.raises(
        ConfigError, match=r"is a BertForSequenceClassification; expected a \.\.\.ForCausalLM"
    ):
        columns(Config(models={"lm": str(classifier(tmp_path, num_labels=1))}))
