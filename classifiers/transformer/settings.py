"""What a model computes, from its settings alone, without PyTorch: kind of head, labels, activation, length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.model_files import model_settings

DEFAULT_LENGTH = 512
"""Tokens of a window of a model that does not limit them, or limits them above what it was trained on."""


@dataclass(frozen=True)
class Head:
    """Outputs of a model.

    kind: `sequence`, a sequence classifier of transformers; `dense`, an encoder of sentence-transformers with a dense
    layer on top. labels: one for each output. activation: `none` (a number), `softmax` or `sigmoid`. pooling: of the
    tokens, of a dense head: mean, cls or max. normalize: whether the vector is scaled to length 1 before the layer.
    """

    kind: str
    labels: tuple[str, ...]
    activation: str
    pooling: str = ""
    normalize: bool = False


def read_head(reference: str, where: str) -> Head:
    """Read which outputs a model has.

    Raises: ConfigError if it is not on this machine, or is no regressor or classifier of texts.
    """
    config, modules = model_settings(reference), model_settings(reference, "modules.json")
    if modules and str(modules[-1].get("type", "")).endswith("Dense"):
        return _dense(reference, config, modules, where)
    names = config.get("architectures") or [""]
    if not str(names[0]).endswith("ForSequenceClassification"):
        raise ConfigError(
            f"{where}: {reference} is a {names[0] or config.get('model_type', 'model')}, which has no head that scores "
            "texts; name a ...ForSequenceClassification, or train a head: bicorpus train encoder"
        )
    labels = _labels(config, int(config.get("num_labels") or len(config.get("id2label") or {}) or 2))
    return Head("sequence", labels, _activation(config, len(labels)))


def _dense(reference: str, config: Any, modules: list[dict[str, Any]], where: str) -> Head:  # Any: JSON
    """An encoder with modules Transformer, Pooling, Normalize if any, and Dense."""
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling", "Dense"], ["Transformer", "Pooling", "Normalize", "Dense"]):
        raise ConfigError(
            f"{where}: {reference} has the modules {', '.join(kinds)}; expected Transformer, Pooling, maybe Normalize, "
            "and Dense"
        )
    pooling = model_settings(reference, f"{modules[1]['path']}/config.json")
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    chosen = [name for name, mode in modes.items() if pooling.get(f"pooling_mode_{mode}")]
    if len(chosen) != 1:
        raise ConfigError(
            f"{where}: {reference} pools tokens by {', '.join(chosen)}; expected one of cls, mean, max"
        )
    dense = model_settings(reference, f"{modules[-1]['path']}/config.json")
    function = str(dense.get("activation_function", "")).rpartition(".")[2]
    if function != "Identity":
        raise ConfigError(f"{where}: {reference} ends in {function or 'an activation'}; expected Identity")
    labels = _labels(config, int(dense["out_features"]))
    return Head("dense", labels, _activation(config, len(labels)), chosen[0], "Normalize" in kinds)


def _labels(config: Any, n: int) -> tuple[str, ...]:
    named = {int(key): str(label) for key, label in (config.get("id2label") or {}).items()}
    return tuple(named.get(i, f"LABEL_{i}") for i in range(n))


def _activation(config: Any, n_labels: int) -> str:
    """What transformers' own pipeline applies, except that a single output is a number."""
    if config.get("problem_type") == "multi_label_classification":
        return "sigmoid"
    return "none" if n_labels == 1 or config.get("problem_type") == "regression" else "softmax"


def longest(reference: str) -> int:
    """Tokens of the longest window of a model: what tokenizer and positions allow, at most DEFAULT_LENGTH."""
    config, tokenizer = model_settings(reference), model_settings(reference, "tokenizer_config.json")
    sentence = model_settings(reference, "sentence_bert_config.json")
    positions = config.get("max_position_embeddings") or DEFAULT_LENGTH
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"):
        positions -= 2  # the first two are of padding
    limits = (positions, tokenizer.get("model_max_length") or DEFAULT_LENGTH, DEFAULT_LENGTH)
    return int(min(*limits, sentence.get("max_seq_length") or DEFAULT_LENGTH))
