"""Training of a layer on a frozen encoder: logistic regression on pooled vectors, L2 chosen on left-out sources.

For some thousand labels this is what an encoder gives without a GPU, and what a layer learns cannot be lost by training
too long. The result is a folder that `classifiers.transformer` and the library sentence-transformers load: the encoder
as it was, and a dense layer.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from classifiers.neural.batching import Batcher
from classifiers.neural.device import Torch, device_of, dtype_of, torch_module, transformers_module
from classifiers.neural.windows import chunks, load_tokenizer, make_windows
from classifiers.training.data import Labelled, left_out, training_rows
from classifiers.training.head import Trained
from classifiers.training.page import evaluation_page, summary_of
from classifiers.transformer.model import pool_tokens
from classifiers.transformer.settings import longest
from pipeline.errors import ConfigError, UsageError
from pipeline.model_files import MANIFEST, find_model, model_files, model_settings
from pipeline.recipe import optional_module

WHERE = "train encoder"
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
"""L2 penalties that are tried, for vectors scaled to variance 1."""


@dataclass(frozen=True)
class Layer:
    """A linear layer: log-odds = vector @ weight + bias. weight: float64 (size,)."""

    weight: np.ndarray
    bias: float

    def odds(self, vectors: np.ndarray) -> np.ndarray:
        """Log-odds of vectors, float64 (n, size) -> (n,)."""
        return vectors @ self.weight + self.bias


@dataclass(frozen=True)
class Form:
    """How an encoder makes a vector of a text. pooling: mean, cls or max; normalize: to length 1; length: in tokens."""

    pooling: str
    normalize: bool
    length: int
    prefix: str


def train_encoder(
    data: Labelled, base: str, out: str, prefix: str = "", length: int | None = None
) -> Trained:
    """Train a layer, evaluate it on sources left out, and write the model, a card and an evaluation page.

    Args: data, whose table has the column text; base, the encoder, a folder or org/name@revision; out, a new folder;
    prefix, text that the encoder expects before each document; length, tokens that are read, by default all that the
    encoder allows up to 512.
    Raises: ConfigError if the encoder cannot be loaded, UsageError if `out` exists.
    """
    if Path(out).exists():
        raise UsageError(f"--out {out}: exists; name a new folder")
    form = form_of(base, prefix, length)
    vectors = encode(base, data.table["text"].to_pylist(), form)
    odds, chosen = np.empty(len(vectors)), []
    for fold in np.unique(data.folds):
        own, others = data.folds == fold, training_rows(data, fold)
        penalty = choose_penalty(vectors, data, others)
        odds[own] = fit(vectors[others], data.targets[others], penalty).odds(vectors[own])
        chosen.append(penalty)
    penalty = float(np.median(chosen))
    save(base, out, form, fit(vectors, data.targets, penalty))
    scores = 1 / (1 + np.exp(-odds))
    about = [
        f"A layer on the frozen encoder {Path(base).name}, {form.pooling} of its tokens, the first {form.length} of a "
        f"document; L2 penalty {penalty:g} for the model, chosen again without each fold for these figures.",
    ]
    name = Path(out).name
    page = evaluation_page(name, data, scores, scores, about)
    Path(f"{out}.evaluation.md").write_text(page, encoding="utf-8")
    Path(out, "README.md").write_text(card(name, base, data, form, penalty), encoding="utf-8")
    pq.write_table(left_out(data, f"transformer.{name}", scores), f"{out}.left_out.parquet")
    return Trained((out, f"{out}.evaluation.md", f"{out}.left_out.parquet"), summary_of(page))


def form_of(base: str, prefix: str, length: int | None) -> Form:
    """How an encoder pools its tokens, from its settings: as sentence-transformers would, else the mean."""
    modules = model_settings(base, "modules.json") or []
    path = next((m["path"] for m in modules if str(m["type"]).endswith("Pooling")), None)
    modes = model_settings(base, f"{path}/config.json") if path else {"pooling_mode_mean_tokens": True}
    names = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
    }
    chosen = [pooling for mode, pooling in names.items() if modes.get(mode)]
    if len(chosen) != 1:
        raise ConfigError(
            f"{WHERE}: {base} pools tokens in {len(chosen)} ways; expected one of mean, cls, max"
        )
    is_scaled = any(str(module["type"]).endswith("Normalize") for module in modules)
    return Form(chosen[0], is_scaled, length or longest(base), prefix)


def encode(base: str, texts: list[str], form: Form) -> np.ndarray:
    """Vectors of texts by an encoder: float64 (n, size)."""
    torch, library, folder = torch_module(WHERE), transformers_module(WHERE), find_model(base)
    device, tokenizer = device_of(WHERE), load_tokenizer(folder, WHERE)
    try:
        network = library.AutoModel.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            dtype=dtype_of("auto", device, WHERE),
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ConfigError(f"{WHERE}: {folder}: {str(error).strip().splitlines()[0]}") from error
    network = network.to(device).eval()

    def forward(ids: Torch, mask: Torch) -> Torch:
        hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        vector = pool_tokens(hidden, mask, form.pooling)
        return torch.nn.functional.normalize(vector, dim=1) if form.normalize else vector

    batcher = Batcher(device, tokenizer.pad_token_id or 0)
    rows: list[np.ndarray] = []
    for chunk in chunks(texts):
        own = [form.prefix + text for text in texts[chunk]]
        rows += batcher.run(make_windows(own, tokenizer, form.length, None, 1).sequences, forward)
    return np.stack(rows).astype(np.float64)


def choose_penalty(vectors: np.ndarray, data: Labelled, rows: np.ndarray) -> float:
    """The penalty with the lowest cross-entropy on a fold of the rows, with its sources left out. rows: bool (n,)."""
    folds = np.unique(data.folds[rows])
    if len(folds) < 2:
        return PENALTIES[len(PENALTIES) // 2]
    held = rows & (data.folds == folds[0])
    learnt = rows & training_rows(replace(data, folds=np.where(held, 1, 0)), 1)
    if held.sum() < 2 or learnt.sum() < 2:
        return PENALTIES[len(PENALTIES) // 2]

    def cost(penalty: float) -> float:
        odds = fit(vectors[learnt], data.targets[learnt], penalty).odds(vectors[held])
        return float(np.mean(np.logaddexp(0, odds) - data.targets[held] * odds))

    return min(PENALTIES, key=cost)


def fit(vectors: np.ndarray, targets: np.ndarray, penalty: float) -> Layer:
    """Minimise cross-entropy and L2 by Newton's method. vectors: float64 (n, size); targets: in [0, 1]."""
    center, scale = vectors.mean(axis=0), float(np.sqrt(vectors.var(axis=0).mean())) or 1.0
    inputs = np.column_stack([(vectors - center) / scale, np.ones(len(vectors))])
    penalties = np.append(np.full(vectors.shape[1], penalty), 1e-6)
    weight = np.zeros(inputs.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(inputs @ weight, -30, 30)))
        slope = inputs.T @ (p - targets) + penalties * weight
        curve = (inputs * (p * (1 - p) + 1e-9)[:, None]).T @ inputs + np.diag(penalties)
        step = np.linalg.solve(curve, slope)
        weight -= step
        if np.abs(step).max() < 1e-7:
            break
    return Layer(weight[:-1] / scale, float(weight[-1] - center @ weight[:-1] / scale))


