"""A loaded causal language model: texts in, the cross-entropy of their tokens out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from classifiers.neural.batching import Batcher
from classifiers.neural.device import Torch, device_of, dtype_of, torch_module, transformers_module
from classifiers.neural.fetch import check_manifest
from classifiers.neural.windows import CHARS_PER_TOKEN, chunks, load_tokenizer
from pipeline.errors import ConfigError
from pipeline.model_files import find_model

WHERE = "classifiers.causal_loss"
POSITIONS = 512
"""Positions whose logits are computed at once: a vocabulary of 150,000 would take 2.5 GB for 4,096 positions."""


class CausalModel:
    """One model on its device."""

    def __init__(self, reference: str, max_tokens: int, dtype: str) -> None:
        folder = find_model(reference)
        check_manifest(folder)
        self.device = device_of(WHERE)
        self.tokenizer = load_tokenizer(folder, WHERE)
        network = load_network(folder, self.device, dtype)
        config = network.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None) or max_tokens
        self.max_tokens = min(max_tokens, positions)
        self.forward = losses_of(network)
        self.batcher = Batcher(self.device, self.tokenizer.pad_token_id or 0)

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score texts.

        Returns: float64 (n_texts,) total nats; int64 (n_texts,) tokens, and bytes of text that these tokens cover.
        """
        totals = np.zeros(len(texts))
        n_tokens, n_bytes = np.zeros((2, len(texts)), np.int64)
        for chunk in chunks(texts):
            ids, covered = self._tokenised(texts[chunk])
            rows = [i for i, sequence in enumerate(ids) if len(sequence) > 1]
            for i, row in zip(rows, self.batcher.run([ids[i] for i in rows], self.forward), strict=True):
                totals[chunk.start + i] = float(row)
                n_tokens[chunk.start + i] = len(ids[i]) - 1
                n_bytes[chunk.start + i] = covered[i]
        return totals, n_tokens, n_bytes

    def _tokenised(self, texts: Sequence[str]) -> tuple[list[np.ndarray], list[int]]:
        """The first tokens of each text, and the bytes that all but the first of them cover."""
        limit = CHARS_PER_TOKEN * self.max_tokens
        encoded = self._encode([text[:limit] for text in texts])
        for i, text in enumerate(texts):
            if len(text) > limit and len(encoded[i][0]) < self.max_tokens:
                encoded[i] = self._encode([text])[0]
        covered = []
        for text, (_, offsets) in zip(texts, encoded, strict=True):
            scored = offsets[1:]
            bounds = (scored[0][0], max(end for _, end in scored)) if scored else (0, 0)
            covered.append(len(text[bounds[0] : bounds[1]].encode()))
        return [np.array(ids, np.int32) for ids, _ in encoded], covered

    def _encode(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Token ids and their ranges of characters."""
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.max_tokens, return_offsets_mapping=True,
            return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def load_network(folder: Path, device: str, dtype: str) -> Torch:
    """Return a causal language model.

    Raises: ConfigError if the weights are not those of its settings.
    """
    library = transformers_module(WHERE)
    try:
        network, report = library.AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True,
            dtype=dtype_of(dtype, device, WHERE), output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ConfigError(f"{WHERE}: {folder}: {str(error).strip().splitlines()[0]}") from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ConfigError(f"{WHERE}: {folder} has no weights for {missing}; name a complete model")
    return network.to(device).eval()


def losses_of(network: Torch) -> Callable[[Torch, Torch], Torch]:
    """Return the function from token ids and mask, int64 (n, length), to the total loss of each sequence, float32 (n,).

    The output layer is applied to POSITIONS positions at a time, if the logits are those of the layer; a model that
    changes them afterwards (scaling, capping) is recognised by a short input, and computes all at once.
    """
    torch = torch_module(WHERE)
    layer, base = network.get_output_embeddings(), network.base_model

    def cross_entropy(logits: Torch, targets: Torch) -> Torch:
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")

    def by_parts(ids: Torch, mask: Torch) -> Torch:
        hidden = base(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        is_scored = mask[:, 1:].bool()
        rows, targets = hidden[:, :-1][is_scored], ids[:, 1:][is_scored]
        losses = [
            cross_entropy(layer(rows[i : i + POSITIONS]), targets[i : i + POSITIONS])
            for i in range(0, len(rows), POSITIONS)
        ]
        found = torch.zeros(is_scored.shape, device=ids.device)
        found[is_scored] = torch.cat(losses)
        return found.double().sum(1)

    def at_once(ids: Torch, mask: Torch) -> Torch:
        logits = network(input_ids=ids, attention_mask=mask, use_cache=False).logits
        losses = cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:])
        return (losses * mask[:, 1:]).double().sum(1)

    probe = torch.arange(8, device=network.device)[None] % network.config.get_text_config().vocab_size
    with torch.inference_mode():
        same = layer is not None and torch.allclose(
            by_parts(probe, torch.ones_like(probe)), at_once(probe, torch.ones_like(probe)), rtol=1e-3
        )
    return by_parts if same else at_once
