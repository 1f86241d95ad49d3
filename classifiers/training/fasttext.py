"""Training of two-label fastText models.

The library trains, in one thread, so that a model is the same on every run; `classifiers.fasttext` scores, in the
evaluation as in a run.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import classifiers.fasttext as scorer
from classifiers.fasttext.forms import Form, make_form
from classifiers.training.data import Labelled, left_out, training_rows, with_negatives
from classifiers.training.head import Trained
from classifiers.training.page import evaluation_page, summary_of
from pipeline.errors import ConfigError, UsageError
from pipeline.recipe import optional_module

POSITIVE, NEGATIVE = "hq", "lq"
SETTINGS: dict[str, Any] = {  # Any: arguments of the library
    "lr": 0.3, "dim": 16, "minCount": 2, "wordNgrams": 2, "bucket": 500_000, "loss": "softmax",
}  # fmt: skip
N_STEPS, MAX_EPOCHS = 50_000, 100
"""Documents that a training reads, repeated ones included, unless the settings name `epoch`: with few labels a fixed
number of passes ends before the model has learnt."""
_FIXED: dict[str, Any] = {"thread": 1, "verbose": 0, "seed": 1}


def train_fasttext(
    data: Labelled, out: str, form: str, settings: dict[str, Any], negatives: pa.Table | None = None
) -> Trained:
    """Train a model on the two classes, evaluate it on sources left out, and write model, card and evaluation page.

    The scores of the evaluation are written too, by row, so that a head can learn from them as it will use them.

    Args: out, path of the model (.bin); form, of the text, one that needs no file; settings, in addition to SETTINGS,
    by the names of the library; negatives, further documents of the lower class (text, lang, source), learnt from and
    not evaluated on.
    """
    everything = data if negatives is None else with_negatives(data, negatives)
    settings = SETTINGS | {"epoch": epochs_for(len(everything.good))} | settings
    lines = training_lines(everything.table["text"], everything.good, form)
    scores = np.empty(len(data.good))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fold.bin")
        for fold in np.unique(data.folds):
            own = data.folds == fold
            chosen = np.flatnonzero(training_rows(everything, fold))
            fit([lines[i] for i in chosen], path, settings)
            scores[own] = score(path, data.table.filter(pa.array(own))["text"], form)
    fit(lines, out, settings)
    stem = Path(out).with_suffix("")
    about = [
        f"A fastText model of the labels {POSITIVE} and {NEGATIVE}; the score is the probability of "
        f"{POSITIVE}, uncalibrated: a head over its column calibrates it.",
    ]
    page = evaluation_page(stem.name, data, scores, scores, about)
    Path(f"{stem}.evaluation.md").write_text(page, encoding="utf-8")
    Path(f"{stem}.md").write_text(
        card(stem.name, everything, data, form, settings, negatives), encoding="utf-8"
    )
    pq.write_table(left_out(data, f"fasttext.{stem.name}", scores), f"{stem}.left_out.parquet")
    files = (out, f"{stem}.md", f"{stem}.evaluation.md", f"{stem}.left_out.parquet")
    return Trained(files, summary_of(page))


def training_lines(texts: pa.ChunkedArray, good: np.ndarray, form: str) -> list[str]:
    """Training lines of the library: a label, then the text on one line, without words that look like labels."""
    prepared = make_form(Form(form))(texts).to_pylist()
    labels = [f"__label__{POSITIVE if is_good else NEGATIVE}" for is_good in good]
    return [
        f"{label} {' '.join(re.sub('__label__', '__label_', text or '').split())}"
        for label, text in zip(labels, prepared, strict=True)
    ]


def epochs_for(n_documents: int) -> int:
    """Passes over this number of documents: 5 at least, MAX_EPOCHS at most."""
    return max(5, min(MAX_EPOCHS, N_STEPS // max(n_documents, 1)))


def fit(lines: list[str], path: str, settings: dict[str, Any]) -> None:
    """Train a model on these lines and write it.

    Raises: ConfigError if the library is not installed or cannot train, UsageError for a setting that it refuses.
    """
    library = optional_module("fasttext", "fasttext-community", "train", "train fasttext")
    if not hasattr(library, "train_supervised"):
        raise ConfigError(
            "train fasttext: another package provides `fasttext`; install fasttext-community instead"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
        stream.flush()
        try:
            passes = {"epoch": epochs_for(len(lines))}
            model = library.train_supervised(input=stream.name, **(passes | settings | _FIXED))
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"train fasttext: {error}; settings of the library, such as dim=16") from error
    model.save_model(path)


def score(path: str, texts: pa.ChunkedArray, form: str) -> np.ndarray:
    """Scores of texts by the stage: float64 (n,); texts without a feature have 0."""
    config = scorer.Config(models={"model": path}, labels={"model": POSITIVE}, text={"model": form})
    table = scorer.STAGE.load(config)(pa.table({"text": texts.cast(pa.large_string())}))
    return np.asarray(table["model"].fill_null(0).combine_chunks(), np.float64)


def card(
    name: str,
    everything: Labelled,
    data: Labelled,
    form: str,
    settings: dict[str, Any],
    negatives: pa.Table | None,
) -> str:
    """The card of a model: what it is, what it learnt from, how it is used, what it is not for."""
    languages, counts = np.unique(everything.languages, return_counts=True)
    more = f", {negatives.num_rows:,} negatives of a pool" if negatives is not None else ""
    lines = [
        f"# {name}: card", "",
        "| | |", "|---|---|",
        f"| What | two-label fastText model, labels {POSITIVE} and {NEGATIVE}, loaded by the library as well |",
        f"| Text | form `{form}` |",
        f"| Learnt from | {len(data.good):,} labelled documents of {len(set(data.sources)):,} sources{more}: "
        f"{', '.join(f'{language} {count:,}' for language, count in zip(languages, counts, strict=True))}; "
        f"{100 * float(everything.good.mean()):.1f} % {POSITIVE} |",
        f"| Settings | {', '.join(f'{key} {value}' for key, value in sorted(settings.items()))} |",
        f"| Figures | [{name}.evaluation.md]({name}.evaluation.md), on sources left out |",
        "| Use | `{use: classifiers.fasttext, config: {models: {" + f"{name}: {name}.bin" + "}, text: {"
        + f"{name}: {form}" + "}}}` |",
        "| Not for | languages and kinds of page that are not in the evaluation; a label is what its labeller saw |",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
