"""An encoder of texts in training: how it makes a vector of a document, its weights, and the folder that is written.

The folder is one that `classifiers.transformer` and the library sentence-transformers load: encoder, pooling and a
dense layer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.neural.batching import Batcher
from classifiers.neural.device import Torch, device_of, dtype_of, torch_module, transformers_module
from classifiers.neural.windows import chunks, load_tokenizer, make_windows
from classifiers.training.layer import Layer
from classifiers.transformer.model import pool_tokens
from classifiers.transformer.settings import longest
from pipeline.errors import ConfigError
from pipeline.model_files import MANIFEST, find_model, model_files, model_settings
from pipeline.recipe import optional_module

WHERE = "train encoder"
MODES = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
"""Ways of pooling, and their names in the settings of sentence-transformers, after `pooling_mode_`."""


@dataclass(frozen=True)
class Form:
    """How an encoder makes a vector of a text. pooling: mean, cls or max; normalize: to length 1; length: in tokens."""

    pooling: str
    normalize: bool
    length: int
    prefix: str


def form_of(base: str, prefix: str, length: int | None) -> Form:
    """How an encoder pools its tokens, from its settings: as sentence-transformers would, else the mean.

    Raises: ConfigError for an encoder that pools in no way or in several.
    """
    modules = model_settings(base, "modules.json") or []
    path = next((m["path"] for m in modules if str(m["type"]).endswith("Pooling")), None)
    modes = model_settings(base, f"{path}/config.json") if path else {"pooling_mode_mean_tokens": True}
    chosen = [pooling for pooling, mode in MODES.items() if modes.get(f"pooling_mode_{mode}")]
    if len(chosen) != 1:
        raise ConfigError(
            f"{WHERE}: {base} pools tokens in {len(chosen)} ways; expected one of mean, cls, max"
        )
    is_scaled = any(str(module["type"]).endswith("Normalize") for module in modules)
    return Form(chosen[0], is_scaled, length or longest(base), prefix)


class Encoder:
    """An encoder on its device. network: of transformers; pad_id: of its tokenizer; missing: weights of a layer that is
    not used, which the files lack and which are random."""

    def __init__(self, base: str, form: Form, dtype: str = "auto") -> None:
        """Load a folder or org/name@revision. dtype: see `classifiers.neural.device.DTYPES`.

        Raises: ConfigError if it cannot be loaded.
        """
        library, folder = transformers_module(WHERE), find_model(base)
        self.form, self.device = form, device_of(WHERE)
        self.tokenizer = load_tokenizer(folder, WHERE)
        self.pad_id = self.tokenizer.pad_token_id or 0
        try:
            network, report = library.AutoModel.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
                dtype=dtype_of(dtype, self.device, WHERE), output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ConfigError(f"{WHERE}: {folder}: {str(error).strip().splitlines()[0]}") from error
        self.missing = frozenset(report["missing_keys"])
        missing = sorted(key for key in self.missing if "pooler" not in key)
        if missing:
            raise ConfigError(
                f"{WHERE}: {folder} has no weights for {', '.join(missing[:3])}; "
                "they would be random; name a complete one"
            )
        self.network = network.to(self.device).eval()

    def tokenise(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids of the beginning of each text: int32 arrays."""
        sequences: list[np.ndarray] = []
        for chunk in chunks(texts):
            own = [self.form.prefix + text for text in texts[chunk]]
            sequences += make_windows(own, self.tokenizer, self.form.length, None, 1).sequences
        return sequences

    def vectors(self, ids: Torch, mask: Torch) -> Torch:
        """Vectors of token ids and attention mask, int64 (n, length): float32 (n, size)."""
        hidden = self.network(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        vector = pool_tokens(hidden, mask, self.form.pooling)
        return torch_module(WHERE).nn.functional.normalize(vector, dim=1) if self.form.normalize else vector

    def weights(self) -> dict[str, Torch]:
        """Tensors by name, without those that are missing."""
        return {
            name: tensor for name, tensor in self.network.state_dict().items() if name not in self.missing
        }

    def encode(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of token sequences, without gradients: float64 (n, size)."""
        batcher = Batcher(self.device, self.pad_id)
        return np.stack(batcher.run(sequences, self.vectors)).astype(np.float64)


def save_encoder(base: str, out: str, form: Form, layer: Layer, tuned: Encoder | None = None) -> None:
    """Write an encoder with the layer on top, in the form of sentence-transformers.

    Args: tuned, the encoder with weights of its own; None for those of the base.
    """
    save_file = optional_module("safetensors.numpy", "safetensors", "models", WHERE).save_file
    folder = Path(out)
    folder.mkdir(parents=True)
    for name, path in model_files(find_model(base)):
        is_weights = ".safetensors" in name
        if name not in ("modules.json", MANIFEST) and "/" not in name and not (tuned and is_weights):
            shutil.copyfile(path, folder / name)
    if tuned is not None:
        tuned.network.save_pretrained(folder, state_dict=tuned.weights())
    for name, content in _settings_files(out, form, len(layer.weight)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    tensors = {
        "linear.weight": layer.weight[None].astype(np.float32),
        "linear.bias": np.array([layer.bias], np.float32),
    }
    save_file(tensors, folder / _modules(form)[-1]["path"] / "model.safetensors")


def _modules(form: Form) -> list[dict[str, Any]]:
    """Content of modules.json: the parts of the model in order."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if form.normalize else []), "Dense"]
    return [
        {
            "idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]  # fmt: skip


def _settings_files(out: str, form: Form, size: int) -> dict[str, Any]:
    """Settings of the parts by file, for an encoder whose own settings are in `out`; size: of a vector."""
    own = model_settings(out) | {"id2label": {"0": "score"}, "problem_type": "multi_label_classification"}
    pooling: dict[str, Any] = {"word_embedding_dimension": size}
    pooling |= {f"pooling_mode_{mode}": pool == form.pooling for pool, mode in MODES.items()}
    dense = {
        "in_features": size, "out_features": 1, "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }  # fmt: skip
    modules = _modules(form)
    return {
        "config.json": own, "modules.json": modules, "1_Pooling/config.json": pooling,
        f"{modules[-1]['path']}/config.json": dense,
        "sentence_bert_config.json": {"max_seq_length": form.length, "do_lower_case": False},
    }  # fmt: skip
