"""Causal-LM loss of a model: equality with transformers' own loss, and figures beside the n-gram fluency.

Example: python -m scripts.bench.bench_causal_loss MODEL --data dev-data
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.causal_loss import STAGE, Config
from classifiers.fluency import STAGE as FLUENCY
from classifiers.linear.train import auc
from classifiers.neural.device import torch_module, transformers_module

LABELS = {"zh": "zho_Hans", "en": "eng_Latn"}


def draw(rows: list[dict[str, str]], n: int) -> list[dict[str, str]]:
    """A random draw, the same on every run."""
    return random.Random(1).sample(rows, min(n, len(rows)))


def losses(model: str, texts: list[str], max_tokens: int) -> dict[str, np.ndarray]:
    """Loss per token and per byte, float64 (n,), NaN without one."""
    table = STAGE.load(Config(models={"lm": model}, max_tokens=max_tokens))(
        pa.table({"text": pa.array(texts, pa.large_string())})
    )
    return {name: table[name].to_numpy().astype(np.float64) for name in ("lm", "lm_byte")}


def ngrams(texts: list[str], lang: str) -> dict[str, np.ndarray]:
    """Perplexity and context gain of the n-gram models, float64 (n,)."""
    label = pa.array([LABELS[lang]] * len(texts))
    table = FLUENCY.load(FLUENCY.config())(
        pa.table({"text": pa.array(texts, pa.large_string()), "language.label": label})
    )
    return {
        "n-gram perplexity": np.log(table["perplexity"].to_numpy().astype(np.float64)),
        "n-gram context gain": -table["context_gain"].to_numpy().astype(np.float64),
    }


def compare(model: str, texts: list[str]) -> None:
    """Print the largest difference from the loss that transformers returns, and CPU-seconds of both."""
    torch, library = torch_module(""), transformers_module("")
    began = time.process_time()
    own = losses(model, texts, 4096)["lm"]
    own_s = time.process_time() - began
    tokenizer = library.AutoTokenizer.from_pretrained(model)
    network = library.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    began, gaps, n_tokens = time.process_time(), [], 0
    with torch.inference_mode():
        for text, value in zip(texts, own, strict=True):
            ids = tokenizer(text, truncation=True, max_length=4096, return_tensors="pt")["input_ids"]
            gaps.append(abs(float(network(ids, labels=ids).loss) - value))
            n_tokens += ids.shape[1]
    other_s = time.process_time() - began
    click.echo(
        f"{len(texts)} documents, {n_tokens:,} tokens: largest difference {max(gaps):.5f} (rounding 0.0005); "
        f"CPU-seconds {own_s:.1f}, of transformers one document at a time {other_s:.1f}"
    )


@click.command()
@click.argument("model")
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--lang", default="en", type=click.Choice(["zh", "en"]))
@click.option("--documents", default=100, help="Documents for the comparison with transformers.")
@click.option("--pairs", default=800, help="Pairs of sentences.")
@click.option("--damaged", default=80, help="Good and bad documents, of each.")
def main(model: str, data: str, lang: str, documents: int, pairs: int, damaged: int) -> None:
    """MODEL: a folder with a causal language model."""
    torch_module("").set_num_threads(1)
    labels = pq.read_table(Path(data, "web_labels.parquet"), columns=["lang", "text"]).to_pylist()
    compare(model, [r["text"][:600] for r in draw([r for r in labels if r["lang"] == lang], documents)])
    rows = pq.read_table(Path(data, "fluency_pairs.parquet"), columns=["lang", "good", "bad"]).to_pylist()
    rows = draw([row for row in rows if row["lang"] == lang], pairs)
    good, bad = ([row[side] for row in rows] for side in ("good", "bad"))
    for (name, first), second in zip(
        (losses(model, good, 128) | ngrams(good, lang)).items(),
        (losses(model, bad, 128) | ngrams(bad, lang)).values(), strict=True,
    ):  # fmt: skip
        click.echo(
            f"pairs {lang}, {len(rows)}: {name}: {np.mean((first < second) + (first == second) / 2):.3f} in order"
        )
    rows = pq.read_table(
        Path(data, "quality_truth.parquet"), columns=["lang", "text", "task", "label"]
    ).to_pylist()
    rows = [row for row in rows if row["lang"] == lang and row["task"] == "document quality"]
    chosen = [
        r for side in ("good", "bad") for r in draw([row for row in rows if row["label"] == side], damaged)
    ]
    texts, is_bad = (
        [row["text"][:1500] for row in chosen],
        np.array([row["label"] == "bad" for row in chosen]),
    )
    for name, values in (losses(model, texts, 128) | ngrams(texts, lang)).items():
        found = ~np.isnan(values)
        click.echo(
            f"damage {lang}, {found.sum()} of {len(values)}: {name}: AUC {auc(values[found], is_bad[found]):.3f}, "
            f"lowest 5 % bad: {np.mean(is_bad[found][np.argsort(values[found])[: max(found.sum() // 20, 1)]]):.2f}"
        )


if __name__ == "__main__":
    main()
