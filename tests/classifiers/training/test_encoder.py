"""`train encoder`: what it writes is what the stage scores with, and folders that were changed are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.training.encoder import encode, fit, form_of
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
    vectors = encode(base, [f"{TEXTS[i % 4]} {i}" for i in range(40)], form_of(base, "", None))
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