def save(base: str, out: str, form: Form, layer: Layer) -> None:
    """Write the encoder with the layer on top, in the form of sentence-transformers."""
    save_file = optional_module(
        "safetensors.numpy", "safetensors", "models", "classifiers.transformer"
    ).save_file

    folder = Path(out)
    for name, path in model_files(find_model(base)):
        if name not in ("modules.json", MANIFEST) and "/" not in name:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    size = len(layer.weight)
    config = model_settings(base) | {"id2label": {"0": "score"}, "problem_type": "multi_label_classification"}
    names = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    pooling: dict[str, Any] = {"word_embedding_dimension": size}
    pooling |= {f"pooling_mode_{mode}": pool == form.pooling for pool, mode in names.items()}
    dense = {
        "in_features": size, "out_features": 1, "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }  # fmt: skip
    kinds = ["Transformer", "Pooling", *(["Normalize"] if form.normalize else []), "Dense"]
    modules = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    last = modules[-1]["path"]
    files: dict[str, Any] = {
        "config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling, f"{last}/config.json": dense,
        "sentence_bert_config.json": {"max_seq_length": form.length, "do_lower_case": False},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    tensors = {
        "linear.weight": layer.weight[None].astype(np.float32),
        "linear.bias": np.array([layer.bias], np.float32),
    }
    save_file(tensors, folder / str(last) / "model.safetensors")


def card(name: str, base: str, data: Labelled, form: Form, penalty: float) -> str:
    """The card of a model: what it is, what it learnt from, how it is used."""
    prefix = f", prefix: {{{name}: {json.dumps(form.prefix)}}}" if form.prefix else ""
    languages, counts = np.unique(data.languages, return_counts=True)
    lines = [
        f"# {name}: card", "", "| | |", "|---|---|",
        f"| What | a layer on the frozen encoder {base}, {form.pooling} of its tokens; L2 penalty {penalty:g} |",
        f"| Score | in [0, 1]; 0 stands for the label {data.low:g}, 1 for {data.high:g} |",
        f"| Learnt from | {len(data.targets):,} labelled documents of {len(set(data.sources)):,} sources: "
        f"{', '.join(f'{lang} {n:,}' for lang, n in zip(languages, counts, strict=True))} |",
        f"| Figures | {name}.evaluation.md, on sources left out |",
        f"| Use | `{{use: classifiers.transformer, config: {{models: {{{name}: {name}}}{prefix}}}}}` |",
        "| Licence | that of the encoder, and of the labels |",
        "| Not for | languages and kinds of page that are not in the evaluation; a label is what its labeller saw |",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
