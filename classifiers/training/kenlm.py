"""Training of KenLM models: by lmplz where it is installed, by `kneser_ney` otherwise; the probabilities are the same.

Documents become lines of tokens as in `classifiers.kenlm`, which scores, in the evaluation as in a run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import classifiers.kenlm as scorer
from classifiers.training import kneser_ney
from classifiers.training.data import Labelled, left_out, training_rows
from classifiers.training.figures import class_auc, cut_for, rank_interval
from classifiers.training.head import Trained
from pipeline.errors import UsageError
from pipeline.recipe import optional_module

KEPT_SHARES = (0.98, 0.95, 0.9, 0.8)


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is trained.

    order: length of the longest n-grams, 2 to 6. prune: n-grams that occur no more often than these numbers are left
    out, one number for each order. tokens, normalize, sentencepiece: of `classifiers.kenlm`. lmplz: path of the
    program, or None for our own estimator.
    """

    order: int = 5
    prune: tuple[int, ...] = (0,)
    tokens: str = "characters"
    normalize: str = "ccnet"
    sentencepiece: str | None = None
    lmplz: str | None = None


def find_lmplz(choice: str) -> str | None:
    """Path of lmplz for `auto` (None if it is not installed), `own` (None) or a path.

    Raises: UsageError if the path is no program.
    """
    if choice == "own":
        return None
    found = shutil.which("lmplz" if choice == "auto" else choice)
    if found is None and choice != "auto":
        raise UsageError(
            f"--lmplz {choice}: no such program; expected auto, own, or the path of KenLM's lmplz"
        )
    return found


def train_kenlm(data: Labelled, out: str, model: Model) -> Trained:
    """Train a model on the documents of the upper class; write it with a card, an evaluation page, left-out scores.

    Args: data, of one language; out, path of the model, an ARPA file.
    Raises: UsageError if there are several languages, or too little text.
    """
    languages = sorted(set(data.languages))
    if len(languages) > 1:
        raise UsageError(
            f"documents in {', '.join(languages)}; a model is of one language, choose one by --lang"
        )
    optional_module("kenlm", "kenlm", "kenlm", "train kenlm")
    scores = np.full(len(data.good), np.nan)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fold.arpa")
        for fold in np.unique(data.folds):
            own = data.folds == fold
            fit(data.table["text"].filter(pa.array(training_rows(data, fold) & data.good)), path, model)
            scores[own] = perplexity(path, data.table["text"].filter(pa.array(own)), model)
    sizes = fit(data.table["text"].filter(pa.array(data.good)), out, model)
    stem = Path(out).with_suffix("")
    page = evaluation(stem.name, data, scores)
    Path(f"{stem}.evaluation.md").write_text(page, encoding="utf-8")
    Path(f"{stem}.md").write_text(card(stem.name, data, model, sizes), encoding="utf-8")
    pq.write_table(left_out(data, "kenlm.perplexity", scores), f"{stem}.left_out.parquet")
    files = (out, f"{stem}.md", f"{stem}.evaluation.md", f"{stem}.left_out.parquet")
    return Trained(files, tuple(line for line in page.split("\n") if line.startswith("| all |")))


def sentences(texts: pa.ChunkedArray, model: Model) -> Iterator[list[str]]:
    """Yield the lines of texts as tokens."""
    config = _config("", model)
    (split,), normalizer = scorer.read_tokens(config), scorer.NORMALIZERS[model.normalize]
    for text in texts.to_pylist():
        for line in normalizer(text or "").split("\n"):
            if tokens := split(line):
                yield tokens


def fit(texts: pa.ChunkedArray, path: str, model: Model) -> tuple[int, ...]:
    """Train a model on texts and write it as ARPA; returns the number of n-grams by order.

    Raises: UsageError if there is too little text, or lmplz fails.
    """
    lines = sentences(texts, model)
    if model.lmplz is not None:
        return _fit_by_lmplz(lines, path, model)
    tokens, words = kneser_ney.number(lines)
    if not len(tokens):
        raise UsageError("no text to train on")
    levels = kneser_ney.count_grams(tokens, len(words), model.order, kneser_ney.MARKS.index(kneser_ney.START))
    kept = kneser_ney.kept_grams(levels, model.prune)
    grams = kneser_ney.estimate(levels, kept, kneser_ney.FALLBACK)
    with open(path, "w", encoding="utf-8") as stream:
        kneser_ney.write_arpa(stream, words, levels, grams, kept)
    return tuple(int(mask.sum()) for mask in kept)


