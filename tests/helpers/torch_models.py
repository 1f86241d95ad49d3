"""Tiny models for tests: initialised from a seed, with a tokenizer trained here, saved as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TEXTS = (
    "The old lighthouse stands on a rock that the sea covers twice a day.",
    "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点。",
    "On clear evenings you can walk out to it, if you are back before the tide turns.",
    "山上的气象站已经有六十年的历史。每天清晨，值班员都要记录温度、湿度和风向。",
)


def torch_or_skip() -> Any:  # Any: a module without types here
    """Return PyTorch; skip the test where the extra `models` is not installed."""
    pytest.importorskip("transformers", reason="needs the extra models: pip install 'bicorpus[models]'")
    torch = pytest.importorskip("torch", reason="needs the extra models: pip install 'bicorpus[models]'")
    torch.set_num_threads(1)
    return torch


def save_tokenizer(folder: Path, special: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")) -> int:
    """Train a byte-level BPE on a few texts and save it as a fast tokenizer; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if "[CLS]" in special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[(name, special.index(name)) for name in ("[CLS]", "[SEP]")],
        )
    named = {"pad_token": special[0]} | ({"unk_token": "[UNK]"} if "[UNK]" in special else {})
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **named).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def classifier(folder: Path, seed: int = 1, **settings: Any) -> Path:  # Any: settings of transformers
    """A BERT of two small layers with a head; settings: such as num_labels, id2label, problem_type."""
    torch = torch_or_skip()
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=save_tokenizer(folder), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.5, **settings,
    )  # fmt: skip
    torch.manual_seed(seed)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def encoder(folder: Path, seed: int = 1, **settings: Any) -> Path:  # Any: settings of transformers
    """A BERT without a head, in the form of sentence-transformers, with mean pooling; settings: such as dropout."""
    torch = torch_or_skip()
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=save_tokenizer(folder), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.5, **settings,
    )  # fmt: skip
    torch.manual_seed(seed)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    kinds = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    return folder


def language_model(folder: Path, seed: int = 1, positions: int = 64) -> Path:
    """A Llama of two small layers."""
    torch = torch_or_skip()
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder, ("[PAD]",)), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=positions, initializer_range=0.5,
        bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
