"""A loaded model: texts in, one row of outputs for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifiers.neural.batching import Batcher, prefetched
from classifiers.neural.device import Torch, device_of, dtype_of, torch_module, transformers_module
from classifiers.neural.fetch import check_manifest
from classifiers.neural.windows import Windows, chunks, load_tokenizer, make_windows
from classifiers.transformer.settings import Head
from pipeline.errors import ConfigError
from pipeline.model_files import find_model, model_settings
from pipeline.recipe import optional_module

WHERE = "classifiers.transformer"


@dataclass(frozen=True)
class Reading:
    """How a model reads texts.

    length: tokens of a window. overlap: tokens that a window shares with the one before. max_windows: of a text.
    pooling: of the windows: first, mean or max. prefix: text put before each window's text, for models that expect one.
    """

    length: int
    overlap: int
    max_windows: int
    pooling: str
    prefix: str = ""


class Scorer:
    """One model on its device. n_halved: how often a batch was halved because memory ran out."""

    def __init__(self, reference: str, head: Head, reading: Reading, dtype: str) -> None:
        folder = find_model(reference)
        check_manifest(folder)
        self.head, self.reading = head, reading
        self.device = device_of(WHERE)
        self.tokenizer = load_tokenizer(folder, WHERE)
        self.forward = load_network(folder, head, self.device, dtype)
        self.batcher = Batcher(self.device, self.tokenizer.pad_token_id or 0)

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Score texts.

        Returns: float64 (n_texts, n_labels), values or probabilities after pooling; int64 (n_texts,) windows of each.
        """
        rows: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        tokenised = self._tokenised(texts)
        for windows in prefetched(tokenised) if self.device == "cuda" else tokenised:
            outputs = np.stack(self.batcher.run(windows.sequences, self.forward)).astype(np.float64)
            number = np.bincount(windows.texts)
            rows.append(pool(activate(outputs, self.head.activation), number, self.reading.pooling))
            counts.append(number)
        if not rows:
            return np.zeros((0, len(self.head.labels))), np.zeros(0, np.int64)
        return np.concatenate(rows), np.concatenate(counts)

    def _tokenised(self, texts: Sequence[str]) -> Iterator[Windows]:
        reading = self.reading
        overlap = None if reading.pooling == "first" else reading.overlap
        for chunk in chunks(texts):
            own = [reading.prefix + text for text in texts[chunk]]
            yield make_windows(own, self.tokenizer, reading.length, overlap, reading.max_windows)


def activate(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Probabilities of logits, float64 (n, n_labels); numbers as they are."""
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-outputs))
    if activation == "softmax":
        powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    return outputs


def pool(rows: np.ndarray, counts: np.ndarray, pooling: str) -> np.ndarray:
    """One row for each text from those of its windows, float64 (n_windows, n_labels); counts: windows of each text."""
    starts = np.cumsum(counts) - counts
    if pooling == "first":
        return rows[starts]
    if pooling == "max":
        return np.maximum.reduceat(rows, starts)
    return np.add.reduceat(rows, starts) / counts[:, None]


def load_network(folder: Path, head: Head, device: str, dtype: str) -> Callable[[Torch, Torch], Torch]:
    """Return the function from token ids and mask, int64 (n, length), to logits, (n, n_labels).

    Raises: ConfigError if the weights are not those of the settings.
    """
    torch, library = torch_module(WHERE), transformers_module(WHERE)
    sort = library.AutoModelForSequenceClassification if head.kind == "sequence" else library.AutoModel
    try:
        network, report = sort.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            dtype=dtype_of(dtype, device, WHERE), output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ConfigError(f"{WHERE}: {folder}: {str(error).strip().splitlines()[0]}") from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key or head.kind == "sequence")
    if missing:
        raise ConfigError(
            f"{WHERE}: {folder} has no weights for {', '.join(missing[:3])}; they would be random; name a complete one"
        )
    network = network.to(device).eval()
    if head.kind == "sequence":
        return lambda ids, mask: network(input_ids=ids, attention_mask=mask).logits
    weight, bias = _dense_layer(folder, torch, device)

    def forward(ids: Torch, mask: Torch) -> Torch:
        vector = pool_tokens(
            network(input_ids=ids, attention_mask=mask).last_hidden_state.float(), mask, head.pooling
        )
        if head.normalize:
            vector = torch.nn.functional.normalize(vector, dim=1)
        return vector @ weight.T + bias

    return forward


def pool_tokens(hidden: Torch, mask: Torch, pooling: str) -> Torch:
    """One vector for each sequence from those of its tokens: float32 (n, length, size) -> (n, size)."""
    torch = torch_module(WHERE)
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return torch.where(mask[..., None].bool(), hidden, -torch.inf).amax(1)
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _dense_layer(folder: Path, torch: Torch, device: str) -> tuple[Torch, Torch]:
    """Weight and bias of the last module, float32."""
    load_file = optional_module(
        "safetensors.torch", "safetensors", "models", "classifiers.transformer"
    ).load_file

    last = model_settings(str(folder), "modules.json")[-1]["path"]
    tensors = load_file(folder / last / "model.safetensors")
    weight = tensors["linear.weight"].float().to(device)
    bias = tensors.get("linear.bias")
    return weight, torch.zeros(len(weight), device=device) if bias is None else bias.float().to(device)
