"""`train encoder`: what it writes is what the stage scores with, and folders that were changed are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any  # tensors

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.training.finetune import Settings, Tuner
from classifiers.training.layer import Layer, fit
from classifiers.training.network import Encoder, form_of
from classifiers.transformer import STAGE, Config
from pipeline.errors import ConfigError
from pipeline.model_files import MANIFEST
from tests.helpers.build import cli
from tests.helpers.torch_models import TEXTS, encoder, torch_or_skip

torch_or_skip()


def labelled(path: Path) -> Path:
    """80 documents of eight sources; the good ones are English, so that even a random encoder can tell."""
    rows = [
        {
            "text": f"{TEXTS[i % 4]} {i}", "lang": "en", "source": f"s{i % 8 // 2}-{i % 2}", "label": i % 2 == 0,
        }
        for i in range(80)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_a_trained_model_is_one_that_the_stage_loads(tmp_path: Path) -> None:
    """The command writes folder, card and page; the stage's scores are those of the layer on the encoder's vectors."""
    base, out = encoder(tmp_path / "base"), tmp_path / "value"
    files = labelled(tmp_path / "labels.parquet")
    arguments = (
        "train",
        "encoder",
        files,
        "--base",
        base,
        "--out",
        out,
        "--label",
        "label",
        "--folds",
        2,
        "--json",
    )
    cli(*arguments).ok()
    assert {p.name for p in tmp_path.glob("value*")} == {
        "value",
        "value.evaluation.md",
        "value.left_out.parquet",
    }
    texts = pq.read_table(files)["text"].to_pylist()
    table = STAGE.load(Config(models={"value": str(out)}))(
        pa.table({"text": pa.array(texts, pa.large_string())})
    )
    scores = table["value"].to_numpy()
    assert scores[::2].mean() > 0.8 > 0.2 > scores[1::2].mean()
    assert pq.read_table(f"{out}.left_out.parquet").num_rows == len(texts)
    again = cli(*arguments)
    assert again.code == 2 and "is a directory" in again.err


def test_the_layer_is_logistic_regression(tmp_path: Path) -> None:
    """At the minimum the gradient of cross-entropy and penalty is zero."""
    base = str(encoder(tmp_path / "base"))
    loaded = Encoder(base, form_of(base, "", None))
    vectors = loaded.encode(loaded.tokenise([f"{TEXTS[i % 4]} {i}" for i in range(40)]))
    targets = np.arange(40) % 2 / 1.0
    layer = fit(vectors, targets, 10.0)
    scale = np.sqrt(vectors.var(axis=0).mean())
    residual = 1 / (1 + np.exp(-layer.odds(vectors))) - targets
    gradient = ((vectors - vectors.mean(axis=0)) / scale).T @ residual + 10.0 * layer.weight * scale
    assert abs(gradient).max() < 1e-4 and abs(residual.sum()) < 1e-4


def test_a_fetched_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    """Files of a folder with a manifest are checked when the model is loaded."""
    base, out = encoder(tmp_path / "base"), tmp_path / "value"
    files = labelled(tmp_path / "labels.parquet")
    cli("train", "encoder", files, "--base", base, "--out", out, "--label", "label", "--folds", 2).ok()
    weights = (out / "model.safetensors").read_bytes()
    facts = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    (out / MANIFEST).write_text(json.dumps({"files": {"model.safetensors": facts}}))
    STAGE.load(Config(models={"value": str(out)}))
    (out / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\1")
    with pytest.raises(ConfigError, match="is not the file that was fetched"):
        STAGE.load(Config(models={"value": str(out)}))


def test_fine_tuning_changes_the_encoder_and_is_repeated_to_the_byte(tmp_path: Path) -> None:
    """The encoder's weights move, the stage scores with them, and the same seed writes the same files."""
    base = encoder(tmp_path / "base")
    files = labelled(tmp_path / "labels.parquet")
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cli("train", "encoder", files, "--base", base, "--out", tmp_path / name / "value", "--label", "label",
            "--folds", 2, "--fine-tune", "--settings", "epochs=2,learning_rate=1e-3", "--json").ok()  # fmt: skip
        written = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        digests.append([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in written])
    assert digests[0] == digests[1]
    out = tmp_path / "a" / "value"
    assert (out / "model.safetensors").read_bytes() != (base / "model.safetensors").read_bytes()
    assert "AdamW, 2 epochs" in (out / "README.md").read_text()
    texts = pq.read_table(files)["text"].to_pylist()
    table = STAGE.load(Config(models={"value": str(out)}))(
        pa.table({"text": pa.array(texts, pa.large_string())})
    )
    scores = table["value"].to_numpy()
    assert scores[::2].mean() > 0.8 > 0.2 > scores[1::2].mean()


def test_fine_tuning_finds_what_a_frozen_encoder_does_not_hold(tmp_path: Path) -> None:
    """Cross-entropy falls below that of the best layer on the frozen encoder, for labels that are random."""
    base = str(encoder(tmp_path / "base", hidden_dropout_prob=0.0))
    loaded = Encoder(base, form_of(base, "", None), "float32")
    sequences = loaded.tokenise([f"{TEXTS[i % 4]} {i}" for i in range(120)])
    targets = np.random.default_rng(1).permutation(120) % 2 / 1.0
    layer = fit(loaded.encode(sequences), targets, 3.0)

    def cost(layer: Layer) -> float:
        odds = layer.odds(loaded.encode(sequences))
        return float(np.mean(np.logaddexp(0, odds) - targets * odds))

    before, steps = cost(layer), []
    tuner = Tuner(
        loaded.network,
        loaded.vectors,
        "cpu",
        loaded.pad_id,
        Settings(epochs=20, learning_rate=3e-3, batch=16),
    )
    tuned = tuner.fit(sequences, targets, layer, 1, lambda: steps.append(1))
    assert cost(tuned) < 0.8 * before and len(steps) == 160 == tuner.settings.n_steps(120)


def test_a_step_that_needs_too_much_memory_is_done_in_parts(tmp_path: Path) -> None:
    """A network that has no room for more than 3 documents learns the same as one that has."""
    base = str(encoder(tmp_path / "base", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    found = []
    for room in (100, 3):
        loaded = Encoder(base, form_of(base, "", None), "float32")
        sequences = loaded.tokenise([f"{TEXTS[i % 4]} {i}" for i in range(24)])

        def vectors(ids: Any, mask: Any, loaded: Encoder = loaded, room: int = room) -> Any:
            if len(ids) > room:
                raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")
            return loaded.vectors(ids, mask)

        tuner = Tuner(
            loaded.network, vectors, "cpu", loaded.pad_id, Settings(epochs=2, batch=8, learning_rate=1e-3)
        )
        layer = tuner.fit(sequences, np.arange(24) % 2 / 1.0, Layer(np.zeros(32), 0.0), 1, lambda: None)
        found.append(layer.weight)
        assert tuner.n_documents == (8 if room == 100 else 2)
    assert abs(found[0]).max() > 1e-3 and abs(found[0] - found[1]).max() < 1e-5


@pytest.mark.parametrize("settings", ["epochs=0", "learning_rate=fast", "warmup=1", "epoch=3", "batch=2.5"])
def test_wrong_settings_are_one_line(tmp_path: Path, settings: str) -> None:
    """Numbers out of range and unknown names are refused before the encoder is loaded."""
    files = labelled(tmp_path / "labels.parquet")
    result = cli("train", "encoder", files, "--base", tmp_path, "--out", tmp_path / "v", "--label", "label",
                 "--fine-tune", "--settings", settings)  # fmt: skip
    assert result.code == 2 and "--settings" in result.err