def _fit_by_lmplz(lines: Iterator[list[str]], path: str, model: Model) -> tuple[int, ...]:
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "lines.txt")
        with open(source, "w", encoding="utf-8") as stream:
            stream.writelines(f"{' '.join(line)}\n" for line in lines)
        command = [str(model.lmplz), "-o", str(model.order), "-S", "50%", "-T", folder, "--skip_symbols"]
        command += ["--discount_fallback", "--text", source, "--arpa", path]
        command += ["--prune", *map(str, model.prune)] if any(model.prune) else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{model.lmplz}: {' '.join(done.stderr.split())[-300:]}")
    with open(path, encoding="utf-8") as stream:
        return tuple(int(line.partition("=")[2]) for line in _head(stream))


def _head(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("ngram "):
            yield line
        elif line.startswith("\\1-grams"):
            return


def perplexity(path: str, texts: pa.ChunkedArray, model: Model) -> np.ndarray:
    """Perplexities of texts by the stage: float64 (n,), NaN for texts without tokens."""
    table = pa.table(
        {"text": texts.cast(pa.large_string()), "language.label": pa.array(["own"] * len(texts))}
    )
    return np.asarray(scorer.STAGE.load(_config(path, model))(table)["perplexity"], np.float64)


def _config(path: str, model: Model) -> scorer.Config:
    pieces = (model.sentencepiece or "",) if model.tokens == "sentencepiece" else ()
    return scorer.Config(
        models=(path,),
        labels=(("own",),),
        tokens=model.tokens,
        sentencepiece=pieces,
        normalize=model.normalize,
    )


def evaluation(name: str, data: Labelled, scores: np.ndarray) -> str:
    """The evaluation page: what low perplexity says about the classes, on sources left out."""
    low = -np.nan_to_num(scores, nan=np.inf)
    low = np.maximum(low, -np.finfo(np.float64).max)
    lines = [
        f"# {name}: evaluation", "",
        f"{len(scores):,} documents of {len(set(data.sources)):,} sources in {len(set(data.folds)):,} folds; each is "
        "scored by a model that saw no document of its source. AUC and rank are those of low perplexity, with 95 % "
        "intervals over resampled sources.", "",
        "| | documents | median perplexity, good | other | AUC | rank |", "|---|---|---|---|---|---|",
        _row("all", data, scores, low, np.ones(len(scores), bool)), "",
        "| perplexity at most | good kept | other left in |", "|---|---|---|",
    ]  # fmt: skip
    for share in KEPT_SHARES:
        cut = cut_for(low, data.good, share)
        good, other = (float((low[data.good == side] >= cut).mean()) for side in (True, False))
        lines.append(f"| {-cut:,.1f} | {100 * good:.1f} % | {100 * other:.1f} % |")
    lines += [
        "",
        "## By source",
        "",
        "| source | documents | median perplexity, good | other |",
        "|---|---|---|---|",
    ]
    for source in np.unique(data.sources):
        own = data.sources == source
        medians = " | ".join(_median(scores[own & side]) for side in (data.good, ~data.good))
        lines.append(f"| {source} | {int(own.sum()):,} | {medians} |")
    return "\n".join(lines) + "\n"


def _row(name: str, data: Labelled, scores: np.ndarray, low: np.ndarray, own: np.ndarray) -> str:
    rank = rank_interval(low[own], data.targets[own], data.sources[own]) if data.graded else "–"
    return (
        f"| {name} | {int(own.sum()):,} | {_median(scores[own & data.good])} | {_median(scores[own & ~data.good])} "
        f"| {class_auc(low[own], data.good[own], data.sources[own])} | {rank} |"
    )


def _median(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return f"{np.median(known):,.1f}" if len(known) else "–"


def card(name: str, data: Labelled, model: Model, sizes: Sequence[int]) -> str:
    """The card of a model: what it is, what it learnt from, how it is used, what it is not for."""
    estimator = "KenLM's lmplz" if model.lmplz else "the estimator of bicorpus, which equals lmplz"
    settings = f"tokens: {model.tokens}, normalize: {model.normalize}"
    pieces = ", sentencepiece: [PATH]" if model.sentencepiece else ""
    lines = [
        f"# {name}: card", "",
        "| | |", "|---|---|",
        f"| What | KenLM model of order {model.order}, ARPA, by {estimator} |",
        f"| n-grams | {', '.join(f'{size:,} of order {n}' for n, size in enumerate(sizes, 1))} |",
        f"| Left out | n-grams that occur no more often than {', '.join(map(str, model.prune))} |",
        f"| Text | {settings} |",
        f"| Learnt from | {int(data.good.sum()):,} documents of {len(set(data.sources[data.good])):,} sources |",
        f"| Figures | [{name}.evaluation.md]({name}.evaluation.md), on sources left out |",
        f"| Use | `{{use: classifiers.kenlm, config: {{models: [{name}.arpa], labels: [[LABEL]], "
        f"{settings}{pieces}}}}}` |",
        "| Not for | other languages; tables, code and lists, whose perplexity says nothing about their value |",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
